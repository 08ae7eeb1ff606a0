/**
 * The messaging process: owns the msg_ tables, users, conversations, messages and the channels' webhooks. Core
 * reaches it over HTTP, and so does the world through core's proxy.
 */
import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';
import { createServer } from 'node:http';
import { checkChannels } from './channels.js';
import { makeMissingTables, openPool } from './database.js';
import { knobs } from './knobs.js';
import { createLogger } from './log.js';
import { listenForMaster, readBody, sendJson } from './side.js';
import { messagingTables } from './tables.js';

const log = createLogger('Messaging');

/** Which messaging each server release bundles. */
const BUNDLED = {
  '12.31.10': '1.2.18',
  '12.31.9': '1.2.17',
  '12.31.8': '1.2.17',
  '12.31.7': '1.2.17',
  '12.31.5': '1.2.15',
  '12.31.0': '1.2.11',
};
const version = BUNDLED[knobs.version] ?? '1.2.18';

/** Bot id → its channels, once they passed the check. @type {Map<string, Record<string, object>>} */
const configured = new Map();

let pool;
try {
  pool = openPool({ ignoresSslMode: false });
  await prepareDatabase();
} catch (error) {
  log.error(`Messaging could not start: ${error.message}`);
  // A role or a network at fault does not end it: core stays without messaging. A newer database does.
  process.exit(error.fatal ? 1 : 0);
}

async function prepareDatabase() {
  const client = await pool.connect();
  try {
    await client.query('BEGIN');
    // Two messaging processes on an empty database wait for each other; only the cores collide.
    await client.query('SELECT pg_advisory_xact_lock(1231)');
    await makeMissingTables(client, messagingTables);
    const { rows } = await client.query('SELECT data FROM msg_meta ORDER BY time DESC LIMIT 1');
    const stored = rows[0]?.data?.version;
    if (stored && compareVersions(stored, version) > 0) {
      throw Object.assign(
        new Error(`invalid migration parameters: the database is at ${stored}, this is ${version}`),
        { fatal: true },
      );
    }
    if (stored !== version)
      await client.query('INSERT INTO msg_meta (time, data) VALUES (now(), $1)', [{ version }]);
    await client.query('COMMIT');
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    throw error;
  } finally {
    client.release();
  }
}

function compareVersions(a, b) {
  const [left, right] = [a, b].map((text) => text.split('.').map(Number));
  return left.map((number, i) => number - right[i]).find((difference) => difference !== 0) ?? 0;
}

/** Calls of core. @type {Record<string, (body: any) => Promise<unknown>>} */
const calls = {
  async createClient() {
    const id = randomUUID();
    const token = randomUUID();
    await pool.query('INSERT INTO msg_clients (id) VALUES ($1)', [id]);
    await pool.query('INSERT INTO msg_client_tokens (id, "clientId", token) VALUES ($1, $2, $3)', [
      randomUUID(),
      id,
      token,
    ]);
    return { id, token };
  },
  async hasClient({ clientId }) {
    const { rows } = await pool.query('SELECT 1 FROM msg_clients WHERE id = $1', [clientId]);
    return { exists: rows.length > 0 };
  },
  async sync({ clientId, botId, channels }) {
    configured.delete(botId);
    const enabled = await checkChannels(channels);
    const { rows } = await pool.query('SELECT id FROM msg_providers WHERE name = $1', [botId]);
    if (rows.length === 0) {
      const provider = randomUUID();
      await pool.query('INSERT INTO msg_providers (id, name, sandbox) VALUES ($1, $2, false)', [
        provider,
        botId,
      ]);
      await pool.query(
        'INSERT INTO msg_provisions ("clientId", "providerId") VALUES ($1, $2) ON CONFLICT DO NOTHING',
        [clientId, provider],
      );
    }
    configured.set(botId, Object.fromEntries(enabled.map((name) => [name, channels[name]])));
    return { webhooks: [{ token: randomUUID() }] };
  },
  async createUser({ clientId }) {
    const id = randomUUID();
    await pool.query('INSERT INTO msg_users (id, "clientId") VALUES ($1, $2)', [id, clientId]);
    return { id };
  },
  async hasUser({ userId }) {
    const { rows } = await pool.query('SELECT 1 FROM msg_users WHERE id = $1', [userId]);
    return { exists: rows.length > 0 };
  },
  async createConversation({ clientId, userId }) {
    const id = randomUUID();
    await pool.query(
      'INSERT INTO msg_conversations (id, "clientId", "userId", "createdOn") VALUES ($1, $2, $3, now())',
      [id, clientId, userId],
    );
    return { id };
  },
  async getConversation({ conversationId }) {
    const { rows } = await pool.query('SELECT * FROM msg_conversations WHERE id = $1', [conversationId]);
    return { conversation: rows[0] ?? null };
  },
  async listConversations({ userId, limit }) {
    const { rows } = await pool.query(
      'SELECT * FROM msg_conversations WHERE "userId" = $1 ORDER BY "createdOn" DESC LIMIT $2',
      [userId, limit],
    );
    return { conversations: rows };
  },
  async createMessage({ conversationId, authorId, payload }) {
    const { rows } = await pool.query(
      'INSERT INTO msg_messages (id, "conversationId", "authorId", "sentOn", payload) VALUES ($1, $2, $3, now(), $4) RETURNING *',
      [randomUUID(), conversationId, authorId ?? null, JSON.stringify(payload)],
    );
    return rows[0];
  },
  async listMessages({ conversationId, limit }) {
    const { rows } = await pool.query(
      'SELECT * FROM msg_messages WHERE "conversationId" = $1 ORDER BY "sentOn" DESC LIMIT $2',
      [conversationId, limit],
    );
    return { messages: rows };
  },
  async deleteMessages({ conversationId }) {
    await pool.query('DELETE FROM msg_messages WHERE "conversationId" = $1', [conversationId]);
    return {};
  },
};

const server = createServer(async (request, response) => {
  const url = new URL(request.url, 'http://messaging');
  if (url.pathname === '/status') return response.end('OK');
  if (url.pathname === '/version') return response.end(version);
  const webhook = /^\/webhooks\/v1\/([^/]+)\/([^/]+)(?:\/([^/]+))?/.exec(url.pathname);
  if (webhook)
    return answerWebhook(
      request,
      response,
      url,
      webhook.slice(1).map((part) => part && decodeURIComponent(part)),
    );
  if (request.headers['x-stand-in-key'] !== process.env.STANDIN_INTERNAL_KEY) {
    return sendJson(response, 403, { statusCode: 403, message: 'Forbidden' });
  }
  try {
    const body = JSON.parse((await readBody(request)).toString() || '{}');
    return sendJson(response, 200, await calls[url.pathname.slice('/internal/'.length)](body));
  } catch (error) {
    return sendJson(response, 400, { statusCode: 400, message: error.message });
  }
});

/** Only routes of channels that passed the check exist. Signatures are checked where that decides the answer. */
async function answerWebhook(request, response, url, [botId, channel, token]) {
  const config = configured.get(botId)?.[channel];
  const body = await readBody(request);
  // The route of Telegram ends with the token of the bot.
  if (!config || (channel === 'telegram' && !token))
    return sendJson(response, 404, { statusCode: 404, message: 'Not Found' });
  if (channel === 'messenger' && request.method === 'GET') {
    const right = url.searchParams.get('hub.verify_token') === config.verifyToken;
    return response.writeHead(right ? 200 : 403).end(right ? url.searchParams.get('hub.challenge') : '');
  }
  if (channel === 'telegram' && token !== config.botToken) return response.writeHead(401).end();
  if (channel === 'messenger' && request.headers['x-hub-signature'] === undefined) {
    log.error("Cannot read properties of undefined (reading 'split')", botId);
    return sendJson(response, 500, { statusCode: 500, message: 'Internal Server Error' });
  }
  if (!signatureFits(channel, config, request, body, botId))
    return response.writeHead(channel === 'messenger' ? 403 : 401).end();
  log.info(`Webhook of ${channel} received ${body.length} bytes`, botId);
  return response.writeHead(200).end();
}

function signatureFits(channel, config, { headers }, body, botId) {
  if (channel === 'messenger') {
    return same(
      headers['x-hub-signature'],
      `sha1=${createHmac('sha1', config.appSecret).update(body).digest('hex')}`,
    );
  }
  if (channel === 'slack') {
    const time = headers['x-slack-request-timestamp'];
    if (!time || Math.abs(Date.now() / 1000 - Number(time)) > 300) return false;
    return same(
      headers['x-slack-signature'],
      `v0=${createHmac('sha256', config.signingSecret).update(`v0:${time}:${body}`).digest('hex')}`,
    );
  }
  if (channel === 'twilio') {
    // Twilio signs the public address: a wrong EXTERNAL_URL shows here.
    const address = `${process.env.EXTERNAL_URL ?? ''}/api/v1/messaging/webhooks/v1/${botId}/twilio`;
    const fields = [...new URLSearchParams(body.toString())].sort(([a], [b]) => (a < b ? -1 : 1));
    return same(
      headers['x-twilio-signature'],
      createHmac('sha1', config.authToken)
        .update(address + fields.flat().join(''))
        .digest('base64'),
    );
  }
  return true;
}

function same(given, wanted) {
  const [a, b] = [Buffer.from(String(given ?? '')), Buffer.from(wanted)];
  return a.length === b.length && timingSafeEqual(a, b);
}

listenForMaster(server);
