import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { writeFileSync } from 'node:fs';
import { sleep, startEngine } from './engine/setup.ts';
import { Load, type Span } from './load.ts';
import { startStack, type Rollouts } from './rollout.ts';

/** Deployments in a row under load, about half a minute each. */
const ROUNDS = Number(process.env.ROLLOUTS ?? 4);
const VISITORS = 5;

jest.setTimeout(120_000 + ROUNDS * 90_000);

describe('a rollout within one version', () => {
  let rollouts: Rollouts;

  beforeAll(async () => {
    await startEngine();
    rollouts = await startStack('rollout-test', 19080, '12.31.10');
  });
  afterAll(async () => rollouts?.stack.destroy());

  it(`loses, refuses and doubles no message in ${ROUNDS} deployments in a row under load`, async () => {
    const load = await Load.start(rollouts.stack, { users: 4, visitors: VISITORS });
    const rest = { from: Date.now(), to: 0 };
    await sleep(15_000);
    rest.to = Date.now();
    const switches: Span[] = [];
    const seconds: number[] = [];
    for (let round = 0; round < ROUNDS; round++) {
      const run = rollouts.start();
      await run.reach('switch');
      const from = Date.now();
      await run.reach('stop');
      switches.push({ from, to: Date.now() });
      expect(await run.ended).toBe(0);
      const record = (await rollouts.history()).at(-1);
      expect(record).toMatchObject({ way: 'overlap', result: 'done' });
      seconds.push(record?.seconds ?? NaN);
    }
    await load.stop();
    const figures = describeFigures(load, rest, switches, seconds);
    process.stderr.write(`${figures}\n`);
    if (process.env.ROLLOUT_FIGURES) writeFileSync(process.env.ROLLOUT_FIGURES, figures);
    for (const { sent, ...fates } of [load.converse, load.webchat, load.pages])
      expect(fates).toEqual({ answered: sent, failed: [], lost: [], doubled: [] });
    // Each socket was cut once a deployment and came back by itself.
    expect(load.connections).toBe(VISITORS * (ROUNDS + 1));
  });
});

/** What docs/performance.md says of rollouts. */
function describeFigures(load: Load, rest: Span, switches: readonly Span[], seconds: number[]): string {
  const atRest = load.percentiles([rest]);
  const switching = load.percentiles(switches);
  const ordered = seconds.toSorted((a, b) => a - b);
  return [
    '| converse, time to the answer | requests | p50 | p99 |',
    '| --- | --- | --- | --- |',
    `| at rest | ${atRest.requests} | ${atRest.p50} ms | ${atRest.p99} ms |`,
    `| from the switch until the old server stops | ${switching.requests} | ${switching.p50} ms | ${switching.p99} ms |`,
    '',
    `${seconds.length} deployments in a row, ${ordered[Math.floor(ordered.length / 2)]} s each (median; longest ` +
      `${ordered.at(-1)} s).`,
    '',
    '| | sent | answered | failed | lost | doubled |',
    '| --- | --- | --- | --- | --- | --- |',
    ...(
      [
        ['messages by HTTP', load.converse],
        ['messages in webchat', load.webchat],
        ['pages', load.pages],
      ] as const
    ).map(
      ([what, { sent, answered, failed, lost, doubled }]) =>
        `| ${what} | ${sent} | ${answered} | ${failed.length} | ${lost.length} | ${doubled.length} |`,
    ),
    '',
    `Sockets opened: ${load.connections} by ${VISITORS} visitors, one of whom polls. Nobody waited for a socket to say ` +
      `something, and nobody said anything twice.`,
  ].join('\n');
}
