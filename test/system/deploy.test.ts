import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { seedContent } from './engine/seed.ts';
import { sleep, startEngine, waitFor } from './engine/setup.ts';
import { Load } from './load.ts';
import { Stack } from './stack.ts';

/** Deployments in a row under load. */
const ROUNDS = Number(process.env.ROLLOUTS ?? 20);
const VISITORS = 5;

jest.setTimeout(120_000 + ROUNDS * 60_000);

const answers = {
  domain: 'bot.acme.example',
  environments: [
    'development',
    { name: 'staging', domain: 'staging.bot.acme.example', httpPort: 19080, httpsPort: 19443 },
    'production',
  ],
  backup: { targets: [] },
};
const environment = {
  name: 'staging',
  domain: 'staging.bot.acme.example',
  httpPort: 19080,
  httpsPort: 19443,
};

beforeAll(startEngine);

describe('a rollout within one version', () => {
  let stack: Stack;

  beforeAll(async () => {
    stack = await Stack.generate(answers, environment, 'rollout-test');
    await seedContent(join(stack.folder, 'botpress/data'), [{ id: 'support' }]);
    await stack.demandBin('up');
  });
  afterAll(async () => stack?.destroy());

  /** Calls back with each step that a deployment gets to. */
  function watchSteps(onStep: (step: string) => void): () => void {
    const journal = join(stack.folder, 'state/staging/rollout');
    let last = '';
    const timer = setInterval(() => {
      const text = existsSync(journal) ? readFileSync(journal, 'utf8') : '';
      const step = /^step=(.*)$/m.exec(text)?.[1] ?? 'none';
      if (step !== last) onStep(step);
      last = step;
    }, 50);
    return () => clearInterval(timer);
  }

  it(`loses, refuses and doubles no message in ${ROUNDS} deployments in a row under load`, async () => {
    const load = await Load.start(stack, { users: 4, visitors: VISITORS });
    const rest = { from: Date.now(), to: 0 };
    await sleep(15_000);
    rest.to = Date.now();
    const switches: { from: number; to: number }[] = [];
    const stopWatching = watchSteps((step) => {
      if (step === 'switch') switches.push({ from: Date.now(), to: Infinity });
      const last = switches.at(-1);
      if (step === 'stop' && last) last.to = Date.now();
    });
    const seconds: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const { code, stdout, stderr } = await stack.bin('deploy', '--json');
      expect({ code, output: code === 0 ? '' : stdout + stderr }).toEqual({ code: 0, output: '' });
      seconds.push((JSON.parse(stdout) as { seconds: number }).seconds);
    }
    stopWatching();
    await load.stop();
    report(load, rest, switches, seconds);
    const nothing = { failed: [], lost: [], doubled: [] };
    for (const fates of [load.converse, load.webchat, load.pages])
      expect(fates).toEqual({ ...nothing, sent: fates.sent, answered: fates.sent });
    // Each socket was cut once a deployment and came back by itself.
    expect(load.connections).toBe(VISITORS * (ROUNDS + 1));
  });

  it('freezes administration while two servers run, and nothing else', async () => {
    const login = () =>
      stack.fetch('/api/v1/auth/login/basic/default', {
        body: { email: 'nobody@acme.example', password: 'wrong' },
      });
    expect((await login()).status).not.toBe(503);
    const deployment = stack.demandBin('deploy');
    const journal = join(stack.folder, 'state/staging/rollout');
    await waitFor(() => existsSync(journal) && readFileSync(journal, 'utf8').includes('step=start'), {
      timeout: 60_000,
      what: 'step start',
    });
    const refused = await login();
    expect([refused.status, refused.headers['retry-after']]).toEqual([503, '5']);
    expect((await stack.fetch('/admin/')).status).not.toBe(503);
    await deployment;
    expect((await login()).status).not.toBe(503);
  });

  it('goes back within the version with the containers of before', async () => {
    const idle = async () =>
      (await stack.inspect()).find(
        ({ Config, State }) =>
          Config.Labels['com.docker.compose.service']?.startsWith('botpress-') && State.Status === 'exited',
      )?.Id;
    const before = await idle();
    expect(before).toBeDefined();
    await stack.demandBin('rollback');
    const running = (await stack.inspect()).find(({ Id }) => Id === before);
    expect(running?.State.Health?.Status).toBe('healthy');
  });
});

/** Figures for docs/performance.md: shown, and written there when DEPLOY_FIGURES is set; never asserted. */
function report(
  load: Load,
  rest: { from: number; to: number },
  switches: readonly { from: number; to: number }[],
  seconds: number[],
): void {
  const atRest = load.percentiles([rest]);
  const switching = load.percentiles(switches);
  const middle = seconds.toSorted((a, b) => a - b)[Math.floor(seconds.length / 2)];
  const text = [
    '| | requests | p50 | p99 |',
    '| --- | --- | --- | --- |',
    `| at rest | ${atRest.requests} | ${atRest.p50} ms | ${atRest.p99} ms |`,
    `| from the switch until the old server stops | ${switching.requests} | ${switching.p50} ms | ${switching.p99} ms |`,
    '',
    `${seconds.length} deployments in a row, ${middle} s each (median). Sent and answered: ${load.converse.sent} and ` +
      `${load.converse.answered} messages by HTTP, ${load.webchat.sent} and ${load.webchat.answered} in webchat, ` +
      `${load.pages.sent} and ${load.pages.answered} pages; ${load.crossed.length} webchat messages met the end of their socket on the ` +
      `wire, were refused unprocessed and sent again. Sockets opened: ${load.connections} by ${VISITORS} visitors.`,
  ].join('\n');
  process.stderr.write(`${text}\n`);
  if (!process.env.DEPLOY_FIGURES) return;
  const file = join(import.meta.dirname, '../../docs/performance.md');
  const document = readFileSync(file, 'utf8');
  writeFileSync(
    file,
    document.replace(
      /<!-- deploy -->[^]*<!-- \/deploy -->/,
      `<!-- deploy -->\n\n${text}\n\n<!-- /deploy -->`,
    ),
  );
}
