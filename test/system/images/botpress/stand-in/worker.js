/**
 * The web worker: boots in the real server's order and fails the way it fails. `fatal` ends with code 0 after some
 * seconds; whatever goes wrong with the database or with JSON leaves a live process without a port, for ever.
 */
import { randomUUID } from 'node:crypto';
import { access, constants, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import path from 'node:path';
import { Redis } from 'ioredis';
import { createAccounts } from './accounts.js';
import { loadBot, readBotConfig } from './bots.js';
import {
  applyOverrides,
  defaultConfig,
  demandComplete,
  fillPlaceholders,
  newAppSecret,
} from './configuration.js';
import { databaseContent, diskContent, importOnce } from './content.js';
import { makeMissingTables, openPool } from './database.js';
import { createDialog } from './dialog.js';
import { startHttp } from './http.js';
import { isYes, knobs, sleep } from './knobs.js';
import { createLogger, takeLogRows } from './log.js';
import { ASSETS } from './pages.js';
import { findPort } from './ports.js';
import { coreTables } from './tables.js';

const log = createLogger('Launcher');
const startedAt = Date.now();
/** The last release that brought a migration of core. */
const LAST_MIGRATION = '12.30.8';
const LOG_BATCH_MS = 2000;
/** How long the real server takes to give up on a configuration, shortened. */
const FATAL_AFTER_MS = 3000;
const MIGRATION_MS = 3000;

class FatalError extends Error {}

/** Set by the master: where the side processes listen. */
const ports = {};
process.on('message', (message) => {
  if (message.type !== 'ports') return;
  for (const name of Object.keys(ports)) delete ports[name];
  Object.assign(ports, message.ports);
});
process.on('disconnect', () => process.exit(0));
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2']) process.on(signal, () => process.exit(0));

try {
  await boot();
} catch (error) {
  if (error instanceof FatalError) {
    log.error(error.message);
    await sleep(Math.max(0, startedAt + FATAL_AFTER_MS - Date.now()));
    process.exit(0);
  }
  log.error(`Error starting Botpress: ${error.message}`);
  if (isYes(process.env.STANDIN_STACKS)) console.log(error.stack);
  // No retry, no port, and no end, even when the cause goes away.
  setInterval(() => {}, 60_000);
}

async function boot() {
  const isProEnabled = isYes(process.env.PRO_ENABLED) || isYes(process.env.BP_CONFIG_PRO_ENABLED);
  const isClustered = isYes(process.env.CLUSTER_ENABLED);
  await prepareFolders();

  const pool = openPool({ ignoresSslMode: true, warn: log.warn });
  await pool.query('SELECT 1');
  await makeMissingTables(pool, coreTables);
  if (isClustered && !isProEnabled) {
    await sleep(FATAL_AFTER_MS);
    throw new FatalError(
      'Redis is enabled in your Botpress configuration. To use Botpress in a cluster, please upgrade to Botpress Pro.',
    );
  }

  const inDatabase = process.env.BPFS_STORAGE === 'database';
  const content = inDatabase ? databaseContent(pool) : diskContent();
  if (inDatabase && (await importOnce(pool, content)))
    log.info('Imported data/global and data/bots into the database');
  const config = await loadConfig(content, inDatabase, pool);
  await checkLogFolder(config);
  await checkEdition(content, isProEnabled);
  await migrate(pool, config);
  await writeAssets();

  const redis = isClustered ? await connectRedis() : undefined;
  const stateRedis = redis && isYes(process.env.USE_REDIS_STATE) ? redis.publisher : undefined;
  const bots = new Map();
  const clients = new Map();
  const accounts = createAccounts({ pool, content, config: () => config, secret: config.appSecret });
  const dialog = createDialog({
    pool,
    bots,
    collects: config.eventCollector.enabled,
    ignoredTypes: config.eventCollector.ignoredEventTypes,
    stateRedis,
  });
  const server = {
    pool,
    content,
    config,
    bots,
    clients,
    accounts,
    dialog,
    redis,
    messaging: callMessaging,
    isReady: () => ready,
    messagingIsUp,
    nluIsUp,
    studioPort: () => ports.studio,
    messagingPort: () => ports.messaging,
    mountBot,
    unmountBot,
    /** Kept in memory: of two nodes that write it, each overwrites what the other wrote. */
    workspaces: [],
  };
  let ready = false;
  let readySince = Infinity;

  setInterval(() => void storeLogs(pool), LOG_BATCH_MS);

  await sleep(Math.max(0, startedAt + knobs.listenAfterMs - Date.now()));
  if (knobs.neverListens) return;
  const port = await findPort(config.httpServer.port);
  if (port !== config.httpServer.port)
    log.warn(
      `Configured port ${config.httpServer.port} is already in use. Using next port available: ${port}`,
    );
  process.send({ type: 'registered', port });
  await startHttp(server, port);

  await accounts.createFirstAdmin();
  await mountAll();
  await sleep(Math.max(0, startedAt + knobs.readyAfterMs - Date.now()));
  if (knobs.neverReady) return;
  ready = true;
  readySince = Date.now();
  log.info(`Botpress is ready. Startup took ${Date.now() - startedAt}ms`);
  log.info(`Botpress is listening at: http://localhost:${port}`);
  log.info(`Botpress is exposed at: ${process.env.EXTERNAL_URL ?? `http://localhost:${port}`}`);
  if (knobs.crashAfterMs > 0) setTimeout(() => process.exit(1), knobs.crashAfterMs);
  if (knobs.memoryMb > 0) globalThis.ballast = Buffer.alloc(knobs.memoryMb * 1024 * 1024, 1);

  /** Core takes some seconds longer to wire messaging than to answer. */
  async function messagingIsUp() {
    if (knobs.messagingDown || Date.now() < readySince + knobs.messagingUpAfterMs) return false;
    return answers(`${messagingUrl()}/status`);
  }

  async function mountAll() {
    server.workspaces = JSON.parse(await content.read('global/workspaces.json'));
    const ids = server.workspaces.flatMap((workspace) => workspace.bots);
    if (ids.length === 0) return;
    await waitForMessaging();
    for (const id of ids) await mountBot(id);
  }

  async function mountBot(id) {
    try {
      const bot = await loadBot(content, id);
      if (bot.config.disabled) return log.info(`Bot ${id} is disabled`);
      if (!isProEnabled && bot.languages.length > 1)
        throw new FatalError(`Bot ${id} has more than one language, which requires Botpress Pro`);
      await configureChannels(id, bot.config.messaging?.channels ?? {});
      bots.set(id, bot);
      log.info(`Bot ${id} is mounted`, id);
    } catch (error) {
      if (error instanceof FatalError) throw error;
      log.error(`Cannot mount bot "${id}": ${error.message}`, id);
    }
  }

  async function unmountBot(id) {
    bots.delete(id);
    clients.delete(id);
    await callMessaging('sync', { botId: id, clientId: randomUUID(), channels: {} }).catch(() => {});
  }

  /** All channels of the bot in one request, all or nothing: a refusal leaves the bot without a messaging client. */
  async function configureChannels(botId, channels) {
    const clientId = await clientOf(botId);
    try {
      await callMessaging('sync', { clientId, botId, channels });
      clients.set(botId, clientId);
    } catch (error) {
      createLogger('Messaging').error(`Failed to configure channels [Error, ${error.message}]`, botId);
    }
    for (const name of Object.keys(channels)) {
      const address = `${process.env.EXTERNAL_URL ?? ''}/api/v1/messaging/webhooks/v1/${botId}/${name}`;
      createLogger('Messaging').info(
        `[${botId}] ${name[0].toUpperCase()}${name.slice(1)} webhook ${address}`,
        botId,
      );
    }
  }

  async function clientOf(botId) {
    const { rows } = await pool.query('SELECT "clientId" FROM srv_channels WHERE "botId" = $1', [botId]);
    if (rows[0] && (await callMessaging('hasClient', { clientId: rows[0].clientId })).exists)
      return rows[0].clientId;
    const { id, token } = await callMessaging('createClient', {});
    await pool.query('DELETE FROM srv_channels WHERE "botId" = $1', [botId]);
    await pool.query(
      `INSERT INTO srv_channels ("clientId", "botId", "clientToken", config) VALUES ($1, $2, $3, '{}')`,
      [id, botId, token],
    );
    return id;
  }
}

/** Three places must be writable: temporary files, data and the application's own folder. */
async function prepareFolders() {
  const sandbox = await mkdtemp(path.join(tmpdir(), 'bp-sandbox-')).catch((error) => {
    throw new FatalError(`Could not make the sandbox folder: ${error.message}`);
  });
  process.on('exit', () => void rm(sandbox, { recursive: true, force: true }));
  const appData = process.env.APP_DATA_PATH ?? path.join(process.env.HOME ?? '/home/botpress', 'botpress');
  try {
    await mkdir(appData, { recursive: true });
    await writeFile(path.join(appData, 'machine-id'), randomUUID());
  } catch (error) {
    throw new FatalError(`Could not write to APP_DATA_PATH: ${error.message}`);
  }
  try {
    await mkdir('data/storage', { recursive: true });
    await access('data', constants.W_OK);
  } catch (error) {
    throw new FatalError(`Could not write to the data folder: ${error.message}`);
  }
}

async function writeAssets() {
  try {
    for (const [name, text] of Object.entries(ASSETS)) {
      await mkdir(path.dirname(path.join('data/assets', name)), { recursive: true });
      await writeFile(path.join('data/assets', name), text);
    }
  } catch (error) {
    throw new FatalError(`Could not write data/assets: ${error.message}`);
  }
}

async function loadConfig(content, inDatabase, pool) {
  for (const schema of ['botpress.config.schema.json', 'bot.config.schema.json'])
    await keepSchema(schema, inDatabase, pool);
  const file = 'global/botpress.config.json';
  let text = await content.read(file);
  if (text === undefined) {
    text = JSON.stringify(defaultConfig(), undefined, 2);
    await writeFatal(content, file, text);
  }
  // Broken JSON is no fatal error: the process stays without a port.
  const stored = JSON.parse(text);
  const config = applyOverrides(JSON.parse(fillPlaceholders(text, process.env)), process.env);
  try {
    demandComplete(config);
  } catch (error) {
    throw new FatalError(error.message);
  }
  if (!config.appSecret) {
    config.appSecret = newAppSecret();
    await writeFatal(content, file, JSON.stringify({ ...stored, appSecret: config.appSecret }, undefined, 2));
  }
  if ((await content.read('global/workspaces.json')) === undefined) {
    await writeFatal(content, 'global/workspaces.json', JSON.stringify([emptyWorkspace()], undefined, 2));
  }
  return config;
}

/** Written only when missing: after an upgrade the old one stays. */
async function keepSchema(name, inDatabase, pool) {
  const schema = JSON.stringify({
    $schema: 'http://json-schema.org/draft-07/schema#',
    title: name,
    type: 'object',
  });
  if (inDatabase) {
    await pool.query(
      'INSERT INTO srv_ghost_files (file_path, content, deleted, modified_on) VALUES ($1, $2, false, now()) ON CONFLICT DO NOTHING',
      [`data/${name}`, Buffer.from(schema)],
    );
  } else {
    await writeFile(path.join('data', name), schema, { flag: 'wx' }).catch(() => {});
  }
}

async function writeFatal(content, file, text) {
  await content.write(file, text).catch((error) => {
    if (['EACCES', 'EROFS', 'EPERM'].includes(error.code))
      throw new FatalError(`Could not write ${file}: ${error.message}`);
    throw error;
  });
}

function emptyWorkspace() {
  const stage = {
    id: 'prod',
    label: 'Production',
    action: 'promote_copy',
    reviewers: [],
    minimumApprovals: 0,
    reviewSequence: 'parallel',
  };
  return {
    id: 'default',
    name: 'Default',
    audience: 'external',
    bots: [],
    roles: [],
    defaultRole: 'dev',
    adminRole: 'admin',
    pipeline: [stage],
  };
}

async function checkLogFolder(config) {
  const { enabled, folder } = config.logs.fileOutput;
  if (!enabled) return;
  await access(folder, constants.W_OK).catch((error) => {
    throw new FatalError(`Log folder: ${error.message}`);
  });
}

/** Community edition: one workspace, one pipeline stage, one language a bot. */
async function checkEdition(content, isProEnabled) {
  if (isProEnabled) return;
  const workspaces = JSON.parse(await content.read('global/workspaces.json'));
  const forbidden = (feature) =>
    new FatalError(`${feature} requires Botpress Pro. Please upgrade or change your configuration.`);
  if (workspaces.length > 1) throw forbidden('More than one workspace');
  if (workspaces.some((workspace) => (workspace.pipeline ?? []).length > 1))
    throw forbidden('More than one pipeline stage');
  for (const id of workspaces.flatMap((workspace) => workspace.bots)) {
    const bot = await readBotConfig(content, id).catch(() => undefined);
    if ((bot?.languages ?? []).length > 1) throw forbidden(`More than one language (bot ${id})`);
  }
}

async function migrate(pool, config) {
  const { rows } = await pool.query(
    'SELECT server_version FROM srv_metadata ORDER BY created_at DESC LIMIT 1',
  );
  const stored = rows[0]?.server_version;
  if (!stored) {
    await pool.query(
      'INSERT INTO srv_metadata (server_version, created_at, updated_at) VALUES ($1, now(), now())',
      [knobs.version],
    );
  }
  if (isYes(process.env.SKIP_MIGRATIONS)) return;
  const oldDatabase =
    stored !== undefined && isOlder(stored, LAST_MIGRATION) && !isOlder(knobs.version, LAST_MIGRATION);
  const oldConfig = typeof config.version === 'string' && isOlder(config.version, knobs.version);
  if (oldDatabase || oldConfig || knobs.migrationPending) {
    log.warn(`Your data needs to be migrated from ${stored ?? config.version} to ${knobs.version}`);
    if (!isYes(process.env.AUTO_MIGRATE)) {
      throw new FatalError(
        'Botpress needs to migrate your data. Please make a copy of your data, then start it with "./bp --auto-migrate" or set AUTO_MIGRATE=true',
      );
    }
    await sleep(MIGRATION_MS);
    if (knobs.migrationFails) throw new FatalError('Could not complete migration: the migration failed');
    await pool.query(
      'INSERT INTO srv_migrations ("initialVersion", "targetVersion", details, created_at, updated_at) VALUES ($1, $2, $3, now(), now())',
      [stored ?? config.version, knobs.version, 'Migrations completed'],
    );
    log.info('Migrations completed successfully');
  }
  if (stored && isOlder(stored, knobs.version))
    await pool.query('UPDATE srv_metadata SET server_version = $1, updated_at = now()', [knobs.version]);
}

function isOlder(a, b) {
  const [left, right] = [a, b].map((text) => text.split('.').map(Number));
  return (left.map((number, i) => number - right[i]).find((difference) => difference !== 0) ?? 0) < 0;
}

/** Cluster mode alone connects to Redis. */
async function connectRedis() {
  if (!process.env.REDIS_URL) throw new FatalError('REDIS_URL is required when CLUSTER_ENABLED is set');
  const options = { ...JSON.parse(process.env.REDIS_OPTIONS ?? '{}'), maxRetriesPerRequest: null };
  const nodes = process.env.REDIS_URL.startsWith('[') ? JSON.parse(process.env.REDIS_URL) : undefined;
  const open = () =>
    nodes ? new Redis.Cluster(nodes, { redisOptions: options }) : new Redis(process.env.REDIS_URL, options);
  const clients = { publisher: open(), subscriber: open(), scope: process.env.BP_REDIS_SCOPE };
  const redisLog = createLogger('Redis');
  let failures = 0;
  let isConnected = false;
  for (const client of [clients.publisher, clients.subscriber]) {
    client.on('error', (error) => {
      redisLog.error(`Redis: ${error.message}`);
      failures += 1;
      if (!isConnected && failures > 10) process.exit(0);
    });
  }
  await clients.publisher.ping();
  isConnected = true;
  return clients;
}

function messagingUrl() {
  return process.env.MESSAGING_ENDPOINT ?? `http://127.0.0.1:${ports.messaging || 9}`;
}

async function callMessaging(call, body) {
  const answer = await fetch(`${messagingUrl()}/internal/${call}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', 'x-stand-in-key': process.env.STANDIN_INTERNAL_KEY ?? '' },
    body: JSON.stringify(body),
  });
  const result = await answer.json();
  if (!answer.ok) throw new Error(result.message);
  return result;
}

/** Core wires itself to messaging only after studio has reported; a boot without messaging goes on without bots. */
async function waitForMessaging() {
  const deadline = Date.now() + 15_000;
  // The master tells 0 for one that gave up.
  while (Date.now() < deadline && ports.messaging !== 0) {
    if (ports.studio && (await answers(`${messagingUrl()}/status`))) return;
    await sleep(100);
  }
  log.error('Messaging did not start: bots cannot be mounted');
}

async function nluIsUp() {
  if (knobs.nluDown) return false;
  const endpoint = process.env.BP_MODULE_NLU_NLUSERVER_ENDPOINT;
  return answers(
    endpoint ? `${endpoint.replace(/\/+$/, '')}/info` : `http://127.0.0.1:${ports['nlu-process'] || 9}/info`,
  );
}

async function answers(url) {
  try {
    return (await fetch(url, { signal: AbortSignal.timeout(5000) })).ok;
  } catch {
    return false;
  }
}

async function storeLogs(pool) {
  for (const row of takeLogRows()) {
    await pool
      .query(
        'INSERT INTO srv_logs ("botId", hostname, timestamp, level, scope, message, metadata) VALUES ($1, $2, $3, $4, $5, $6, $7)',
        [row.botId, row.hostname ?? hostname(), row.timestamp, row.level, row.scope, row.message, ''],
      )
      .catch(() => {});
  }
}
