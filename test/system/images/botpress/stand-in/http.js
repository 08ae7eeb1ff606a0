/** The HTTP surface, in the real server's order: messaging proxy, "loading" guard, body, CORS, rate limit, routes. */
import { createServer, request as httpRequest } from 'node:http';
import path from 'node:path';
import compression from 'compression';
import cors from 'cors';
import express from 'express';
import { AnswerError } from './accounts.js';
import { readBotConfig } from './bots.js';
import { isProduction, milliseconds, MODULES } from './configuration.js';
import { isYes, knobs, sleep } from './knobs.js';
import { createLogger } from './log.js';
import { adminPage, environmentScript, LOADING_PAGE, webchatPage } from './pages.js';
import { exportArchive, importArchive } from './versioning.js';
import { createSockets, createWebchatRouter } from './webchat.js';

const log = createLogger('HTTP');

/**
 * @param {object} server what worker.js puts together
 * @param {number} port
 * @returns {Promise<void>} resolves when it listens
 */
export async function startHttp(server, port) {
  const { config } = server;
  const settings = config.httpServer;
  const externalUrl = process.env.EXTERNAL_URL || settings.externalUrl;
  const basePath = externalUrl ? new URL(externalUrl).pathname.replace(/\/+$/, '') : '';
  const root = express();
  const app = express();
  // Sub-applications must not inherit: each says for itself whom it trusts.
  for (const one of [root, app]) trustProxy(one);
  root.disable('x-powered-by');
  app.disable('x-powered-by');

  const httpServer = createServer(root);
  httpServer.keepAliveTimeout = settings.keepAliveTimeout;
  httpServer.headersTimeout = settings.keepAliveTimeout + 1000;

  const transports = settings.socketTransports.filter((name) => ['websocket', 'polling'].includes(name));
  const sockets = createSockets(httpServer, {
    basePath,
    transports: transports.length > 0 ? transports : ['websocket', 'polling'],
    // Sockets have their own CORS handling: switching it off for HTTP does not close them.
    cors: settings.cors ?? { origin: '*' },
    redis: server.redis,
    demandUser: (token) => server.accounts.demandUser({ headers: { authorization: `Bearer ${token}` } }),
  });

  const pageEnvironment = () =>
    environmentScript({
      API_PATH: `${basePath}/api/v1`,
      ROOT_PATH: basePath,
      EXTERNAL_URL: externalUrl || `http://localhost:${port}`,
      SEND_USAGE_STATS: config.sendUsageStats,
      USE_JWT_COOKIES: config.jwtToken.useCookieStorage,
      SOCKET_TRANSPORTS: transports,
      SHOW_POWERED_BY: config.showPoweredBy,
    });

  if (!isYes(process.env.BP_HTTP_DISABLE_GZIP)) app.use(compression());

  // Before everything else: neither rate limit nor CORS nor the loading guard holds webhooks. With a base path the
  // proxy finds nothing, with or without the prefix.
  app.use('/api/v1/messaging', (request, response) => {
    if (basePath) return response.status(404).json({ statusCode: 404, message: 'Not Found' });
    forward(request, response, server.messagingPort(), request.url);
  });

  app.use((request, response, next) => {
    response.set(settings.headers);
    const isInternal =
      (request.headers['user-agent'] ?? '').includes('axios') &&
      (request.headers.authorization || request.headers['x-csrf-token']);
    if (server.isReady() || isInternal) return next();
    response.status(503).send(LOADING_PAGE);
  });

  app.use((request, response, next) => {
    const raw = request.path.includes('/management/versioning/') || request.path.endsWith('/messages/files');
    if (raw) return next();
    express.json({ limit: settings.bodyLimit })(request, response, next);
  });
  app.use(express.urlencoded({ extended: true }));
  if (settings.cors?.enabled) app.use(cors(settings.cors));
  if (settings.rateLimit?.enabled)
    app.use(limitRate(milliseconds(settings.rateLimit.limitWindow), settings.rateLimit.limit));

  app.get(
    '/status',
    handle(async (_request, response) => response.json(await status(server))),
  );
  app.get('/version', (_request, response) => response.send(knobs.version));
  app.get('/', (_request, response) => response.redirect(`${basePath}/admin`));

  app.get('/lite/:botId/env.js', (request, response) => {
    if (!server.bots.has(request.params.botId)) return response.sendStatus(404);
    const env = `${pageEnvironment()}\nwindow.BOT_API_PATH = "${basePath}/api/v1/bots/${request.params.botId}";`;
    response.type('text/javascript').send(env);
  });
  app.get(['/lite/:botId', '/lite/:botId/*'], (request, response) => {
    response.type('html').send(webchatPage(request.params.botId, pageEnvironment(), basePath));
  });
  app.get(['/admin', '/admin/*'], (_request, response) =>
    response.type('html').send(adminPage(pageEnvironment(), basePath)),
  );
  app.use(['/studio', '/api/v1/studio'], (request, response) =>
    forward(request, response, server.studioPort(), request.originalUrl.slice(basePath.length)),
  );
  app.use('/assets', express.static(path.resolve('data/assets')));

  app.use('/api/v1/auth', authRouter(server));
  app.use(['/api/v1/admin', '/api/v2/admin'], adminRouter(server));
  app.get('/api/v1/modules', (_request, response) =>
    response.json(MODULES.map((name) => ({ name, fullName: name, enabled: true, status: 'ready' }))),
  );
  app.get(
    '/api/v1/bots/:botId/media/:name',
    handle(async (request, response) =>
      sendMedia(server.content, `bots/${request.params.botId}`, request, response),
    ),
  );
  app.get(
    '/api/v1/media/:name',
    handle(async (request, response) => sendMedia(server.content, 'global', request, response)),
  );
  app.use('/api/v1/bots/:botId/mod/channel-web', createWebchatRouter({ ...server, sockets }));
  app.use('/api/v1/bots/:botId/converse', converseRouter(server));
  app.get(
    '/api/v1/bots/:botId',
    handle(async (request, response) => {
      const bot = server.bots.get(request.params.botId);
      if (!bot) return response.sendStatus(404);
      response.json({
        id: bot.id,
        name: bot.name,
        languages: bot.languages,
        defaultLanguage: bot.defaultLanguage,
      });
    }),
  );
  app.use(
    ['/api/v1/chat', '/api/internal', '/api/v1/sdk', '/api/v1/telemetry'],
    (_request, _response, next) => next(new AnswerError(401, 'Unauthorized')),
  );

  app.use((error, request, response, _next) => {
    const statusCode = error.statusCode ?? 400;
    if (statusCode === 413)
      log.error('You may need to increase httpServer.bodyLimit in file data/global/botpress.config.json');
    const inDevelopment = isProduction(process.env)
      ? {}
      : { showStackInDev: true, stack: error.stack, full: error.message };
    response.status(statusCode).json({
      statusCode,
      errorCode: error.errorCode,
      type: error.type ?? error.name ?? 'Error',
      message: error.message ?? 'Unexpected error',
      details: '',
      docs: 'https://botpress.com/docs',
      ...inDevelopment,
    });
  });

  root.use(basePath || '/', app);
  const host = settings.host === 'localhost' ? undefined : settings.host;
  await new Promise((resolve) => httpServer.listen(port, host, settings.backlog || undefined, resolve));
}

function trustProxy(app) {
  const value = process.env.REVERSE_PROXY;
  if (!value) return;
  if (/^(y|yes|true|1|on)$/i.test(value)) app.set('trust proxy', true);
  else if (/^(n|no|false|0|off)$/i.test(value)) app.set('trust proxy', false);
  else app.set('trust proxy', value);
}

/** The truth is in the body: the code is 200 as soon as the server is ready. A frozen database leaves it unanswered. */
async function status(server) {
  const database = await server.pool.query('SELECT 1').then(
    () => 'up',
    () => 'error',
  );
  const word = (isUp) => (isUp ? 'up' : 'down');
  return {
    botpress: 'up',
    database,
    messaging: word(await server.messagingIsUp()),
    nlu: word(await server.nluIsUp()),
  };
}

/** One count a client address for all paths, /status included. */
function limitRate(windowMs, limit) {
  const counts = new Map();
  setInterval(() => counts.clear(), windowMs);
  return (request, response, next) => {
    const count = (counts.get(request.ip) ?? 0) + 1;
    counts.set(request.ip, count);
    response.set({
      'X-RateLimit-Limit': String(limit),
      'X-RateLimit-Remaining': String(Math.max(0, limit - count)),
    });
    if (count > limit) return response.status(429).send('Too many requests, please slow down.');
    next();
  };
}

function forward(request, response, port, url) {
  const target = httpRequest(
    { host: '127.0.0.1', port: port || 9, method: request.method, path: url, headers: request.headers },
    (answer) => {
      response.writeHead(answer.statusCode, answer.headers);
      answer.pipe(response);
    },
  );
  target.on('error', () => {
    if (response.headersSent) return response.destroy();
    response
      .status(504)
      .send(`Error occured while trying to proxy: ${request.headers.host}${request.originalUrl}`);
  });
  // A body that was parsed already is not in the stream any more.
  if (request.readableEnded && request.body && Object.keys(request.body).length > 0)
    target.end(JSON.stringify(request.body));
  else request.pipe(target);
}

/** Media lie with the content: in the database, where that is the truth. */
async function sendMedia(content, folder, request, response) {
  const name = path.basename(request.params.name);
  const bytes = await content.readBytes(`${folder}/media/${name}`);
  if (!bytes) return response.sendStatus(404);
  response.type(path.extname(name) || 'application/octet-stream').send(bytes);
}

function handle(work) {
  return (request, response, next) => Promise.resolve(work(request, response, next)).catch(next);
}

function succeed(response, message, payload) {
  response.json({ status: 'success', message, payload });
}

function authRouter({ accounts, config }) {
  const router = express.Router();

  /** With cookie storage the token goes into the cookie, and only the rest into the body. */
  function sendToken(response, message, token) {
    if (!config.jwtToken.useCookieStorage) return succeed(response, message, token);
    const { jwt, ...rest } = token;
    response.cookie('jwtToken', jwt, { maxAge: token.exp, httpOnly: true, ...config.jwtToken.cookieOptions });
    succeed(response, message, rest);
  }

  router.get(
    '/config',
    handle(async (_request, response) => {
      const isFirstUser = await accounts.isFirstUser();
      const strategies = [
        {
          strategyType: 'basic',
          strategyId: 'default',
          strategyLabel: 'Default',
          loginUrl: '/login/basic/default',
          registerUrl: '/register/basic/default',
        },
      ];
      succeed(response, 'Auth Config', { strategies, isFirstUser });
    }),
  );
  router.post(
    '/login/basic/:strategy',
    handle(async (request, response) => {
      await sleep(15 + Math.random() * 65);
      sendToken(
        response,
        'Login successful',
        await accounts.login(request.body.email, request.body.password, request.ip),
      );
    }),
  );
  router.post(
    '/register/basic/:strategy',
    handle(async (request, response) => {
      if (!(await accounts.isFirstUser())) return response.status(403).send('Registration is disabled');
      const { email = '', password = '' } = request.body;
      if (email.length < 4 || password.length < 4)
        throw new AnswerError(400, 'Email or password is too short.');
      succeed(response, 'Registration successful', await accounts.register(email, password, request.ip));
    }),
  );
  router.get(['/refresh', '/logout', '/getToken', '/me/*'], (request, response) => {
    accounts.demandUser(request);
    response.sendStatus(200);
  });
  return router;
}

function adminRouter(server) {
  const { accounts, content } = server;
  const router = express.Router();

  // Open on the real server as well, where it asks Docker Hub.
  router.get('/docker_images', (_request, response) => response.json({ images: [] }));
  router.use((request, _response, next) => {
    accounts.demandUser(request);
    next();
  });

  router.get(['/management/versioning/bpfs_status', '/versioning/bpfs_status'], (_request, response) =>
    response.json({ isAvailable: process.env.BPFS_STORAGE === 'database' }),
  );
  router.get(
    '/management/versioning/export',
    handle(async (_request, response) => {
      const archive = await exportArchive(content);
      response.type('application/tar+gzip').attachment(`archive_${Date.now()}.tgz`).send(archive);
    }),
  );
  router.post(
    '/management/versioning/update',
    express.raw({ type: () => true, limit: '500mb' }),
    handle(async (request, response) => {
      await importArchive(content, request.body);
      for (const id of [...server.bots.keys()]) await server.unmountBot(id);
      server.workspaces = JSON.parse(await content.read('global/workspaces.json'));
      for (const id of server.workspaces.flatMap((workspace) => workspace.bots)) await server.mountBot(id);
      response.sendStatus(200);
    }),
  );

  router.get(
    '/workspace/bots',
    handle(async (_request, response) => {
      succeed(response, 'Retrieved bots', {
        workspace: 'default',
        bots: [...server.bots.values()].map(({ id, name }) => ({ id, name })),
      });
    }),
  );
  // A bot made here is in the database for all, but mounted on this node alone.
  router.post(
    '/workspace/bots',
    handle(async (request, response) => {
      const { id, name = id, text = 'Hello' } = request.body;
      if (!/^[A-Z0-9]+[A-Z0-9_-]{1,}[A-Z0-9]+$/i.test(id ?? ''))
        throw new AnswerError(400, 'The bot id is not valid');
      for (const [file, value] of Object.entries(newBot(id, name, text)))
        await content.write(`bots/${id}/${file}`, JSON.stringify(value, undefined, 2));
      server.workspaces[0].bots = [...new Set([...server.workspaces[0].bots, id])];
      await content.write('global/workspaces.json', JSON.stringify(server.workspaces, undefined, 2));
      await server.mountBot(id);
      succeed(response, 'Added new bot', { botId: id });
    }),
  );
  router.use((_request, response) => response.sendStatus(404));
  return router;
}

/** The smallest content that mounts and answers. */
function newBot(id, name, text) {
  const stage = { id: 'prod', promoted_on: new Date(), promoted_by: 'admin' };
  const entry = {
    id: 'entry',
    name: 'entry',
    onEnter: ['say #!builtin_text-hello'],
    onReceive: null,
    next: [{ condition: 'true', node: 'END' }],
  };
  return {
    'bot.config.json': {
      id,
      name,
      disabled: false,
      private: false,
      version: knobs.version,
      imports: { contentTypes: ['builtin_text'] },
      dialog: { timeoutInterval: '5m' },
      logs: { expiration: '1 week' },
      defaultLanguage: 'en',
      languages: ['en'],
      details: {},
      pipeline_status: { current_stage: stage },
    },
    'flows/main.flow.json': { version: '0.0.1', catchAll: {}, startNode: 'entry', nodes: [entry] },
    'flows/main.ui.json': { nodes: [{ id: 'entry', position: { x: 0, y: 0 } }], links: [] },
    'content-elements/builtin_text.json': [
      {
        id: 'builtin_text-hello',
        formData: { text$en: text, typing$en: true },
        createdBy: 'admin',
        createdOn: new Date(),
        modifiedOn: new Date(),
      },
    ],
  };
}

function converseRouter(server) {
  const { config, content, dialog, accounts } = server;
  const router = express.Router({ mergeParams: true });

  async function answer(request, response) {
    const { botId, userId } = request.params;
    const payload = { ...request.body };
    delete payload.includedContexts;
    payload.type ??= 'text';
    const bot = await demandBotConfig(botId);
    const longest = bot.converse?.maxMessageLength ?? config.converse?.maxMessageLength ?? 360;
    if (
      payload.type === 'text' &&
      (typeof payload.text !== 'string' || payload.text === '' || payload.text.length > longest)
    ) {
      throw new AnswerError(400, `Text must be a valid string of less than ${longest} chars`);
    }
    const result = await dialog.process({ botId, channel: 'api', target: userId, payload });
    await sleep(config.converse?.bufferDelayMs ?? 250);
    const parts = String(request.query.include ?? '')
      .toLowerCase()
      .split(',');
    response.json({
      responses: result.responses,
      ...(parts.includes('nlu') && { nlu: result.nlu }),
      ...(parts.includes('state') && { state: result.state }),
    });
  }

  async function demandBotConfig(botId) {
    const bot = await readBotConfig(content, botId);
    if (!bot) throw new AnswerError(404, `Bot "${botId}" not found`);
    return bot;
  }

  router.post(
    '/:userId',
    handle(async (request, response) => {
      const { botId } = request.params;
      const bot = await demandBotConfig(botId);
      if (bot.converse?.enableUnsecuredEndpoint === false)
        return response.status(403).send(`Unauthenticated Converse API is disabled for ${botId}`);
      if (config.converse?.enableUnsecuredEndpoint === false)
        return response.status(403).send('Unauthenticated Converse API is disabled for all bots');
      const { type, text, ...others } = request.body ?? {};
      const unknown = Object.keys(others).some((key) => !['includedContexts', 'metadata'].includes(key));
      if ((type !== undefined && type !== 'text') || typeof text !== 'string' || text === '' || unknown)
        throw new AnswerError(400, 'Invalid payload');
      const include = String(request.query.include ?? '');
      if (include && include.toLowerCase() !== 'responses')
        return response.status(403).send('Unauthenticated converse API can only return "responses"');
      await answer(request, response);
    }),
  );
  router.post(
    '/:userId/secured',
    handle(async (request, response) => {
      accounts.demandUser(request);
      await answer(request, response);
    }),
  );
  return router;
}
