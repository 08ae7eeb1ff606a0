import type { RoleName } from '../../../src/deployment/database.ts';

/** Whether a statement succeeds, with row-level security off and on. `denied` is SQLSTATE 42501 and nothing else. */
export type Outcome = 'allowed' | 'denied';

export interface MatrixLine {
  role: RoleName;
  statement: string;
  off: Outcome;
  on: Outcome;
}

const always = (outcome: Outcome) => ({ off: outcome, on: outcome });
const onlyWhileOff = { off: 'allowed', on: 'denied' } as const;

const lines: Record<RoleName, [string, Pick<MatrixLine, 'off' | 'on'>][]> = {
  // What Botpress does at boot, at work and in a migration; and what would make it more than an owner.
  owner: [
    ['CREATE TABLE module_table (id serial PRIMARY KEY)', always('allowed')],
    ['ALTER TABLE events ADD COLUMN more text', always('allowed')],
    ['ALTER TABLE events DROP COLUMN event', always('allowed')],
    ['DROP TABLE bot_analytics', always('allowed')],
    ['CREATE SCHEMA more', always('allowed')],
    ['CREATE EXTENSION pgcrypto', always('allowed')],
    [
      `INSERT INTO srv_channel_users (channel, user_id, created_at, updated_at) VALUES ('web', 'u', now(), now())`,
      always('allowed'),
    ],
    ['SELECT password FROM strategy_default', always('allowed')],
    ['UPDATE msg_messages SET payload = payload', always('allowed')],
    ['DELETE FROM events', always('allowed')],
    ['CREATE ROLE other', always('denied')],
    ['ALTER ROLE botpress SUPERUSER', always('denied')],
    ['SET ROLE postgres', always('denied')],
    ['SET ROLE botpress_backup', always('denied')],
    [`COPY (SELECT 1) TO PROGRAM 'cat'`, always('denied')],
    [`SELECT pg_read_file('postgresql.conf')`, always('denied')],
    ['SELECT rolpassword FROM pg_authid', always('denied')],
  ],
  backup: [
    ['SELECT password FROM strategy_default', always('allowed')],
    ['SELECT payload FROM msg_messages', always('allowed')],
    ['SELECT content FROM srv_ghost_files', always('allowed')],
    ['SELECT last_value FROM srv_channel_users_id_seq', always('allowed')],
    ['SELECT * FROM later_table', always('allowed')],
    ['LOCK TABLE events IN ACCESS SHARE MODE', always('allowed')],
    ['DELETE FROM events', always('denied')],
    ['UPDATE msg_messages SET payload = payload', always('denied')],
    ['CREATE TABLE other (id integer)', always('denied')],
    ['CREATE TEMP TABLE other (id integer)', always('denied')],
    ['SET ROLE botpress', always('denied')],
    // pg_read_all_data covers the catalogue too; pg_dumpall --globals-only needs just that.
    ['SELECT rolpassword FROM pg_authid', always('allowed')],
  ],
  readonly: [
    ['SELECT * FROM bot_analytics', always('allowed')],
    ['SELECT * FROM srv_migrations', always('allowed')],
    ['SELECT "botId", channel, type, "createdOn" FROM events', always('allowed')],
    ['SELECT count(*) FROM msg_messages', always('allowed')],
    ['SELECT "conversationId", max("sentOn") FROM msg_messages GROUP BY 1', always('allowed')],
    ['SELECT * FROM events', onlyWhileOff],
    ['SELECT payload FROM msg_messages', onlyWhileOff],
    ['SELECT email FROM workspace_users', onlyWhileOff],
    ['SELECT session_data FROM dialog_sessions', onlyWhileOff],
    ['SELECT attributes FROM srv_channel_users', onlyWhileOff],
    ['SELECT name FROM msg_senders', onlyWhileOff],
    ['SELECT message FROM srv_logs', onlyWhileOff],
    ['SELECT preview FROM misunderstood', onlyWhileOff],
    ['SELECT content FROM comments', onlyWhileOff],
    ['SELECT * FROM later_table', onlyWhileOff],
    ['SELECT file_path, deleted FROM srv_ghost_files', always('allowed')],
    ['SELECT content FROM srv_ghost_files', always('denied')],
    ['SELECT config FROM srv_channels', always('denied')],
    ['SELECT config FROM msg_conduits', always('denied')],
    ['SELECT token FROM msg_client_tokens', always('denied')],
    ['SELECT token FROM msg_user_tokens', always('denied')],
    ['SELECT token FROM msg_webhooks', always('denied')],
    ['SELECT password FROM strategy_default', always('denied')],
    ['SELECT email FROM strategy_saml', always('denied')],
    ['SELECT "inviteCode" FROM workspace_invite_codes', always('denied')],
    ['DELETE FROM bot_analytics', always('denied')],
    ['INSERT INTO srv_metadata (created_at, updated_at) VALUES (now(), now())', always('denied')],
    ['TRUNCATE bot_analytics', always('denied')],
    ['LOCK TABLE events IN EXCLUSIVE MODE', always('denied')],
    ['CREATE TABLE other (id integer)', always('denied')],
    ['CREATE TEMP TABLE other (id integer)', always('denied')],
    [`SELECT nextval('srv_channel_users_id_seq')`, always('denied')],
    ['SET ROLE botpress', always('denied')],
  ],
  monitor: [
    ['SELECT query FROM pg_stat_activity', always('allowed')],
    [`SELECT pg_database_size(current_database())`, always('allowed')],
    ['SELECT name, setting FROM pg_settings', always('allowed')],
    ['SELECT * FROM bot_analytics', always('allowed')],
    ['SELECT "botId", count(*) FROM events WHERE "createdOn" > now() GROUP BY 1', always('allowed')],
    ['SELECT count(*) FROM msg_messages WHERE "sentOn" > now()', always('allowed')],
    [
      'SELECT c."botId", count(*) FROM srv_channels c JOIN msg_conversations USING ("clientId") GROUP BY 1',
      always('allowed'),
    ],
    ['SELECT "conduitId", "numberOfErrors" FROM msg_status', always('allowed')],
    ['SELECT level, count(*) FROM srv_logs GROUP BY 1', always('allowed')],
    ['SELECT count(*) FROM dialog_sessions', always('allowed')],
    ['SELECT event FROM events', always('denied')],
    ['SELECT payload FROM msg_messages', always('denied')],
    ['SELECT message FROM srv_logs', always('denied')],
    ['SELECT "lastError" FROM msg_status', always('denied')],
    ['SELECT email FROM workspace_users', always('denied')],
    ['SELECT * FROM strategy_default', always('denied')],
    ['SELECT config FROM srv_channels', always('denied')],
    ['SELECT * FROM later_table', always('denied')],
    ['DELETE FROM events', always('denied')],
    ['CREATE TABLE other (id integer)', always('denied')],
    ['SET ROLE pg_read_all_data', always('denied')],
  ],
  purge: [
    ['DELETE FROM msg_messages WHERE "sentOn" < now()', always('allowed')],
    [`SELECT id FROM msg_conversations WHERE "createdOn" < now() FOR UPDATE SKIP LOCKED`, always('allowed')],
    ['DELETE FROM msg_conversations WHERE "createdOn" < now()', always('allowed')],
    ['DELETE FROM msg_health WHERE "time" < now()', always('allowed')],
    ['DELETE FROM srv_logs WHERE "botId" IS NULL', always('allowed')],
    ['DELETE FROM srv_ghost_files WHERE deleted', always('allowed')],
    ['DELETE FROM srv_ghost_index WHERE created_on < now()', always('allowed')],
    ['SELECT payload FROM msg_messages', always('denied')],
    ['SELECT message FROM srv_logs', always('denied')],
    ['SELECT content FROM srv_ghost_files', always('denied')],
    ['UPDATE srv_ghost_files SET deleted = true', always('denied')],
    ['UPDATE msg_conversations SET "userId" = "userId"', always('denied')],
    ['INSERT INTO msg_clients SELECT gen_random_uuid()', always('denied')],
    ['DELETE FROM events', always('denied')],
    ['DELETE FROM msg_users', always('denied')],
    ['DELETE FROM dialog_sessions', always('denied')],
    ['TRUNCATE srv_logs', always('denied')],
    ['SELECT password FROM strategy_default', always('denied')],
    ['CREATE TABLE other (id integer)', always('denied')],
    ['SET ROLE botpress', always('denied')],
  ],
};

/**
 * Role × statement → outcome. Each statement is run for itself and rolled back, on the tables of `botpress-tables.sql`
 * plus `strategySaml` made before the privileges were applied and `laterTable` made by the owner afterwards.
 */
export const matrix: readonly MatrixLine[] = Object.entries(lines).flatMap(([role, statements]) =>
  statements.map(([statement, outcome]) => ({ role: role as RoleName, statement, ...outcome })),
);

/** A second table of staff accounts, as another authentication strategy makes it. */
export const strategySaml =
  'CREATE TABLE strategy_saml (id serial PRIMARY KEY, email varchar(255), password varchar(255))';

/** A table that a module makes months later. */
export const laterTable = 'CREATE TABLE later_table (id serial PRIMARY KEY, visitor text)';
