// Speed and memory of the built command, as multiples of a bare `node -e 0` measured in turn in the same run.
// `npm run bench` prints the tables; `npm run bench -- --write` puts them into docs/performance.md.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const command = join(root, 'dist/src/cli.js');
const rounds = 15;

/** Wall time in ms and peak memory in MB of one process. */
function measure(args, cwd) {
  const probe = join(root, 'test/bench/peak-memory.mjs');
  const started = process.hrtime.bigint();
  const { status, stderr } = spawnSync(process.execPath, args, { cwd, encoding: 'utf8' });
  const ms = Number(process.hrtime.bigint() - started) / 1e6;
  if (status !== 0 && status !== 3) throw new Error(`${args.join(' ')} ended with ${status}: ${stderr}`);
  const { stdout } = spawnSync(process.execPath, ['--import', probe, ...args], { cwd, encoding: 'utf8' });
  return { ms, mb: Number(/peak-memory-kb (\d+)/.exec(stdout)?.[1] ?? NaN) / 1024 };
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/** Medians over rounds in which every case runs once, so that a slow moment of the machine hits all alike. */
function compare(cases) {
  const results = new Map(cases.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round++)
    for (const { name, prepare } of cases) {
      const { args, cwd, clean } = prepare();
      results.get(name).push(measure(args, cwd));
      clean?.();
    }
  const base = median(results.get(cases[0].name).map(({ ms }) => ms));
  return cases.map(({ name, limit }) => {
    const times = results.get(name).map(({ ms }) => ms);
    const peak = median(results.get(name).map(({ mb }) => mb));
    return { name, limit, times: median(times) / base, mb: peak };
  });
}

function inScratch(makeArgs) {
  return () => {
    const cwd = mkdtempSync(join(tmpdir(), 'botpress-prod-bench-'));
    return { args: makeArgs(cwd), cwd, clean: () => rmSync(cwd, { recursive: true }) };
  };
}

const existing = mkdtempSync(join(tmpdir(), 'botpress-prod-bench-'));
spawnSync(process.execPath, [command, existing, '--yes'], { encoding: 'utf8' });

const names = (prefix, count) => Array.from({ length: count }, (_, index) => `${prefix}${index + 1}`).join(',');
const run = (...flags) => inScratch((cwd) => [command, cwd, '--yes', ...flags]);

const speed = compare([
  { name: '`node -e 0`', prepare: () => ({ args: ['-e', '0'] }) },
  { name: '`botpress-prod --version`', limit: 1.3, prepare: () => ({ args: [command, '--version'] }) },
  { name: '`botpress-prod --help`', prepare: () => ({ args: [command, '--help'] }) },
  { name: '`botpress-prod DIR --yes`, first run', limit: 3, prepare: run() },
  { name: '`botpress-prod check`', limit: 4, prepare: () => ({ args: [command, 'check', existing] }) },
  { name: '`botpress-prod diff`', limit: 4, prepare: () => ({ args: [command, 'diff', existing] }) },
]);
const growth = compare([
  { name: '`node -e 0`', prepare: () => ({ args: ['-e', '0'] }) },
  ...['environments', 'bots'].flatMap((what) =>
    [1, 10, 100].map((count) => ({ name: `${count} ${what}`, prepare: run(`--${what}`, names(what[0], count)) })),
  ),
]);
rmSync(existing, { recursive: true });

const table = (rows) =>
  [
    '| what | × `node -e 0` | at most | peak memory |',
    '| --- | --- | --- | --- |',
    ...rows.map(
      ({ name, times, limit, mb }) =>
        `| ${name} | ${times.toFixed(2)} | ${limit ?? ''} | ${Number.isNaN(mb) ? '' : `${mb.toFixed(0)} MB`} |`,
    ),
  ].join('\n');

const tables = `${table(speed)}\n\n${table(growth)}\n`;
process.stdout.write(tables);
if (process.argv.includes('--write')) {
  const page = join(root, 'docs/performance.md');
  const text = readFileSync(page, 'utf8');
  writeFileSync(
    page,
    text.replace(/(<!-- command -->\n)[\s\S]*?(<!-- \/command -->)/, (_, start, end) => `${start}\n${tables}\n${end}`),
  );
}
const tooSlow = speed.filter(({ times, limit }) => limit && times > limit);
const tooBig = speed.filter(({ mb }) => mb > 90);
for (const { name } of [...tooSlow, ...tooBig]) process.stderr.write(`over its limit: ${name}\n`);
process.exitCode = tooSlow.length + tooBig.length > 0 ? 1 : 0;
