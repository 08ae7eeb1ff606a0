import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { demandDocker, sleep, startEngine, waitFor } from './engine/setup.ts';
import { makeVariants, removeVariants, startStack, STEPS, type Rollouts } from './rollout.ts';
import type { Stack } from './stack.ts';

jest.setTimeout(600_000);

const variants = {
  '12.31.10-good': {},
  '12.31.10-silent': { STANDIN_EMPTY_RESPONSES: 'true' },
  '12.31.10-stuck': { STANDIN_NEVER_READY: 'true' },
  '12.31.10-ending': { STANDIN_VERSION: '12.31.10', CLUSTER_ENABLED: 'true', REDIS_URL: 'redis://nowhere' },
  '12.31.10-slow': { STANDIN_READY_MS: '20000' },
  '12.31.10-crashing': { STANDIN_CRASH_AFTER_MS: '8000' },
};

let stack: Stack;
let rollouts: Rollouts;
/** Every answer that a visitor got who never stops to talk, and who is never sent to a server that is not fit. */
const failures: string[] = [];
let isTalking = true;
let talk: Promise<void>;

beforeAll(async () => {
  await startEngine();
  await makeVariants(variants);
  rollouts = await startStack('rollout-faults', 19180, '12.31.10-good');
  ({ stack } = rollouts);
  await rollouts.say('visitor', 'hello');
  talk = (async () => {
    for (let number = 0; isTalking; number++) {
      const text = `message ${number}`;
      const answer = await rollouts.say('visitor', text).catch((error: Error) => error.message);
      if (answer !== `You said ${text}`) failures.push(`${new Date().toISOString()} ${text}: ${answer}`);
      await sleep(300);
    }
  })();
});

afterAll(async () => {
  isTalking = false;
  await talk;
  await stack?.destroy();
  await removeVariants(variants);
});

/** The visitor who never stops was answered every time. */
function expectNoFailure(): void {
  expect(failures.splice(0)).toEqual([]);
}

describe('what is not fit to serve', () => {
  it.each(['silent', 'stuck', 'ending'])('an image that is %s never gets a visitor', async (what) => {
    const { serving } = await rollouts.status();
    const { code } = await stack.bin('deploy', `12.31.10-${what}`, '--timeout', '15');
    expect(code).toBe(1);
    await rollouts.expectAtRest({ serving, image: 'botpress/server:12.31.10-good' });
    expectNoFailure();
  });

  it('a server that dies after it took over gives way to the one of before', async () => {
    const { serving } = await rollouts.status();
    const { code } = await stack.bin('deploy', '12.31.10-crashing');
    expect(code).toBe(1);
    await rollouts.expectAtRest({ serving, image: 'botpress/server:12.31.10-good' });
    // Until its end was seen, the dead one was asked: a second or two.
    expect(failures.splice(0).length).toBeLessThan(20);
  });

  it('a server that nginx does not reach never gets a visitor, however well it finds itself', async () => {
    const { serving } = await rollouts.status();
    const idle = serving === 'blue' ? 'green' : 'blue';
    const run = rollouts.start();
    await run.reach('start');
    await waitFor(async () => (await stack.health(`botpress-${idle}`)) === 'starting', {
      timeout: 30_000,
      what: 'container',
    });
    await demandDocker([
      'network',
      'disconnect',
      `${stack.project}_app`,
      `${stack.project}-botpress-${idle}-1`,
    ]);
    expect(await run.ended).toBe(1);
    await rollouts.expectAtRest({ serving });
    expectNoFailure();
  });

  it('an image that does not exist changes nothing', async () => {
    const { code, stderr } = await stack.bin('deploy', '12.31.10-nowhere');
    expect([code, stderr.includes('12.31.10-nowhere')]).toEqual([3, true]);
    await rollouts.expectAtRest();
  });

  it('no room on the disk changes nothing', async () => {
    process.env.DISK_MINIMUM_GIB = '1000000';
    const { code, stderr } = await stack.bin('deploy');
    delete process.env.DISK_MINIMUM_GIB;
    expect([code, stderr.includes('GiB are free')]).toEqual([3, true]);
    await rollouts.expectAtRest();
    expectNoFailure();
  });

  it('a slow start is waited for', async () => {
    expect((await rollouts.deploy('12.31.10-slow')).result).toBe('done');
    await rollouts.expectAtRest({ image: 'botpress/server:12.31.10-slow' });
    expect((await rollouts.deploy('12.31.10-good')).result).toBe('done');
    expectNoFailure();
  });
});

describe('a run that is killed', () => {
  it('leaves what serves serving at every step, and the next run repairs it', async () => {
    const before = (await rollouts.history()).length;
    const steps = STEPS.overlap ?? [];
    for (const step of steps) {
      const run = rollouts.start('--wait');
      await run.reach(step);
      await run.kill();
      expect([step, (await rollouts.status()).interrupted]).toEqual([step, true]);
    }
    await stack.demandBin('deploy', '--wait');
    await rollouts.expectAtRest();
    expectNoFailure();
    const results = (await rollouts.history()).slice(before).map(({ result }) => result);
    expect(results).toEqual([...steps.map(() => 'repaired'), 'done']);
  });

  it('is not joined by a second one, and undoes what it began when it is interrupted', async () => {
    const { serving } = await rollouts.status();
    const run = rollouts.start();
    await run.reach('start');
    const { code, stderr } = await stack.bin('deploy');
    expect([code, stderr.includes('at work')]).toEqual([5, true]);
    expect((await stack.bin('deploy', 'unlock')).code).toBe(5);
    run.signal('SIGINT');
    expect(await run.ended).toBe(130);
    await rollouts.expectAtRest({ serving });
    expectNoFailure();
  });
});

/** The engine is shared with other tests, so it is not restarted: its containers die, as they do with it. */
describe('containers that die in the middle', () => {
  /** Kills the first process of a container; Docker starts it again. */
  async function crash(service: string): Promise<void> {
    const container = (await stack.inspect()).find(
      ({ Config }) => Config.Labels['com.docker.compose.service'] === service,
    );
    const pid = await demandDocker([
      'container',
      'inspect',
      '--format',
      '{{.State.Pid}}',
      container?.Id ?? service,
    ]);
    process.kill(Number(pid), 'SIGKILL');
  }

  async function isAnswered(): Promise<void> {
    await waitFor(async () => (await rollouts.say('other', 'hello')).startsWith('You said'), {
      timeout: 60_000,
      what: 'answer',
      every: 1000,
    });
  }

  it.each([
    ['nginx', 'switch'],
    ['postgres', 'start'],
    ['nginx', 'drain'],
  ])('%s at the step %s', async (service, step) => {
    const run = rollouts.start('--timeout', '60');
    await run.reach(step);
    await crash(service);
    expect([0, 1, 4]).toContain(await run.ended);
    await isAnswered();
    expect((await rollouts.deploy('--wait')).result).toBe('done');
    await rollouts.expectAtRest();
    failures.splice(0);
  });

  it('the new colour while it is asked', async () => {
    const { serving } = await rollouts.status();
    const idle = serving === 'blue' ? 'green' : 'blue';
    const run = rollouts.start('--timeout', '60');
    await run.reach('start');
    await waitFor(async () => (await stack.health(`botpress-${idle}`)) === 'starting', {
      timeout: 30_000,
      what: 'container',
    });
    await crash(`botpress-${idle}`);
    // It is started again and may still pass.
    expect([0, 1]).toContain(await run.ended);
    await rollouts.expectAtRest();
    expectNoFailure();
  });
});

describe('the record', () => {
  it('shows that it was changed', async () => {
    const file = rollouts.stateFile('deployments.jsonl');
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.replace('"result":"done"', '"result":"failed"'));
    const { code, stderr } = await stack.bin('deploy', 'history');
    expect([code, /line \d+ of state\/staging\/deployments\.jsonl/.test(stderr)]).toEqual([1, true]);
    writeFileSync(file, text);
    expect((await stack.bin('deploy', 'history')).code).toBe(0);
  });
});
