import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { connect as connectTcp } from 'node:net';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { IMAGES } from '../../src/deployment/images.ts';
import { seedContent } from './engine/seed.ts';
import {
  cleanUp,
  demandDocker,
  docker,
  fetchFrom,
  findFreePort,
  sleep,
  startEngine,
  waitFor,
  workFolder,
  type HttpOptions,
} from './engine/setup.ts';
import { Visitor } from './engine/visitor.ts';

jest.setTimeout(60_000);

const NGINX = 'nginxinc/nginx-unprivileged:1.30.1-trixie';
const POSTGRES = 'postgres:17.10-trixie';
const REDIS = 'redis:8.4.0-bookworm';
const BOTPRESS = 'botpress/server:12.31.10';

const project = `engine-test-${process.pid}`;
const label = ['--label', `com.docker.compose.project=${project}`];
const network = `${project}-net`;
const database = `${project}-postgres`;
let scratch: string;

interface StartOptions {
  /** The container's port to publish. */
  port?: number;
  args?: string[];
  command?: string[];
  /** Made, but not started. */
  waits?: boolean;
}

interface Container {
  name: string;
  /** Port of this machine that leads to the container's. */
  port: number;
}

/** Starts a container of the test's project; `port` is the container's, published on 127.0.0.1. */
async function start(
  name: string,
  image: string,
  { port, args = [], command = [], waits = false }: StartOptions = {},
): Promise<Container> {
  const published = port === undefined ? 0 : await findFreePort();
  const full = `${project}-${name}`;
  const publish = port === undefined ? [] : ['--publish', `127.0.0.1:${published}:${port}`];
  const own = ['--name', full, '--network', network, ...label, ...publish];
  await demandDocker([...(waits ? ['create'] : ['run', '--detach']), ...own, ...args, image, ...command]);
  return { name: full, port: published };
}

/** A server as the output runs it: exec form, init, read-only root, no capabilities, three writable places. */
function startServer(
  name: string,
  options: {
    env?: Record<string, string>;
    seed?: string;
    args?: string[];
    waits?: boolean;
    slow?: boolean;
  } = {},
) {
  const seed = options.seed ?? 'plain';
  const env: Record<string, string> = {
    DATABASE_URL: `postgres://botpress:pw@${database}/${name.replaceAll('-', '_')}`,
    BPFS_STORAGE: 'database',
    BP_PRODUCTION: 'true',
    APP_DATA_PATH: '/app-data',
    // Times are the subject of one test alone; the others need not wait.
    ...(options.slow ? {} : { STANDIN_LISTEN_MS: '0', STANDIN_READY_MS: '0', STANDIN_MESSAGING_MS: '0' }),
    ...options.env,
  };
  return start(name, BOTPRESS, {
    port: 3000,
    waits: options.waits,
    args: [
      ...['--init', '--read-only', '--cap-drop', 'ALL', '--security-opt', 'no-new-privileges'],
      ...['--tmpfs', '/botpress/data:uid=999,gid=999', '--tmpfs', '/app-data:uid=999,gid=999'],
      ...(options.args ?? ['--tmpfs', '/tmp']),
      ...['--volume', `${path.join(scratch, seed, 'global')}:/botpress/data/global:ro`],
      ...['--volume', `${path.join(scratch, seed, 'bots')}:/botpress/data/bots:ro`],
      ...Object.entries(env).flatMap(([key, value]) => ['--env', `${key}=${value}`]),
    ],
    command: ['./bp'],
  });
}

function ask(server: Container, route: string, options: HttpOptions = {}) {
  return fetchFrom(`http://localhost:${server.port}${route}`, options);
}

async function statusOf(server: Container): Promise<Record<string, string>> {
  const { status, body } = await ask(server, '/status');
  if (status !== 200) throw new Error(`/status answered ${status}`);
  return JSON.parse(body) as Record<string, string>;
}

function ready(server: Container): Promise<Record<string, string>> {
  const isUp = async () => {
    const status = await statusOf(server);
    return status.database === 'up' && status.messaging === 'up' && status;
  };
  return waitFor(isUp, { timeout: 40_000, what: `ready server ${server.name}` });
}

async function converse(server: Container, user: string, text: string, bot = 'support') {
  const { status, body } = await ask(server, `/api/v1/bots/${bot}/converse/${user}`, {
    body: { type: 'text', text },
  });
  const answer = JSON.parse(body) as { responses?: { text: string }[]; message?: string };
  return { status, texts: answer.responses?.map((one) => one.text), message: answer.message };
}

async function makeDatabase(name: string): Promise<void> {
  await sql('postgres', `CREATE DATABASE ${name} OWNER botpress`);
}

function sql(name: string, statement: string): Promise<string> {
  return demandDocker(['exec', database, 'psql', '-U', 'postgres', '-d', name, '-tAqc', statement]);
}

async function exitCodeOf(container: Container): Promise<number> {
  const isOver = async () => (await inspect(container, '{{.State.Status}}')) === 'exited';
  await waitFor(isOver, { timeout: 30_000, what: `end of ${container.name}` });
  return Number(await inspect(container, '{{.State.ExitCode}}'));
}

function inspect(container: Container, format: string): Promise<string> {
  return demandDocker(['inspect', '--format', format, container.name]);
}

async function logsOf(container: Container): Promise<string> {
  const { stdout, stderr } = await docker(['logs', container.name]);
  return stdout + stderr;
}

/** Alive, and nothing listens: what the real server does where others would end. */
async function expectHang(server: Container, words: RegExp): Promise<void> {
  await waitFor(async () => words.test(await logsOf(server)), {
    timeout: 20_000,
    what: `${words} in the log`,
  });
  await sleep(2000);
  expect(await inspect(server, '{{.State.Status}}')).toBe('running');
  await expect(ask(server, '/status', { timeout: 2000 })).rejects.toThrow();
}

beforeAll(async () => {
  await startEngine();
  await demandDocker(['network', 'create', ...label, network]);
  scratch = await mkdtemp(path.join(workFolder, 'engine-test-'));
  await demandDocker(['version']);
  await Promise.all([
    seedContent(path.join(scratch, 'plain'), [{ id: 'support' }]),
    start('postgres', POSTGRES, {
      args: ['--env', 'POSTGRES_PASSWORD=pw'],
      command: ['-c', 'max_connections=300'],
    }),
  ]);
  // Asked over TCP: while the cluster is made, the server listens on its local socket alone.
  const answers = () => demandDocker(['exec', database, 'pg_isready', '-h', '127.0.0.1']);
  await waitFor(answers, { timeout: 60_000, what: 'PostgreSQL' });
  await sql('postgres', `CREATE ROLE botpress LOGIN PASSWORD 'pw'`);
}, 1_200_000);

afterAll(async () => {
  await cleanUp(project);
  await rm(scratch, { recursive: true, force: true });
}, 120_000);

describe('the list of images', () => {
  let rows: { name: string; differs: string }[];

  beforeAll(async () => {
    const file = fileURLToPath(new URL('./images/images.json', import.meta.url));
    rows = JSON.parse(await readFile(file, 'utf8')) as typeof rows;
  });

  it('is built and tagged with the public names', async () => {
    for (const { name, differs } of rows) {
      const hash = await demandDocker([
        'image',
        'inspect',
        '--format',
        '{{index .Config.Labels "botpress-prod.hash"}}',
        name,
      ]);
      expect({ name, hash }).toEqual({ name, hash: expect.stringMatching(/^[0-9a-f]{64}$/) });
      expect(differs).not.toBe('');
    }
  });

  it('has every image of the output', () => {
    const wanted = Object.values(IMAGES).map(({ reference }) => reference);
    expect(rows.map(({ name }) => name)).toEqual(expect.arrayContaining(wanted));
  });
});

describe('nginx', () => {
  it('serves on 8080 as uid 101 with nothing writable but /tmp', async () => {
    const server = await start('nginx-plain', NGINX, {
      port: 8080,
      args: ['--read-only', '--tmpfs', '/tmp', '--cap-drop', 'ALL'],
    });
    const page = await waitFor(() => ask(server, '/'), { timeout: 10_000, what: 'nginx' });
    expect(page.status).toBe(200);
    expect(await demandDocker(['exec', server.name, 'id', '-u'])).toBe('101');
    expect(await demandDocker(['exec', server.name, 'cat', '/tmp/nginx.pid'])).toBe('1');
    expect(await inspect(server, '{{.Config.StopSignal}}')).toBe('SIGQUIT');
    expect(
      await demandDocker([
        'exec',
        server.name,
        'curl',
        '-sS',
        '-o',
        '/dev/null',
        '-w',
        '%{http_code}',
        'http://127.0.0.1:8080/',
      ]),
    ).toBe('200');
    const built = (await docker(['exec', server.name, 'nginx', '-V'])).stderr;
    for (const module of ['http_stub_status', 'http_realip', 'http_v2', 'http_ssl', 'http_auth_request']) {
      expect(built).toContain(`--with-${module}_module`);
    }
    expect(await demandDocker(['stop', server.name])).toBe(server.name);
    expect(await exitCodeOf(server)).toBe(0);
  });

  it('fills templates with variables that exist and runs the scripts of its start folder', async () => {
    const folder = path.join(scratch, 'nginx');
    await mkdir(folder, { recursive: true });
    const template = 'server { listen 8080; location / { return 200 "${GREETING} $uri ${UNSET}"; } }\n';
    await writeFile(path.join(folder, 'default.conf.template'), template);
    await writeFile(path.join(folder, '10-set.envsh'), 'export GREETING=hello-$WORD\n', { mode: 0o755 });
    await writeFile(path.join(folder, '40-mark.sh'), '#!/bin/sh\necho the script ran\n', { mode: 0o755 });
    const mounts = {
      'default.conf.template': '/etc/nginx/templates/default.conf.template',
      '10-set.envsh': '/docker-entrypoint.d/10-set.envsh',
      '40-mark.sh': '/docker-entrypoint.d/40-mark.sh',
    };
    const server = await start('nginx-template', NGINX, {
      port: 8080,
      args: [
        '--env',
        'WORD=world',
        ...Object.entries(mounts).flatMap(([from, to]) => [
          '--volume',
          `${path.join(folder, from)}:${to}:ro`,
        ]),
      ],
    });
    // ${UNSET} is left for nginx, which does not know it: the configuration is refused.
    expect(await exitCodeOf(server)).not.toBe(0);
    expect(await logsOf(server)).toContain('unknown "unset" variable');
    await writeFile(path.join(folder, 'default.conf.template'), template.replace(' ${UNSET}', ''));
    await demandDocker(['start', server.name]);
    const page = await waitFor(() => ask(server, '/path'), { timeout: 10_000, what: 'nginx' });
    expect(page.body).toBe('hello-world /path');
    expect(await logsOf(server)).toContain('the script ran');
  });
});

describe('PostgreSQL', () => {
  it('reads _FILE variables, runs the init folder once, and keeps its data', async () => {
    const folder = path.join(scratch, 'postgres');
    await mkdir(path.join(folder, 'init'), { recursive: true });
    await writeFile(path.join(folder, 'password'), 'from-file\n');
    await writeFile(path.join(folder, 'init/10-table.sql'), 'CREATE TABLE made_by_sql (id int);\n');
    await writeFile(
      path.join(folder, 'init/20-more.sh'),
      'psql -U "$POSTGRES_USER" -d "$POSTGRES_DB" -c "INSERT INTO made_by_sql VALUES (1)"\n',
    );
    const server = await start('postgres-init', POSTGRES, {
      args: [
        ...[
          '--env',
          'POSTGRES_PASSWORD_FILE=/run/secrets/password',
          '--env',
          'POSTGRES_USER=owner',
          '--env',
          'POSTGRES_DB=app',
        ],
        ...['--env', 'POSTGRES_INITDB_ARGS=--data-checksums'],
        ...[
          '--volume',
          `${folder}/password:/run/secrets/password:ro`,
          '--volume',
          `${folder}/init:/docker-entrypoint-initdb.d:ro`,
        ],
      ],
      command: ['-c', 'log_connections=on'],
    });
    const query = (statement: string, password: string, host = server.name) =>
      docker([
        'run',
        '--rm',
        '--network',
        network,
        '--env',
        `PGPASSWORD=${password}`,
        POSTGRES,
        'psql',
        '-h',
        host,
        '-U',
        'owner',
        '-d',
        'app',
        '-tAc',
        statement,
      ]);
    const up = async () =>
      (await query('SELECT count(*) FROM made_by_sql', 'from-file')).stdout.trim() === '1';
    await waitFor(up, { timeout: 40_000, what: 'initialised PostgreSQL' });
    expect((await query('SELECT 1', 'wrong')).stderr).toContain('password authentication failed');
    expect((await query('SHOW data_checksums', 'from-file')).stdout.trim()).toBe('on');
    expect((await query('SHOW log_connections', 'from-file')).stdout.trim()).not.toBe('off');
    expect((await query('SHOW server_version', 'from-file')).stdout).toMatch(/^17\./);
    expect((await query('SHOW data_directory', 'from-file')).stdout.trim()).toBe('/var/lib/postgresql/data');
    expect(await demandDocker(['exec', server.name, 'stat', '-c', '%u', '/proc/1'])).toBe('999');
    expect(await inspect(server, '{{.Config.StopSignal}}')).toBe('SIGINT');
    expect(await demandDocker(['exec', server.name, 'openssl', 'version'])).toContain('OpenSSL');

    await demandDocker(['restart', server.name]);
    await waitFor(up, { timeout: 20_000, what: 'PostgreSQL after a restart' });
    expect(await logsOf(server)).toContain('Skipping initialization');
  });

  it('refuses to start without a password, or with two', async () => {
    const [none, both] = await Promise.all([
      start('postgres-none', POSTGRES),
      start('postgres-both', POSTGRES, {
        args: ['--env', 'POSTGRES_PASSWORD=a', '--env', 'POSTGRES_PASSWORD_FILE=/etc/hostname'],
      }),
    ]);
    expect(await exitCodeOf(none)).toBe(1);
    expect(await logsOf(none)).toContain('POSTGRES_PASSWORD');
    expect(await exitCodeOf(both)).toBe(1);
    expect(await logsOf(both)).toContain('exclusive');
  });
});

describe('Redis', () => {
  it('drops root, takes options, and answers other containers with and without a password', async () => {
    const [open, closed] = await Promise.all([
      start('redis-open', REDIS),
      start('redis-closed', REDIS, {
        command: ['redis-server', '--requirepass', 'pw', '--appendonly', 'yes'],
      }),
    ]);
    const cli = (server: Container, ...args: string[]) =>
      docker(['run', '--rm', '--network', network, REDIS, 'redis-cli', '-h', server.name, ...args]);
    await waitFor(async () => (await cli(open, 'ping')).stdout.trim() === 'PONG', {
      timeout: 15_000,
      what: 'Redis',
    });
    expect((await cli(closed, 'ping')).stdout).toContain('NOAUTH');
    expect((await cli(closed, '--no-auth-warning', '-a', 'pw', 'ping')).stdout.trim()).toBe('PONG');
    expect(
      await demandDocker(['exec', closed.name, 'stat', '-c', '%u', '/proc/1', '/data/appendonlydir']),
    ).toBe('999\n999');
    expect((await cli(open, 'info', 'server')).stdout).toMatch(/redis_version:8\./);
  });
});

describe('lego', () => {
  it('is the entry point', async () => {
    expect(await demandDocker(['run', '--rm', 'goacme/lego:v4.31.0', '--version'])).toContain(
      'lego version 4.',
    );
  });
});

describe('the server on an empty database', () => {
  let server: Container;

  it('listens late, says 503 while it loads, then 200 before messaging is up', async () => {
    await makeDatabase('first');
    server = await startServer('first', {
      slow: true,
      env: { BP_ADMIN_EMAIL: 'admin@acme.example', BP_ADMIN_PASSWORD: 'right-password' },
    });
    const seen: string[] = [];
    const look = async () => {
      const answer = await ask(server, '/status', { timeout: 3000 }).catch(() => undefined);
      const messaging =
        answer?.status === 200 ? (JSON.parse(answer.body) as { messaging: string }).messaging : '';
      const now = answer ? `${answer.status} ${messaging}`.trim() : 'nothing';
      if (seen.at(-1) !== now) seen.push(now);
      if (answer?.status === 503) expect(answer.headers['content-type']).toContain('text/html');
      return now === '200 up';
    };
    await waitFor(look, { timeout: 30_000, what: 'messaging', every: 100 });
    expect(seen).toEqual(['nothing', '503', '200 down', '200 up']);
    expect(await statusOf(server)).toEqual({ botpress: 'up', database: 'up', messaging: 'up', nlu: 'up' });
  });

  it('runs as uid 999 with wget, without curl and node', async () => {
    const shell = (line: string) => docker(['exec', server.name, 'bash', '-c', line]);
    expect((await shell('id -u; id -g; pwd')).stdout).toBe('999\n999\n/botpress\n');
    expect((await shell('command -v curl node nodejs npm')).stdout).toBe('');
    expect((await shell(`wget -qO- http://127.0.0.1:3000/status | grep -q '"database":"up"'`)).code).toBe(0);
    const image = JSON.parse(await demandDocker(['image', 'inspect', BOTPRESS])) as {
      Config: Record<string, unknown>;
    }[];
    expect(image[0]?.Config).toMatchObject({
      User: 'botpress',
      WorkingDir: '/botpress',
      Entrypoint: null,
      Cmd: ['/bin/sh', '-c', './duckling & ./bp'],
    });
    expect(image[0]?.Config.ExposedPorts).toEqual({ '3000/tcp': {} });
  });

  it('made the 45 tables as its role, and imported the seed', async () => {
    const tables = await sql(
      'first',
      `SELECT count(*) FROM pg_tables WHERE schemaname = 'public' AND tableowner = 'botpress'`,
    );
    expect(tables).toBe('45');
    const types = await sql(
      'first',
      `SELECT string_agg(data_type, ',' ORDER BY ordinal_position) FROM information_schema.columns WHERE table_name = 'msg_messages'`,
    );
    expect(types).toBe('uuid,uuid,uuid,timestamp with time zone,jsonb');
    expect(await sql('first', `SELECT server_version FROM srv_metadata`)).toBe('12.31.10');
    expect(
      await sql(
        'first',
        `SELECT count(*) FROM srv_ghost_files WHERE file_path = 'data/bots/support/bot.config.json'`,
      ),
    ).toBe('1');
    expect(await sql('first', `SELECT count(*) FROM pg_constraint WHERE contype = 'f'`)).not.toBe('0');
    expect(await sql('first', `SELECT to_regclass('srv_channel_users_id_seq') IS NOT NULL`)).toBe('t');
  });

  it('answers, keeps the state in the database and stores events', async () => {
    expect(await converse(server, 'ann', 'hi')).toMatchObject({ status: 200, texts: ['Hello from support'] });
    expect(await converse(server, 'ann', 'two')).toMatchObject({ texts: ['You said two'] });
    expect(
      await sql(
        'first',
        `SELECT context->>'currentNode' FROM dialog_sessions WHERE id LIKE 'support::api::ann%'`,
      ),
    ).toBe('echo');
    const stored = async () =>
      (await sql('first', `SELECT count(*) FROM events WHERE target = 'ann'`)) === '4';
    await waitFor(stored, { timeout: 10_000, what: 'four events' });
    expect((await converse(server, 'ann', 'hi', 'nobody')).status).toBe(404);
    expect(
      (await ask(server, '/api/v1/bots/support/converse/ann', { body: { text: 'x', extra: 1 } })).status,
    ).toBe(400);
  });

  it('closes registration, lets the admin in, and keeps the rest out', async () => {
    const login = (password: string) =>
      ask(server, '/api/v1/auth/login/basic/default', { body: { email: 'admin@acme.example', password } });
    const register = await ask(server, '/api/v1/auth/register/basic/default', {
      body: { email: 'eve@acme.example', password: 'secret' },
    });
    expect([register.status, register.body]).toEqual([403, 'Registration is disabled']);
    expect((await login('wrong')).status).toBe(401);
    const { payload } = JSON.parse((await login('right-password')).body) as { payload: { jwt: string } };
    const status = '/api/v1/admin/management/versioning/bpfs_status';
    expect((await ask(server, status)).status).toBe(401);
    const headers = { authorization: `Bearer ${payload.jwt}` };
    expect(JSON.parse((await ask(server, status, { headers })).body)).toEqual({ isAvailable: true });
    expect((await ask(server, '/api/v1/admin/docker_images')).status).toBe(200);
    expect((await ask(server, '/api/v1/auth/config')).status).toBe(200);
  });

  it('shows its pages with inline scripts, and the webchat script', async () => {
    for (const page of ['/admin', '/lite/support/', '/studio/support']) {
      const { status, body, headers } = await ask(server, page);
      expect({ page, status, type: headers['content-type'] }).toEqual({
        page,
        status: 200,
        type: 'text/html; charset=utf-8',
      });
      expect(body).toMatch(/<script>[^<]/);
    }
    expect((await ask(server, '/assets/modules/channel-web/inject.js')).body).toContain('botpressWebChat');
    expect((await ask(server, '/')).headers.location).toBe('/admin');
    expect((await ask(server, '/api/v1/messaging/status')).body).toBe('OK');
    expect((await ask(server, '/api/v1/messaging/internal/createUser', { body: {} })).status).toBe(403);
    expect((await ask(server, '/api/v1/messaging/webhooks/v1/support/slack', { body: {} })).status).toBe(404);
    expect(
      (await ask(server, '/api/v1/bots/support/converse/u', { body: { text: 'x'.repeat(11 * 1024 * 1024) } }))
        .status,
    ).toBe(413);
  });

  it('closes an idle connection by itself after some seconds', async () => {
    const agent = new Agent({ keepAlive: true });
    const closed = new Promise<void>((resolve, reject) => {
      const call = request({ host: '127.0.0.1', port: server.port, path: '/version', agent }, (answer) => {
        answer.resume();
        call.socket?.on('close', () => resolve());
      });
      call.on('error', reject).end();
    });
    await expect(Promise.race([closed, sleep(20_000).then(() => 'open')])).resolves.toBeUndefined();
    agent.destroy();
  });

  it('leaves /status 200 while PostgreSQL is gone, unanswered while it is frozen, and heals', async () => {
    await demandDocker(['pause', database]);
    await expect(ask(server, '/status', { timeout: 3000 })).rejects.toThrow('in time');
    await demandDocker(['unpause', database]);
    await waitFor(async () => (await statusOf(server)).database === 'up', {
      timeout: 10_000,
      what: 'healed database',
    });
    await sql('postgres', 'ALTER DATABASE first ALLOW_CONNECTIONS false');
    await sql(
      'postgres',
      `SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE datname = 'first'`,
    );
    await waitFor(async () => (await statusOf(server)).database === 'error', {
      timeout: 10_000,
      what: 'database error',
    });
    expect((await converse(server, 'ann', 'lost')).status).toBe(400);
    await sql('postgres', 'ALTER DATABASE first ALLOW_CONNECTIONS true');
    await waitFor(async () => (await statusOf(server)).database === 'up', {
      timeout: 10_000,
      what: 'healed database',
    });
    expect((await converse(server, 'ann', 'back')).status).toBe(200);
  });

  it('says messaging is down for ever when its process is killed', async () => {
    await demandDocker([
      'exec',
      server.name,
      'bash',
      '-c',
      'for p in /proc/[0-9]*; do grep -qa [m]essaging.js $p/cmdline && kill -9 ${p#/proc/}; done; true',
    ]);
    await waitFor(async () => (await statusOf(server)).messaging === 'down', {
      timeout: 10_000,
      what: 'messaging down',
    });
    expect((await statusOf(server)).botpress).toBe('up');
  });

  it('is gone at once on SIGTERM with code 0, and cuts what is in flight', async () => {
    const cut = converse(server, 'ann', 'in flight').catch((error: Error) => error.message);
    await sleep(100);
    await demandDocker(['kill', '--signal', 'TERM', server.name]);
    expect(await cut).toMatch(/hang up|reset|cut/);
    expect(await exitCodeOf(server)).toBe(0);
  });
});

describe('two community nodes on one database', () => {
  const nodes: Container[] = [];

  beforeAll(async () => {
    await makeDatabase('pair');
    const env = {
      DATABASE_URL: `postgres://botpress:pw@${database}/pair`,
      BP_ADMIN_EMAIL: 'admin@acme.example',
      BP_ADMIN_PASSWORD: 'right-password',
      BP_MODULE_CHANNEL_WEB_FILEUPLOADPATH: '/botpress/data/uploads',
    };
    nodes.push(await startServer('pair-a', { env }));
    await ready(nodes[0]!);
    nodes.push(await startServer('pair-b', { env }));
    await ready(nodes[1]!);
  });

  it('share the state of a conversation, but not a bot that one of them made', async () => {
    const [a, b] = nodes as [Container, Container];
    await converse(a, 'bob', 'hi');
    expect(await converse(b, 'bob', 'there')).toMatchObject({ texts: ['You said there'] });
    const login = await ask(a, '/api/v1/auth/login/basic/default', {
      body: { email: 'admin@acme.example', password: 'right-password' },
    });
    const { jwt } = (JSON.parse(login.body) as { payload: { jwt: string } }).payload;
    const made = await ask(a, '/api/v2/admin/workspace/bots', {
      headers: { authorization: `Bearer ${jwt}` },
      body: { id: 'fresh' },
    });
    expect(made.status).toBe(200);
    expect(await converse(a, 'bob', 'hi', 'fresh')).toMatchObject({ status: 200, texts: ['Hello'] });
    expect(await converse(b, 'bob', 'hi', 'fresh')).toMatchObject({ status: 200, texts: [] });
  });

  it.each([['websocket'], ['polling']] as const)(
    'answer a visitor over %s on the node of its socket alone',
    async (transport) => {
      const [a, b] = nodes as [Container, Container];
      const at = (node: Container) => ({
        url: `http://localhost:${node.port}`,
        bot: 'support',
        transports: [transport],
      });
      const visitor = await Visitor.connect(at(a));
      expect(await visitor.ask('hi')).toBe('Hello from support');
      expect(await visitor.ask('again')).toBe('You said again');
      const body = { webSessionId: visitor.socketId, payload: { type: 'text', text: 'astray' } };
      const elsewhere = await ask(b, '/api/v1/bots/support/mod/channel-web/messages', { body });
      expect(elsewhere.status).toBe(400);
      expect(JSON.parse(elsewhere.body)).toMatchObject({ message: 'session id is invalid' });

      // The same visitor, one socket on each node: the answer comes to the sockets of the node that took the POST.
      const twin = await Visitor.connect({ ...at(b), id: visitor.id });
      const heard = visitor.received.length;
      expect(await twin.ask('third')).toBe('You said third');
      expect(visitor.received).toHaveLength(heard);
      twin.close();
      expect(await sql('pair', `SELECT count(*) FROM web_user_map WHERE "visitorId" = '${visitor.id}'`)).toBe(
        '1',
      );
      expect(await sql('pair', `SELECT count(*) > 3 FROM msg_messages`)).toBe('t');
      visitor.close();
    },
  );

  it('take a visitor’s file into the upload folder', async () => {
    const [a] = nodes as [Container, Container];
    const visitor = await Visitor.connect({ url: `http://localhost:${a.port}`, bot: 'support' });
    await visitor.ask('hi');
    const form = new FormData();
    form.set('webSessionId', visitor.socketId);
    form.set('conversationId', visitor.received[0]?.conversationId ?? '');
    form.set('file', new Blob(['content of the file']), 'note.txt');
    const route = `http://127.0.0.1:${a.port}/api/v1/bots/support/mod/channel-web/messages/files`;
    expect((await fetch(route, { method: 'POST', body: form })).status).toBe(200);
    const stored = await demandDocker(['exec', a.name, 'bash', '-c', 'cat /botpress/data/uploads/*.txt']);
    expect(stored).toBe('content of the file');
    visitor.close();
  });
});

describe('a cluster', () => {
  it('needs Pro: without it the server makes its tables and ends with code 0', async () => {
    await makeDatabase('no_pro');
    const server = await startServer('no-pro', {
      env: { CLUSTER_ENABLED: 'true', REDIS_URL: 'redis://nowhere' },
    });
    expect(await exitCodeOf(server)).toBe(0);
    expect(await logsOf(server)).toContain('upgrade to Botpress Pro');
    expect(await sql('no_pro', `SELECT count(*) > 0 FROM pg_tables WHERE tablename LIKE 'srv_%'`)).toBe('t');
  });

  it('with Pro and Redis takes a visitor on any node', async () => {
    await makeDatabase('cluster');
    const redis = await start('cluster-redis', REDIS, { command: ['redis-server', '--requirepass', 'pw'] });
    const env = {
      DATABASE_URL: `postgres://botpress:pw@${database}/cluster`,
      CLUSTER_ENABLED: 'true',
      PRO_ENABLED: 'true',
      REDIS_URL: `redis://:pw@${redis.name}:6379`,
    };
    const a = await startServer('cluster-a', { env });
    await ready(a);
    const b = await startServer('cluster-b', { env });
    await ready(b);
    const visitor = await Visitor.connect({
      url: `http://localhost:${a.port}`,
      bot: 'support',
      transports: ['websocket'],
    });
    const body = { webSessionId: visitor.socketId, payload: { type: 'text', text: 'hi' } };
    expect((await ask(b, '/api/v1/bots/support/mod/channel-web/messages', { body })).status).toBe(200);
    await waitFor(() => visitor.answers[0] === 'Hello from support', {
      timeout: 10_000,
      what: 'answer from the other node',
    });
    visitor.close();
  });
});

describe('a start that fails', () => {
  it('hangs without a port: wrong password, no database, no right to make tables', async () => {
    await makeDatabase('denied');
    await sql('denied', `CREATE ROLE reader LOGIN PASSWORD 'pw'`);
    const url = (who: string, host = database) => ({
      env: { DATABASE_URL: `postgres://${who}@${host}/denied` },
    });
    const [password, host, rights] = await Promise.all([
      startServer('bad-password', url('botpress:wrong')),
      startServer('bad-host', url('botpress:pw', 'nowhere.invalid')),
      startServer('bad-rights', url('reader:pw')),
    ]);
    await Promise.all([
      expectHang(password!, /password authentication failed/),
      expectHang(host!, /Error starting Botpress/),
      expectHang(rights!, /permission denied for schema public/),
    ]);
  });

  it('hangs one of two nodes that meet on an empty database', async () => {
    await makeDatabase('race');
    const env = { DATABASE_URL: `postgres://botpress:pw@${database}/race` };
    const racers = [
      await startServer('race-a', { env, waits: true }),
      await startServer('race-b', { env, waits: true }),
    ];
    await demandDocker(['start', ...racers.map((one) => one.name)]);
    const outcome = async () => {
      const states = await Promise.all(
        racers.map((one) =>
          statusOf(one).then(
            () => 'up',
            () => 'silent',
          ),
        ),
      );
      return states.includes('up') && states;
    };
    await waitFor(outcome, { timeout: 20_000, what: 'a winner' });
    await sleep(3000);
    expect(await outcome()).toEqual(expect.arrayContaining(['up', 'silent']));
    const logs = (await Promise.all(racers.map(logsOf))).join('\n');
    expect(logs).toMatch(/relation "srv_metadata" already exists|duplicate key value/);
    for (const racer of racers) expect(await inspect(racer, '{{.State.Status}}')).toBe('running');
  });

  it('ends with code 0: no /tmp, a partial configuration, a pending or failing migration, a second language', async () => {
    for (const name of ['no_tmp', 'partial', 'pending', 'failing', 'older', 'languages'])
      await makeDatabase(name);
    await seedContent(path.join(scratch, 'partial'), [{ id: 'support' }]);
    await writeFile(
      path.join(scratch, 'partial/global/botpress.config.json'),
      '{"httpServer": {"port": 3000}}',
    );
    await seedContent(path.join(scratch, 'languages'), [{ id: 'support', languages: ['en', 'fr'] }]);
    const all = await Promise.all([
      startServer('no-tmp', { args: [] }),
      startServer('partial', { seed: 'partial' }),
      startServer('pending', { env: { STANDIN_MIGRATION_PENDING: 'true' } }),
      startServer('failing', {
        env: { STANDIN_MIGRATION_PENDING: 'true', STANDIN_MIGRATION_FAILS: 'true', AUTO_MIGRATE: 'true' },
      }),
      startServer('languages', { seed: 'languages' }),
    ]);
    const codes = await Promise.all(all.map(exitCodeOf));
    expect(codes).toEqual([0, 0, 0, 0, 0]);
    const logs = await Promise.all(all.map(logsOf));
    expect(logs[1]).toContain('of undefined');
    expect(logs[2]).toContain('AUTO_MIGRATE');
    expect(logs[3]).toContain('migration failed');
  });

  it('runs a pending migration when told to, and refuses messaging a newer database', async () => {
    await makeDatabase('migrating');
    const env = { DATABASE_URL: `postgres://botpress:pw@${database}/migrating`, AUTO_MIGRATE: 'true' };
    const first = await startServer('migrating-a', { env });
    await ready(first);
    await demandDocker(['rm', '--force', first.name]);
    await sql('migrating', `UPDATE srv_metadata SET server_version = '12.30.0'`);
    const second = await startServer('migrating-b', { env });
    await ready(second);
    expect(await sql('migrating', `SELECT count(*) FROM srv_migrations`)).toBe('1');
    await demandDocker(['rm', '--force', second.name]);
    const older = await startServer('migrating-c', { env: { ...env, STANDIN_VERSION: '12.31.9' } });
    await waitFor(() => statusOf(older), { timeout: 40_000, what: 'status of the older server' });
    await sleep(2000);
    expect(await statusOf(older)).toMatchObject({ messaging: 'down' });
    expect(await logsOf(older)).toContain('invalid migration parameters');
  });
});

describe('a worker that dies', () => {
  it('is restarted twice after crashes, then the master lives on alone; killed for its memory, all end with 0', async () => {
    for (const name of ['crashing', 'starving']) await makeDatabase(name);
    const [crashing, starving] = await Promise.all([
      startServer('crashing', { env: { STANDIN_CRASH_AFTER_MS: '300' } }),
      startServer('starving', {
        env: { STANDIN_MEMORY_MB: '600' },
        args: ['--tmpfs', '/tmp', '--memory', '400m'],
      }),
    ]);
    expect(await exitCodeOf(starving!)).toBe(0);
    await expectHang(crashing!, /Exceeded the maximum number of automatic server reboots/);
  });
});

describe('settings', () => {
  it('come from BP_CONFIG_*: body limit, converse, keep-alive, lockout, base path, rate limit', async () => {
    await makeDatabase('settings');
    const server = await startServer('settings', {
      env: {
        EXTERNAL_URL: 'https://bot.acme.example/chat',
        REVERSE_PROXY: 'uniquelocal',
        BP_CONFIG_HTTPSERVER_BODYLIMIT: '1kb',
        BP_CONFIG_HTTPSERVER_KEEPALIVETIMEOUT: '65000',
        BP_CONFIG_CONVERSE: '{"enableUnsecuredEndpoint":false}',
        BP_CONFIG_AUTHSTRATEGIES: '{"default":{"options":{"maxLoginAttempt":1,"lockoutDuration":"10m"}}}',
        BP_CONFIG_HTTPSERVER_RATELIMIT_ENABLED: 'true',
        BP_CONFIG_HTTPSERVER_RATELIMIT_LIMIT: '40',
        BP_CONFIG_APPSECRET: 'a-secret-from-outside',
        BP_ADMIN_EMAIL: 'admin@acme.example',
        BP_ADMIN_PASSWORD: 'right-password',
      },
    });
    const under = (route: string, options: HttpOptions = {}) => ask(server, `/chat${route}`, options);
    await waitFor(async () => (await under('/version')).status === 200, {
      timeout: 30_000,
      what: 'server',
      every: 500,
    });
    expect((await ask(server, '/status')).status).toBe(404);
    expect((await under('/api/v1/messaging/status')).status).toBe(404);
    expect((await ask(server, '/api/v1/messaging/status')).status).toBe(404);
    expect((await under('/api/v1/bots/support/converse/u', { body: { text: 'x' } })).status).toBe(403);
    expect(
      (await under('/api/v1/bots/support/converse/u', { body: { text: 'x'.repeat(2000) } })).status,
    ).toBe(413);
    const login = (password: string) =>
      under('/api/v1/auth/login/basic/default', { body: { email: 'admin@acme.example', password } });
    for (const password of ['wrong', 'wrong']) await login(password);
    expect(JSON.parse((await login('right-password')).body)).toMatchObject({ message: 'Account locked out' });

    const from = (address: string) => under('/version', { headers: { 'x-forwarded-for': address } });
    const codes: number[] = [];
    for (let i = 0; i < 45; i += 1) codes.push((await from('198.51.100.7')).status);
    expect(codes).toContain(429);
    expect((await from('198.51.100.8')).status).toBe(200);

    const open = await new Promise<boolean>((resolve) => {
      const socket = connectTcp(server.port, '127.0.0.1', () =>
        socket.write('GET /chat/version HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 198.51.100.9\r\n\r\n'),
      );
      socket.on('close', () => resolve(false));
      socket.resume();
      setTimeout(() => {
        resolve(true);
        socket.destroy();
      }, 7000);
    });
    expect(open).toBe(true);
  });
});

describe('channels', () => {
  const TELEGRAM = { version: '1.0.0', enabled: true, botToken: '%TELEGRAM_TOKEN%' };
  const TWILIO = { version: '1.0.0', enabled: true, accountSID: 'AC123', authToken: 'secret' };
  const MESSENGER = {
    ...{ version: '1.0.0', enabled: true, appId: '1', pageId: '2' },
    ...{ appSecret: 's', verifyToken: 'v', accessToken: 'a' },
  };
  const webhook = (server: Container, channel: string, headers: Record<string, string> = {}) =>
    ask(server, `/api/v1/messaging/webhooks/v1/support/${channel}`, { body: {}, headers });

  it('are all refused when one provider cannot be reached, and webchat with them', async () => {
    await makeDatabase('unreachable');
    await seedContent(path.join(scratch, 'unreachable'), [
      { id: 'support', channels: { telegram: TELEGRAM, twilio: TWILIO } },
    ]);
    const server = await startServer('unreachable', { seed: 'unreachable', env: { TELEGRAM_TOKEN: 't' } });
    await ready(server);
    expect([(await webhook(server, 'telegram/t')).status, (await webhook(server, 'twilio')).status]).toEqual([
      404, 404,
    ]);
    expect(await logsOf(server)).toMatch(/Failed to configure channels.*unable to reach telegram/);
    const visitor = await Visitor.connect({ url: `http://localhost:${server.port}`, bot: 'support' });
    expect((await visitor.say('hi')).status).toBe(400);
    visitor.close();
  });

  it('exist once their provider answers; Slack holds the whole start until then', async () => {
    for (const name of ['reachable', 'holding', 'strict']) await makeDatabase(name);
    const conf = 'server { listen 8080; location / { return 200; } }';
    await writeFile(path.join(scratch, 'providers.conf'), conf);
    const providers = await start('providers', NGINX, {
      args: ['--volume', `${scratch}/providers.conf:/etc/nginx/conf.d/default.conf:ro`],
    });
    const slack = { version: '1.0.0', enabled: true, botToken: 'x', signingSecret: 'y' };
    await seedContent(path.join(scratch, 'reachable'), [
      { id: 'support', channels: { messenger: MESSENGER, telegram: TELEGRAM, twilio: TWILIO } },
    ]);
    await seedContent(path.join(scratch, 'holding'), [{ id: 'support', channels: { slack } }]);
    await seedContent(path.join(scratch, 'strict'), [
      { id: 'support', channels: { telegram: { ...TELEGRAM, surprise: 1 } } },
    ]);
    const env = { STANDIN_PROVIDERS_URL: `http://${providers.name}:8080`, TELEGRAM_TOKEN: 't' };
    const [reachable, holding, strict] = await Promise.all([
      startServer('reachable', { seed: 'reachable', env }),
      startServer('holding', { seed: 'holding' }),
      startServer('strict', { seed: 'strict', env }),
    ]);
    await Promise.all([ready(reachable!), ready(strict!)]);
    expect((await webhook(reachable!, 'telegram')).status).toBe(404);
    expect((await webhook(reachable!, 'telegram/probe')).status).toBe(401);
    expect((await webhook(reachable!, 'telegram/t')).status).toBe(200);
    expect((await webhook(reachable!, 'messenger')).status).toBe(500);
    expect((await webhook(reachable!, 'messenger', { 'x-hub-signature': 'sha1=0' })).status).toBe(403);
    expect((await webhook(reachable!, 'twilio')).status).toBe(401);
    expect((await webhook(strict!, 'telegram/t')).status).toBe(404);
    expect(await logsOf(strict!)).toContain('surprise');
    expect((await ask(holding!, '/status')).status).toBe(503);
    expect(await logsOf(holding!)).toContain('unable to reach slack');
  });
});

describe('the other roles of the image', () => {
  it('are the language server, the NLU that asks it, and duckling', async () => {
    const folder = path.join(scratch, 'languages-dir');
    await mkdir(folder, { recursive: true });
    await writeFile(path.join(folder, 'bp.en.100.bin'), '');
    const lang = await start('lang', BOTPRESS, {
      port: 3100,
      args: ['--volume', `${folder}:/lang:ro`],
      command: ['./bp', 'lang', '--langDir', '/lang', '--port', '3100', '--offline'],
    });
    const duckling = await start('duckling', BOTPRESS, { port: 8000, command: ['./duckling', '-p', '8000'] });
    const nlu = await start('nlu', BOTPRESS, {
      port: 3200,
      command: ['./bp', 'nlu', '--languageURL', `http://${lang.name}:3100`, '--port', '3200'],
    });
    const info = async (server: Container) =>
      JSON.parse((await ask(server, '/info')).body) as Record<string, unknown>;
    await waitFor(async () => (await info(lang)).ready, { timeout: 15_000, what: 'language server' });
    expect(await info(lang)).toMatchObject({ languages: [{ lang: 'en', loaded: true }], dimensions: 100 });
    expect(await waitFor(() => info(nlu), { timeout: 20_000, what: 'NLU' })).toMatchObject({
      info: { languages: ['en'] },
    });
    expect((await ask(duckling, '/')).body).toContain('quack');
  });

  it('are started together by the default command, which does not hear SIGTERM', async () => {
    const server = await start('default', BOTPRESS, {
      args: ['--env', `DATABASE_URL=postgres://botpress:pw@${database}/first`],
    });
    await waitFor(async () => (await demandDocker(['top', server.name])).includes('duckling'), {
      timeout: 10_000,
      what: 'duckling',
    });
    await demandDocker(['kill', '--signal', 'TERM', server.name]);
    await sleep(1500);
    expect(await inspect(server, '{{.State.Status}}')).toBe('running');
  });
});

describe('pull and push', () => {
  it('carry content out of and into a server, and end with code 0 even on errors', async () => {
    await makeDatabase('versioned');
    const server = await startServer('versioned', {
      env: { BP_ADMIN_EMAIL: 'admin@acme.example', BP_ADMIN_PASSWORD: 'right-password' },
    });
    await ready(server);
    const login = await ask(server, '/api/v1/auth/login/basic/default', {
      body: { email: 'admin@acme.example', password: 'right-password' },
    });
    const { jwt } = (JSON.parse(login.body) as { payload: { jwt: string } }).payload;
    const script = [
      `./bp pull --url http://localhost:3000 --authToken ${jwt} --targetDir /tmp/pulled`,
      `sed -i 's/Hello from support/Changed/' /tmp/pulled/bots/support/content-elements/builtin_text.json`,
      `./bp push --url http://localhost:3000 --authToken ${jwt} --sourceDir /tmp/pulled`,
      `./bp push --url http://localhost:9 --authToken ${jwt} --sourceDir /tmp/pulled`,
      'echo code $?',
      './bp pull --url http://localhost:3000 --authToken word --targetDir /tmp/other 2>/dev/null',
      'echo code $?',
    ].join('; ');
    const printed = await demandDocker(['exec', server.name, 'bash', '-c', script]);
    expect(printed).toContain('Successfully pushed');
    expect(printed.match(/code \d/g)).toEqual(['code 0', 'code 1']);
    expect(await converse(server, 'new', 'hi')).toMatchObject({ texts: ['Changed'] });
  });
});
