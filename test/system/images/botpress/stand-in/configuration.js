/** botpress.config.json: complete defaults, %NAME% placeholders, BP_CONFIG_* overrides, and what makes it fatal. */
import { randomBytes } from 'node:crypto';
import { knobs } from './knobs.js';

export const MODULES = [
  'analytics',
  'basic-skills',
  'builtin',
  'channel-web',
  'nlu',
  'code-editor',
  'examples',
  'misunderstood',
  'hitlnext',
];

/** What the server writes when there is no file. */
export function defaultConfig() {
  return {
    $schema: '../botpress.config.schema.json',
    httpServer: {
      host: 'localhost',
      port: 3000,
      backlog: 0,
      bodyLimit: '10mb',
      cors: { enabled: true },
      externalUrl: '',
      keepAliveTimeout: 5000,
      session: { enabled: false, maxAge: '1h' },
      socketTransports: ['websocket', 'polling'],
      rateLimit: { enabled: false, limitWindow: '30s', limit: 600 },
      headers: { 'X-Powered-By': 'Botpress' },
    },
    converse: {},
    dialog: { janitorInterval: '10s', timeoutInterval: '25m', sessionTimeoutInterval: '30m' },
    logs: {
      dbOutput: { expiration: '2 weeks', janitorInterval: '30s' },
      fileOutput: { enabled: false, folder: './', maxFileSize: 10000 },
    },
    pro: {
      enabled: false,
      licenseKey: 'paste your license key here',
      collaboratorsAuthStrategies: ['default'],
      monitoring: {
        enabled: false,
        collectionInterval: '10s',
        retentionPeriod: '10d',
        janitorInterval: '15m',
      },
      alerting: {
        enabled: false,
        watcherInterval: '10s',
        retentionPeriod: '10d',
        janitorInterval: '15m',
        rules: [],
      },
      externalAuth: { enabled: false, algorithms: ['HS256'] },
    },
    superAdmins: [],
    authStrategies: { default: { type: 'basic', allowSelfSignup: false, options: { maxLoginAttempt: 0 } } },
    jwtToken: { duration: '1h', allowRefresh: true, useCookieStorage: false, cookieOptions: {} },
    sendUsageStats: true,
    dataRetention: { janitorInterval: '10m', policies: {} },
    autoRevision: false,
    allowServerReboot: true,
    fileUpload: {
      maxFileSize: '25mb',
      allowedMimeTypes: ['image/jpeg', 'image/png', 'image/gif', 'application/pdf'],
    },
    eventCollector: {
      enabled: true,
      collectionInterval: '1s',
      retentionPeriod: '30d',
      ignoredEventTypes: ['visit', 'typing'],
      debuggerProperties: [],
    },
    botMonitoring: { enabled: true, interval: '1m' },
    telemetry: { entriesLimit: 1000 },
    actionServers: { local: { enabled: true, port: 4000 }, remotes: [] },
    noRepeatPolicy: false,
    experimental: false,
    showPoweredBy: true,
    modules: MODULES.map((name) => ({ location: `MODULES_ROOT/${name}`, enabled: true })),
    version: knobs.version,
  };
}

/** Settable leaves that the defaults do not show. */
const MORE_LEAVES = [
  'appSecret',
  'httpServer.proxy',
  'httpServer.cors.origin',
  'httpServer.cors.credentials',
  'jwtToken.cookieOptions.secure',
  'jwtToken.cookieOptions.httpOnly',
  'jwtToken.cookieOptions.sameSite',
  'jwtToken.cookieOptions.domain',
  'jwtToken.cookieOptions.path',
  'jwtToken.cookieOptions.maxAge',
  'authStrategies.default.options.lockoutDuration',
  'authStrategies.default.options.passwordMinLength',
  'authStrategies.default.options.requireComplexPassword',
  'authStrategies.default.options.passwordExpiryDelay',
];
/** Objects that are given whole, as JSON. `converse` is one leaf, so that its members cannot be set alone. */
const WHOLE = ['converse', 'httpServer.headers', 'authStrategies', 'dataRetention.policies'];
/** Objects whose members alone are leaves. */
const NOT_WHOLE = ['jwtToken.cookieOptions'];

/** Variable name → path. */
const LEAVES = new Map(
  [...leavesOf(defaultConfig()), ...MORE_LEAVES, ...WHOLE]
    .filter((path) => !NOT_WHOLE.includes(path) && !path.startsWith('$') && path !== 'version')
    .map((path) => [`BP_CONFIG_${path.replaceAll('.', '_').toUpperCase()}`, path]),
);
/** Old names that still work. */
const OLD_NAMES = {
  BP_PORT: 'httpServer.port',
  PORT: 'httpServer.port',
  BP_HOST: 'httpServer.host',
  BP_PROXY: 'httpServer.proxy',
  BP_LICENSE_KEY: 'pro.licenseKey',
  PRO_ENABLED: 'pro.enabled',
};

/** @returns {string[]} */
function leavesOf(value, path = '') {
  if (value === null || typeof value !== 'object' || Array.isArray(value) || Object.keys(value).length === 0)
    return [path];
  return Object.entries(value).flatMap(([name, member]) => leavesOf(member, path ? `${path}.${name}` : name));
}

/**
 * Lays the variables over the file's content, in memory only. Lists are merged by index: they cannot be shortened.
 * @param {object} config @param {NodeJS.ProcessEnv} env
 */
export function applyOverrides(config, env) {
  const result = structuredClone(config);
  for (const [name, text] of Object.entries(env)) {
    const path = LEAVES.get(name) ?? OLD_NAMES[name];
    if (!path || text === undefined) continue;
    let value = text;
    try {
      value = JSON.parse(text);
    } catch {
      // Not JSON: taken as text.
    }
    setMerged(result, path.split('.'), value);
  }
  return result;
}

function setMerged(target, path, value) {
  const [name, ...rest] = path;
  if (rest.length > 0) {
    target[name] ??= {};
    setMerged(target[name], rest, value);
  } else {
    target[name] = merged(target[name], value);
  }
}

function merged(old, value) {
  if (Array.isArray(old) && Array.isArray(value)) {
    return Array.from({ length: Math.max(old.length, value.length) }, (_, i) =>
      i < value.length ? merged(old[i], value[i]) : old[i],
    );
  }
  if (isObject(old) && isObject(value)) {
    const result = { ...old };
    for (const [name, member] of Object.entries(value)) result[name] = merged(old[name], member);
    return result;
  }
  return value;
}

function isObject(value) {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/**
 * Puts environment values into a file's text the way the real server does, faults included: a missing variable
 * becomes the word undefined, numbers lose digits, `$&` is mangled, quotes break the file.
 * @param {string} text @param {NodeJS.ProcessEnv} env
 */
export function fillPlaceholders(text, env) {
  const production = isProduction(env);
  let result = text
    .replaceAll('"$isProduction"', String(production))
    .replaceAll('"$isDevelopment"', String(!production));
  for (const placeholder of new Set(text.match(/%([A-Za-z0-9_]+)%/g) ?? [])) {
    let value = env[placeholder.slice(1, -1)];
    try {
      value = JSON.parse(value);
    } catch {
      // Not JSON: taken as text.
    }
    result = result.replaceAll(placeholder, String(value));
  }
  return result;
}

/** @param {NodeJS.ProcessEnv} env */
export function isProduction(env) {
  return (
    /^(y|yes|true|1|on)$/i.test(env.BP_PRODUCTION ?? '') ||
    /^(y|yes|true|1|on)$/i.test(env.CLUSTER_ENABLED ?? '')
  );
}

/**
 * A file with only some keys is not filled with defaults: the server trips over what is missing and ends.
 * @param {object} config
 */
export function demandComplete(config) {
  for (const [name, value] of Object.entries(defaultConfig())) {
    if (!isObject(value) || name === 'converse' || name === '$schema') continue;
    if (config[name] === undefined) {
      throw new TypeError(`Cannot read property '${Object.keys(value)[0]}' of undefined (${name})`);
    }
  }
}

/** @returns {string} as long as the one that the server generates */
export function newAppSecret() {
  return randomBytes(30).toString('base64url').slice(0, 40);
}

/** @param {string | number} text e.g. 30s, 1h, 10d, 2 weeks @returns {number} milliseconds */
export function milliseconds(text) {
  if (typeof text === 'number') return text;
  const [, amount, unit] = /^([\d.]+)\s*([a-z]*)$/i.exec(text.trim()) ?? [];
  const units = { '': 1, ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 };
  const key = unit === 'ms' ? 'ms' : (unit ?? '').slice(0, 1).toLowerCase();
  return Number(amount) * (units[key] ?? NaN);
}
