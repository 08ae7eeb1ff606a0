/** Webchat: sockets that belong to one node, and the module's HTTP interface. */
import { mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { createAdapter } from '@socket.io/redis-adapter';
import busboy from 'busboy';
import express from 'express';
import { Server } from 'socket.io';
import { AnswerError } from './accounts.js';
import { createLogger } from './log.js';

const log = createLogger('Realtime');
const TYPES = [
  'text',
  'quick_reply',
  'form',
  'login_prompt',
  'visit',
  'request_start_conversation',
  'postback',
  'voice',
];
const TYPING_MS = 1000;
const HISTORY = 100;

/**
 * @param {import('node:http').Server} httpServer
 * @param {{ basePath: string, transports: string[], cors: object, redis?: { publisher: object, subscriber: object, scope?: string },
 *   demandUser: (token: string) => void }} options
 */
export function createSockets(httpServer, { basePath, transports, cors, redis, demandUser }) {
  const io = new Server(httpServer, {
    path: `${basePath}/socket.io`,
    serveClient: false,
    allowEIO3: true,
    transports,
    cors,
  });
  if (redis)
    io.adapter(createAdapter(redis.publisher, redis.subscriber, { key: redis.scope ?? 'socket.io' }));

  io.of('/admin').use((socket, next) => {
    try {
      demandUser(socket.handshake.auth?.token ?? socket.handshake.query?.token);
      next();
    } catch (error) {
      next(error);
    }
  });

  const guest = io.of('/guest');
  guest.on('connection', async (socket) => {
    const visitorId = socket.handshake.query.visitorId;
    if (!visitorId) return;
    // In a cluster a visitor's room is made through Redis: while it is gone, sockets stay without a visitor.
    if (redis) await redis.publisher.ping().catch(() => new Promise(() => {}));
    await socket.join(`visitor:${visitorId}`);
  });

  return {
    /**
     * The visitor behind a socket. In community edition only sockets of this very node are known.
     * @param {unknown} socketId @returns {Promise<string | undefined>}
     */
    async findVisitor(socketId) {
      if (typeof socketId !== 'string' || !socketId) return undefined;
      try {
        let rooms = guest.adapter.sids.get(socketId);
        if (!rooms && redis) rooms = new Set((await guest.in(socketId).fetchSockets())[0]?.rooms);
        const room = [...(rooms ?? [])].find((name) => name.startsWith('visitor:'));
        return room?.slice('visitor:'.length);
      } catch (error) {
        log.error(`Sockets of other nodes could not be asked: ${error.message}`);
        return undefined;
      }
    },
    /** Sends to a visitor's sockets: those of this node, with Redis those of every node. */
    sendToVisitor(visitorId, name, data) {
      const room = `visitor:${visitorId}`;
      guest.to(room).emit('event', { name: `guest.${name}`, data: { ...data, __room: room } });
    },
  };
}

/**
 * Routes under /api/v1/bots/:botId/mod/channel-web.
 * @param {{ pool: import('pg').Pool, sockets: ReturnType<typeof createSockets>, dialog: object,
 *   bots: Map<string, import('./bots.js').Bot>, clients: Map<string, string>,
 *   messaging: (call: string, body: object) => Promise<any> }} server
 */
export function createWebchatRouter({ pool, sockets, dialog, bots, clients, messaging }) {
  const router = express.Router({ mergeParams: true });
  const maxMessageLength = Number(process.env.BP_MODULE_CHANNEL_WEB_MAXMESSAGELENGTH ?? 4096);
  const uploads = path.resolve(process.env.BP_MODULE_CHANNEL_WEB_FILEUPLOADPATH ?? './uploads');

  const handle = (work) => (request, response, next) => work(request, response, next).catch(next);

  /** Who speaks: the socket's visitor, mapped to a messaging user. */
  const withVisitor = (needsConversation = false) =>
    handle(async (request, _response, next) => {
      const { botId } = request.params;
      const { conversationId, webSessionId } = request.body ?? {};
      request.visitorId = await sockets.findVisitor(webSessionId);
      if (!request.visitorId) throw new AnswerError(400, 'session id is invalid');
      if (request.visitorId.length > 40 || request.visitorId.toLowerCase() === 'undefined') {
        throw new AnswerError(400, 'user id associated with this session must be valid');
      }
      request.userId = await mapVisitor(botId, request.visitorId);
      if (conversationId) {
        const { conversation } = await messaging('getConversation', { conversationId }).catch(() => ({}));
        if (!conversation || conversation.userId !== request.userId)
          throw new AnswerError(400, "The conversation ID doesn't belong to that user");
        request.conversationId = conversationId;
      }
      if (needsConversation && !request.conversationId)
        throw new AnswerError(400, '`conversationId` is required and must be valid');
      next();
    });

  async function mapVisitor(botId, visitorId) {
    const { rows } = await pool.query(
      'SELECT "userId" FROM web_user_map WHERE "botId" = $1 AND "visitorId" = $2',
      [botId, visitorId],
    );
    if (rows[0] && (await messaging('hasUser', { userId: rows[0].userId })).exists) return rows[0].userId;
    const { id } = await messaging('createUser', { clientId: clientOf(botId) });
    await pool.query(
      `INSERT INTO web_user_map ("botId", "visitorId", "userId") VALUES ($1, $2, $3)
       ON CONFLICT ("botId", "visitorId") DO UPDATE SET "userId" = $3`,
      [botId, visitorId, id],
    );
    return id;
  }

  /** A bot whose channels were refused has no messaging client: its webchat is broken too. */
  function clientOf(botId) {
    const clientId = clients.get(botId);
    if (!clientId) throw new AnswerError(400, `Cannot read property 'createUser' of undefined`);
    return clientId;
  }

  async function recentConversation(botId, userId) {
    const { conversations } = await messaging('listConversations', { userId, limit: 1 });
    return (
      conversations[0]?.id ??
      (await messaging('createConversation', { clientId: clientOf(botId), userId })).id
    );
  }

  async function takeMessage(request, payload) {
    const { botId } = request.params;
    const { userId, visitorId, conversationId } = request;
    clientOf(botId);
    if (
      payload.type !== 'postback' &&
      payload.type !== 'voice' &&
      (!payload.text || typeof payload.text !== 'string' || payload.text.length > maxMessageLength)
    ) {
      throw new AnswerError(400, `Text must be a valid string of less than ${maxMessageLength} chars`);
    }
    const message = await messaging('createMessage', { conversationId, authorId: userId, payload });
    sockets.sendToVisitor(visitorId, 'webchat.message', message);
    // The answer comes later, over the socket: the POST is answered before the bot has spoken.
    void dialog
      .process(
        { botId, channel: 'web', target: userId, threadId: conversationId, messageId: message.id, payload },
        async (answer) => {
          if (answer.typing)
            sockets.sendToVisitor(visitorId, 'webchat.typing', { timeInMs: TYPING_MS, conversationId });
          const sent = await messaging('createMessage', { conversationId, payload: answer });
          sockets.sendToVisitor(visitorId, 'webchat.message', sent);
          return sent.id;
        },
      )
      .catch((error) => log.error(`Message could not be processed: ${error.message}`, botId));
  }

  router.get(
    '/botInfo',
    handle(async (request, response) => {
      const bot = bots.get(request.params.botId);
      if (!bot) return response.sendStatus(404);
      response.json({
        showBotInfoPage: false,
        name: bot.name,
        description: bot.config.description ?? '',
        details: bot.config.details ?? {},
        languages: bot.languages,
        security: { escapeHTML: false },
        lazySocket: false,
        maxMessageLength,
      });
    }),
  );

  router.post(
    '/messages',
    withVisitor(),
    handle(async (request, response) => {
      const payload = request.body.payload ?? {};
      if (!TYPES.includes(payload.type))
        return response.status(400).send('`type` is required and must be valid');
      request.conversationId ??= await recentConversation(request.params.botId, request.userId);
      await takeMessage(request, payload);
      response.sendStatus(200);
    }),
  );

  // The file is stored before anybody asks who sent it, as on the real server.
  router.post(
    '/messages/files',
    handle(async (request, _response, next) => {
      request.file = await storeUpload(request, uploads);
      next();
    }),
    withVisitor(true),
    handle(async (request, response) => {
      const { file } = request;
      const text = `Uploaded a file **${file.originalname}**`;
      await takeMessage(request, {
        type: 'file',
        text,
        storage: 'local',
        url: file.path,
        name: file.filename,
        originalName: file.originalname,
        mime: file.mimetype,
        size: file.size,
      });
      response.sendStatus(200);
    }),
  );

  router.post('/events', withVisitor(), (_request, response) => response.sendStatus(200));

  router.post(
    '/conversations/get',
    withVisitor(true),
    handle(async (request, response) => {
      const { conversation } = await messaging('getConversation', { conversationId: request.conversationId });
      const { messages } = await messaging('listMessages', {
        conversationId: request.conversationId,
        limit: HISTORY,
      });
      response.json({
        ...conversation,
        messages: messages.filter(({ payload }) => payload.type !== 'visit'),
      });
    }),
  );

  router.post(
    '/conversations/list',
    withVisitor(),
    handle(async (request, response) => {
      await dialog.getOrCreateUser('web', request.userId, request.params.botId);
      const { conversations } = await messaging('listConversations', {
        userId: request.userId,
        limit: HISTORY,
      });
      for (const one of conversations)
        one.lastMessage = (await messaging('listMessages', { conversationId: one.id, limit: 1 })).messages[0];
      response.json({ conversations, startNewConvoOnTimeout: false, recentConversationLifetime: '6 hours' });
    }),
  );

  router.post(
    '/conversations/new',
    withVisitor(),
    handle(async (request, response) => {
      const { id } = await messaging('createConversation', {
        clientId: clientOf(request.params.botId),
        userId: request.userId,
      });
      response.json({ convoId: id });
    }),
  );

  router.post(
    '/conversations/reset',
    withVisitor(true),
    handle(async (request, response) => {
      await dialog.deleteSession(request.params.botId, 'web', request.userId, request.conversationId);
      response.sendStatus(200);
    }),
  );

  router.post(
    '/conversations/messages/delete',
    withVisitor(true),
    handle(async (request, response) => {
      sockets.sendToVisitor(request.visitorId, 'webchat.clear', { conversationId: request.conversationId });
      await messaging('deleteMessages', { conversationId: request.conversationId });
      response.sendStatus(204);
    }),
  );

  router.post(
    '/preferences/get',
    withVisitor(),
    handle(async (request, response) => {
      const attributes = await dialog.getOrCreateUser('web', request.userId, request.params.botId);
      response.json({ language: attributes.language });
    }),
  );

  router.post(
    '/preferences',
    withVisitor(),
    handle(async (request, response) => {
      const { language } = request.body;
      if (!bots.get(request.params.botId)?.languages.includes(language))
        return response.status(400).send('`language` is required and must be valid');
      const attributes = await dialog.getOrCreateUser('web', request.userId, request.params.botId);
      await dialog.setUserAttributes('web', request.userId, { ...attributes, language });
      response.sendStatus(200);
    }),
  );

  return router;
}

/** @returns {Promise<{ path: string, filename: string, originalname: string, mimetype: string, size: number }>} */
function storeUpload(request, folder) {
  return new Promise((resolve, reject) => {
    let stored;
    request.body = {};
    const form = busboy({ headers: request.headers, limits: { files: 1 } });
    form.on('field', (name, value) => (request.body[name] = value));
    form.on('file', (_name, stream, { filename, mimeType }) => {
      const chunks = [];
      stream.on('data', (chunk) => chunks.push(chunk));
      stream.on('end', () => {
        const name = `anonymous_${Date.now()}${path.extname(filename)}`;
        const file = path.join(folder, name);
        const content = Buffer.concat(chunks);
        stored = mkdir(folder, { recursive: true })
          .then(() => writeFile(file, content))
          .then(() => ({
            path: file,
            filename: name,
            originalname: filename,
            mimetype: mimeType,
            size: content.length,
          }));
        stored.catch(() => {});
      });
    });
    form.on('close', () =>
      stored ? stored.then(resolve, reject) : reject(new AnswerError(400, 'No file was sent')),
    );
    form.on('error', reject);
    request.pipe(form);
  });
}
