import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import fc from 'fast-check';
import { spawn, type ChildProcess } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { createServer, type AddressInfo, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { deriveDeployment } from '../../src/deployment/deployment.ts';
import { renderArtefacts } from '../../src/rendering/artefact.ts';
import { answersWith } from './answers/sample.ts';

jest.setTimeout(60_000);

const answers = answersWith({
  domain: 'bot.acme.example',
  contact: 'ops@acme.example',
  bots: ['support', 'help-desk'],
  languages: ['en', 'fr'],
  edition: 'pro',
  environments: ['production'],
  channels: ['web', 'slack', 'twilio', 'smooch'],
  tls: 'self-signed',
  'database.retentionDays': 0,
  'scaling.deployment': 'recreate',
  'backup.targets': [],
  ci: 'none',
  monitoring: false,
});

const templates = [
  'botpress/entrypoint.sh',
  'botpress/health.sh',
  'botpress/channels.sh',
  'botpress/database.sh',
  'botpress/data/global/workspaces.json',
  'botpress/data/bots/_bot_/bot.config.json',
  'botpress/data/bots/_bot_/flows/main.flow.json',
  'botpress/data/bots/_bot_/flows/main.ui.json',
  'botpress/data/bots/_bot_/content-elements/builtin_text.json',
  'botpress/channels/_bot_/_channel_.json',
].map((template) => ({ template }));

let root: string;
let secrets: string;
let data: string;
let state: string;
const open: (Server | ChildProcess)[] = [];

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'botpress-'));
  for (const { path, content } of renderArtefacts('app', templates, deriveDeployment(answers))) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
    if (path.endsWith('.sh')) chmodSync(join(root, path), 0o755);
  }
  secrets = join(root, 'secrets');
  data = join(root, 'seeded');
  state = join(root, 'state');
});

afterEach(() => {
  for (const it of open.splice(0)) {
    if ('close' in it) it.close();
    else if (it.pid !== undefined && it.exitCode === null && it.signalCode === null)
      process.kill(-it.pid, 'SIGKILL');
  }
  for (const folder of [secrets, data, state]) rmSync(folder, { recursive: true, force: true });
});

afterAll(() => rmSync(root, { recursive: true, force: true }));

interface Ended {
  code: number | null;
  out: string;
  err: string;
}

/** Runs a program to its end without blocking the servers of the test. */
function run(command: string, args: string[], environment: Record<string, string> = {}): Promise<Ended> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      env: { PATH: process.env['PATH'], ...environment },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()));
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, out, err }));
  });
}

function listen(server: Server): Promise<number> {
  open.push(server);
  return new Promise((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
  );
}

/** A server that speaks the first message of PostgreSQL: asks for a password, or refuses with a code. */
function postgres(answer: 'R' | string): Promise<number> {
  return listen(
    createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', (startup) => {
        const proper =
          startup.readInt32BE(0) === startup.length &&
          startup.readInt32BE(4) === 196608 &&
          startup.subarray(8).toString() === 'user\0botpress\0database\0botpress\0\0';
        const code = proper ? answer : '08P01';
        if (code === 'R') socket.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3]));
        else socket.write(Buffer.from(`E\0\0\0\x40SFATAL\0VFATAL\0C${code}\0Mrefused\0\0`));
      });
    }),
  );
}

async function closedPort(): Promise<number> {
  const server = createServer();
  const port = await new Promise<number>((resolve) =>
    server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
  );
  await new Promise((resolve) => server.close(resolve));
  return port;
}

function giveSecrets(values: Record<string, string>): void {
  mkdirSync(secrets, { recursive: true });
  for (const [name, value] of Object.entries(values)) writeFileSync(join(secrets, name), value);
}

describe('content of the first boot', () => {
  const read = (path: string) => JSON.parse(readFileSync(join(root, 'botpress/data', path), 'utf8'));

  it('mounts every bot in the one workspace', () => {
    expect(read('global/workspaces.json')).toMatchObject([
      { id: 'default', bots: ['support', 'help-desk'], pipeline: [{ id: 'prod' }] },
    ]);
    expect(read('bots/help-desk/bot.config.json')).toMatchObject({
      id: 'help-desk',
      disabled: false,
      defaultLanguage: 'en',
      languages: ['en', 'fr'],
      messaging: { channels: {} },
      pipeline_status: { current_stage: { id: 'prod' } },
    });
  });

  it('greets in every language with the element that the flow says', () => {
    const [element] = read('bots/support/content-elements/builtin_text.json');
    expect(Object.keys(element.formData)).toEqual(['text$en', 'typing$en', 'text$fr', 'typing$fr']);
    const flow = read('bots/support/flows/main.flow.json');
    const start = flow.nodes.find(({ name }: { name: string }) => name === flow.startNode);
    expect(start.onEnter).toEqual([`say #!${element.id}`]);
    expect(read('bots/support/flows/main.ui.json').nodes).toMatchObject([{ id: start.id }]);
  });
});

describe('channels.sh', () => {
  const shell = (script: string) =>
    run('bash', ['-euo', 'pipefail', '-c', `. "$0/botpress/channels.sh"; ${script}`, root], {
      SECRETS_DIR: secrets,
    });
  const give = (text: string) => giveSecrets({ 'channels-support.env': text });

  it('prints the channels whose credentials are complete, and says what is off and why', async () => {
    give(
      '# comment\n\nSLACK_BOT_TOKEN=xoxb-1\r\nSLACK_SIGNING_SECRET=abc\nTWILIO_ACCOUNT_SID=AC1\nTWILIO_AUTH_TOKEN=\n',
    );
    const { code, out, err } = await shell('enabled_channels support');
    expect({ code, out }).toEqual({ code: 0, out: 'slack\n' });
    expect(err).toBe(
      [
        'channels: bot support: slack is on',
        'channels: bot support: smooch is off: no credentials in channels-support.env',
        'channels: bot support: twilio is off: incomplete, no value for TWILIO_AUTH_TOKEN in channels-support.env',
        '',
      ].join('\n'),
    );
  });

  it('turns everything off when the file is not there', async () => {
    const { code, out, err } = await shell('enabled_channels support; load_credentials support');
    expect({ code, out }).toEqual({ code: 0, out: '' });
    expect(err).toContain('channels-support.env cannot be read: all channels are off');
  });

  it('exports what the placeholders of the channels that are on stand for, and nothing else', async () => {
    give(
      'SLACK_BOT_TOKEN=xoxb-1\nSLACK_SIGNING_SECRET=1234567890123456789012\nTWILIO_ACCOUNT_SID=AC1\nPATH=/evil\n',
    );
    const { out, err } = await shell('load_credentials support; env | grep -E "^SUPPORT_|/evil" | sort');
    expect(out).toBe(
      'SUPPORT_SLACK_BOT_TOKEN=xoxb-1\nSUPPORT_SLACK_SIGNING_SECRET="1234567890123456789012"\n',
    );
    expect(err).toBe('');
  });

  it.each([
    ['a quote', '"xoxb"', 'contains a quote'],
    ['white space', 'xo xb', 'contains white space'],
    ['a dollar', 'a$&b', 'contains one of'],
    ['a placeholder', '%PATH%', 'contains one of'],
    ['a backslash', String.raw`a\nb`, 'contains one of'],
    ['a letter outside ASCII', 'clé', 'contains a character'],
  ])('refuses %s, naming the variable and never the value', async (_name, value, reason) => {
    give(`SLACK_BOT_TOKEN=${value}\nSLACK_SIGNING_SECRET=abc\n`);
    const { out, err } = await shell('enabled_channels support');
    expect(out).toBe('');
    expect(err).toContain(`slack is off: SLACK_BOT_TOKEN ${reason}`);
    expect(err).not.toContain(value);
  });

  it('reads the file as text and never executes it', async () => {
    const trap = join(root, 'executed');
    give(
      `SLACK_BOT_TOKEN=$(touch ${trap})\n\`touch ${trap}\`\nSLACK_SIGNING_SECRET=abc; touch ${trap}\ntouch ${trap}\n`,
    );
    const { err } = await shell('enabled_channels support; load_credentials support');
    expect(existsSync(trap)).toBe(false);
    expect(err).toContain('line 2: not of the form NAME=value');
    expect(err).not.toContain('touch');
  });

  it('hands Botpress exactly the value that was given, or switches the channel off', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(
          fc.string({ minLength: 1, maxLength: 30 }),
          fc.string({ minLength: 1, maxLength: 30, unit: 'binary' }),
          fc.double().map(String),
          fc.bigInt().map(String),
          fc.constantFrom(
            'true',
            'null',
            '1e5',
            '-0',
            '007',
            '[1]',
            '{}',
            '0x1F',
            '1_000',
            '-',
            '~',
            '#a',
            '=a=',
          ),
        ),
        async (value) => {
          fc.pre(!/[\n\r\0]/.test(value) && !/[\ud800-\udfff]/.test(value));
          give(`SLACK_BOT_TOKEN=${value}\nSLACK_SIGNING_SECRET=abc\n`);
          const { code, out } = await shell(
            'load_credentials support; [[ -z ${SUPPORT_SLACK_BOT_TOKEN+on} ]] || printf "<%s>" "$SUPPORT_SLACK_BOT_TOKEN"',
          );
          expect(code).toBe(0);
          if (out === '') return;
          const fragment = readFileSync(join(root, 'botpress/channels/support/slack.json'), 'utf8');
          expect(interpolate(fragment, 'SUPPORT_SLACK_BOT_TOKEN', out.slice(1, -1)).botToken).toBe(value);
        },
      ),
      { numRuns: 80 },
    );
  });
});

/** How Botpress fills a placeholder: the variable is read as JSON where it can be, then pasted into the text. */
function interpolate(text: string, name: string, value: string): Record<string, unknown> {
  let read: unknown = value;
  try {
    read = JSON.parse(value);
  } catch {
    // Not JSON: the text itself.
  }
  return JSON.parse(text.replace(`%${name}%`, read as string));
}

describe('entrypoint.sh', () => {
  const password = 'p@ss:/?#[]!$&\'()*+,;="% \\é';
  const good = {
    'botpress-password': `${password}\n`,
    'redis-password': 'r/e:d',
    'app-secret': '12345678901234567890',
    'admin-password': 'admin secret 1',
    'license-key': 'a"b\\c',
    'channels-support.env': 'SLACK_BOT_TOKEN=xoxb-1\nSLACK_SIGNING_SECRET=99\n',
    'channels-help-desk.env': '',
  };
  const start = (port: number, environment: Record<string, string> = {}) =>
    run(join(root, 'botpress/entrypoint.sh'), ['node', '-p', 'JSON.stringify(process.env)'], {
      ENVIRONMENT: 'production',
      SECRETS_DIR: secrets,
      BOTPRESS_DATA: data,
      HEALTH_STATE_DIR: state,
      DATABASE_HOST: '127.0.0.1',
      DATABASE_PORT: String(port),
      DATABASE_NAME: 'botpress',
      DATABASE_USER: 'botpress',
      DATABASE_WAIT_SECONDS: '1',
      EXTERNAL_URL: 'https://bot.acme.example',
      BP_ADMIN_EMAIL: 'ops@acme.example',
      PRO_ENABLED: 'true',
      REDIS_HOST: 'redis',
      ...environment,
    });

  it('hands the secrets to the server in its environment and shows none of them', async () => {
    giveSecrets(good);
    const { code, out, err } = await start(await postgres('R'));
    expect({ code, err: err.includes('starting Botpress') }).toEqual({ code: 0, err: true });
    const environment = JSON.parse(out);
    const url = new URL(environment.DATABASE_URL);
    expect(url.protocol).toBe('postgres:');
    expect(decodeURIComponent(url.username)).toBe('botpress');
    expect(decodeURIComponent(url.password)).toBe(password);
    expect(url.pathname).toBe('/botpress');
    expect(decodeURIComponent(new URL(environment.REDIS_URL).password)).toBe('r/e:d');
    expect(JSON.parse(environment.BP_CONFIG_APPSECRET)).toBe('12345678901234567890');
    expect(JSON.parse(environment.BP_CONFIG_PRO_LICENSEKEY)).toBe('a"b\\c');
    expect(environment.BP_ADMIN_PASSWORD).toBe('admin secret 1');
    expect(environment.SUPPORT_SLACK_SIGNING_SECRET).toBe('"99"');
    for (const secret of [password, 'r/e:d', '12345678901234567890', 'admin secret 1', 'xoxb-1'])
      expect(err).not.toContain(secret);
  });

  it('seeds the content with the channels that are on', async () => {
    giveSecrets(good);
    await start(await postgres('R'));
    const config = JSON.parse(readFileSync(join(data, 'bots/support/bot.config.json'), 'utf8'));
    expect(config.messaging.channels).toEqual({
      slack: {
        version: '1.0.0',
        enabled: true,
        botToken: '%SUPPORT_SLACK_BOT_TOKEN%',
        signingSecret: '%SUPPORT_SLACK_SIGNING_SECRET%',
      },
    });
    const other = JSON.parse(readFileSync(join(data, 'bots/help-desk/bot.config.json'), 'utf8'));
    expect(other.messaging.channels).toEqual({});
    expect(existsSync(join(data, 'global/workspaces.json'))).toBe(true);
  });

  it('leaves content alone that is there already', async () => {
    giveSecrets(good);
    mkdirSync(join(data, 'global'), { recursive: true });
    writeFileSync(join(data, 'global/workspaces.json'), '[]');
    await start(await postgres('R'));
    expect(readFileSync(join(data, 'global/workspaces.json'), 'utf8')).toBe('[]');
    expect(existsSync(join(data, 'bots'))).toBe(false);
  });

  it('names every missing and unusable secret at once, with the file and the mend', async () => {
    giveSecrets({ ...good, 'app-secret': 'changeme', 'license-key': '\n' });
    rmSync(join(secrets, 'redis-password'));
    const { code, out, err } = await start(await postgres('R'), { EXTERNAL_URL: '' });
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toContain('variable EXTERNAL_URL is empty');
    expect(err).toContain(
      'secret redis-password cannot be read → run bin/up, which makes secrets/production/redis-password',
    );
    expect(err).toContain(
      'secret app-secret is a placeholder → put the real one into secrets/production/app-secret',
    );
    expect(err).toContain('secret license-key is empty → put it into secrets/production/license-key');
  });

  it.each([
    ['nobody listens', 'silent', closedPort],
    ['PostgreSQL is still starting', 'starting', () => postgres('57P03')],
    ['a frozen server holds the port', 'silent', () => listen(createServer(() => undefined))],
  ])('ends instead of booting when %s', async (_name, word, server) => {
    giveSecrets(good);
    const { code, out, err } = await start(await server());
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toMatch(new RegExp(`PostgreSQL at 127.0.0.1:\\d+ is ${word} after \\d+ s: giving up`));
  });

  it('waits until the language server is ready', async () => {
    giveSecrets(good);
    const asked: (string | undefined)[] = [];
    const languages = await listen(
      createHttpServer(({ url }, response) => {
        asked.push(url);
        response.end(JSON.stringify({ version: '1', ready: asked.length > 2 }));
      }),
    );
    const { code, err } = await start(await postgres('R'), {
      LANGUAGE_SERVER_URL: `http://127.0.0.1:${languages}`,
    });
    expect({ code, asked }).toEqual({ code: 0, asked: ['/info', '/info', '/info'] });
    expect(err).toMatch(/waiting for the language server[^]*starting Botpress/);
  });

  it('starts all the same, and says so, when the language server does not become ready', async () => {
    giveSecrets(good);
    const { code, err } = await start(await postgres('R'), {
      LANGUAGE_SERVER_URL: `http://127.0.0.1:${await closedPort()}`,
      LANGUAGE_WAIT_SECONDS: '1',
    });
    expect(code).toBe(0);
    expect(err).toMatch(/language server at \S+ is not ready after \d+ s: starting without languages/);
    expect(err).toContain('starting Botpress');
  });

  it('starts when PostgreSQL answers, even if it demands TLS', async () => {
    giveSecrets(good);
    expect((await start(await postgres('28000'), { DATABASE_PARAMETERS: 'ssl=true' })).out).toContain(
      '/botpress?ssl=true"',
    );
  });
});

describe('health.sh', () => {
  let server: ChildProcess;

  /** A process group of its own that stands for the server. */
  function startServer(): void {
    server = spawn('bash', ['-c', 'sleep 300 & wait'], { detached: true, stdio: 'ignore' });
    open.push(server);
    mkdirSync(state, { recursive: true });
    writeFileSync(join(state, 'server.pid'), `${server.pid}\n`);
  }

  /** True when the server is ended within half a second: health.sh returns after it did so. */
  const isEnded = () =>
    new Promise<boolean>((resolve) => {
      if (server.exitCode !== null || server.signalCode !== null) return resolve(true);
      const timer = setTimeout(() => resolve(false), 500);
      server.once('exit', () => {
        clearTimeout(timer);
        resolve(true);
      });
    });

  const status = (body: object | undefined, code = 200) =>
    listen(
      createHttpServer((_request, response) => {
        if (body === undefined) return;
        response.writeHead(code, { 'Content-Type': 'application/json' }).end(JSON.stringify(body));
      }),
    );

  const check = (
    port: number,
    database: number,
    environment: Record<string, string> = {},
    args: string[] = [],
  ) =>
    run(join(root, 'botpress/health.sh'), args, {
      HEALTH_STATE_DIR: state,
      PORT: String(port),
      DATABASE_HOST: '127.0.0.1',
      DATABASE_PORT: String(database),
      DATABASE_NAME: 'botpress',
      DATABASE_USER: 'botpress',
      ...environment,
    });
  const impatient = { WATCHDOG_SECONDS: '0' };
  const up = { botpress: 'up', database: 'up', messaging: 'up', nlu: 'down' };

  it('is healthy when the database and messaging are up', async () => {
    startServer();
    expect(await check(await status(up), await postgres('R'), impatient)).toMatchObject({
      code: 0,
      out: 'healthy\n',
    });
  });

  it('is unhealthy before the server is started', async () => {
    expect(await check(await status(up), await postgres('R'))).toMatchObject({
      code: 1,
      out: expect.stringContaining('not started yet'),
    });
  });

  it('never ends the server for a database that is not up', async () => {
    startServer();
    const port = await status({ ...up, database: 'error', messaging: 'down' });
    expect(await check(port, await closedPort(), impatient)).toMatchObject({
      code: 1,
      out: 'unhealthy: the database is not up\n',
    });
    expect(await isEnded()).toBe(false);
  });

  it('ends the server when messaging stays down beyond the patience', async () => {
    startServer();
    const [port, database] = [await status({ ...up, messaging: 'down' }), await postgres('R')];
    expect(await check(port, database)).toMatchObject({
      code: 1,
      out: 'unhealthy: messaging is down (0 s)\n',
    });
    writeFileSync(join(state, 'messaging-down'), String(Math.floor(Date.now() / 1000) - 299));
    expect((await check(port, database, { WATCHDOG_SECONDS: '600' })).out).toMatch(
      /messaging is down \(\d+ s\)/,
    );
    expect(server.exitCode).toBeNull();
    expect((await check(port, database, { WATCHDOG_SECONDS: '299' })).out).toContain(
      'server ended for a fresh start',
    );
    expect(await isEnded()).toBe(true);
  });

  it('counts anew after messaging was up in between', async () => {
    startServer();
    const database = await postgres('R');
    await check(await status({ ...up, messaging: 'down' }), database);
    writeFileSync(join(state, 'messaging-down'), '1');
    await check(await status(up), database);
    expect((await check(await status({ ...up, messaging: 'down' }), database)).out).toBe(
      'unhealthy: messaging is down (0 s)\n',
    );
  });

  it('leaves a loading server its time, and ends it after that', async () => {
    startServer();
    const [port, database] = [await status({}, 503), await postgres('R')];
    expect((await check(port, database, impatient)).out).toContain('loading: /status answers 503');
    writeFileSync(join(state, 'loading'), String(Math.floor(Date.now() / 1000) - 3590));
    await check(port, database, impatient);
    expect(server.exitCode).toBeNull();
    await check(port, database, { WATCHDOG_LOADING_SECONDS: '3590' });
    expect(await isEnded()).toBe(true);
  });

  it('ends a server that listens nowhere while PostgreSQL takes connections', async () => {
    startServer();
    expect((await check(await closedPort(), await postgres('R'), impatient)).out).toContain(
      'no port is open',
    );
    expect(await isEnded()).toBe(true);
  });

  it.each([
    ['is away', closedPort],
    ['is starting', () => postgres('57P03')],
  ])('leaves a server that listens nowhere alone while PostgreSQL %s', async (_name, database) => {
    startServer();
    expect((await check(await closedPort(), await database(), impatient)).out).toContain(
      'PostgreSQL does not take connections',
    );
    expect(await isEnded()).toBe(false);
  });

  it('leaves a server alone that is connected to the database without listening: it migrates', async () => {
    startServer();
    const database = await postgres('R');
    const client = spawn('bash', ['-c', `exec 3<>/dev/tcp/127.0.0.1/${database}; sleep 300`], {
      detached: true,
      stdio: 'ignore',
    });
    open.push(client);
    let out = '';
    while (!out.includes('at work on the database')) {
      if (server.exitCode !== null || server.signalCode !== null) throw new Error('the server was ended');
      // Patience until the connection of the stand-in is made.
      ({ out } = await check(await closedPort(), database));
    }
    expect((await check(await closedPort(), database, impatient)).out).toContain('at work on the database');
    expect(await isEnded()).toBe(false);
  });

  it('only says how it is with --look: it counts nothing, calls nobody and ends nothing', async () => {
    startServer();
    const hook = join(state, 'hook.sh');
    writeFileSync(hook, `#!/bin/sh\ntouch ${join(state, 'called')}\n`, { mode: 0o755 });
    const look = (port: number, database: number) =>
      run(join(root, 'botpress/health.sh'), ['--look'], {
        HEALTH_STATE_DIR: state,
        HEALTH_HOOK: hook,
        PORT: String(port),
        DATABASE_HOST: '127.0.0.1',
        DATABASE_PORT: String(database),
        DATABASE_NAME: 'botpress',
        DATABASE_USER: 'botpress',
        ...impatient,
        WATCHDOG_LOADING_SECONDS: '0',
      });
    writeFileSync(join(state, 'loading'), '1');
    const database = await postgres('R');
    expect(await look(await status(up), database)).toMatchObject({ code: 0, out: 'healthy\n' });
    for (const [port, reason] of [
      [await status({ ...up, messaging: 'down' }), 'messaging is down'],
      [await status({ ...up, database: 'error' }), 'the database is not up'],
      [await status({}, 503), 'loading: /status answers 503'],
      [await closedPort(), 'no port is open'],
    ] as const)
      expect(await look(port, database)).toMatchObject({
        code: 1,
        out: expect.stringContaining(`unhealthy: ${reason}`),
      });
    expect(await isEnded()).toBe(false);
    expect(readdirSync(state).sort()).toEqual(['hook.sh', 'loading', 'server.pid']);
  });

  it('with --patient, is healthy after it has served while the database is away or slow, or the server loads', async () => {
    startServer();
    const [database, nobody] = [await postgres('R'), await closedPort()];
    const patient = async (port: number, at = database, environment: Record<string, string> = {}) => {
      const { code, out } = await check(port, at, environment, ['--patient']);
      return [code, out];
    };
    const passing: [port: number, at: number, reason: string][] = [
      [await status({ ...up, database: 'error' }), database, 'the database is not up'],
      [await status({}, 503), database, 'loading: '],
      [await status(undefined), database, '/status does not answer in time'],
      [await closedPort(), nobody, 'no port is open and PostgreSQL does not take connections'],
    ];
    // An update would go on if a node that never served were called healthy.
    for (const [port, at, reason] of passing)
      expect(await patient(port, at)).toEqual([1, expect.stringContaining(`unhealthy: ${reason}`)]);
    expect(await patient(await status(up))).toEqual([0, 'healthy\n']);
    for (const [port, at, reason] of passing)
      expect(await patient(port, at)).toEqual([0, expect.stringContaining(`patient: ${reason}`)]);
    // What does not pass by itself, and everybody who asks without patience.
    expect(await patient(await status({ ...up, messaging: 'down' }))).toEqual([
      1,
      expect.stringContaining('messaging is down'),
    ]);
    expect(await patient(await closedPort())).toEqual([1, expect.stringContaining('no port is open')]);
    for (const [port, at, reason] of passing)
      expect(await check(port, at)).toMatchObject({
        code: 1,
        out: expect.stringContaining(`unhealthy: ${reason}`),
      });
    expect(await isEnded()).toBe(false);
    // And a server that loads for too long is ended all the same.
    expect(await patient(await status({}, 503), database, { WATCHDOG_LOADING_SECONDS: '0' })).toEqual([
      1,
      expect.stringContaining('server ended for a fresh start'),
    ]);
    expect(await isEnded()).toBe(true);
  });

  it('is unhealthy, and ends nothing, when /status does not answer', async () => {
    startServer();
    expect((await check(await status(undefined), await postgres('R'), impatient)).out).toBe(
      'unhealthy: /status does not answer in time\n',
    );
    expect(await isEnded()).toBe(false);
  });
});
