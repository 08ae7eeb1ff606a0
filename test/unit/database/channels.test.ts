import { readFileSync } from 'node:fs';
import { PGlite } from '@electric-sql/pglite';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { runFile } from './psql.ts';
import { deploymentOf, renderDatabase } from './rendered.ts';

const tables = readFileSync(new URL('./botpress-tables.sql', import.meta.url), 'utf8');
const sync =
  renderDatabase(deploymentOf({ channels: ['web', 'slack', 'telegram', 'teams'] })).get(
    'database/sql/channels.sql',
  ) ?? '';

const path = 'data/bots/support/bot.config.json';
const telegram = { version: '1.0.0', enabled: true, botToken: '%SUPPORT_TELEGRAM_BOT_TOKEN%' };
const teams = {
  version: '1.0.0',
  enabled: true,
  appId: '%SUPPORT_TEAMS_APP_ID%',
  appPassword: '%SUPPORT_TEAMS_APP_PASSWORD%',
};

let db: PGlite;

/** Runs channels.sql for the bot support and gives what it says it did. */
async function run(enabled: Record<string, object>): Promise<string | undefined> {
  const variables = { bot: 'support', managed: 'slack,teams,telegram', enabled: JSON.stringify(enabled) };
  return (await runFile(db, sync, variables)).at(-1);
}

const store = (content: string | object, deleted = false) =>
  db.query(`INSERT INTO srv_ghost_files VALUES ($1, convert_to($2, 'UTF8'), $3, '2020-01-01')`, [
    path,
    typeof content === 'string' ? content : JSON.stringify(content, undefined, 2),
    deleted,
  ]);

async function read(): Promise<{ text: string; modified: string }> {
  const { rows } = await db.query<{ text: string; modified: string }>(
    `SELECT convert_from(content, 'UTF8') AS text, modified_on::date::text AS modified FROM srv_ghost_files WHERE file_path = $1`,
    [path],
  );
  return rows[0] ?? { text: '', modified: '' };
}

const channelsOf = async () => JSON.parse((await read()).text).messaging.channels;

beforeAll(async () => {
  db = await PGlite.create();
  await db.exec(tables);
}, 60_000);

afterAll(() => db.close());

beforeEach(() => db.exec('TRUNCATE srv_ghost_files, srv_ghost_index'));

it('adds what is on, takes out what is off and leaves channels of others alone', async () => {
  const own = { version: '1.0.0', enabled: true, token: 'x' };
  await store({ id: 'support', messaging: { channels: { slack: { version: '1.0.0' }, custom: own } } });
  expect(await run({ telegram })).toBe('-slack +telegram');
  expect(await channelsOf()).toEqual({ custom: own, telegram });
});

it('keeps every other key as it was written, in its order, and records no revision', async () => {
  const text =
    '{"z": 1.0, "id": "support", "big": 12345678901234567890, "messaging": {"x": "\\u00e9", "channels": {}}, "a": "😀 \\u0000"}';
  await store(text);
  await run({ telegram });
  const after = (await read()).text;
  expect(Object.keys(JSON.parse(after))).toEqual(['z', 'id', 'big', 'messaging', 'a']);
  for (const part of ['1.0', '12345678901234567890', '"\\u00e9"', '"😀 \\u0000"'])
    expect(after).toContain(part);
  expect((await db.query('SELECT * FROM srv_ghost_index')).rows).toEqual([]);
});

it('touches nothing when the row is as it should be', async () => {
  await store({ messaging: { channels: { telegram } } });
  const before = await read();
  expect(await run({ telegram })).toBe('unchanged');
  expect(await read()).toEqual(before);
});

it('says so and dates the row when it changed', async () => {
  await store({ messaging: { channels: {} } });
  await run({ telegram });
  expect((await read()).modified).not.toBe('2020-01-01');
  expect(await run({ telegram })).toBe('unchanged');
});

it('turns a credential that Botpress wrote out into its placeholder again, and keeps an optional key', async () => {
  await store({
    messaging: { channels: { teams: { ...teams, appPassword: 'written out', tenantId: 't' } } },
  });
  expect(await run({ teams })).toBe('~teams');
  expect(await channelsOf()).toEqual({ teams: { ...teams, tenantId: 't' } });
});

it('replaces an entry of another version, whose keys this one would refuse', async () => {
  await store({ messaging: { channels: { telegram: { enabled: true, legacyKey: 1 } } } });
  await run({ telegram });
  expect(await channelsOf()).toEqual({ telegram });
});

describe.each([
  ['no messaging', { id: 'support' }],
  ['messaging null', { id: 'support', messaging: null }],
  ['messaging without channels', { id: 'support', messaging: { legacy: true } }],
  ['channels null', { id: 'support', messaging: { channels: null } }],
])('a configuration with %s', (_, config) => {
  it('gets what is on', async () => {
    await store(config);
    expect(await run({ telegram })).toBe('+telegram');
    expect(await channelsOf()).toEqual({ telegram });
    expect(JSON.parse((await read()).text).id).toBe('support');
  });

  it('stays as it is when everything is off', async () => {
    await store(config);
    expect(await run({})).toBe('unchanged');
    expect((await read()).modified).toBe('2020-01-01');
  });
});

it.each(['not JSON', '[]', '{"messaging": []}', '{"messaging": {"channels": 1}}', '"text"'])(
  'leaves a file alone that is not what Botpress expects: %s',
  async (text) => {
    await store(text);
    expect(await run({ telegram })).toBe('unreadable');
    expect((await read()).text).toBe(text);
  },
);

it('leaves a file alone that is not UTF-8', async () => {
  await db.exec(`INSERT INTO srv_ghost_files VALUES ('${path}', '\\xff7b7d', false, now())`);
  expect(await run({ telegram })).toBe('unreadable');
});

it('has nothing to do for a bot that was deleted', async () => {
  await store({ messaging: { channels: {} } }, true);
  expect(await run({ telegram })).toBe('absent');
});

it('has nothing to do before the first boot', async () => {
  expect(await run({ telegram })).toBe('absent');
  await db.exec('DROP TABLE srv_ghost_files');
  expect(await run({ telegram })).toBe('absent');
  await db.exec(
    'CREATE TABLE srv_ghost_files (file_path varchar(255) PRIMARY KEY, content bytea, deleted boolean, modified_on timestamptz)',
  );
});
