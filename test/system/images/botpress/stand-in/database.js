/** PostgreSQL as the real server uses it: one pool a process, tables made when they are missing. */
import pg from 'pg';
import { knobs, sleep } from './knobs.js';

/** Messages carry JSON and times; bigint counts fit a number here. */
pg.types.setTypeParser(20, Number);

/** Knex's defaults, which DATABASE_POOL replaces one by one. */
const POOL = { min: 2, max: 10 };

/**
 * @param {{ ignoresSslMode: boolean, warn?: (message: string) => void }} options
 * ignoresSslMode: core and studio do not read `sslmode` (plaintext unless ssl=true), messaging does
 * @returns {import('pg').Pool}
 */
export function openPool({ ignoresSslMode, warn = () => {} }) {
  const url = process.env.DATABASE_URL;
  if (!url || !/^postgres/.test(url)) {
    throw new Error('the stand-in knows PostgreSQL only: DATABASE_URL must begin with postgres');
  }
  const connection = new URL(url);
  if (ignoresSslMode) connection.searchParams.delete('sslmode');
  let sizes = { ...POOL };
  if (process.env.DATABASE_POOL) {
    try {
      sizes = { ...sizes, ...JSON.parse(process.env.DATABASE_POOL) };
    } catch {
      warn('Invalid JSON in DATABASE_POOL, using the default pool');
    }
  }
  const pool = new pg.Pool({
    connectionString: connection.href,
    min: sizes.min,
    max: sizes.max,
    idleTimeoutMillis: sizes.idleTimeoutMillis ?? 30_000,
    application_name: ignoresSslMode ? 'botpress' : 'botpress-messaging',
  });
  // A connection that the server ends while idle is not an error of ours: the next query opens another.
  pool.on('error', () => {});
  const searchPath = process.env.DATABASE_PG_SEARCH_PATH;
  if (ignoresSslMode && searchPath) {
    const names = searchPath.split(',').map((name) => `"${name.trim().replaceAll('"', '')}"`);
    pool.on('connect', (client) => client.query(`SET search_path TO ${names.join(', ')}`).catch(() => {}));
  }
  return pool;
}

/**
 * Makes the tables that are missing. As on the real server the look and the making are two steps, so that of two
 * nodes on an empty database one fails.
 * @param {import('pg').Pool | import('pg').PoolClient} client
 * @param {import('./tables.js').Table[]} tables
 * @returns {Promise<boolean>} whether any was made
 */
export async function makeMissingTables(client, tables) {
  let made = false;
  for (const table of tables) {
    const { rows } = await client.query('SELECT to_regclass($1) AS name', [`"${table.name}"`]);
    if (rows[0].name !== null) continue;
    if (!made) await sleep(knobs.tableDelayMs);
    await client.query(table.sql);
    made = true;
  }
  return made;
}
