import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import type { Role, RoleName } from '../../src/deployment/database.ts';
import { renderArtefacts } from '../../src/rendering/artefact.ts';
import { laterTable, matrix, strategySaml } from '../unit/database/matrix.ts';
import { deploymentOf, rows } from '../unit/database/rendered.ts';
import { demandDocker, docker, startEngine, waitFor, type RunResult } from './engine/setup.ts';

jest.setTimeout(180_000);

const deployment = deploymentOf({ channels: ['web', 'slack', 'telegram'] });
const { roles } = deployment.database;
const image = deployment.images.postgres.reference;
const id = `database-test-${process.pid}`;
const server = `${id}-server`;
const client = `${id}-client`;
const tables = readFileSync(new URL('../unit/database/botpress-tables.sql', import.meta.url), 'utf8');
const botConfig = 'data/bots/support/bot.config.json';

let folder: string;
const passwords = new Map<string, string>();
const secrets = ['postgres-password', ...Object.values(roles).map(({ secret }) => secret)];

/** In place, as bin/rotate must: a running container holds on to the file itself, not to its name. */
async function writeSecret(name: string, value: string): Promise<void> {
  if (passwords.has(name)) passwords.set(`${name} before`, passwords.get(name) ?? '');
  passwords.set(name, value);
  await writeFile(join(folder, 'secrets', name), `${value}\n`);
  await chmod(join(folder, 'secrets', name), 0o644);
}

const random = () => randomBytes(32).toString('base64url');

async function writeRepository(): Promise<void> {
  const more = [
    { template: 'botpress/channels.sh', mode: 0o755 },
    { template: 'botpress/channels/_bot_/_channel_.json' },
  ];
  for (const { path, content, mode } of renderArtefacts('app', [...rows, ...more], deployment)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
    await chmod(join(folder, path), mode);
  }
  await mkdir(join(folder, 'secrets'));
  for (const name of secrets) await writeSecret(name, random());
  await writeFile(
    join(folder, 'secrets/channels-support.env'),
    'SLACK_BOT_TOKEN=\nSLACK_SIGNING_SECRET=\nTELEGRAM_BOT_TOKEN=\n',
  );
}

/** As compose.yaml mounts it, so that what is missing there is missing here. */
const hardening = [
  ...[
    '--user',
    '999:999',
    '--read-only',
    '--cap-drop',
    'ALL',
    '--security-opt',
    'no-new-privileges',
    '--init',
  ],
  ...['--tmpfs', '/tmp:uid=999,gid=999,mode=1777,size=64m'],
];

const mount = (source: string, target: string) => ['--volume', `${join(folder, source)}:${target}:ro`];

async function startServer(): Promise<void> {
  await demandDocker([
    ...[
      'run',
      '--detach',
      '--name',
      server,
      '--network',
      `${id}-data`,
      '--network-alias',
      'postgres',
      ...hardening,
    ],
    ...['--shm-size', '256m', '--tmpfs', '/var/run/postgresql:uid=999,gid=999,mode=3777,size=16m'],
    ...['--env', 'POSTGRES_PASSWORD_FILE=/run/secrets/postgres-password'],
    ...['--env', 'POSTGRES_INITDB_ARGS=--data-checksums --auth-host=scram-sha-256'],
    ...mount('database/postgresql.conf', '/etc/postgresql/postgresql.conf'),
    ...mount('database/pg_hba.conf', '/etc/postgresql/pg_hba.conf'),
    ...mount('database/init', '/docker-entrypoint-initdb.d'),
    ...mount('database/sql', '/opt/database/sql'),
    ...mount('database/secure.sh', '/opt/database/secure.sh'),
    ...secrets.flatMap((name) => mount(`secrets/${name}`, `/run/secrets/${name}`)),
    ...[image, 'postgres', '-c', 'config_file=/etc/postgresql/postgresql.conf'],
  ]);
  await demandDocker([
    ...[
      'run',
      '--detach',
      '--name',
      client,
      '--network',
      `${id}-data`,
      ...hardening,
      '--entrypoint',
      'sleep',
    ],
    ...mount('database', '/opt/database'),
    ...mount('botpress', '/opt/botpress-prod'),
    ...mount('secrets', '/run/secrets'),
    ...[image, 'infinity'],
  ]);
  const check = [
    'exec',
    server,
    'pg_isready',
    '-q',
    '-h',
    '127.0.0.1',
    '-U',
    roles.owner.name,
    '-d',
    deployment.database.name,
  ];
  await waitFor(async () => (await docker(check)).code === 0, { timeout: 90_000, what: 'PostgreSQL' });
}

/** psql of a role over the containers' network, input from a script. */
function psql(
  role: Role,
  script: string,
  options: { database?: string; password?: string } = {},
): Promise<RunResult> {
  return docker(
    [
      ...[
        'exec',
        '--interactive',
        '--env',
        `PGPASSWORD=${options.password ?? passwords.get(role.secret)}`,
        client,
      ],
      ...['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-h', 'postgres', '-U', role.name],
      ...['-d', options.database ?? deployment.database.name],
    ],
    { input: script },
  );
}

async function demandPsql(role: Role, script: string): Promise<string> {
  const { code, stdout, stderr } = await psql(role, script);
  if (code !== 0) throw new Error(`${role.name}: ${stderr}`);
  return stdout.trimEnd();
}

/** Inside the server's container, as the superuser over the local socket. */
const superuser = (script: string, database = deployment.database.name) =>
  demandDocker(
    [
      'exec',
      '--interactive',
      server,
      'psql',
      '-XqAt',
      '-v',
      'ON_ERROR_STOP=1',
      '-U',
      'postgres',
      '-d',
      database,
    ],
    {
      input: script,
    },
  );

const secure = (...args: string[]) => docker(['exec', server, '/opt/database/secure.sh', ...args]);

/** Everything that pg_dump knows of roles, privileges, policies and tables. */
async function definitions(): Promise<string> {
  const globals = await demandDocker(['exec', server, 'pg_dumpall', '--globals-only', '-U', 'postgres']);
  const schema = await demandDocker([
    'exec',
    server,
    'pg_dump',
    '--schema-only',
    '-U',
    'postgres',
    deployment.database.name,
  ]);
  // A random word of pg_dump's own, against injected commands.
  return `${globals}\n${schema}`.replace(/^\\(un)?restrict .*$/gm, '');
}

/** Runs statements of a role in one session, each rolled back; SQLSTATE of each. */
async function statesOf(role: Role, statements: readonly string[]): Promise<string[]> {
  const script = statements
    // Two of the roles read only by default; that is a seat belt which the role itself can take off.
    .map((statement) => `BEGIN READ WRITE;\n${statement} \\g /dev/null\n\\echo state :SQLSTATE\nROLLBACK;\n`)
    .join('');
  const { stdout } = await psql(role, `\\set ON_ERROR_STOP off\n${script}`);
  return [...stdout.matchAll(/^state (\S+)$/gm)].map(([, state]) => state ?? '');
}

beforeAll(async () => {
  await startEngine();
  folder = await mkdtemp(join(tmpdir(), 'database-test-'));
  await writeRepository();
  await demandDocker(['network', 'create', '--internal', `${id}-data`]);
  await startServer();
  await demandPsql(roles.owner, `${tables}\n${strategySaml};`);
}, 300_000);

afterAll(async () => {
  await docker(['rm', '--force', '--volumes', server, client]);
  await docker(['network', 'rm', `${id}-data`]);
  await rm(folder, { recursive: true, force: true });
});

describe('the first start', () => {
  it('makes a cluster with checksums and takes its settings from the file', async () => {
    const settings = await superuser(`SELECT string_agg(current_setting(name), ' ' ORDER BY name)
      FROM unnest(ARRAY['data_checksums', 'max_connections', 'password_encryption', 'ssl']) AS name`);
    expect(settings).toBe(`on ${deployment.database.maxConnections} scram-sha-256 off`);
    expect(
      await superuser(`SELECT count(*) FROM pg_file_settings WHERE error IS NOT NULL OR NOT applied`),
    ).toBe('0');
    expect(await superuser(`SELECT count(*) FROM pg_hba_file_rules WHERE error IS NOT NULL`)).toBe('0');
  });

  it('leaves nothing but the privileges of tables to do once Botpress has made them', async () => {
    const check = await secure('--check');
    expect(check.code).toBe(3);
    for (const line of check.stdout.trimEnd().split('\n').slice(1))
      expect(line).toMatch(/^ {2}(table|future tables of) /);
    expect((await secure()).code).toBe(0);
    expect(await secure('--check')).toMatchObject({ code: 0, stdout: 'database: as it should be\n' });
  });
});

describe('who may connect', () => {
  it.each(Object.keys(roles) as RoleName[])('%s with its password, to its database alone', async (name) => {
    const role = roles[name];
    expect(await demandPsql(role, 'SELECT current_user')).toBe(role.name);
    expect((await psql(role, 'SELECT 1', { password: 'wrong' })).stderr).toContain(
      'password authentication failed',
    );
    for (const database of ['postgres', 'template1'])
      expect((await psql(role, 'SELECT 1', { database })).stderr).toContain('pg_hba.conf rejects');
  });

  it('the superuser over no network, with the right password either', async () => {
    const postgres = { ...roles.owner, name: 'postgres', secret: 'postgres-password' };
    expect((await psql(postgres, 'SELECT 1')).stderr).toContain('pg_hba.conf rejects');
  });

  it('nobody but the superuser over the local socket', async () => {
    const { stderr } = await docker([
      'exec',
      server,
      'psql',
      '-U',
      roles.owner.name,
      '-d',
      deployment.database.name,
      '-c',
      'SELECT 1',
    ]);
    expect(stderr).toContain('pg_hba.conf rejects');
  });
});

describe('limits', () => {
  it.each(Object.values(roles).map((role) => [role.name, role] as const))(
    'of %s are in force',
    async (_, role) => {
      const show = ['statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout']
        .map((name) => `(SELECT setting::int FROM pg_settings WHERE name = '${name}')`)
        .join(', ');
      expect(await demandPsql(role, `SELECT concat_ws(' ', ${show}, current_setting('search_path'))`)).toBe(
        `${role.statementTimeout} ${role.lockTimeout} ${role.idleInTransactionTimeout} public`,
      );
      expect(await superuser(`SELECT rolconnlimit FROM pg_roles WHERE rolname = '${role.name}'`)).toBe(
        String(role.connectionLimit),
      );
    },
  );

  it('of connections hold: one more is refused', async () => {
    const { purge } = roles;
    const held = Array.from({ length: purge.connectionLimit }, () => psql(purge, 'SELECT pg_sleep(5)'));
    const busy = async () =>
      (await superuser(`SELECT count(*) FROM pg_stat_activity WHERE usename = '${purge.name}'`)) ===
      String(purge.connectionLimit);
    await waitFor(busy, { timeout: 10_000, what: 'connections at the limit' });
    expect((await psql(purge, 'SELECT 1')).stderr).toContain('too many connections for role');
    await Promise.all(held);
  });

  it('of the readers include writing, until they ask for it', async () => {
    expect((await psql(roles.readonly, 'DELETE FROM events')).stderr).toContain('read-only transaction');
  });
});

describe.each(['off', 'on'] as const)('with row-level security %s', (mode) => {
  beforeAll(async () => {
    await demandPsql(roles.owner, 'DROP TABLE IF EXISTS later_table');
    expect((await secure('--row-level-security', mode)).code).toBe(0);
    await demandPsql(roles.owner, laterTable);
  });

  it.each(Object.keys(roles) as RoleName[])(
    '%s can do what the matrix says and nothing else',
    async (name) => {
      const lines = matrix.filter(({ role }) => role === name);
      const states = await statesOf(
        roles[name],
        lines.map(({ statement }) => statement),
      );
      expect(lines.map(({ statement }, index) => `${states[index]} ${statement}`)).toEqual(
        lines.map((line) => `${line[mode] === 'allowed' ? '00000' : '42501'} ${line.statement}`),
      );
    },
  );

  it('nothing changes the second time', async () => {
    await demandPsql(roles.owner, 'DROP TABLE later_table');
    const before = await definitions();
    expect(await secure('--row-level-security', mode)).toMatchObject({
      code: 0,
      stdout: 'database: as it should be\n',
    });
    expect(await definitions()).toBe(before);
  });

  it('a dump has everything, and restores into a database of the owner with the same protection', async () => {
    await demandPsql(
      roles.owner,
      `TRUNCATE events; INSERT INTO events (id, "botId", channel, direction, event, "createdOn")
       SELECT n, 'support', 'web', 'incoming', '{"text": "hello"}', now() FROM generate_series(1, 1000) AS n`,
    );
    const dump = (role: Role) =>
      docker([
        ...['exec', '--env', `PGPASSWORD=${passwords.get(role.secret)}`, client],
        ...[
          'pg_dump',
          '--format',
          'custom',
          '--file',
          '/tmp/dump',
          '-h',
          'postgres',
          '-U',
          role.name,
          deployment.database.name,
        ],
      ]);
    expect((await dump(roles.readonly)).code).not.toBe(0);
    expect(await dump(roles.backup)).toMatchObject({ code: 0, stderr: '' });

    await superuser(`CREATE DATABASE restored OWNER ${roles.owner.name}`, 'postgres');
    await demandDocker(['exec', client, 'pg_restore', '--file', '/tmp/script.sql', '/tmp/dump']);
    const script = await demandDocker(['exec', client, 'cat', '/tmp/script.sql']);
    // The pg_hba.conf lets nobody into another database from outside; as the owner all the same.
    await superuser(
      `SET ROLE ${roles.owner.name};\n${script.replace(/^\\(un)?restrict .*$/gm, '')}`,
      'restored',
    );
    expect(await superuser('SELECT count(*) FROM public.events', 'restored')).toBe('1000');
    const rights = `SELECT string_agg(relname || relrowsecurity || coalesce(relacl, acldefault('r', relowner))::text, ' ' ORDER BY relname)
      FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`;
    expect(await superuser(rights, 'restored')).toBe(await superuser(rights));
    await superuser('DROP DATABASE restored', 'postgres');
  });
});

describe('secure.sh --check', () => {
  it('says what differs and leaves it', async () => {
    await secure();
    await superuser(
      `ALTER ROLE ${roles.readonly.name} SUPERUSER; GRANT SELECT ON strategy_default TO ${roles.monitor.name}`,
    );
    const before = await definitions();
    const check = await secure('--check');
    expect(check.code).toBe(3);
    expect(check.stdout).toMatch(
      /2 differences\n {2}role botpress_readonly: .*superuser.* -> .*\n {2}table strategy_default, botpress_monitor: SELECT -> none\n$/,
    );
    expect(await definitions()).toBe(before);
    expect((await secure()).stdout).toContain('2 changes');
    expect((await secure('--check')).code).toBe(0);
  });

  it('refuses what it does not know, with the mend', async () => {
    expect(await secure('--chek')).toMatchObject({
      code: 2,
      stderr: 'secure.sh: --chek: unknown → secure.sh --help\n',
    });
    expect(await secure('--row-level-security', 'maybe')).toMatchObject({ code: 2 });
    expect((await secure('--help')).stdout).toContain('--check');
  });
});

describe('passwords', () => {
  beforeAll(() => secure());

  it('change in place: open sessions live on, the old password ends, nothing else changes', async () => {
    const { readonly } = roles;
    const open = psql(readonly, `SELECT pg_sleep(4);\nSELECT 'still here';`);
    const connected = async () =>
      (await superuser(`SELECT count(*) FROM pg_stat_activity WHERE usename = '${readonly.name}'`)) === '1';
    await waitFor(connected, { timeout: 10_000, what: 'open session' });

    const old = passwords.get(readonly.secret) ?? '';
    await writeSecret(readonly.secret, random());
    expect((await secure('--check')).stdout).toBe(
      'database: 1 differences\n  role botpress_readonly, password: differs from the secret\n',
    );
    expect((await secure()).stdout).toBe('database: 1 changes\n  role botpress_readonly, password: set\n');
    expect((await psql(readonly, 'SELECT 1', { password: old })).stderr).toContain(
      'password authentication failed',
    );
    expect(await demandPsql(readonly, 'SELECT 1')).toBe('1');
    expect((await open).stdout).toContain('still here');
  });

  it('stay out of the log even where everything is logged, and out of arguments and environment', async () => {
    await superuser(
      `ALTER SYSTEM SET log_statement = 'all'; ALTER SYSTEM SET log_min_duration_statement = 0;
      ALTER SYSTEM SET log_parameter_max_length = -1; SELECT pg_reload_conf()`,
      'postgres',
    );
    for (const { secret } of Object.values(roles)) await writeSecret(secret, random());
    // A psql in front of the real one that notes what it was started with.
    const recorder =
      'psql() { { printf "%s\\n" "$@"; env; } >>/tmp/recorded; command psql "$@"; }; export -f psql';
    const changed = await demandDocker([
      'exec',
      server,
      'bash',
      '-c',
      `${recorder}; /opt/database/secure.sh`,
    ]);
    expect(changed).toContain(`database: ${Object.keys(roles).length} changes`);
    const recorded = await demandDocker(['exec', server, 'cat', '/tmp/recorded']);
    expect(recorded).toContain('secure.sql');

    const logs = await docker(['logs', server]);
    const inspect = await demandDocker(['inspect', server, client]);
    expect(logs.stderr).toContain('pg_temp.set_password');
    for (const [name, password] of passwords)
      for (const [where, text] of Object.entries({ log: logs.stdout + logs.stderr, recorded, inspect }))
        expect([name, where, text.includes(password)]).toEqual([name, where, false]);
    await superuser('ALTER SYSTEM RESET ALL; SELECT pg_reload_conf()', 'postgres');
  });

  it('that are empty or cannot be compared are refused before anything changes', async () => {
    const right = passwords.get(roles.purge.secret) ?? '';
    await writeSecret(roles.purge.secret, '');
    expect(await secure()).toMatchObject({
      code: 2,
      stderr: 'secure.sh: secret botpress-purge-password is empty → run bin/rotate botpress-purge-password\n',
    });
    await writeSecret(roles.purge.secret, 'pässword');
    expect((await secure()).stderr).toContain('outside ASCII');
    await writeSecret(roles.purge.secret, right);
    expect((await secure('--check')).code).toBe(0);
  });

  it('may be of any printable character', async () => {
    const right = passwords.get(roles.purge.secret) ?? '';
    const hostile = String.raw`a b:c\d'e"f$1%g;\q`;
    await writeSecret(roles.purge.secret, hostile);
    expect((await secure()).code).toBe(0);
    expect(await demandPsql(roles.purge, 'SELECT 1')).toBe('1');
    expect((await purgeOnce(30)).code).toBe(0);
    await writeSecret(roles.purge.secret, right);
    await secure();
  });
});

const purgeOnce = (days: number | string) =>
  docker(['exec', '--env', `RETENTION_DAYS=${days}`, client, '/opt/database/purge.sh', '--once']);

describe('purge.sh', () => {
  it('deletes as its own role, with row-level security too, and says how much', async () => {
    for (const mode of ['off', 'on']) {
      await secure('--row-level-security', mode);
      await demandPsql(
        roles.owner,
        `TRUNCATE srv_logs, msg_conversations CASCADE;
         INSERT INTO srv_logs (message, timestamp) SELECT 'old', now() - interval '100 days' FROM generate_series(1, 5000);
         INSERT INTO msg_clients VALUES ('00000000-0000-0000-0000-000000000001') ON CONFLICT DO NOTHING;
         INSERT INTO msg_users VALUES ('00000000-0000-0000-0000-000000000002', '00000000-0000-0000-0000-000000000001') ON CONFLICT DO NOTHING;
         INSERT INTO msg_conversations SELECT gen_random_uuid(), '00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000002', now() - interval '100 days' FROM generate_series(1, 500);
         INSERT INTO msg_messages SELECT gen_random_uuid(), id, NULL, now() - interval '95 days', '{}' FROM msg_conversations`,
      );
      const { code, stdout } = await purgeOnce(90);
      expect(code).toBe(0);
      expect(stdout).toMatch(/^purge: deleted 6000 rows older than 90 days in \d+ s: /);
      for (const part of ['srv_logs 5000', 'msg_messages 500', 'msg_conversations 500'])
        expect(stdout).toContain(part);
      expect((await purgeOnce(90)).stdout).toMatch(/^purge: deleted 0 rows older than 90 days in \d+ s\n$/);
    }
    await secure();
  });

  it('spares a conversation that gets a message while it is being looked at', async () => {
    const conversation = '00000000-0000-0000-0000-0000000000aa';
    await demandPsql(
      roles.owner,
      `INSERT INTO msg_conversations VALUES ('${conversation}', '00000000-0000-0000-0000-000000000001', '00000000-0000-0000-0000-000000000002', now() - interval '100 days')`,
    );
    const writing = psql(
      roles.owner,
      `BEGIN; INSERT INTO msg_messages VALUES (gen_random_uuid(), '${conversation}', NULL, now(), '{}'); SELECT pg_sleep(4); COMMIT;`,
    );
    const sleeping = async () =>
      (await superuser(`SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'`)) === '1';
    await waitFor(sleeping, { timeout: 10_000, what: 'open transaction' });
    expect((await purgeOnce(90)).code).toBe(0);
    expect((await writing).code).toBe(0);
    expect(
      await demandPsql(
        roles.owner,
        `SELECT count(*) FROM msg_messages WHERE "conversationId" = '${conversation}'`,
      ),
    ).toBe('1');
  });

  it('keeps everything with 0 days and refuses what is no number of days', async () => {
    expect(await purgeOnce(0)).toMatchObject({
      code: 0,
      stdout: 'purge: RETENTION_DAYS is 0: everything is kept\n',
    });
    expect(await purgeOnce('ninety')).toMatchObject({
      code: 2,
      stderr: expect.stringContaining("RETENTION_DAYS = 'ninety'"),
    });
  });

  it('runs as a service: healthy from the start, after a run, and not after a failed one', async () => {
    const loop = `${id}-purge`;
    const health = async (name: string) =>
      (await docker(['exec', name, '/opt/database/purge.sh', '--health'])).code;
    const start = (...env: string[]) =>
      demandDocker([
        ...['run', '--detach', '--name', loop, '--network', `${id}-data`, ...hardening, ...env],
        ...['--env', 'RETENTION_DAYS=90', '--env', 'PURGE_DELAY=1', '--entrypoint', '/opt/database/purge.sh'],
        ...mount('database/purge.sh', '/opt/database/purge.sh'),
        ...mount('database/sql', '/opt/database/sql'),
        ...mount(`secrets/${roles.purge.secret}`, `/run/secrets/${roles.purge.secret}`),
        image,
      ]);
    const log = async () => (await docker(['logs', loop])).stdout;
    try {
      await start();
      await waitFor(async () => /deleted \d+ rows/.test(await log()), { timeout: 20_000, what: 'first run' });
      expect(await health(loop)).toBe(0);
      await demandDocker(['stop', '--time', '5', loop]);
      expect(await demandDocker(['inspect', '--format', '{{.State.ExitCode}}', loop])).toBe('0');
      await demandDocker(['rm', '--force', loop]);

      await start('--env', 'PGPORT=1');
      await waitFor(async () => (await log()).includes('next try'), { timeout: 20_000, what: 'failed run' });
      expect(await health(loop)).toBe(1);
    } finally {
      await docker(['rm', '--force', loop]);
    }
  });
});

describe('sync-channels.sh', () => {
  const sync = () => docker(['exec', client, '/opt/database/sync-channels.sh']);
  const credentials = (text: string) => writeFile(join(folder, 'secrets/channels-support.env'), text);
  const stored = async () =>
    JSON.parse(
      await demandPsql(
        roles.owner,
        `SELECT convert_from(content, 'UTF8') FROM srv_ghost_files WHERE file_path = '${botConfig}'`,
      ),
    );

  it('has nothing to do before the first boot', async () => {
    const { code, stderr } = await sync();
    expect(code).toBe(0);
    expect(stderr).toContain('channels: bot support: not in the database yet');
  });

  it('switches a channel on and off with its credentials, and never shows them', async () => {
    await demandPsql(
      roles.owner,
      `INSERT INTO srv_ghost_files VALUES ('${botConfig}', '{"id": "support", "messaging": {"channels": {}}}', false, now())`,
    );
    await credentials('TELEGRAM_BOT_TOKEN=123:telegram-token\nSLACK_BOT_TOKEN=slack-token\n');
    const on = await sync();
    expect(on).toMatchObject({ code: 0, stdout: '' });
    expect(on.stderr).toContain('telegram added to the database');
    expect(on.stderr).toMatch(/slack.*incomplete.*SLACK_SIGNING_SECRET/);
    expect(on.stderr).not.toMatch(/123|slack-token/);
    expect(await stored()).toEqual({
      id: 'support',
      messaging: {
        channels: { telegram: { version: '1.0.0', enabled: true, botToken: '%SUPPORT_TELEGRAM_BOT_TOKEN%' } },
      },
    });
    expect((await sync()).stderr).toContain('the database has it so already');

    await credentials('');
    expect((await sync()).stderr).toContain('telegram removed from the database');
    expect(await stored()).toEqual({ id: 'support', messaging: { channels: {} } });
  });

  it('fails, and with it the start, when the database refuses', async () => {
    const { code, stderr } = await docker([
      'exec',
      '--env',
      'PGPORT=1',
      client,
      '/opt/database/sync-channels.sh',
    ]);
    expect(code).toBe(1);
    expect(stderr).toContain('PostgreSQL at postgres refused or cannot be reached');
  });
});
