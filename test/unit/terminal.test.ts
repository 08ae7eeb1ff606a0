import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { execFileSync, spawn, spawnSync, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { photograph, read } from './repository/workspace.ts';

const root = join(import.meta.dirname, '../..');
/** Inside node_modules, so that what the bundle does not hold is found; apart from dist/, which others are reading. */
const built = join(root, 'node_modules/.cache/terminal-test/dist');
const command = join(built, 'src/cli.js');

jest.setTimeout(60_000);

let folder: string;
let target: string;
let open: ChildProcessWithoutNullStreams[];

beforeAll(() => {
  execFileSync(process.execPath, [join(root, 'build.js'), built]);
});
afterAll(() => rmSync(join(built, '..'), { recursive: true, force: true }));
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'botpress-prod-terminal-'));
  target = join(folder, 'acme-bot');
  open = [];
});
afterEach(() => {
  for (const child of open) child.kill('SIGKILL');
  rmSync(folder, { recursive: true });
});

const environment: NodeJS.ProcessEnv = { ...process.env, NODE_OPTIONS: '', DEBUG: '', TERM: 'xterm' };
delete environment.NO_COLOR;
delete environment.FORCE_COLOR;
const git = (...words: string[]) =>
  execFileSync('git', ['-C', target, '-c', 'user.name=Ada', '-c', 'user.email=ada@acme.example', ...words]);

/** Runs the command without a terminal. */
function run(...words: string[]) {
  return spawnSync(process.execPath, [command, ...words], {
    cwd: folder,
    env: environment,
    encoding: 'utf8',
    input: '',
  });
}

/** The repository that a test begins with. */
function generate(...words: string[]) {
  const { status, stderr } = run('acme-bot', ...words);
  if (status !== 0) throw new Error(stderr);
}

/** The command in a pseudo-terminal of 100 columns, which util-linux' `script` makes. */
function openTerminal(...words: string[]) {
  const line = ['exec', process.execPath, command, ...words].map((word) => `'${word}'`).join(' ');
  const child = spawn(
    'script',
    ['-qefc', `stty cols 100 rows 40; ${line.replace("'exec'", 'exec')}`, '/dev/null'],
    {
      cwd: folder,
      env: environment,
    },
  );
  open.push(child);
  let screen = '';
  let seen = 0;
  child.stdout.on('data', (data: Buffer) => (screen += data.toString()));
  child.stderr.on('data', (data: Buffer) => (screen += data.toString()));
  const ended = new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  const plain = () => screen.replace(/\x1b\[[0-9;?]*[A-Za-z]/g, '').replaceAll('\r', '');
  return {
    /** Waits until a text appears that was not there at the last wait. */
    async see(text: string): Promise<void> {
      const deadline = Date.now() + 20_000;
      for (;;) {
        const at = plain().indexOf(text, seen);
        if (at >= 0) return void (seen = at + text.length);
        if (child.exitCode !== null || Date.now() > deadline)
          throw new Error(`did not show ${text}:\n${plain()}`);
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
    },
    type: (keys: string) => child.stdin.write(keys),
    async end(): Promise<{ code: number | null; text: string; screen: string }> {
      return { code: await ended, text: plain(), screen };
    },
  };
}

const ENTER = '\r';
const DOWN = '\x1b[B';
const CLEAR = '\x15';
const CTRL_C = '\x03';

/** The prompts of a run that looks at no details, by the beginning of each. */
const PROMPTS = [
  'Name',
  'Host name',
  'E-mail',
  'Bots',
  'Languages',
  'Edition',
  'Environments',
  'Channels',
  'TLS',
  'Run your own',
  'Continuous',
  'Monitoring',
  'Go through',
] as const;

/** Answers every prompt; where nothing is given, Enter takes what is shown. */
async function answer(
  terminal: ReturnType<typeof openTerminal>,
  given: {
    [P in (typeof PROMPTS)[number]]?: (terminal: ReturnType<typeof openTerminal>) => Promise<void> | void;
  } = {},
): Promise<void> {
  for (const prompt of PROMPTS) {
    await terminal.see(`? ${prompt}`);
    await given[prompt]?.(terminal);
    terminal.type(ENTER);
  }
}

const storedAnswers = () => JSON.parse(read(target, '.yo-rc.json'))['generator-botpress-prod'];

describe('at a terminal', () => {
  it('asks, shows what it would take, refuses what is wrong at once, and writes', async () => {
    const terminal = openTerminal('acme-bot');
    await answer(terminal, {
      Name: ({ see }) => see('(acme-bot)'),
      'Host name': async ({ see, type }) => {
        await see('(acme-bot.example.com)');
        type(`no host${ENTER}`);
        await see('is not a host name');
        type(`${CLEAR}bot.acme.example`);
      },
      'E-mail': ({ see }) => see('(ops@bot.acme.example)'),
      Environments: ({ type }) => void type('only'),
      // The third choice, beside the one that is chosen already.
      Channels: ({ type }) => void type(`${DOWN}${DOWN} `),
    });
    const { code, text } = await terminal.end();
    expect(text).toContain('./bin/up');
    expect(code).toBe(0);
    expect(storedAnswers()).toMatchObject({
      domain: 'bot.acme.example',
      environments: ['only'],
      channels: ['web', 'slack'],
    });
  });

  it('asks again for answers that cannot be together', async () => {
    const terminal = openTerminal('acme-bot');
    await answer(terminal, { Languages: ({ type }) => void type('en,fr') });
    await terminal.see('the community edition stops when a bot has more than one language');
    await terminal.see('? Languages');
    terminal.type(ENTER);
    await terminal.see('? Edition');
    terminal.type(`${DOWN}${ENTER}`);
    expect((await terminal.end()).code).toBe(0);
    expect(storedAnswers()).toMatchObject({ languages: ['en', 'fr'], edition: 'pro' });
  });

  it('shows stored answers, keeps an object behind its name, and changes nothing on Enter', async () => {
    const environments = [{ name: 'staging', domain: 'other.example' }, 'production'];
    writeFileSync(
      join(folder, 'answers.json'),
      JSON.stringify({ domain: 'stored.example', environments, channels: ['web', 'slack'] }),
    );
    generate('--yes', '--answers', 'answers.json');
    const before = photograph(target);
    const terminal = openTerminal('acme-bot');
    await answer(terminal, {
      'Host name': ({ see }) => see('(stored.example)'),
      Environments: ({ see }) => see('(staging,production)'),
    });
    const { code, text } = await terminal.end();
    expect(text).toMatch(/Channels web, slack/);
    expect(text).toContain('is up to date');
    expect(code).toBe(0);
    expect(photograph(target)).toEqual(before);
    expect(storedAnswers().environments).toEqual(environments);
  });

  it('shows the conflicts of a run over edits and ends with 3', async () => {
    generate('--yes', '--domain', 'first.example');
    const edited = read(target, 'compose.production.yaml').replace(
      'https://first.example',
      'https://mine.example',
    );
    writeFileSync(join(target, 'compose.production.yaml'), edited);
    const terminal = openTerminal('acme-bot');
    await answer(terminal, { 'Host name': ({ type }) => void type('second.example') });
    const { code, text } = await terminal.end();
    expect(text).toMatch(/Left to you\n {2}compose\.production\.yaml has conflicts/);
    expect(code).toBe(3);
    const merged = read(target, 'compose.production.yaml');
    expect(merged).toMatch(/<<<<<<< yours\n.*mine\.example\n=======\n.*second\.example\n>>>>>>>/);
  });

  it('leaves everything as it was after Ctrl-C at a prompt of each kind', async () => {
    generate('--yes');
    const before = photograph(folder);
    for (const prompt of ['Name', 'Edition', 'Channels', 'Go through']) {
      const terminal = openTerminal('acme-bot');
      await answer(terminal, {
        Name: ({ type }) => void type('other-name'),
        [prompt]: async ({ type, end }: typeof terminal) => {
          type(CTRL_C);
          const { code, text } = await end();
          expect(text).toContain('Stopped; nothing was written.');
          expect(code).toBe(130);
        },
      }).catch((error: Error) => expect(error.message).toContain('Stopped'));
    }
    expect(photograph(folder)).toEqual(before);
  });

  it('refuses uncommitted changes before it asks anything', async () => {
    generate('--yes');
    git('init', '--quiet');
    git('add', '--all');
    git('commit', '--quiet', '--message', 'Set up the stack');
    writeFileSync(join(target, 'README.md'), 'mine\n');
    const before = photograph(target);
    const { code, text } = await openTerminal('acme-bot').end();
    expect(text).toContain('The git tree has uncommitted changes (README.md)');
    expect(text).not.toContain('?');
    expect(code).toBe(3);
    expect(photograph(target)).toEqual(before);
  });

  it('asks nothing with --yes, and paints nothing with NO_COLOR', async () => {
    const { code, screen } = await openTerminal('acme-bot', '--yes').end();
    expect(code).toBe(0);
    expect(screen).toContain('\x1b[1m');
    environment.NO_COLOR = '1';
    const plain = await openTerminal('acme-bot', '--yes', '--force', '--bots', 'sales').end();
    delete environment.NO_COLOR;
    expect(plain.code).toBe(0);
    expect(plain.screen).not.toMatch(/\x1b\[[0-9;]*m/);
  });
});

describe('without a terminal', () => {
  it.each(['ignore', 'pipe'] as const)(
    'names the missing flags and ends when standard input is: %s',
    async (stdin) => {
      // The pipe stays open and silent for as long as the command runs.
      const child = spawn(process.execPath, [command, 'acme-bot'], {
        cwd: folder,
        env: environment,
        stdio: [stdin, 'pipe', 'pipe'],
      });
      let err = '';
      child.stderr?.on('data', (data: Buffer) => (err += data.toString()));
      const code = await new Promise((resolve) => child.on('close', resolve));
      expect(err).toContain('--domain');
      expect(code).toBe(2);
      expect(photograph(folder)).toEqual({});
    },
  );

  it('writes plain lines, without colours and without progress', () => {
    const { status, stdout, stderr } = run('acme-bot', '--yes');
    expect(status).toBe(0);
    expect(stdout).not.toMatch(/[\x1b\r]/);
    expect(stderr).toBe('');
  });

  it('ends quietly when its reader goes away', async () => {
    const child = spawn(process.execPath, [command, 'schema'], { env: environment });
    child.stdout.destroy();
    let err = '';
    child.stderr.on('data', (data: Buffer) => (err += data.toString()));
    expect(await new Promise((resolve) => child.on('close', resolve))).toBe(0);
    expect(err).toBe('');
  });
});
