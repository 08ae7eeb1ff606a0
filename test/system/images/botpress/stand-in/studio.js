/** The studio process: holds its own database pool, and core waits for it before it wires messaging. */
import { createServer } from 'node:http';
import { openPool } from './database.js';
import { studioPage } from './pages.js';
import { listenForMaster, sendJson } from './side.js';

try {
  const pool = openPool({ ignoresSslMode: true });
  pool.query('SELECT 1').catch(() => {});
} catch {
  // Core says what is wrong with DATABASE_URL.
}

listenForMaster(
  createServer((request, response) => {
    if (/\/api\/v1\/studio/.test(request.url))
      return sendJson(response, 401, { statusCode: 401, message: 'Unauthorized' });
    const bot = /\/studio\/([^/?]+)/.exec(request.url)?.[1];
    if (!bot) return sendJson(response, 404, { statusCode: 404, message: 'Not found' });
    response
      .writeHead(200, { 'Content-Type': 'text/html; charset=utf-8' })
      .end(studioPage(decodeURIComponent(bot)));
  }),
);
