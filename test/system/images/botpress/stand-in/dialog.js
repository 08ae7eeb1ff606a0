/** From a user's message to the bot's answers: state in the database, events in batches. */
import { randomBytes, randomUUID } from 'node:crypto';
import { walkFlow } from './bots.js';
import { knobs, sleep } from './knobs.js';
import { createLogger } from './log.js';

const log = createLogger('Dialog');
const EVENT_BATCH_MS = 1000;
/** With USE_REDIS_STATE in a cluster the state waits in Redis and is written in batches; else it is written at once. */
const STATE_BATCH_MS = 5000;
const REDIS_STATE_S = 30;

/**
 * @param {{ pool: import('pg').Pool, bots: Map<string, import('./bots.js').Bot>, collects: boolean,
 *   ignoredTypes: string[], stateRedis?: import('ioredis').Redis }} server
 */
export function createDialog({ pool, bots, collects, ignoredTypes, stateRedis }) {
  let events = [];
  /** Session id → what waits to be written. */
  const batch = new Map();
  /** One user's messages are taken one after another. @type {Map<string, Promise<unknown>>} */
  const queues = new Map();

  setInterval(flushEvents, EVENT_BATCH_MS);
  if (stateRedis) setInterval(flushSessions, STATE_BATCH_MS);

  async function flushEvents() {
    const rows = events;
    events = [];
    for (const event of rows) {
      await pool
        .query(
          `INSERT INTO events (id, "messageId", "botId", channel, "threadId", target, "sessionId", type, direction, "incomingEventId", success, event, "createdOn")
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING`,
          [
            event.id,
            event.messageId ?? null,
            event.botId,
            event.channel,
            event.threadId ?? null,
            event.target,
            event.sessionId,
            event.type,
            event.direction,
            event.incomingEventId ?? null,
            true,
            JSON.stringify(event),
            event.createdOn,
          ],
        )
        .catch((error) => log.error(`Events could not be stored: ${error.message}`));
    }
  }

  async function flushSessions() {
    const sessions = [...batch];
    batch.clear();
    for (const [id, state] of sessions)
      await writeSession(id, state).catch((error) =>
        log.error(`State could not be stored: ${error.message}`),
      );
  }

  function collect(event) {
    if (collects && !ignoredTypes.includes(event.type)) events.push(event);
  }

  /** Makes the user where missing. @returns {Promise<object>} the attributes */
  async function getOrCreateUser(channel, userId, botId) {
    const { rows } = await pool.query(
      'SELECT attributes FROM srv_channel_users WHERE channel = $1 AND user_id = $2',
      [channel, userId],
    );
    if (rows.length === 0) {
      await pool.query(
        `INSERT INTO srv_channel_users (channel, user_id, attributes, created_at, updated_at) VALUES ($1, $2, '{}', now(), now()) ON CONFLICT DO NOTHING`,
        [channel, userId],
      );
    }
    await pool.query(
      `INSERT INTO bot_chat_users ("botId", channel, "userId", "createdOn", "lastSeenOn") VALUES ($1, $2, $3, now(), now())
       ON CONFLICT ("botId", channel, "userId") DO UPDATE SET "lastSeenOn" = now()`,
      [botId, channel, userId],
    );
    return rows[0]?.attributes ?? {};
  }

  async function setUserAttributes(channel, userId, attributes) {
    await pool.query(
      'UPDATE srv_channel_users SET attributes = $3, updated_at = now() WHERE channel = $1 AND user_id = $2',
      [channel, userId, JSON.stringify(attributes)],
    );
  }

  async function readSession(id) {
    const kept = stateRedis && (await stateRedis.get(`sessionstate_${id}`).catch(() => undefined));
    if (kept) return JSON.parse(kept);
    const { rows } = await pool.query(
      'SELECT context, temp_data, session_data FROM dialog_sessions WHERE id = $1 AND (session_expiry IS NULL OR session_expiry > now())',
      [id],
    );
    return {
      context: rows[0]?.context ?? {},
      temp: rows[0]?.temp_data ?? {},
      session: rows[0]?.session_data ?? {},
    };
  }

  async function saveSession(id, state) {
    if (!stateRedis) return writeSession(id, state);
    batch.set(id, state);
    await stateRedis.set(`sessionstate_${id}`, JSON.stringify(state), 'EX', REDIS_STATE_S).catch(() => {});
  }

  async function writeSession(id, { context, temp, session }) {
    await pool.query(
      `INSERT INTO dialog_sessions (id, context, temp_data, session_data, context_expiry, session_expiry, created_on, modified_on)
       VALUES ($1, $2, $3, $4, now() + interval '25 minutes', now() + interval '30 minutes', now(), now())
       ON CONFLICT (id) DO UPDATE SET context = $2, temp_data = $3, session_data = $4,
         context_expiry = now() + interval '25 minutes', session_expiry = now() + interval '30 minutes', modified_on = now()`,
      [id, JSON.stringify(context), JSON.stringify(temp), JSON.stringify(session)],
    );
  }

  /**
   * Takes one message of a user through its bot.
   * @param {{ botId: string, channel: string, target: string, threadId?: string, messageId?: string, payload: object }} message
   * @param {(payload: object, incoming: object) => Promise<string | undefined>} [send] delivers one answer, returns its message id
   * @returns {Promise<{ responses: object[], state: object, nlu: object }>} a bot that is not mounted here answers nothing
   */
  function process(message, send = async () => undefined) {
    const sessionId = [message.botId, message.channel, message.target, message.threadId ?? ''].join('::');
    const work = (queues.get(sessionId) ?? Promise.resolve())
      .catch(() => {})
      .then(() => processNow(message, sessionId, send));
    queues.set(sessionId, work);
    const forget = () => queues.get(sessionId) === work && queues.delete(sessionId);
    work.then(forget, forget);
    return work;
  }

  async function processNow(message, sessionId, send) {
    const bot = bots.get(message.botId);
    const user = await getOrCreateUser(message.channel, message.target, message.botId);
    if (!bot) return { responses: [], state: {}, nlu: {} };
    const nlu = {
      language: user.language ?? bot.defaultLanguage,
      intent: { name: 'none', confidence: 1 },
      intents: [],
      entities: [],
    };
    const event = {
      ...message,
      id: newEventId(),
      sessionId,
      type: message.payload.type,
      direction: 'incoming',
      preview: message.payload.text ?? '',
      nlu,
      createdOn: new Date(),
    };
    await sleep(knobs.answerDelayMs);
    const state = { ...(await readSession(sessionId)), user };
    const before = JSON.stringify(user);
    const responses = knobs.emptyResponses ? [] : walkFlow(bot, state, event);
    if (JSON.stringify(state.user) !== before)
      await setUserAttributes(message.channel, message.target, state.user);
    await saveSession(sessionId, { context: state.context, temp: state.temp, session: state.session });
    collect(event);
    for (const payload of responses) {
      const messageId = await send(payload, event);
      collect({
        ...message,
        id: newEventId(),
        messageId,
        incomingEventId: event.id,
        sessionId,
        type: payload.type,
        direction: 'outgoing',
        payload,
        createdOn: new Date(),
      });
    }
    return { responses, state: { context: state.context, session: state.session, user: state.user }, nlu };
  }

  async function deleteSession(botId, channel, target, threadId) {
    await pool.query('DELETE FROM dialog_sessions WHERE id = $1', [
      [botId, channel, target, threadId].join('::'),
    ]);
  }

  return { process, getOrCreateUser, setUserAttributes, deleteSession };
}

/** Time first, so that ids sort by age, as the real ones do. */
function newEventId() {
  return `${Date.now()}${randomBytes(4).readUInt32BE() % 1_000_000}${randomUUID().slice(0, 4)}`;
}
