// Speed and memory of the built command, as multiples of a bare `node -e 0` measured in turn in the same run, and of
// `yo botpress-prod` beside `yo` with a generator that does nothing.
//
//   npm run bench                    prints the tables; fails when a figure is over its limit
//   npm run bench -- --write         puts them into docs/performance.md as well
//   npm run bench -- --rounds 5      fewer rounds, for a first look
import { spawnSync } from 'node:child_process';
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
const command = join(root, 'dist/src/cli.js');
const probe = join(root, 'test/bench/peak-memory.mjs');
const { values: options } = parseArgs({
  options: { write: { type: 'boolean' }, rounds: { type: 'string', default: '15' } },
});
const rounds = Number(options.rounds);
/** Peak memory is steady: a few runs tell it. */
const memoryRounds = Math.min(rounds, 3);
const mostMemory = 90;

/**
 * Everything is written below one folder, memory-backed where the machine has that: the command is measured, not the disk.
 * It is removed at the end, since removing between the runs would slow down those that follow.
 */
const scratch = mkdtempSync(join(existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'botpress-prod-bench-'));
// yo refuses to run as root and becomes user 1000: it is that user from the start, in folders that are its own.
const user = process.getuid?.() === 0 ? { uid: 1000, gid: 1000 } : {};
chownSync(scratch, user.uid ?? -1, user.gid ?? -1);

let folders = 0;
function makeFolder() {
  const folder = join(scratch, String(++folders));
  mkdirSync(folder);
  if (user.uid) chownSync(folder, user.uid, user.gid);
  return folder;
}

function run(file, args, settings = {}) {
  const result = spawnSync(file, args, { encoding: 'utf8', cwd: scratch, ...settings });
  if (result.error) throw result.error;
  // 3: check and diff found differences.
  if (result.status !== 0 && result.status !== 3)
    throw new Error(`${[file, ...args].join(' ')} ended with ${result.status}:\n${result.stderr}`);
  return result.stdout;
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

/**
 * Medians over rounds in which every case runs once, so that a slow moment of the machine hits all alike. The first
 * case is the measure for the others.
 */
function compare(cases) {
  const results = cases.map((row) => ({ ...row, times: [], peaks: [] }));
  for (let round = 0; round < rounds; round++)
    for (const { file = process.execPath, args, settings = {}, times } of results) {
      const words = args();
      const cwd = makeFolder();
      const started = process.hrtime.bigint();
      run(file, words, { cwd, ...settings });
      times.push(Number(process.hrtime.bigint() - started) / 1e6);
    }
  for (let round = 0; round < memoryRounds; round++)
    for (const { file, args, peaks } of results) {
      if (file) continue;
      const out = run(process.execPath, ['--import', probe, ...args()], { cwd: makeFolder() });
      peaks.push(Number(/peak-memory-kb (\d+)/.exec(out)?.[1]) / 1024);
    }
  const base = median(results[0].times);
  return results.map(({ name, limit, times, peaks }) => ({
    name,
    limit,
    multiple: median(times) / base,
    ms: median(times),
    mb: peaks.length > 0 ? median(peaks) : undefined,
  }));
}

function measureCommand() {
  const existing = makeFolder();
  run(process.execPath, [command, existing, '--yes']);
  return compare([
    { name: '`node -e 0`', args: () => ['-e', '0'] },
    { name: '`botpress-prod --version`', limit: 1.3, args: () => [command, '--version'] },
    { name: '`botpress-prod --help`', args: () => [command, '--help'] },
    { name: '`botpress-prod DIR --yes`, first run', limit: 3, args: () => [command, makeFolder(), '--yes'] },
    { name: '`botpress-prod DIR --yes`, nothing to do', limit: 4, args: () => [command, existing, '--yes'] },
    { name: '`botpress-prod check`', limit: 4, args: () => [command, 'check', existing] },
    { name: '`botpress-prod diff`', limit: 4, args: () => [command, 'diff', existing] },
  ]);
}

const counts = [1, 10, 100];

/** Time a file among a hundred environments or bots, as a multiple of that among ten: work that grew faster would show. */
const steepest = 1.5;

function measureGrowth() {
  const listNames = (what, count) =>
    Array.from({ length: count }, (_, index) => `${what[0]}${index + 1}`).join(',');
  const kinds = ['environments', 'bots'];
  const files = new Map();
  const rows = compare([
    { name: '`node -e 0`', args: () => ['-e', '0'] },
    ...kinds.flatMap((what) =>
      counts.map((count) => ({
        name: `${count} ${what}`,
        args: () => {
          const folder = makeFolder();
          files.set(`${count} ${what}`, folder);
          return [command, folder, '--yes', `--${what}`, listNames(what, count)];
        },
      })),
    ),
  ]);
  const [{ ms: bare }] = rows;
  return kinds.map((what) => {
    const own = rows.filter(({ name }) => name.endsWith(` ${what}`));
    return own.map((row) => {
      const written = countFiles(files.get(row.name));
      return { ...row, written, perFile: (row.ms - bare) / written };
    });
  });
}

function countFiles(folder) {
  return readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
    .length;
}

/** A generator with nothing of its own: what Yeoman costs. */
const MINIMAL = `import Generator from 'yeoman-generator';
export default class extends Generator {
  writing() {
    this.fs.write(this.destinationPath('README.md'), 'minimal\\n');
  }
}
`;

function measureYo() {
  const home = makeFolder();
  const [{ filename }] = JSON.parse(
    run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', home], { cwd: root }),
  );
  writeFileSync(join(home, 'package.json'), '{ "private": true }\n');
  run('npm', ['install', '--no-audit', '--no-fund', join(home, filename), 'yo@7.0.1'], { cwd: home });
  const minimal = join(home, 'node_modules/generator-minimal');
  mkdirSync(join(minimal, 'generators/app'), { recursive: true });
  const manifest = {
    name: 'generator-minimal',
    version: '1.0.0',
    type: 'module',
    keywords: ['yeoman-generator'],
  };
  writeFileSync(join(minimal, 'package.json'), JSON.stringify(manifest));
  writeFileSync(join(minimal, 'generators/app/index.js'), MINIMAL);
  if (user.uid) run('chown', ['-R', `${user.uid}:${user.gid}`, home]);
  const yo = (name, words, limit) => ({
    name,
    limit,
    file: join(home, 'node_modules/.bin/yo'),
    args: () => words,
    settings: { ...user, env: { ...process.env, HOME: home, NO_UPDATE_NOTIFIER: '1', NODE_OPTIONS: '' } },
  });
  return compare([
    yo('`yo minimal`, a generator that writes one line', ['minimal']),
    yo('`yo botpress-prod --yes`', ['botpress-prod', '--yes', '--name', 'bench'], 1.1),
  ]);
}

function formatTable(rows, unit) {
  const memory = rows.some(({ mb }) => mb !== undefined);
  return [
    `| what | ${unit} | at most |${memory ? ' peak memory |' : ''}`,
    `| --- | --- | --- |${memory ? ' --- |' : ''}`,
    ...rows.map(
      ({ name, multiple, limit, mb }) =>
        `| ${name} | ${multiple.toFixed(2)} | ${limit ?? ''} |${memory ? ` ${mb.toFixed(0)} MB |` : ''}`,
    ),
  ].join('\n');
}

const sections = {};
const excesses = [];
function judge(rows) {
  for (const { name, multiple, limit, mb } of rows) {
    if (limit && multiple > limit) excesses.push(`${name}: ${multiple.toFixed(2)}, at most ${limit}`);
    if (mb > mostMemory) excesses.push(`${name}: ${mb.toFixed(0)} MB, at most ${mostMemory} MB`);
  }
}

try {
  const speed = measureCommand();
  judge(speed);
  sections.command = formatTable(speed, '× `node -e 0`');

  const growth = measureGrowth();
  sections.growth = [
    '| what | × `node -e 0` | files | ms a file | peak memory |',
    '| --- | --- | --- | --- | --- |',
    ...growth
      .flat()
      .map(
        ({ name, multiple, written, perFile, mb }) =>
          `| ${name} | ${multiple.toFixed(2)} | ${written} | ${perFile.toFixed(2)} | ${mb.toFixed(0)} MB |`,
      ),
  ].join('\n');
  for (const [, ten, hundred] of growth)
    if (hundred.perFile > steepest * ten.perFile)
      excesses.push(
        `${hundred.name}: ${hundred.perFile.toFixed(2)} ms a file, ${ten.perFile.toFixed(2)} among ten`,
      );

  const yeoman = measureYo();
  judge(yeoman);
  sections.yo = formatTable(yeoman, '× `yo minimal`');
} finally {
  rmSync(scratch, { recursive: true });
}

process.stdout.write(`${Object.values(sections).join('\n\n')}\n`);
if (options.write) {
  const page = join(root, 'docs/performance.md');
  const filled = Object.entries(sections).reduce(
    (text, [name, table]) =>
      text.replace(
        new RegExp(`(<!-- ${name} -->\\n)[^]*?(<!-- /${name} -->)`),
        (_, start, end) => `${start}\n${table}\n\n${end}`,
      ),
    readFileSync(page, 'utf8'),
  );
  writeFileSync(page, filled);
}
for (const excess of excesses) process.stderr.write(`over its limit: ${excess}\n`);
process.exitCode = excesses.length > 0 ? 1 : 0;
