/** Human-readable coloured lines on stdout, shaped like the real server's; there is no JSON option. */
import { hostname } from 'node:os';

const COLORS = { info: 32, warn: 33, error: 31, critical: 31, debug: 34 };
/** Lowest VERBOSITY_LEVEL that shows a level; the default of the real server is 2 even in production. */
const SHOWN_FROM = { info: 0, warn: 0, error: 0, critical: 0, debug: 2 };
const verbosity = Number(process.env.VERBOSITY_LEVEL ?? 2);

/** @type {{ botId: string | null, hostname: string, level: string, scope: string, message: string, timestamp: Date }[]} */
const pendingRows = [];

/** Takes the lines that wait for the table srv_logs. */
export function takeLogRows() {
  return pendingRows.splice(0);
}

/**
 * @param {string} scope e.g. HTTP, Launcher, Messaging
 * @returns {Record<'info' | 'warn' | 'error' | 'critical' | 'debug', (message: string, botId?: string) => void>}
 */
export function createLogger(scope) {
  const write = (level) => (message, botId) => {
    const now = new Date();
    if (level !== 'debug') {
      pendingRows.push({ botId: botId ?? null, hostname: hostname(), level, scope, message, timestamp: now });
      if (pendingRows.length > 1000) pendingRows.shift();
    }
    if (verbosity < SHOWN_FROM[level]) return;
    console.log(
      `\x1b[90m${stamp(now)}\x1b[39m \x1b[${COLORS[level]}m\x1b[1m${scope}\x1b[22m\x1b[39m ${message}`,
    );
  };
  return {
    info: write('info'),
    warn: write('warn'),
    error: write('error'),
    critical: write('critical'),
    debug: write('debug'),
  };
}

/** @param {Date} date @returns {string} MM/DD/YYYY HH:mm:ss.SSS */
function stamp(date) {
  const two = (number) => String(number).padStart(2, '0');
  const day = `${two(date.getMonth() + 1)}/${two(date.getDate())}/${date.getFullYear()}`;
  const time = `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`;
  return `${day} ${time}.${String(date.getMilliseconds()).padStart(3, '0')}`;
}
