import { readFileSync } from 'node:fs';
import { PGlite } from '@electric-sql/pglite';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { runFile } from './psql.ts';
import { deploymentOf, renderDatabase } from './rendered.ts';

const tables = readFileSync(new URL('./botpress-tables.sql', import.meta.url), 'utf8');
const purge = renderDatabase(deploymentOf()).get('database/sql/purge.sql') ?? '';

const client = '00000000-0000-0000-0000-00000000000c';
const user = '00000000-0000-0000-0000-00000000000d';
const conversation = (number: number) => `00000000-0000-0000-0001-${String(number).padStart(12, '0')}`;

let db: PGlite;

/** Runs purge.sql and gives what it reports, table → rows deleted. */
async function run(days: number): Promise<Record<string, number>> {
  const [report = ''] = (await runFile(db, purge, { retention_days: String(days) })).slice(-1);
  return Object.fromEntries(
    report
      .trim()
      .split(' ')
      .filter(Boolean)
      .map((entry) => {
        const [table = '', rows] = entry.split('=');
        return [table, Number(rows)];
      }),
  );
}

async function column(sql: string): Promise<unknown[]> {
  return (await db.query<Record<string, unknown>>(sql)).rows.map((row) => Object.values(row)[0]);
}

const addMessage = (number: number, daysAgo: number) =>
  db.exec(`INSERT INTO msg_messages VALUES
    (gen_random_uuid(), '${conversation(number)}', NULL, now() - interval '${daysAgo} days', '{"text": "hello"}')`);

const addConversation = (number: number, daysAgo: number) =>
  db.exec(`INSERT INTO msg_conversations VALUES
    ('${conversation(number)}', '${client}', '${user}', now() - interval '${daysAgo} days')`);

const addFile = (path: string, daysAgo: number, deleted: boolean, deletedDaysAgo?: number) =>
  db.exec(`INSERT INTO srv_ghost_files VALUES ('${path}', 'x', ${deleted}, now() - interval '${daysAgo} days');
    ${deletedDaysAgo === undefined ? '' : `INSERT INTO srv_ghost_index VALUES ('${path}', 'r', 'admin', now() - interval '${deletedDaysAgo} days')`}`);

beforeAll(async () => {
  db = await PGlite.create();
}, 60_000);

afterAll(() => db.close());

beforeEach(async () => {
  await db.exec('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
  await db.exec(tables);
  await db.exec(
    `INSERT INTO msg_clients VALUES ('${client}'); INSERT INTO msg_users VALUES ('${user}', '${client}')`,
  );
});

describe('messages and conversations', () => {
  it('go when they are older than the retention, the conversation only when it is empty', async () => {
    await addConversation(1, 100);
    await addMessage(1, 95);
    await addConversation(2, 100);
    await addMessage(2, 95);
    await addMessage(2, 1);
    await addConversation(3, 1);
    expect(await run(90)).toMatchObject({ msg_messages: 2, msg_conversations: 1 });
    expect(await column('SELECT id FROM msg_conversations ORDER BY id')).toEqual([
      conversation(2),
      conversation(3),
    ]);
    expect(await column('SELECT count(*)::int FROM msg_messages')).toEqual([1]);
  });

  it('take the link to the channel with them', async () => {
    await addConversation(1, 100);
    await db.exec(`INSERT INTO msg_channels VALUES ('${client}', 'slack', '1.0.0', true, true);
      INSERT INTO msg_tunnels VALUES ('${client}', '${client}', '${client}');
      INSERT INTO msg_identities VALUES ('${client}', '${client}', '*');
      INSERT INTO msg_senders VALUES ('${client}', '${client}', 'U123');
      INSERT INTO msg_threads VALUES ('${client}', '${client}', '*');
      INSERT INTO msg_convmap VALUES ('${client}', '${conversation(1)}', '${client}')`);
    expect(await run(90)).toMatchObject({ msg_conversations: 1 });
    expect(await column('SELECT count(*)::int FROM msg_convmap')).toEqual([0]);
    expect(await column('SELECT name FROM msg_senders')).toEqual(['U123']);
  });

  it('go from all stretches of a table that is larger than one', async () => {
    await addConversation(1, 1);
    await db.exec(`INSERT INTO msg_messages
      SELECT gen_random_uuid(), '${conversation(1)}', NULL, now() - (n % 2) * interval '100 days', jsonb_build_object('text', repeat('x', 500))
      FROM generate_series(1, 10000) AS n`);
    expect(await column(`SELECT pg_relation_size('msg_messages') / 8192 > 600`)).toEqual([true]);
    expect(await run(90)).toMatchObject({ msg_messages: 5000, msg_conversations: 0 });
    expect(await column('SELECT count(*)::int FROM msg_messages')).toEqual([5000]);
  });
});

it('deletes only log lines of the server, not of a bot, which have an expiry of their own', async () => {
  await db.exec(`INSERT INTO srv_logs ("botId", message, timestamp) VALUES
    (NULL, 'old', now() - interval '100 days'), (NULL, 'new', now()), ('support', 'of a bot', now() - interval '100 days')`);
  expect(await run(90)).toMatchObject({ srv_logs: 1 });
  expect(await column('SELECT message FROM srv_logs ORDER BY message')).toEqual(['new', 'of a bot']);
});

it('deletes health events past their time', async () => {
  await db.exec(`INSERT INTO msg_channels VALUES ('${client}', 'slack', '1.0.0', true, true);
    INSERT INTO msg_providers VALUES ('${client}', 'support', false);
    INSERT INTO msg_conduits VALUES ('${client}', '${client}', '${client}', '{}');
    INSERT INTO msg_health VALUES
      (gen_random_uuid(), '${client}', now() - interval '91 days', 'start'), (gen_random_uuid(), '${client}', now(), 'start')`);
  expect(await run(90)).toMatchObject({ msg_health: 1 });
});

describe('files', () => {
  it('go when they were deleted long ago, judged by the day of the deletion where it is known', async () => {
    await addFile('data/bots/a/flows/gone.json', 400, true, 100);
    await addFile('data/bots/a/flows/just-deleted.json', 400, true, 2);
    await addFile('data/bots/a/flows/folder-deleted.json', 400, true);
    await addFile('data/bots/a/flows/live.json', 400, false, 100);
    expect(await run(90)).toMatchObject({ srv_ghost_files: 2, srv_ghost_index: 1 });
    expect(await column('SELECT file_path FROM srv_ghost_files ORDER BY 1')).toEqual([
      'data/bots/a/flows/just-deleted.json',
      'data/bots/a/flows/live.json',
    ]);
    expect(await column('SELECT file_path FROM srv_ghost_index ORDER BY 1')).toEqual([
      'data/bots/a/flows/just-deleted.json',
      'data/bots/a/flows/live.json',
    ]);
  });

  it('that are models go a day after their deletion, and never while in use', async () => {
    await addFile('data/bots/a/models/old.model', 3, true, 2);
    await addFile('data/bots/a/models/today.model', 3, true, 0);
    await addFile('data/bots/a/models/used.model', 400, false);
    expect(await run(90)).toMatchObject({ srv_ghost_files: 1 });
    expect(await column('SELECT file_path FROM srv_ghost_files ORDER BY 1')).toEqual([
      'data/bots/a/models/today.model',
      'data/bots/a/models/used.model',
    ]);
  });
});

it('keeps everything with a retention of 0 days', async () => {
  await addConversation(1, 4000);
  await addFile('data/bots/a/models/old.model', 4000, true);
  expect(await run(0)).toEqual({});
  expect(await column('SELECT count(*)::int FROM msg_conversations')).toEqual([1]);
  expect(await column('SELECT count(*)::int FROM srv_ghost_files')).toEqual([1]);
});

it('finds nothing to do while Botpress has made no tables yet', async () => {
  await db.exec('DROP SCHEMA public CASCADE; CREATE SCHEMA public');
  expect(await run(90)).toEqual({});
});

it('finds nothing to do the second time', async () => {
  await addConversation(1, 100);
  await addMessage(1, 95);
  await run(90);
  expect(Object.values(await run(90))).toEqual([0, 0, 0, 0, 0, 0]);
});
