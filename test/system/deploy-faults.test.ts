import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { spawn } from 'node:child_process';
import { appendFileSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { seedContent } from './engine/seed.ts';
import { demandDocker, docker, startEngine, waitFor } from './engine/setup.ts';
import { Stack } from './stack.ts';

jest.setTimeout(600_000);

const environment = {
  name: 'staging',
  domain: 'staging.bot.acme.example',
  httpPort: 19180,
  httpsPort: 19543,
};
const answers = {
  domain: 'bot.acme.example',
  environments: ['development', environment, 'production'],
  backup: { targets: [] },
};

/** Variants of the stand-in: a tag and the variables that are baked into it. */
const variants = {
  '12.31.9': { STANDIN_VERSION: '12.31.9' },
  '12.31.10-silent': { STANDIN_EMPTY_RESPONSES: 'true' },
  '12.31.10-stuck': { STANDIN_NEVER_READY: 'true' },
  '12.31.11': {
    STANDIN_VERSION: '12.31.11',
    STANDIN_MIGRATION_PENDING: 'true',
    STANDIN_MIGRATION_FAILS: 'true',
  },
};

let stack: Stack;

beforeAll(async () => {
  await startEngine();
  for (const [tag, variables] of Object.entries(variants)) {
    const folder = mkdtempSync(join(tmpdir(), 'botpress-prod-variant-'));
    const lines = Object.entries(variables).map(([name, value]) => `ENV ${name}=${value}`);
    writeFileSync(join(folder, 'Dockerfile'), ['FROM botpress/server:12.31.10', ...lines, ''].join('\n'));
    await demandDocker(['build', '--quiet', '--tag', `botpress/server:${tag}`, folder]);
    rmSync(folder, { recursive: true });
  }
  stack = await Stack.generate(answers, environment, 'rollout-faults');
  await seedContent(join(stack.folder, 'botpress/data'), [{ id: 'support' }]);
  await stack.bin('up', '--dry-run');
  appendFileSync(join(stack.folder, '.env.staging'), '\nIMAGE_BOTPRESS=botpress/server:12.31.9\n');
  await stack.demandBin('up');
});

afterAll(async () => {
  await stack?.destroy();
  for (const tag of Object.keys(variants)) await docker(['image', 'rm', `botpress/server:${tag}`]);
});

interface Status {
  serving: string;
  health: string;
  version: string;
  image: string;
  interrupted: boolean;
  phase: string;
}

async function status(): Promise<Status> {
  return JSON.parse((await stack.demandBin('deploy', 'status', '--json')).stdout) as Status;
}

async function say(user: string, text: string): Promise<string> {
  const { status: code, body } = await stack.fetch(`/api/v1/bots/support/converse/${user}`, {
    body: { type: 'text', text },
  });
  if (code !== 200) return String(code);
  return (JSON.parse(body) as { responses: { text: string }[] }).responses.map((one) => one.text).join('|');
}

const stateFile = (name: string) => join(stack.folder, 'state/staging', name);

/** Nothing is left of a run: one colour runs, nothing is frozen or closed. */
async function expectAtRest(expected: Partial<Status>): Promise<void> {
  const now = await status();
  expect(now).toMatchObject({ health: 'healthy', interrupted: false, phase: 'idle', ...expected });
  const other = now.serving === 'blue' ? 'green' : 'blue';
  const running = (await stack.inspect())
    .filter(({ State }) => State.Status !== 'exited')
    .map(({ Config }) => Config.Labels['com.docker.compose.service']);
  expect(running).not.toContain(`botpress-${other}`);
  for (const name of ['frozen', 'draining', 'maintenance'])
    expect([name, existsSync(stateFile(`nginx/${name}`))]).toEqual([name, false]);
}

describe('a change of version', () => {
  it('closes, dumps, migrates and opens', async () => {
    await say('early', 'hello');
    const { stdout } = await stack.demandBin('deploy', '12.31.10', '--json');
    const record = JSON.parse(stdout) as Record<string, string>;
    expect(record).toMatchObject({
      way: 'maintenance',
      result: 'done',
      from_version: '12.31.9',
      to_version: '12.31.10',
    });
    expect(existsSync(join(stack.folder, record.dump ?? ''))).toBe(true);
    await expectAtRest({ version: '12.31.10', image: 'botpress/server:12.31.10' });
    expect(readFileSync(join(stack.folder, '.env.staging'), 'utf8')).toContain(
      'IMAGE_BOTPRESS=botpress/server:12.31.10\n',
    );
    expect(await say('early', 'still me')).toBe('You said still me');
  });

  it('goes back with the dump, and only when that is asked for', async () => {
    expect(await say('late', 'hello')).toBe('Hello from support');
    const refused = await stack.bin('rollback');
    expect([refused.code, refused.stderr.includes('--restore')]).toEqual([3, true]);
    await stack.demandBin('rollback', '--restore');
    await expectAtRest({ version: '12.31.9' });
    // Who came after the dump is a stranger again, who came before is not.
    expect(await say('late', 'hello again')).toBe('Hello from support');
    expect(await say('early', 'me again')).toBe('You said me again');
    await stack.demandBin('deploy', '12.31.10');
    await expectAtRest({ version: '12.31.10' });
  });

  it('comes back by itself when the migration fails', async () => {
    const { code } = await stack.bin('deploy', '12.31.11', '--timeout', '30');
    expect(code).toBe(1);
    await expectAtRest({ version: '12.31.10' });
    expect(await say('early', 'after the failure')).toBe('You said after the failure');
  });

  it('refuses an older version', async () => {
    const { code, stderr } = await stack.bin('deploy', '12.31.9');
    expect([code, stderr.includes('bin/rollback')]).toEqual([3, true]);
  });
});

describe('what is not fit to serve', () => {
  it.each(['12.31.10-silent', '12.31.10-stuck'])('%s never gets a visitor', async (tag) => {
    const { serving } = await status();
    const { code } = await stack.bin('deploy', tag, '--timeout', '15');
    expect(code).toBe(1);
    await expectAtRest({ serving, image: 'botpress/server:12.31.10' });
    expect(await say('early', `after ${tag}`)).toBe(`You said after ${tag}`);
  });

  it('an image that does not exist changes nothing', async () => {
    const { code, stderr } = await stack.bin('deploy', '12.31.10-nowhere');
    expect([code, stderr.includes('12.31.10-nowhere')]).toEqual([3, true]);
    await expectAtRest({});
  });
});

describe('a run that is killed', () => {
  /** Starts a deployment and kills it with SIGKILL as soon as it gets to a step. */
  async function killAt(step: string): Promise<void> {
    const child = spawn(join(stack.folder, 'bin/deploy'), ['staging', '--wait'], { stdio: 'ignore' });
    const ended = new Promise((resolve) => child.on('exit', resolve));
    await waitFor(
      () => {
        if (child.exitCode !== null) throw new Error(`the deployment ended with ${child.exitCode}`);
        const journal = existsSync(stateFile('rollout')) ? readFileSync(stateFile('rollout'), 'utf8') : '';
        // The journal of the killed run before is not meant.
        return journal.includes(`step=${step}\n`) && !journal.includes('repair of');
      },
      { timeout: 120_000, what: `step ${step}`, every: 5 },
    );
    child.kill('SIGKILL');
    await ended;
  }

  it('leaves a healthy colour serving at every step, and the next run repairs it', async () => {
    for (const step of ['freeze', 'start', 'gate', 'switch', 'drain', 'stop']) {
      await killAt(step);
      expect([step, await say('early', `killed at ${step}`)]).toEqual([step, `You said killed at ${step}`]);
      expect([step, (await status()).interrupted]).toEqual([step, true]);
    }
    await stack.demandBin('deploy', '--wait');
    await expectAtRest({ version: '12.31.10' });
    const { stdout } = await stack.demandBin('deploy', 'history', '--json');
    const results = stdout
      .trim()
      .split('\n')
      .map((line) => (JSON.parse(line) as { result: string }).result);
    expect(results.slice(-7)).toEqual([...Array<string>(6).fill('repaired'), 'done']);
  });

  it('keeps a second one away', async () => {
    const child = spawn(join(stack.folder, 'bin/deploy'), ['staging'], { stdio: 'ignore' });
    const ended = new Promise((resolve) => child.on('exit', resolve));
    await waitFor(() => existsSync(stateFile('rollout')), { timeout: 30_000, what: 'first deployment' });
    const { code, stderr } = await stack.bin('deploy');
    expect([code, stderr.includes('at work')]).toEqual([5, true]);
    // Ctrl-C: it puts back what it had begun.
    child.kill('SIGINT');
    expect(await ended).toBe(130);
    await expectAtRest({});
  });

  it('shows a record that was changed', async () => {
    const file = stateFile('deployments.jsonl');
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, text.replace('"result":"done"', '"result":"failed"'));
    expect((await stack.bin('deploy', 'history')).code).toBe(1);
    writeFileSync(file, text);
    expect((await stack.bin('deploy', 'history')).code).toBe(0);
  });
});
