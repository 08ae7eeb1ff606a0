import { execFileSync } from 'node:child_process';
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { parse } from 'yaml';
import { collectAnswers, type Asker } from '../../generators/collect.ts';
import { findStack } from '../../generators/found.ts';
import { runCommand } from '../../src/cli/command.ts';
import { foreignFiles, writeForeignStack } from '../foreign.ts';

let folder: string;
let out: string;
let err: string;

beforeEach(() => {
  folder = join(mkdtempSync(join(tmpdir(), 'botpress-prod-alone-')), 'acme');
  writeForeignStack(folder);
  out = '';
  err = '';
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => ((out += String(text)), true));
  jest.spyOn(process.stderr, 'write').mockImplementation((text) => ((err += String(text)), true));
});

afterEach(() => {
  jest.restoreAllMocks();
  rmSync(join(folder, '..'), { recursive: true });
});

const read = (path: string) => readFileSync(join(folder, path), 'utf8');
const tree = () =>
  (readdirSync(folder, { recursive: true }) as string[])
    .filter((path) => statSync(join(folder, path)).isFile() && !path.startsWith('.botpress-prod/'))
    .sort();
const ours = () => tree().filter((path) => !(path in foreignFiles));
const stored = () =>
  (JSON.parse(read('.yo-rc.json')) as Record<string, Record<string, unknown>>)['generator-botpress-prod'];
const expectForeignFilesAsTheyWere = () => {
  for (const [path, text] of Object.entries(foreignFiles)) expect(read(path)).toBe(text);
};

interface ComposeFile {
  name: string;
  services: Record<string, { volumes: string[]; networks: string[]; environment: Record<string, string> }>;
  volumes: Record<string, { external?: boolean; name?: string } | null>;
  networks: Record<string, { external?: boolean; name?: string } | null>;
}

describe('what can be read of a stack that is there', () => {
  it('is how its database, Botpress and files are reached, and no password', async () => {
    const found = await findStack(folder);
    expect(found).toEqual({
      project: 'acme',
      networks: ['acme_botpress_network'],
      database: 'postgres://bot_owner@postgres:5432/botpress',
      botpress: 'botpress',
      files: ['./data', 'acme_media'],
    });
    expect(JSON.stringify(found)).not.toContain('p%40ss');
  });

  it.each([
    ['names of its own', 'name: shop\nnetworks: { default: { name: shop-net } }', ['shop-net'], 'shop'],
    ['networks of others', 'networks: { default: { external: true } }', ['default'], 'acme'],
    ['no networks at all', '', ['acme_default'], 'acme'],
  ])('knows %s', async (_, more, networks, project) => {
    const services =
      'services:\n  chat:\n    image: botpress/server:v12_26_7\n  db:\n    image: postgres:13\n    environment: { POSTGRES_USER: bp, POSTGRES_DB: bots }\n';
    writeFileSync(join(folder, 'docker-compose.yml'), `${services}${more}\n`);
    expect(await findStack(folder)).toEqual({
      project,
      networks,
      database: 'postgres://bp@db:5432/bots',
      botpress: 'chat',
    });
  });

  it('is nothing where its file cannot be read, and none where there is no such file', async () => {
    writeFileSync(join(folder, 'docker-compose.yml'), 'services: [\n');
    expect(await findStack(folder)).toEqual({});
    rmSync(join(folder, 'docker-compose.yml'));
    expect(await findStack(folder)).toBeUndefined();
  });
});

describe('botpress-prod backup beside a stack of others', () => {
  const run = (...more: string[]) => runCommand(['backup', folder, '--yes', ...more]);

  it('writes the files of the part, and touches nothing that was there', async () => {
    expect(await run()).toBe(0);
    expectForeignFilesAsTheyWere();
    expect(ours()).toEqual([
      '.yo-rc.json',
      'backup/Dockerfile',
      'backup/backup.sh',
      ...[
        ...['create', 'database', 'drill', 'output', 'parts', 'prepare', 'publish', 'restore', 'retention'],
        ...['schedule', 'server', 'sets', 'settings', 'signals', 'targets', 'verify'],
      ].map((name) => `backup/lib/${name}.sh`),
      'backup/production.env',
      'backup/recipients.txt',
      'backups/.gitignore',
      'bin/backup',
      ...[
        ...[
          'backup',
          'compose',
          'deployment',
          'environment',
          'lock',
          'output',
          'preflight',
          'services',
          'stack',
        ],
      ].map((name) => `bin/lib/${name}.sh`),
      'bin/restore',
      'compose.backup.yaml',
      'docs/backup.md',
      'secrets/.gitignore',
      'state/.gitignore',
    ]);
    expect(out).toContain('./bin/backup start');
    expect(out).not.toContain('./bin/up');
  });

  it('tells to commit what it wrote, and no password of theirs', async () => {
    const git = (...args: string[]) => execFileSync('git', args, { cwd: folder, encoding: 'utf8' });
    git('init', '--quiet');
    expect(await run()).toBe(0);
    const add = /^ +(git add .*?) && git commit/m.exec(out)?.[1] ?? '';
    execFileSync('bash', ['-c', add], { cwd: folder });
    const staged = git('diff', '--cached', '--name-only').trim().split('\n');
    expect(staged).toEqual(expect.arrayContaining(ours().filter((path) => !path.startsWith('.git/'))));
    for (const path of ['.env', '.env.production', 'docker-compose.yml']) expect(staged).not.toContain(path);
  });

  it('joins its networks and volumes, as the role of Botpress, in a project of its own', async () => {
    await run();
    const compose = parse(read('compose.backup.yaml'), { merge: true }) as ComposeFile;
    expect(Object.keys(compose.services)).toEqual(['backup-owner', 'backup', 'restore']);
    expect(compose.name).toBe('acme-${ENVIRONMENT:?use bin/backup}');
    expect(compose.networks).toEqual({
      'stack-1': { external: true, name: 'acme_botpress_network' },
      egress: {},
    });
    expect(compose.volumes).toMatchObject({ 'files-media': { external: true, name: 'acme_media' } });
    expect(compose.services['backup']?.networks).toEqual(['stack-1', 'egress']);
    expect(compose.services['backup']?.volumes).toEqual(
      expect.arrayContaining(['./data:/data/data:ro', 'files-media:/data/media:ro']),
    );
    expect(compose.services['restore']?.volumes).toEqual(
      expect.arrayContaining(['./data:/data/data', 'files-media:/data/media']),
    );
    expect(compose.services['backup']?.environment).toMatchObject({
      PGHOST: 'postgres',
      PGDATABASE: 'botpress',
      PGUSER: 'bot_owner',
    });
    expect(read('backup/lib/settings.sh')).toContain('DATA_FOLDERS=(data media)');
  });

  it('mentions no command and no file that only a whole repository has', async () => {
    await run();
    const texts = ours().filter((path) => path !== '.yo-rc.json' && path !== 'bin/lib/preflight.sh');
    for (const path of texts) {
      expect(`${path}: ${read(path)}`).not.toMatch(/bin\/(up|check|logs|compose|status|secure-database)\b/);
      expect(`${path}: ${read(path)}`).not.toMatch(/\.env\.(production|<environment>|\$\{?[Ee])/);
    }
  });

  it('writes scripts that bash reads, and no secret anywhere', async () => {
    await run();
    for (const path of ours().filter((name) => /\.sh$|^bin\/[a-z]+$/.test(name)))
      execFileSync('bash', ['-n', join(folder, path)]);
    for (const path of [...ours(), '.botpress-prod/lock.json']) expect(read(path)).not.toMatch(/p@ss|p%40ss/);
  });

  it('is up to date when it runs again, is what check says, and is part of no whole repository', async () => {
    await run();
    const before = tree().map((path) => [path, read(path)]);
    expect(await runCommand(['check', folder])).toBe(0);
    expect(await runCommand(['diff', folder])).toBe(0);
    expect(await run()).toBe(0);
    expect(await runCommand([folder, '--yes'])).toBe(0);
    expect(out).toContain('is up to date');
    expect(tree().map((path) => [path, read(path)])).toEqual(before);
  });

  it('takes changed answers in and keeps edits', async () => {
    await run();
    writeFileSync(join(folder, 'bin/restore'), read('bin/restore').replace('set -Eeuo', '# ours\nset -Eeuo'));
    expect(await run('--stack-botpress', 'chat', '--backup-targets', 'local,s3')).toBe(0);
    expect(read('bin/restore')).toContain('# ours');
    expect(read('bin/lib/deployment.sh')).toContain('STACK_BOTPRESS=chat');
    expect(stored()).toMatchObject({ alone: ['backup'], stack: { botpress: 'chat' } });
    expect(await runCommand(['check', folder])).toBe(0);
  });

  it('leaves files that are in the way as they are, and says so', async () => {
    writeFileSync(join(folder, 'bin/backup'), 'mine\n');
    expect(await run()).toBe(3);
    expect(read('bin/backup')).toBe('mine\n');
    expect(err).toContain('bin/backup');
    expect(await run('--force')).toBe(3);
    expect(read('bin/backup')).toBe('mine\n');
    expect(out + err).toContain('bin/backup is a file of yours');
  });

  it('asks what it needs and nothing else', async () => {
    const asked: string[] = [];
    const ask: Asker = ({ message }, initial) => {
      asked.push(message);
      return Promise.resolve(initial);
    };
    const answers = await collectAnswers({
      flags: {},
      directory: 'acme',
      part: 'backup',
      alone: 'backup',
      found: { project: 'acme' },
      ask,
      acceptDefaults: false,
    });
    expect(asked).toEqual([
      'Name of the project',
      'Where backups go',
      'When backups run (cron)',
      'Backups to keep, one day',
      'Backups to keep, one week',
      'Backups to keep, one month',
      'Compose project of the stack',
      'Networks of its database and of Botpress (comma-separated)',
      'Its database, without the password',
      'Service of Botpress',
      'Address that answers 200 when Botpress serves, from within the network',
      'Volumes or folders with files of Botpress (comma-separated)',
    ]);
    expect(answers).toMatchObject({
      alone: ['backup'],
      ci: 'none',
      monitoring: false,
      environments: ['production'],
    });
  });

  it('names what is missing where nobody can be asked', async () => {
    expect(await runCommand(['backup', folder])).toBe(2);
    expect(err).toContain('--stack-database');
    expect(err).not.toContain('--channels');
    expect(ours()).toEqual([]);
  });

  it.each([
    ['--stack-database', 'postgres://me:secret@postgres:5432/botpress', 'secrets are never answers'],
    ['--stack-database', 'postgres://me@postgres:5432/Bot-Press', 'small letters'],
    ['--stack-database', 'postgres://me@post gres/botpress', 'no usable host'],
    ['--stack-database', 'mysql://me@postgres/botpress', 'is not an address'],
    ['--stack-files', '../data', 'neither the name of a volume nor a folder'],
    ['--stack-files', './data,./more/data', 'two folders of the same name'],
    ['--stack-files', './database', 'cannot be that of a part of a backup'],
    ['--stack-health', 'http://botpress:3000/$(id)', 'is not a plain http address'],
    ['--stack-networks', 'a b', 'is not a name'],
    ['--stack-project', 'acme-production', 'would be called'],
    ['--environments', 'staging,production', 'one environment'],
    ['--monitoring', '', 'is not among those that are used alone'],
  ])('refuses %s %s', async (flag, value, reason) => {
    expect(await run(flag, ...(value === '' ? [] : [value]))).toBe(2);
    expect(err).toContain(reason);
    expect(err).not.toContain('me:secret');
    expect(ours()).toEqual([]);
  });

  it('takes no part that cannot be used alone', async () => {
    await run();
    expect(await runCommand(['operations', folder, '--yes'])).toBe(2);
    expect(err).toContain('is not a part that can be used alone');
    expect(await runCommand(['remove', 'part', 'backup', folder])).toBe(2);
    expect(err).toContain('botpress-prod eject');
  });

  it('writes a whole repository where no compose file of others is, and stores nothing of this there', async () => {
    const fresh = join(folder, '../fresh');
    expect(await runCommand(['backup', fresh, '--yes'])).toBe(0);
    expect(existsSync(join(fresh, 'compose.yaml'))).toBe(true);
    const text = readFileSync(join(fresh, '.yo-rc.json'), 'utf8');
    expect(text).not.toContain('"alone"');
    expect(text).not.toContain('"stack"');
    expect(await runCommand(['check', fresh])).toBe(0);
    expect(await runCommand(['explain', 'bin/backup', fresh])).toBe(0);
    expect(out).not.toMatch(/^ +(alone|stack)/m);
  });
});
