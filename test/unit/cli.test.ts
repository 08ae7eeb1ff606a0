import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { presences, questions } from '../../generators/table.ts';
import { runCommand } from '../../src/cli/command.ts';
import { OPTIONS } from '../../src/cli/arguments.ts';
import { flagOf } from '../../src/deployment/question.ts';

let folder: string;
let target: string;
let out: string;
let err: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'botpress-prod-cli-'));
  target = join(folder, 'acme-bot');
  out = '';
  err = '';
  jest.spyOn(process.stdout, 'write').mockImplementation((text) => ((out += String(text)), true));
  jest.spyOn(process.stderr, 'write').mockImplementation((text) => ((err += String(text)), true));
});

afterEach(() => {
  jest.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

const read = (path: string) => readFileSync(join(target, path), 'utf8');
const tree = () =>
  (readdirSync(target, { recursive: true }) as string[])
    .filter((path) => statSync(join(target, path)).isFile())
    .sort();

describe('botpress-prod DIR', () => {
  it('writes a repository without asking, and says what to do next', async () => {
    expect(await runCommand([target, '--yes'])).toBe(0);
    expect(out).toContain('./bin/up');
    expect(existsSync(join(target, 'compose.yaml'))).toBe(true);
    expect(JSON.parse(read('.yo-rc.json'))['generator-botpress-prod'].name).toBe('acme-bot');
  });

  it('is up to date when it runs again, and changes nothing', async () => {
    await runCommand([target, '--yes']);
    const before = tree().map((path) => [path, read(path)]);
    expect(await runCommand([target, '--yes'])).toBe(0);
    expect(out).toContain('is up to date');
    expect(tree().map((path) => [path, read(path)])).toEqual(before);
  });

  it('prefers flags to the answers file, the file to stored answers, and those to defaults', async () => {
    const file = join(folder, 'answers.yaml');
    writeFileSync(file, 'domain: file.example\nbots: [sales]\n');
    await runCommand([target, '--yes', '--domain', 'first.example', '--name', 'stored-name']);
    await runCommand([target, '--yes', '--answers', file, '--bots', 'flag-bot', '--force']);
    const stored = JSON.parse(read('.yo-rc.json'))['generator-botpress-prod'];
    expect(stored).toMatchObject({
      name: 'stored-name',
      domain: 'file.example',
      bots: ['flag-bot'],
      tls: 'self-signed',
    });
  });

  it('takes lists comma-separated or repeated, and no for an answer', async () => {
    await runCommand([target, '--yes', '--bots', 'a,b', '--bots', 'c', '--no-monitoring', '--nlu=true']);
    const stored = JSON.parse(read('.yo-rc.json'))['generator-botpress-prod'];
    expect(stored).toMatchObject({ bots: ['a', 'b', 'c'], monitoring: false, nlu: true });
  });

  it('names the flag of each missing answer where nobody can be asked, and writes nothing', async () => {
    expect(await runCommand([target])).toBe(2);
    expect(err).toContain('--domain');
    expect(err).toContain('--yes');
    expect(existsSync(target)).toBe(false);
  });

  it('lists every mistake, with exit code 2, and writes nothing', async () => {
    expect(
      await runCommand([target, '--yes', '--tls', 'maybe', '--name', '../evil', '--alerts-error-rate', '9']),
    ).toBe(2);
    for (const field of ['tls', 'name', 'alerts.errorRate']) expect(err).toContain(field);
    expect(err).not.toMatch(/at .*\.[jt]s:\d/);
    expect(existsSync(target)).toBe(false);
  });

  it.each([
    [['--domian', 'x'], 'did you mean --domain?'],
    [['--monitoring=perhaps'], 'neither yes nor no'],
    [['a', 'b'], 'one word too many'],
    [['add', 'planet', 'x'], 'environment|channel|bot|part'],
    [['explain'], 'names no file'],
    [['chekc', '--yes'], 'did you mean check?'],
    [['--answers', '/nowhere/answers.yaml', '--yes'], 'cannot be read'],
    [['--name'], 'argument missing'],
  ])('refuses %j and says how to mend it', async (words, message) => {
    expect(await runCommand(words)).toBe(2);
    expect(err).toContain(message);
  });

  it('refuses an answers file with unknown keys or broken YAML', async () => {
    const file = join(folder, 'answers.yaml');
    writeFileSync(file, 'scaling: {replcas: 2}\n');
    expect(await runCommand([target, '--yes', '--answers', file])).toBe(2);
    expect(err).toContain('did you mean scaling.replicas?');
    writeFileSync(file, 'a: [1\n');
    expect(await runCommand([target, '--yes', '--answers', file])).toBe(2);
    expect(err).toContain('is not YAML');
  });

  it.each([
    { 'scaling.deployment': 'recreate', 'backup.retention.daily': 3, bots: ['sales'] },
    { scaling: { deployment: 'recreate' }, backup: { 'retention.daily': 3 }, bots: ['sales'] },
    {
      'scaling.deployment': 'recreate',
      scaling: { deployment: 'recreate' },
      'backup.retention': { daily: 3 },
    },
  ])(
    'takes a dotted key of an answers file, or of stored answers, as the objects it names: %j',
    async (given) => {
      const meant = {
        scaling: { deployment: 'recreate', replicas: 1 },
        backup: { retention: { daily: 3, weekly: 8 } },
      };
      const file = join(folder, 'answers.json');
      writeFileSync(file, JSON.stringify(given));
      expect(await runCommand([target, '--yes', '--answers', file])).toBe(0);
      expect(JSON.parse(read('.yo-rc.json'))['generator-botpress-prod']).toMatchObject(meant);

      mkdirSync(join(folder, 'other'));
      target = join(folder, 'other');
      writeFileSync(join(target, '.yo-rc.json'), JSON.stringify({ 'generator-botpress-prod': given }));
      expect(await runCommand([target, '--yes'])).toBe(0);
      expect(JSON.parse(read('.yo-rc.json'))['generator-botpress-prod']).toMatchObject(meant);
    },
  );

  it('refuses an answer that a dotted key and an object give differently, and unknown dotted keys', async () => {
    const file = join(folder, 'answers.json');
    writeFileSync(
      file,
      JSON.stringify({
        'scaling.deployment': 'recreate',
        scaling: { deployment: 'blue-green' },
        'scaling.replcas': 2,
        'backup.retention': { '__proto__.polluted': 1 },
      }),
    );
    expect(await runCommand([target, '--yes', '--answers', file])).toBe(2);
    expect(err.match(/given twice/g)).toHaveLength(1);
    expect(err).toContain('scaling.deployment = "blue-green": is given twice, as "recreate" too');
    expect(err).toContain('did you mean scaling.replicas?');
    expect(err).toContain('backup.retention.__proto__.polluted: is not an answer');
    expect(existsSync(target)).toBe(false);
  });

  it('shows a plan and writes nothing with --dry-run', async () => {
    expect(await runCommand([target, '--yes', '--dry-run'])).toBe(0);
    expect(out).toMatch(/nothing is written/);
    expect(existsSync(target)).toBe(false);
  });

  it('keeps edits when it runs again with new answers', async () => {
    await runCommand([target, '--yes']);
    writeFileSync(join(target, 'README.md'), `${read('README.md')}\nOur own notes.\n`);
    expect(await runCommand([target, '--yes', '--bots', 'support,sales', '--force'])).toBe(0);
    expect(read('README.md')).toContain('Our own notes.');
    expect(read('README.md')).toContain('sales');
  });

  it('never overwrites a secret or a seeded file', async () => {
    await runCommand([target, '--yes']);
    const secret = read('secrets/production/app-secret');
    writeFileSync(join(target, '.env.production'), `${read('.env.production')}MINE=1\n`);
    await runCommand([target, '--yes', '--domain', 'other.example', '--force']);
    expect(read('secrets/production/app-secret')).toBe(secret);
    expect(read('.env.production')).toContain('MINE=1');
  });

  it('keeps secrets out of every committed file', async () => {
    await runCommand([target, '--yes']);
    execFileSync('git', ['init', '-q', target]);
    const committed = execFileSync('git', ['-C', target, 'ls-files', '-co', '--exclude-standard'], {
      encoding: 'utf8',
    });
    const files = committed.trim().split('\n');
    const secrets = tree().filter((path) => /^secrets\/.+\//.test(path));
    expect(secrets.length).toBeGreaterThan(10);
    expect(files.filter((path) => /^secrets\/.+\//.test(path) || /^\.env\.[a-z]+$/.test(path))).toEqual([]);
    for (const path of secrets) {
      expect(statSync(join(target, path, '..')).mode & 0o777).toBe(0o700);
      const value = read(path).trim();
      for (const file of value === '' ? [] : files)
        expect(readFileSync(join(target, file)).includes(value)).toBe(false);
    }
    expect(statSync(join(target, '.env.production')).mode & 0o777).toBe(0o600);
    expect(out + err).not.toContain(read('secrets/production/app-secret').trim());
  });
});

describe('the other commands', () => {
  beforeEach(async () => {
    await runCommand([target, '--yes']);
    out = '';
  });

  it('check ends with 0 or 3, diff shows the difference', async () => {
    expect(await runCommand(['check', target])).toBe(0);
    const answers = JSON.parse(read('.yo-rc.json'));
    answers['generator-botpress-prod'].domain = 'new.example';
    writeFileSync(join(target, '.yo-rc.json'), JSON.stringify(answers));
    expect(await runCommand(['check', target])).toBe(3);
    out = '';
    expect(await runCommand(['diff', target])).toBe(3);
    expect(out).toContain('+    EXTERNAL_URL: https://new.example');
  });

  it('takes the defaults of questions that an older version did not ask, and check and diff name them', async () => {
    const stored = JSON.parse(read('.yo-rc.json'));
    const answers = stored['generator-botpress-prod'];
    delete answers.nlu;
    delete answers.gateway;
    delete answers.backup.pointInTime;
    const older = JSON.stringify(stored, null, 2) + '\n';
    writeFileSync(join(target, '.yo-rc.json'), older);
    const line =
      /^Not stored, .* taken as the default: nlu = false, backup\.pointInTime = false, gateway\.enabled = false, gateway\.requestsPerMinute = 60\.$/m;
    for (const command of ['check', 'diff']) {
      out = '';
      expect(await runCommand([command, target])).toBe(3);
      expect(out).toMatch(line);
    }
    expect(out).toContain('+    "nlu": false');
    expect(await runCommand(['explain', 'compose.yaml', target])).toBe(0);
    expect(await runCommand(['add', 'bot', 'sales', target])).toBe(0);
    expect(JSON.parse(read('.yo-rc.json'))['generator-botpress-prod']).toMatchObject({
      bots: ['support', 'sales'],
      nlu: false,
    });
    writeFileSync(join(target, '.yo-rc.json'), older);
    expect(await runCommand(['remove', 'bot', 'sales', target])).toBe(2);
    expect(await runCommand([target, '--yes'])).toBe(0);
    out = '';
    expect(await runCommand(['check', target])).toBe(0);
    expect(out).toBe('The repository is what its answers say.\n');
  });

  it('check still names a stored answer that is wrong or unknown, and no default that follows from it', async () => {
    const stored = JSON.parse(read('.yo-rc.json'));
    Object.assign(stored['generator-botpress-prod'], { name: 'A B', nlu: 'perhaps', clouds: 2 });
    delete stored['generator-botpress-prod'].domain;
    writeFileSync(join(target, '.yo-rc.json'), JSON.stringify(stored));
    expect(await runCommand(['check', target])).toBe(2);
    expect(err).toMatch(/^clouds: is not an answer/m);
    expect(err).toMatch(/^name = "A B": /m);
    expect(err).toMatch(/^nlu = "perhaps": /m);
    expect(err).not.toMatch(/^domain/m);
  });

  it('check names each new variable of a seeded file with the line to add, until it is there', async () => {
    const whole = read('.env.production');
    const line = whole.split('\n').find((text) => text.startsWith('ENVIRONMENT='))!;
    writeFileSync(join(target, '.env.production'), whole.replace(`${line}\n`, ''));
    expect(await runCommand(['check', target])).toBe(3);
    expect(out).toContain(`.env.production lacks variables: add these lines\n      ${line}\n`);
    expect(await runCommand([target, '--yes', '--force'])).toBe(3);
    expect(read('.env.production')).not.toContain(line);
    writeFileSync(join(target, '.env.production'), `${whole.replace(`${line}\n`, '')}${line}\n`);
    expect(await runCommand(['check', target])).toBe(0);
  });

  it.each(Object.entries(presences))(
    'takes the part %s away and brings it back',
    async (part, { present }) => {
      const flags = present === undefined ? ['--scaling-target', 'swarm'] : [];
      expect(await runCommand([part, target, '--yes', ...flags])).toBe(0);
      const before = tree();
      const { files } = JSON.parse(read('.botpress-prod/lock.json')) as {
        files: Record<string, { kind: string }>;
      };
      const isManaged = (path: string) => !path.startsWith('secrets/') && files[path]?.kind !== 'seeded';
      expect(await runCommand(['remove', 'part', part, target])).toBe(0);
      const fresh = join(folder, 'fresh/acme-bot');
      const answers = join(folder, 'answers.json');
      writeFileSync(answers, JSON.stringify(JSON.parse(read('.yo-rc.json'))['generator-botpress-prod']));
      expect(await runCommand([fresh, '--yes', '--answers', answers])).toBe(0);
      const without = tree();
      target = fresh;
      expect(without.filter(isManaged)).toEqual(tree().filter(isManaged));
      target = join(folder, 'acme-bot');
      expect(await runCommand(['remove', 'part', part, target])).toBe(2);
      expect(err).toContain('is not there');
      if (present === undefined) return;
      expect(await runCommand(['add', 'part', part, target])).toBe(0);
      expect(tree()).toEqual(before);
      expect(await runCommand(['add', 'part', part, target])).toBe(2);
      expect(err).toContain('is there already');
    },
  );

  it('add and remove take the answers that go with the change, as flags or in a file', async () => {
    expect(await runCommand(['remove', 'part', 'ci', target])).toBe(0);
    const given = ['--ci', 'gitlab', '--domain', 'new.example'];
    expect(await runCommand(['add', 'part', 'ci', target, ...given])).toBe(0);
    expect(existsSync(join(target, '.gitlab-ci.yml'))).toBe(true);
    expect(existsSync(join(target, '.github'))).toBe(false);
    const stored = () => JSON.parse(read('.yo-rc.json'))['generator-botpress-prod'];
    expect(stored()).toMatchObject({ ci: 'gitlab', domain: 'new.example' });

    expect(await runCommand([target, '--yes', '--gateway-enabled'])).toBe(0);
    expect(await runCommand(['remove', 'part', 'operations', target])).toBe(2);
    expect(err).toContain('set monitoring to true, or gateway.enabled to false');
    expect(await runCommand(['remove', 'part', 'operations', target, '--no-gateway-enabled'])).toBe(0);
    expect(await runCommand(['add', 'part', 'operations', target, '--gateway-enabled'])).toBe(0);
    expect(stored()).toMatchObject({ monitoring: true, gateway: { enabled: true } });
    expect(await runCommand(['remove', 'part', 'operations', target, '--no-gateway-enabled'])).toBe(0);

    const file = join(folder, 'answers.yaml');
    writeFileSync(file, 'scaling.target: swarm\nnlu: true\n');
    err = '';
    expect(await runCommand(['add', 'part', 'scale', target])).toBe(2);
    expect(err).toContain('needs an answer');
    expect(await runCommand(['add', 'part', 'scale', target, '--answers', file])).toBe(0);
    expect(stored()).toMatchObject({ nlu: true, scaling: { target: 'swarm' } });
  });

  it.each([
    [['remove', 'part', 'ci'], ['--ci', 'gitlab'], 'ci = "gitlab"'],
    [['add', 'bot', 'sales'], ['--bots', 'support'], 'bots = '],
    [['remove', 'environment', 'staging'], ['--environments', 'staging,production'], 'environments = '],
    [['add', 'part', 'ci'], ['--ci', 'gitlab'], 'is there already'],
  ])('%j refuses %j, which it would have to ignore, and writes nothing', async (words, given, message) => {
    const before = read('.yo-rc.json');
    expect(await runCommand([...words, target, ...given])).toBe(2);
    expect(err).toContain(message);
    expect(read('.yo-rc.json')).toBe(before);
  });

  it.each([['check'], ['diff'], ['explain', 'compose.yaml'], ['schema'], ['eject']])(
    '%s refuses answers and what else it does not look at',
    async (...words) => {
      const file = join(folder, 'answers.yaml');
      writeFileSync(file, 'domain: new.example\n');
      const directory = words[0] === 'schema' ? [] : [target];
      const given = ['--ci', 'gitlab', '--no-monitoring', '--answers', file, '--restore', 'x', '--dry-run'];
      expect(await runCommand([...words, ...directory, ...given])).toBe(2);
      for (const option of [
        '--ci = "gitlab"',
        '--no-monitoring',
        '--answers = ',
        '--restore = "x"',
        '--dry-run',
      ])
        expect(err).toContain(`${option}`);
      expect(err).toContain(`is nothing that ${words[0]} looks at`);
      expect(out).toBe('');
      expect(existsSync(join(target, '.botpress-prod/lock.json'))).toBe(true);
    },
  );

  it('refuses to take away what nothing would be left without', async () => {
    expect(await runCommand(['remove', 'part', 'app', target])).toBe(2);
    expect(err).toContain('name one of: backup, ci, operations, scale');
  });

  it('diff shows no secret and no value of an environment file', async () => {
    const secret = read('secrets/production/app-secret').trim();
    expect(await runCommand(['add', 'environment', 'testing', target, '--dry-run'])).toBe(0);
    const answers = JSON.parse(read('.yo-rc.json'));
    answers['generator-botpress-prod'].environments.push('testing');
    writeFileSync(join(target, '.yo-rc.json'), JSON.stringify(answers));
    out = '';
    expect(await runCommand(['diff', target])).toBe(3);
    expect(out).toContain('secrets/testing/app-secret is new; its content is not shown');
    expect(out).toMatch(/^\+\+\+ b\/\.env\.testing$/m);
    expect(out).toMatch(/^\+ENVIRONMENT=\*+$/m);
    expect(out).not.toContain(secret);
  });

  it('leaves a deleted file deleted until --restore names it', async () => {
    rmSync(join(target, 'bin/logs'));
    expect(await runCommand([target, '--yes', '--force'])).toBe(0);
    expect(out).toMatch(/deleted by you, not brought back\n {6}bin\/logs/);
    expect(existsSync(join(target, 'bin/logs'))).toBe(false);
    expect(await runCommand([target, '--yes', '--restore', 'bin/logs'])).toBe(0);
    expect(statSync(join(target, 'bin/logs')).mode & 0o777).toBe(0o755);
    expect(await runCommand([target, '--yes', '--restore', 'nowhere'])).toBe(2);
    expect(err).toContain('Cannot restore nowhere');
  });

  it('refuses a dirty git tree with 3 and one sentence, but not with --force, --dry-run or without git', async () => {
    const git = (...words: string[]) =>
      execFileSync('git', [
        '-C',
        target,
        '-c',
        'user.name=Ada',
        '-c',
        'user.email=ada@acme.example',
        ...words,
      ]);
    git('init', '--quiet');
    git('add', '--all');
    git('commit', '--quiet', '--message', 'Set up the stack');
    writeFileSync(join(target, 'README.md'), `${read('README.md')}mine\n`);
    const change = ['--yes', '--domain', 'new.example'];
    expect(await runCommand([target, ...change])).toBe(3);
    expect(err).toMatch(/^The git tree has uncommitted changes \(README\.md\), [^.]*\.\n$/);
    expect(await runCommand([target, ...change, '--dry-run'])).toBe(0);
    expect(await runCommand(['add', 'bot', 'sales', target])).toBe(3);
    expect(await runCommand([target, ...change, '--force'])).toBe(0);
    git('commit', '--quiet', '--all', '--message', 'Update');
    writeFileSync(join(target, 'README.md'), `${read('README.md')}mine\n`);
    const path = process.env['PATH'];
    process.env['PATH'] = folder;
    const withoutGit = await runCommand([target, '--yes', '--domain', 'third.example']);
    process.env['PATH'] = path;
    expect(withoutGit).toBe(0);
  });

  it('names files that are in the way of a first run, with 3, and leaves them with --force', async () => {
    const other = join(folder, 'other');
    mkdirSync(other);
    writeFileSync(join(other, 'README.md'), 'mine\n');
    expect(await runCommand([other, '--yes'])).toBe(3);
    expect(err).toContain('README.md');
    expect(readdirSync(other)).toEqual(['README.md']);
    expect(await runCommand([other, '--yes', '--force'])).toBe(3);
    expect(readFileSync(join(other, 'README.md'), 'utf8')).toBe('mine\n');
    expect(existsSync(join(other, 'compose.yaml'))).toBe(true);
  });

  it('refuses with 2 what a newer generator wrote, except to let it go', async () => {
    const lock = read('.botpress-prod/lock.json').replace(/"generator": "[^"]*"/, '"generator": "99.1.0"');
    writeFileSync(join(target, '.botpress-prod/lock.json'), lock);
    for (const words of [
      [target, '--yes', '--force'],
      ['check', target],
      ['diff', target],
      ['add', 'bot', 'b', target],
    ])
      expect(await runCommand(words)).toBe(2);
    expect(err).toContain('install generator-botpress-prod@99.1.0 or later');
    expect(await runCommand(['eject', target])).toBe(0);
  });

  it('ends with 1 where another run is at work, without a stack', async () => {
    mkdirSync(join(target, '.botpress-prod', `transaction-${process.ppid}`));
    expect(await runCommand([target, '--yes'])).toBe(1);
    expect(err).toMatch(/^Another run \(process \d+\) is writing here\. .*\n$/);
  });

  it('a removed environment leaves its secrets and variables to the user', async () => {
    expect(await runCommand(['remove', 'environment', 'staging', target])).toBe(0);
    expect(out).toContain('no longer made, yours from now on');
    expect(existsSync(join(target, 'compose.staging.yaml'))).toBe(false);
    expect(existsSync(join(target, 'secrets/staging/app-secret'))).toBe(true);
    expect(existsSync(join(target, '.env.staging'))).toBe(true);
    expect(await runCommand(['check', target])).toBe(0);
  });

  it('explain names the template and the answers that decide', async () => {
    expect(await runCommand(['explain', 'compose.production.yaml', target])).toBe(0);
    expect(out).toContain('templates/app/compose._environment_.yaml.ejs');
    expect(out).toContain('domain:');
    expect(out).not.toContain('backup.schedule');
    expect(await runCommand(['explain', 'nowhere.txt', target])).toBe(2);
    expect(await runCommand(['explain', 'compse.yaml', target])).toBe(2);
    expect(err).toContain('did you mean compose.yaml?');
  });

  it('add and remove change one list and refuse what makes no sense', async () => {
    expect(await runCommand(['add', 'bot', 'sales', target, '--force'])).toBe(0);
    expect(existsSync(join(target, 'botpress/data/bots/sales/bot.config.json'))).toBe(true);
    // Botpress does not take it from there once its database has content.
    expect(out).toMatch(/make sales in the administration[^\n]*\n {2}then \.\/bin\/push-content production/);
    expect(out).not.toContain('make support');
    expect(await runCommand(['add', 'bot', 'sales', target])).toBe(2);
    expect(await runCommand(['remove', 'bot', 'sales', target, '--force'])).toBe(0);
    expect(existsSync(join(target, 'botpress/data/bots/sales'))).toBe(false);
    expect(await runCommand(['remove', 'environment', 'mars', target])).toBe(2);
    expect(await runCommand(['add', 'channel', 'smoke', target])).toBe(2);
  });

  it('adding a channel gives the same files as answering so at once', async () => {
    const other = join(folder, 'other');
    await runCommand(['add', 'channel', 'slack', target, '--force']);
    await runCommand([other, '--yes', '--name', 'acme-bot', '--channels', 'web,slack']);
    expect(read('compose.yaml')).toBe(readFileSync(join(other, 'compose.yaml'), 'utf8'));
  });

  it('schema prints the JSON Schema, help every option and every answer', async () => {
    await runCommand(['schema']);
    expect(JSON.parse(out)).toMatchObject({ type: 'object' });
    out = '';
    expect(await runCommand(['--help'])).toBe(0);
    for (const { path } of questions) expect(out).toContain(`--${flagOf(path)}`);
    for (const option of Object.keys(OPTIONS)) expect(out).toContain(`--${option}`);
    expect(Math.max(...out.split('\n').map((line) => line.length))).toBeLessThanOrEqual(110);
  });

  it('eject leaves the files and removes the records', async () => {
    expect(await runCommand(['eject', target])).toBe(0);
    expect(existsSync(join(target, '.botpress-prod/lock.json'))).toBe(false);
    expect(existsSync(join(target, 'compose.yaml'))).toBe(true);
    expect(await runCommand(['eject', target])).toBe(2);
    expect(err).toContain('holds no repository');
  });

  it('commands on a folder that is no repository of ours say so', async () => {
    for (const command of ['check', 'diff', 'eject']) expect(await runCommand([command, folder])).toBe(2);
    expect(err).toContain('holds no repository');
  });
});
