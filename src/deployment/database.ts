/** The database of an environment: roles, limits and the connection budget. */

/** Statements in database/sql that every deployment has; with channels there is one more. */
export const DATABASE_STATEMENTS = [
  'passwords',
  'privileges',
  'purge',
  'roles',
  'row-level-security',
  'row-level-security-undo',
  'secure',
  'state',
  'tables',
] as const;

export type RoleName = 'owner' | 'backup' | 'readonly' | 'monitor' | 'purge';

export interface Role {
  /** Name in PostgreSQL. */
  name: string;
  purpose: string;
  /** Secret that holds its password. */
  secret: string;
  connectionLimit: number;
  /** Milliseconds; 0 is no limit. */
  statementTimeout: number;
  lockTimeout: number;
  idleInTransactionTimeout: number;
}

export interface Database {
  name: string;
  /** As the containers reach it. */
  host: string;
  port: number;
  /** Pool of each Botpress process (tarn options of `DATABASE_POOL`). */
  pool: { min: number; max: number };
  /** Connections that one Botpress node may open. */
  connectionsPerNode: number;
  maxConnections: number;
  roles: Record<RoleName, Role>;
  rowLevelSecurity: boolean;
  /** Days; 0 keeps everything. */
  retentionDays: number;
}

/** Vendor's own cloud template (botpress-aws-cdk) runs each pool with 2 to 5 connections. */
const POOL = { min: 2, max: 5 };

/** Core, studio, messaging and the NLU's file store each open a pool of their own. */
const POOLS_PER_NODE = 4;

/** NLU training pool and LISTEN connections of one node. */
const EXTRA_PER_NODE = 5;

/** For superusers at work, autovacuum's neighbours and the containers' own health checks. */
const RESERVE = 10;

/**
 * Roles and limits for `nodes` Botpress nodes that may run at the same time (both colours counted during a rollout).
 * The sum of all connection limits plus the reserve is `maxConnections`, rounded up to the next ten.
 */
export function deriveDatabase(nodes: number, rowLevelSecurity: boolean, retentionDays: number): Database {
  const connectionsPerNode = POOL.max * POOLS_PER_NODE + EXTRA_PER_NODE;
  const minute = 60_000;
  const role = (
    name: string,
    purpose: string,
    connectionLimit: number,
    statementTimeout: number,
    lockTimeout: number,
  ): Role => ({
    name,
    purpose,
    secret: `${name.replaceAll('_', '-')}-password`,
    connectionLimit,
    statementTimeout,
    lockTimeout,
    idleInTransactionTimeout: 5 * minute,
  });
  const roles: Record<RoleName, Role> = {
    // Migrations run as this role and may hold a statement or a lock for long: no limit on either.
    owner: role('botpress', 'owns the database; Botpress itself', nodes * connectionsPerNode, 0, 0),
    // A dump reads every table in one transaction, in parallel where it pays.
    backup: role('botpress_backup', 'reads everything for backups', 6, 0, minute),
    readonly: role('botpress_readonly', 'people and dashboards that read', 5, minute, 10_000),
    monitor: role('botpress_monitor', 'metrics', 4, 10_000, 2_000),
    purge: role('botpress_purge', 'deletes what is past its retention', 2, 10 * minute, 10_000),
  };
  const limits = Object.values(roles).reduce((sum, { connectionLimit }) => sum + connectionLimit, 0);
  return {
    name: 'botpress',
    host: 'postgres',
    port: 5432,
    pool: POOL,
    connectionsPerNode,
    maxConnections: Math.ceil((limits + RESERVE) / 10) * 10,
    roles,
    rowLevelSecurity,
    retentionDays,
  };
}
