import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { existsSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { demand, sleep, startEngine } from './engine/setup.ts';
import { makeVariants, removeVariants, startStack, STEPS, type Rollouts } from './rollout.ts';

jest.setTimeout(600_000);

const variants = {
  '12.31.8': { STANDIN_VERSION: '12.31.8' },
  '12.31.9': { STANDIN_VERSION: '12.31.9' },
  // The stand-in leaves the old version in its configuration, so a second node, which may not migrate, would not start.
  '12.31.9-cluster': { STANDIN_VERSION: '12.31.9', SKIP_MIGRATIONS: 'true' },
  '12.31.12': {
    STANDIN_VERSION: '12.31.12',
    STANDIN_MIGRATION_PENDING: 'true',
    STANDIN_MIGRATION_FAILS: 'true',
  },
};

beforeAll(async () => {
  await startEngine();
  await makeVariants(variants);
});
afterAll(() => removeVariants(variants));

describe('a change of version in community edition', () => {
  let rollouts: Rollouts;
  beforeAll(async () => {
    rollouts = await startStack('rollout-versions', 19280, '12.31.8');
    await rollouts.say('early', 'hello');
  });
  afterAll(async () => rollouts?.stack.destroy());

  it('says so politely, dumps, migrates and opens', async () => {
    const { stack } = rollouts;
    const run = rollouts.start('12.31.9');
    await run.reach('start');
    const page = await stack.fetch('/lite/support/', { headers: { accept: 'text/html' } });
    expect([page.status, page.headers['retry-after'], page.headers['content-type']]).toEqual([
      503,
      '5',
      'text/html',
    ]);
    expect(await rollouts.say('early', 'anybody?')).toBe('503');
    expect(await run.ended).toBe(0);
    const record = (await rollouts.history()).at(-1);
    expect(record).toMatchObject({
      way: 'maintenance',
      result: 'done',
      from_version: '12.31.8',
      to_version: '12.31.9',
    });
    const dump = join(stack.folder, record?.dump ?? '');
    expect([existsSync(dump), statSync(dump).mode & 0o077]).toEqual([true, 0]);
    await rollouts.expectAtRest({ version: '12.31.9', image: 'botpress/server:12.31.9' });
    expect(readFileSync(join(stack.folder, '.env.staging'), 'utf8')).toContain(
      'IMAGE_BOTPRESS=botpress/server:12.31.9\n',
    );
    expect(await rollouts.say('early', 'still me')).toBe('You said still me');
  });

  it('goes back with the dump, and only when that is asked for', async () => {
    const { stack } = rollouts;
    expect(await rollouts.say('late', 'hello')).toBe('Hello from support');
    const refused = await stack.bin('rollback');
    expect([refused.code, refused.stderr.includes('--restore')]).toEqual([3, true]);
    await stack.demandBin('rollback', '--restore');
    await rollouts.expectAtRest({ version: '12.31.8' });
    // Who came after the dump is a stranger again, who came before is not.
    expect(await rollouts.say('late', 'hello again')).toBe('Hello from support');
    expect(await rollouts.say('early', 'me again')).toBe('You said me again');
  });

  it('comes back by itself when the migration fails', async () => {
    const { code } = await rollouts.stack.bin('deploy', '12.31.12', '--timeout', '60');
    expect(code).toBe(1);
    await rollouts.expectAtRest({ version: '12.31.8' });
    expect(await rollouts.say('early', 'after the failure')).toBe('You said after the failure');
  });

  it('changes nothing without room for the dump, and comes back when the room ends while it is written', async () => {
    const { stack } = rollouts;
    const dumps = rollouts.stateFile('dumps');
    mkdirSync(dumps, { recursive: true });
    await demand('mount', ['-t', 'tmpfs', '-o', 'size=4k,mode=700', 'none', dumps]);
    try {
      const refused = await stack.bin('deploy', '12.31.9');
      expect([refused.code, refused.stderr.includes('may not fit')]).toEqual([3, true]);
      await rollouts.expectAtRest({ version: '12.31.8' });
      await demand('mount', ['-o', 'remount,size=64m', dumps]);
      const run = rollouts.start('12.31.9');
      await run.reach('stop');
      await demand('mount', ['-o', 'remount,size=4k', dumps]);
      expect(await run.ended).toBe(1);
    } finally {
      await demand('umount', [dumps]);
    }
    await rollouts.expectAtRest({ version: '12.31.8' });
    expect(await rollouts.say('early', 'after the full disk')).toBe('You said after the full disk');
  });

  it('is repaired by the next run when it is killed, at every step', async () => {
    const before = (await rollouts.history()).length;
    const steps = STEPS.maintenance ?? [];
    for (const step of steps) {
      const run = rollouts.start('12.31.9', '--wait');
      await run.reach(step);
      await run.kill();
      expect([step, (await rollouts.status()).interrupted]).toEqual([step, true]);
    }
    // Killed while it opened, it had passed every check: what is left to do is a deployment of the same version.
    await rollouts.deploy('12.31.9', '--wait');
    await rollouts.expectAtRest({ version: '12.31.9' });
    expect(await rollouts.say('early', 'after all')).toBe('You said after all');
    const results = (await rollouts.history()).slice(before).map(({ result }) => result);
    expect(results).toEqual([...steps.map(() => 'repaired'), 'done']);
  });

  it('refuses an older version', async () => {
    const { code, stderr } = await rollouts.stack.bin('deploy', '12.31.8');
    expect([code, stderr.includes('bin/rollback')]).toEqual([3, true]);
  });
});

describe('one node that is made anew in place', () => {
  let rollouts: Rollouts;
  beforeAll(async () => {
    rollouts = await startStack('rollout-recreate', 19282, '12.31.8', {
      scaling: { deployment: 'recreate' },
    });
  });
  afterAll(async () => rollouts?.stack.destroy());

  it('is closed for a moment, says why, and keeps what was said', async () => {
    await rollouts.say('early', 'hello');
    const record = await rollouts.deploy();
    expect(record).toMatchObject({ way: 'maintenance', result: 'done' });
    expect(record.reason).toContain('recreate');
    expect(record.dump).toBeUndefined();
    await rollouts.expectAtRest({ serving: 'botpress' });
    expect(await rollouts.say('early', 'me')).toBe('You said me');
  });

  it('comes back with the former image when the new one is not fit', async () => {
    const { code } = await rollouts.stack.bin('deploy', '12.31.12', '--timeout', '60');
    expect(code).toBe(1);
    await rollouts.expectAtRest({ version: '12.31.8' });
    expect(await rollouts.say('early', 'still me')).toBe('You said still me');
  });
});

describe('a cluster', () => {
  let rollouts: Rollouts;
  beforeAll(async () => {
    rollouts = await startStack('rollout-cluster', 19284, '12.31.8', {
      edition: 'pro',
      scaling: { replicas: 2, deployment: 'recreate' },
    });
  });
  afterAll(async () => rollouts?.stack.destroy());

  it('is made anew node by node, and every message is answered', async () => {
    const failures: string[] = [];
    let isTalking = true;
    await rollouts.say('visitor', 'hello');
    const talk = (async () => {
      for (let number = 0; isTalking; number++) {
        const answer = await rollouts
          .say('visitor', `message ${number}`)
          .catch((error: Error) => error.message);
        if (answer !== `You said message ${number}`) failures.push(`${new Date().toISOString()} ${answer}`);
        await sleep(100);
      }
    })();
    const record = await rollouts.deploy();
    isTalking = false;
    await talk;
    expect(record).toMatchObject({ way: 'rolling', result: 'done' });
    expect(failures).toEqual([]);
    expect((await rollouts.runningNodes()).sort()).toEqual(['botpress', 'botpress-2']);
  });

  it('changes its version closed, one node after the other', async () => {
    const record = await rollouts.deploy('12.31.9-cluster');
    expect(record).toMatchObject({ way: 'maintenance', result: 'done', to_version: '12.31.9' });
    expect((await rollouts.runningNodes()).sort()).toEqual(['botpress', 'botpress-2']);
    await rollouts.expectAtRest({ version: '12.31.9' });
  });
});
