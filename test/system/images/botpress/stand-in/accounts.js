/** Staff accounts: strategy `default` of type basic, tokens signed with the app secret. */
import { createHmac, pbkdf2Sync, randomBytes, timingSafeEqual } from 'node:crypto';
import { milliseconds } from './configuration.js';
import { createLogger } from './log.js';

const log = createLogger('Auth');

/** An error whose answer is decided here. */
export class AnswerError extends Error {
  /** @param {number} statusCode @param {string} message @param {string} [errorCode] */
  constructor(statusCode, message, errorCode) {
    super(message);
    this.statusCode = statusCode;
    this.errorCode = errorCode;
  }
}

/**
 * @param {{ pool: import('pg').Pool, content: import('./content.js').Content, config: () => object, secret: string }} server
 */
export function createAccounts({ pool, content, config, secret }) {
  const options = () => config().authStrategies?.default?.options ?? {};

  async function find(email) {
    const { rows } = await pool.query('SELECT * FROM strategy_default WHERE email = $1', [email]);
    return rows[0];
  }

  async function setAttributes(user, attributes) {
    user.attributes = { ...user.attributes, ...attributes };
    await pool.query('UPDATE strategy_default SET attributes = $2, updated_at = now() WHERE id = $1', [
      user.id,
      JSON.stringify(user.attributes),
    ]);
  }

  async function isFirstUser() {
    const { rows } = await pool.query('SELECT 1 FROM strategy_default LIMIT 1');
    return rows.length === 0;
  }

  async function register(email, password, address) {
    const salt = randomBytes(16).toString('hex');
    await pool.query(
      `INSERT INTO strategy_default (email, password, salt, strategy, attributes, "tokenVersion", created_at, updated_at)
       VALUES ($1, $2, $3, 'default', $4, 1, now(), now())`,
      [
        email,
        hashPassword(password, salt),
        salt,
        JSON.stringify({ last_ip: address, last_logon: new Date() }),
      ],
    );
    await pool.query(
      `INSERT INTO workspace_users (email, strategy, workspace, role) VALUES ($1, 'default', 'default', 'admin')`,
      [email],
    );
    // The first user overwrites the first entry of the list.
    const file = JSON.parse(await content.read('global/botpress.config.json'));
    file.superAdmins = [{ email, strategy: 'default' }, ...(file.superAdmins ?? []).slice(1)];
    await content.write('global/botpress.config.json', JSON.stringify(file, undefined, 2));
    return newToken(email);
  }

  async function login(email, password, address) {
    const user = typeof email === 'string' ? await find(email) : undefined;
    if (!user) throw new AnswerError(401, 'Invalid credentials', 'BP_0009');
    const { maxLoginAttempt, lockoutDuration } = options();
    if (!samePassword(String(password ?? ''), user)) {
      const failed = (user.attributes.unsuccessful_logins ?? 0) + 1;
      const locks = Boolean(maxLoginAttempt) && failed > maxLoginAttempt;
      await setAttributes(user, {
        unsuccessful_logins: failed,
        last_login_attempt: new Date(),
        ...(locks && { locked_out: true }),
      });
      throw new AnswerError(401, 'Invalid credentials', 'BP_0009');
    }
    if (user.attributes.locked_out) {
      const since = Date.parse(user.attributes.last_login_attempt);
      // Without a duration the lock is for ever.
      if (!lockoutDuration || Date.now() < since + milliseconds(lockoutDuration))
        throw new AnswerError(401, 'Account locked out', 'BP_0010');
    }
    await setAttributes(user, {
      last_ip: address,
      unsuccessful_logins: 0,
      locked_out: false,
      last_logon: new Date(),
    });
    return newToken(email);
  }

  function newToken(email) {
    const lifetimeMs = milliseconds(config().jwtToken.duration);
    const now = Math.floor(Date.now() / 1000);
    const isSuperAdmin = true;
    const claims = {
      email,
      strategy: 'default',
      tokenVersion: 1,
      isSuperAdmin,
      iat: now,
      exp: now + Math.floor(lifetimeMs / 1000),
      aud: 'collaborators',
    };
    const signed = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode(claims)}`;
    return { jwt: `${signed}.${sign(signed)}`, csrf: randomBytes(12).toString('hex'), exp: lifetimeMs };
  }

  function sign(text) {
    return createHmac('sha256', secret).update(text).digest('base64url');
  }

  /** @param {import('express').Request} request @returns {{ email: string }} or throws 401 */
  function demandUser(request) {
    const cookie = /(?:^|;\s*)jwtToken=([^;]+)/.exec(request.headers.cookie ?? '')?.[1];
    const token = cookie ?? /^bearer (.+)$/i.exec(request.headers.authorization ?? '')?.[1];
    if (!token) throw new AnswerError(401, 'Authentication token is missing', 'BP_0041');
    const [head, body, signature] = token.split('.');
    const right = signature && sameText(signature, sign(`${head}.${body}`));
    const claims = right ? JSON.parse(Buffer.from(body, 'base64url').toString()) : undefined;
    if (!claims || claims.exp * 1000 < Date.now())
      throw new AnswerError(401, 'Invalid authentication token', 'BP_0042');
    return claims;
  }

  async function createFirstAdmin() {
    const { BP_ADMIN_EMAIL: email, BP_ADMIN_PASSWORD: password } = process.env;
    if (!email || !password || !(await isFirstUser())) return;
    log.info(`Creating user ${email}`);
    await register(email, password, '0.0.0.0');
  }

  return { isFirstUser, register, login, demandUser, createFirstAdmin };
}

function encode(value) {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

function hashPassword(password, salt) {
  return pbkdf2Sync(password, salt, 1000, 32, 'sha512').toString('hex');
}

function samePassword(password, user) {
  return sameText(hashPassword(password, user.salt), user.password);
}

function sameText(a, b) {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}
