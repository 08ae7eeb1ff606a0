import { spawn } from 'node:child_process';
import { copyFileSync, existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import {
  demandDocker,
  docker,
  fetchFrom,
  findFreePort,
  run,
  sleep,
  startEngine,
  waitFor,
} from './engine/setup.ts';
import { fillTables } from './content.ts';
import { type ArgumentWatch, secretLines, watchArguments } from './secrecy.ts';
import { Stack } from './stack.ts';

jest.setTimeout(180_000);

let stack: Stack;
/** Arguments of all programs of this machine during the file. */
let watch: ArgumentWatch | undefined;
/** A moment, and the content of then. */
let early: { moment: string; content: string };
/** What the commands said. */
const said: string[] = [];

const container = (service: string) => `${stack.project}-${service}-1`;
const bin = async (command: string, ...args: string[]) => {
  const result = await run(join(stack.folder, 'bin', command), args, { cwd: stack.folder, timeout: 120_000 });
  said.push(result.stdout, result.stderr);
  return result;
};
const restoreAt = (moment: string, ...args: string[]) =>
  bin('restore', '--at', moment, 'staging', '--yes', ...args);
const sql = (statement: string) =>
  demandDocker([
    ...['exec', container('postgres'), 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-U', 'postgres'],
    ...['-d', 'botpress', '-c', statement],
  ]);
const rows = () =>
  sql("SELECT coalesce(string_agg(key, ' ' ORDER BY key), '') FROM srv_kvs WHERE key LIKE 'row-%'");
const insert = (key: string) => sql(`INSERT INTO srv_kvs VALUES ('${key}', 'x', 'bot', NULL, now())`);
/** What no boot of Botpress writes. */
const ownFiles = "file_path ~ '^data/(\\d+|large)$'";
/** Their sums, and those of users. */
const content = () =>
  sql(`SELECT count(*), md5(string_agg(u::text, '' ORDER BY id)) FROM msg_users AS u UNION ALL
    SELECT count(*), md5(string_agg(md5(content), '' ORDER BY file_path)) FROM srv_ghost_files WHERE ${ownFiles}`);
const window = async () =>
  JSON.parse((await bin('backup', 'window', 'staging', '--json')).stdout) as {
    from: string | null;
    gap: string | null;
    baseBackups: number;
  };
/** The bot answers; nginx asks for its address every five seconds. */
const expectAnswer = () =>
  waitFor(
    async () => {
      const { status, body } = await fetchFrom(
        `http://localhost:${stack.httpPort}/api/v1/bots/support/converse/somebody`,
        { body: { type: 'text', text: 'hello' } },
      );
      if (status !== 200 || !body.includes('"text":')) throw new Error(`${status} ${body}`);
      return true;
    },
    { timeout: 20_000, what: 'answer of the bot', every: 500 },
  );

/** A moment that what was written before lies before and what is written after lies after, as a user would type it. */
async function noteMoment(): Promise<string> {
  await sleep(1100);
  const moment = await sql("SELECT to_char(now(), 'YYYY-MM-DD HH24:MI:SSTZH')");
  await sleep(1100);
  return moment;
}

/** `bin/restore --at`, killed with all of its programs as soon as the condition holds. */
async function killRestore(moment: string, when: () => boolean | Promise<boolean>): Promise<void> {
  const command = spawn(join(stack.folder, 'bin/restore'), ['--at', moment, 'staging', '--yes'], {
    cwd: stack.folder,
    detached: true,
    stdio: 'ignore',
  });
  const ended = new Promise((resolve) => command.on('close', (_, signal) => resolve(signal)));
  await waitFor(when, { timeout: 60_000, what: 'step to kill the restore at', every: 30 });
  process.kill(-command.pid!, 'SIGKILL');
  expect(await ended).toBe('SIGKILL');
}

beforeAll(async () => {
  await startEngine();
  const [httpPort, httpsPort] = [await findFreePort(), await findFreePort()];
  const environment = { name: 'staging', domain: 'localhost', httpPort, httpsPort };
  stack = await Stack.generate(
    { environments: [environment], backup: { targets: ['local'], pointInTime: true }, monitoring: false },
    environment,
    `point-in-time-${process.pid}`,
  );
  copyFileSync(join(stack.folder, '.env.staging.example'), join(stack.folder, '.env.staging'));
  writeFileSync(join(stack.folder, '.env.staging'), 'BACKUP_START_DELAY=100000\n', { flag: 'a' });
  writeFileSync(
    join(stack.folder, 'compose.test.yaml'),
    JSON.stringify({
      services: {
        'botpress-blue': {
          healthcheck: { interval: '1s' },
          environment: { STANDIN_LISTEN_MS: '200', STANDIN_READY_MS: '400', STANDIN_MESSAGING_MS: '100' },
        },
        postgres: { healthcheck: { interval: '1s' } },
        nginx: { healthcheck: { interval: '1s' } },
        'wal-archive': { healthcheck: { interval: '1s' } },
      },
    }),
  );
  watch = await watchArguments();
  await stack.demandBin('up');
}, 300_000);

afterAll(async () => {
  await watch?.end();
  await stack?.destroy();
});

it('archives from the start on, encrypted, and tells how far back one can go', async () => {
  await waitFor(async () => (await window()).from, { timeout: 60_000, what: 'base backup', every: 1000 });
  // It keeps restores out while it lasts.
  await waitFor(
    async () => (await bin('check', 'staging')).stdout.includes('archive: a moment was recovered for trial'),
    { timeout: 60_000, what: 'trial recovery', every: 1000 },
  );
  const { stdout } = await bin('backup', 'list', 'staging');
  expect(stdout).toMatch(/--at: any moment from 20\S+ \S+\+00 to 20/);
  const inArchive = (script: string) =>
    demandDocker(['exec', container('wal-archive'), 'bash', '-c', script]);
  // What stands before the salt of AES in each file but the bundles of small ones.
  expect(
    await inArchive(
      "cd /var/lib/pgbackrest; find . -name '*.info*' -o -name '*.manifest*' -o -path '*/archive/*' -type f | while read -r file; do head -c 8 \"$file\"; echo; done | sort -u",
    ),
  ).toBe('Salted__');
  expect((await bin('check', 'staging')).stdout).toContain('archive: any moment since');
});

it('refuses a moment that cannot be reached, says what can be, and touches nothing', async () => {
  const started = () =>
    demandDocker(['inspect', '--format', '{{.State.StartedAt}}', container('botpress-blue')]);
  const before = await started();
  for (const [moment, code, reason] of [
    ['2026-01-31 10:15:00', 2, 'no time zone'],
    ['yesterday', 2, 'is no moment'],
    ['2026-02-31 10:15:00+00', 2, 'is no moment'],
    ["$(touch x)'", 2, 'is no moment'],
    ['2099-01-31 10:15:00+00', 4, 'is in the future'],
    ['2020-01-31 10:15 UTC', 4, '2020-01-31 10:15:00+00 is before the oldest base backup'],
    ['2020-01-31T10:15:00+05:30', 4, '2020-01-31 04:45:00+00 is before the oldest base backup'],
  ] as const) {
    const result = await restoreAt(moment);
    expect([moment, result.code, result.stderr]).toEqual([moment, code, expect.stringContaining(reason)]);
    expect(result.stderr).toMatch(/possible is any moment from 20\S+ \S+\+00 to 20\S+ \S+\+00/);
  }
  expect(await started()).toBe(before);
  expect(existsSync(join(stack.folder, 'state/staging/restore'))).toBe(false);
  expect(await sql("SELECT count(*) FROM pg_database WHERE datname LIKE 'botpress%'")).toBe('1');
});

it('goes back to a moment before a mistake, and forth again', async () => {
  await fillTables(sql);
  await insert('row-1');
  const before = await content();
  const moment = await noteMoment();
  await insert('row-2');
  await sql(`DELETE FROM msg_users; DELETE FROM srv_ghost_files WHERE ${ownFiles}`);
  const after = await content();
  early = { moment, content: before };
  expect(before).toMatch(/^500\|\w{32}\n201\|\w{32}$/);
  expect(after).not.toBe(before);

  const { code, stdout, stderr } = await restoreAt(moment, '--json');
  expect([code, stderr]).toEqual([0, expect.anything()]);
  expect(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({
    result: 'restored',
    target: 'archive',
    recoveryPoint: `${moment.replace(' ', 'T').replace('+00', 'Z')}`,
    recoverySeconds: expect.any(Number),
    downtimeSeconds: expect.any(Number),
  });
  expect(await rows()).toBe('row-1');
  expect(await content()).toBe(before);
  await expectAnswer();
  expect((await bin('secure-database', 'staging', '--check')).stdout).toContain('as it should be');

  expect((await bin('restore', '--undo', 'staging', '--yes')).code).toBe(0);
  expect(await rows()).toBe('row-1 row-2');
  expect(await content()).toBe(after);
});

it('killed while it recovers leaves the database in force, and the next one works', async () => {
  const moment = await noteMoment();
  await insert('row-3');
  const cluster = () =>
    docker([
      'exec',
      `${stack.project}-restore-tools`,
      'bash',
      '-c',
      'ls /var/lib/restore/*/cluster/postmaster.pid',
    ]);
  await killRestore(moment, async () => (await cluster()).code === 0);
  expect(await rows()).toBe('row-1 row-2 row-3');
  await expectAnswer();

  // The archive also knows what was before restores that were taken back.
  expect((await restoreAt(early.moment)).code).toBe(0);
  expect([await rows(), await content()]).toEqual(['row-1', early.content]);
  await expectAnswer();
});

it('goes on after its service was away, and ends a gap by itself', async () => {
  await demandDocker(['kill', container('wal-archive')]);
  await insert('row-4');
  await expectAnswer();
  const refused = await restoreAt('2026-01-31 10:15:00+00');
  expect([refused.code, refused.stderr]).toEqual([1, expect.stringContaining('wal-archive')]);
  // More than may wait: PostgreSQL is told that the file was taken, so that its disk does not fill.
  await demandDocker([
    ...['exec', container('postgres'), 'bash', '-c'],
    'mkdir -p /tmp/full/pg_wal/archive_status && cd /tmp/full && touch pg_wal/archive_status/{1..300}.ready && /opt/pgbackrest/keep-wal.sh pg_wal/x x',
  ]);
  // Only a base backup of a later second is surely one of after the gap.
  await sleep(1100);
  await demandDocker(['start', container('wal-archive')]);
  await waitFor(
    async () => {
      const { gap, baseBackups } = await window();
      return gap === null && baseBackups > 1;
    },
    { timeout: 60_000, what: 'end of the gap', every: 1000 },
  );
  const { code, stdout } = await bin('backup', 'drill', 'staging', '--target', 'archive', '--json');
  expect([code, JSON.parse(stdout)]).toEqual([
    0,
    [expect.objectContaining({ target: 'archive', passed: true, tables: 45 })],
  ]);
});

it('shows its passphrase nowhere', async () => {
  const seen = [...said, ...((await watch?.end()) ?? []), JSON.stringify(await stack.inspect())];
  for (const { Name } of await stack.inspect()) {
    const { stdout, stderr } = await docker(['logs', Name.slice(1)]);
    seen.push(stdout, stderr);
  }
  expect(seen.some((line) => line.startsWith('pgbackrest'))).toBe(true);
  const everything = seen.join('\n');
  expect(everything).not.toContain(stack.secret('backup/archive-passphrase'));
  for (const secret of secretLines(join(stack.folder, 'secrets/staging')))
    expect(everything).not.toContain(secret);
});
