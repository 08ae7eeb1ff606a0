import { readFileSync } from 'node:fs';
import { createHash, createHmac, pbkdf2Sync } from 'node:crypto';
import { PGlite } from '@electric-sql/pglite';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Database } from '../../../src/deployment/database.ts';
import { laterTable, matrix, strategySaml } from './matrix.ts';
import { runFile } from './psql.ts';
import { deploymentOf, renderDatabase } from './rendered.ts';

const tables = readFileSync(new URL('./botpress-tables.sql', import.meta.url), 'utf8');

/** Renders for the database that an in-process PostgreSQL has, which knows only one. */
function render(changes: Record<string, unknown> = {}): { database: Database; files: Map<string, string> } {
  const deployment = deploymentOf(changes);
  deployment.database.name = 'postgres';
  const rendered = renderDatabase(deployment);
  const files = new Map(
    [...rendered].map(([path, content]) => [path.slice(path.lastIndexOf('/') + 1), content]),
  );
  return { database: deployment.database, files };
}

const { database: facts, files } = render();
const roles = facts.roles;
const passwords = Object.fromEntries(Object.values(roles).map(({ secret }) => [secret, `${secret}-Ab_9`]));

/** What secure.sql does, without psql's own commands. */
async function secure(db: PGlite, rowLevelSecurity: 'on' | 'off', changed = files): Promise<void> {
  const text = (name: string) => changed.get(name) ?? '';
  await db.exec('BEGIN');
  await db.exec(`SET LOCAL botpress.row_level_security = '${rowLevelSecurity}'`);
  await runFile(db, text('roles.sql'));
  // Each password has its own `\set password`; in-process the variable is set before each call.
  const parts = text('passwords.sql').split(/^\\set password .*\/run\/secrets\/([a-z-]+)`$/m);
  await runFile(db, parts[0] ?? '');
  for (let index = 1; index < parts.length; index += 2)
    await runFile(db, parts[index + 1] ?? '', { password: passwords[parts[index] ?? ''] ?? '' });
  await runFile(db, text('tables.sql'));
  await runFile(db, text('privileges.sql'));
  await runFile(
    db,
    text(rowLevelSecurity === 'on' ? 'row-level-security.sql' : 'row-level-security-undo.sql'),
  );
  await db.exec('COMMIT');
  await db.exec('DISCARD TEMP');
}

async function stateOf(db: PGlite): Promise<string[]> {
  await db.exec('BEGIN');
  await runFile(db, files.get('state.sql') ?? '');
  const { rows } = await db.query<{ line: string }>(
    `SELECT item || ': ' || state AS line FROM security_state ORDER BY item`,
  );
  await db.exec('ROLLBACK');
  return rows.map(({ line }) => line);
}

async function asRole<T>(db: PGlite, role: string, action: () => Promise<T>): Promise<T> {
  await db.exec(`SET ROLE ${role}`);
  try {
    return await action();
  } finally {
    await db.exec('RESET ROLE');
  }
}

async function outcomeOf(db: PGlite, role: string, statement: string): Promise<string> {
  await db.exec('BEGIN');
  await db.exec(`SET LOCAL ROLE ${role}`);
  try {
    await db.exec(statement);
    return 'allowed';
  } catch (error) {
    return (error as { code?: string }).code === '42501' ? 'denied' : (error as Error).message;
  } finally {
    await db.exec('ROLLBACK');
  }
}

let db: PGlite;

beforeAll(async () => {
  db = await PGlite.create();
  await secure(db, 'off');
  await asRole(db, roles.owner.name, () => db.exec(`${tables}; ${strategySaml};`));
}, 60_000);

afterAll(() => db.close());

/** SET ROLE asks whether the session's user may; in-process that is always the superuser. Servers' files and extensions do not exist here. */
const inProcess = matrix.filter(({ statement }) => !/^SET ROLE|COPY|pg_read_file|EXTENSION/.test(statement));

describe.each(['off', 'on'] as const)('with row-level security %s', (mode) => {
  beforeAll(async () => {
    await secure(db, mode);
    await asRole(db, roles.owner.name, () => db.exec(`DROP TABLE IF EXISTS later_table; ${laterTable};`));
  }, 60_000);

  it.each(inProcess.map((line) => [line.role, line.statement, line[mode]] as const))(
    '%s: %s is %s',
    async (role, statement, outcome) => {
      expect(await outcomeOf(db, roles[role].name, statement)).toBe(outcome);
    },
  );

  it('changes nothing the second time', async () => {
    await asRole(db, roles.owner.name, () => db.exec('DROP TABLE later_table'));
    const before = await stateOf(db);
    expect(before.length).toBeGreaterThan(100);
    await secure(db, mode);
    expect(await stateOf(db)).toEqual(before);
    await asRole(db, roles.owner.name, () => db.exec(laterTable));
  });
});

describe('row-level security', () => {
  beforeAll(async () => {
    await asRole(db, roles.owner.name, () => db.exec(`DROP TABLE IF EXISTS later_table; TRUNCATE events`));
    await secure(db, 'on');
    await asRole(db, roles.owner.name, () =>
      db.exec(`INSERT INTO events (id, "botId", channel, direction, event, "createdOn")
               VALUES ('1', 'support', 'web', 'incoming', '{"text": "my name is Jane"}', now())`),
    );
    await db.exec(
      'CREATE ROLE curious; GRANT USAGE ON SCHEMA public TO curious; GRANT SELECT ON ALL TABLES IN SCHEMA public TO curious',
    );
  });

  const countAs = (role: string) =>
    asRole(
      db,
      role,
      async () => (await db.query<{ n: number }>('SELECT count(*)::int AS n FROM events')).rows[0]?.n,
    );

  it('leaves the owner and the backup role everything', async () => {
    expect(await countAs(roles.owner.name)).toBe(1);
    expect(await countAs(roles.backup.name)).toBe(1);
  });

  it('lets the reading roles count', async () => {
    expect(await countAs(roles.readonly.name)).toBe(1);
    expect(await countAs(roles.monitor.name)).toBe(1);
  });

  it('hides every row from a role that somebody made and granted everything to', async () => {
    expect(await countAs('curious')).toBe(0);
  });

  it('stands in no way of a migration that drops a column that readers may see', async () => {
    expect(await outcomeOf(db, roles.owner.name, 'ALTER TABLE events DROP COLUMN "botId"')).toBe('allowed');
  });

  it('is taken back without a trace, foreign policies excepted', async () => {
    await db.exec('CREATE POLICY own ON handoffs FOR SELECT TO curious USING (true)');
    await secure(db, 'off');
    const left = (await stateOf(db)).filter((line) => /policy|row-level/.test(line));
    expect(left).toEqual(['table handoffs, policy own: yes', 'table handoffs, row-level security: on']);
    expect(await countAs('curious')).toBe(1);
  });
});

describe('roles', () => {
  it('get exactly the attributes and memberships that they need back', async () => {
    const before = await stateOf(db);
    await db.exec(`ALTER ROLE ${roles.readonly.name} SUPERUSER CREATEDB CONNECTION LIMIT -1;
      GRANT pg_write_all_data, ${roles.owner.name} TO ${roles.monitor.name};
      ALTER ROLE ${roles.purge.name} RESET statement_timeout;
      GRANT ALL ON strategy_default TO ${roles.readonly.name};
      GRANT CREATE ON SCHEMA public TO PUBLIC`);
    expect(await stateOf(db)).not.toEqual(before);
    await secure(db, 'off');
    expect(await stateOf(db)).toEqual(before);
  });

  it('take a changed limit over', async () => {
    const grown = render({ edition: 'pro', 'scaling.replicas': 3 });
    await secure(db, 'off', grown.files);
    const state = await stateOf(db);
    expect(state).toContain(
      `role ${roles.owner.name}: login, at most ${grown.database.roles.owner.connectionLimit} connections`,
    );
    expect(grown.database.roles.owner.connectionLimit).not.toBe(roles.owner.connectionLimit);
  });

  it('are given a password that a SCRAM client can prove', async () => {
    const { rows } = await db.query<{ rolname: string; rolpassword: string }>(
      `SELECT rolname, rolpassword FROM pg_authid WHERE rolpassword IS NOT NULL AND rolname LIKE 'botpress%'`,
    );
    expect(rows).toHaveLength(Object.keys(roles).length);
    for (const { rolname, rolpassword } of rows)
      expect(rolpassword).toBe(
        scramVerifier(passwords[`${rolname.replaceAll('_', '-')}-password`] ?? '', rolpassword),
      );
  });

  it('keep their verifier while the password stays, and get another when it changes', async () => {
    const verifier = async () =>
      (
        await db.query<{ v: string }>(
          `SELECT rolpassword AS v FROM pg_authid WHERE rolname = '${roles.purge.name}'`,
        )
      ).rows[0]?.v;
    const before = await verifier();
    await secure(db, 'off');
    expect(await verifier()).toBe(before);
    passwords[roles.purge.secret] = 'another';
    await secure(db, 'off');
    expect(await verifier()).toBe(scramVerifier('another', (await verifier()) ?? ''));
    expect(await verifier()).not.toBe(before);
  });
});

/** The verifier of a password with the salt and iterations of a given one, by Node's own cryptography. */
function scramVerifier(password: string, like: string): string {
  const [, iterations, salt] = /^SCRAM-SHA-256\$(\d+):([^$]+)\$/.exec(like) ?? [];
  const salted = pbkdf2Sync(password, Buffer.from(salt ?? '', 'base64'), Number(iterations), 32, 'sha256');
  const hmac = (text: string) => createHmac('sha256', salted).update(text).digest();
  const stored = createHash('sha256').update(hmac('Client Key')).digest('base64');
  return `SCRAM-SHA-256$${iterations}:${salt}$${stored}:${hmac('Server Key').toString('base64')}`;
}
