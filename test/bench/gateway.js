/**
 * What the gateway adds to a request, and whether a flood brings it down.
 *
 *   node test/bench/gateway.js FOLDER [REQUESTS]
 *
 * FOLDER: operations/ of a generated repository, built. REQUESTS: how many the flood has (default 100,000); half of them
 * are nonsense. Bot and gateway are processes of this machine, without network between them, so that the difference is
 * the gateway's own.
 */
import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import http from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';

const [folder, requests = '100000'] = process.argv.slice(2);
if (!folder) throw new Error('which folder? node test/bench/gateway.js FOLDER');

const CONCURRENCY = 16;
const SAMPLES = 5_000;

const key = randomBytes(32).toString('base64url');
const work = await mkdtemp(path.join(tmpdir(), 'gateway-bench-'));
await writeFile(path.join(work, 'keys'), `bench ${createHash('sha256').update(key).digest('hex')}\n`);

const answer = JSON.stringify({ responses: [{ type: 'text', text: 'Hello' }] });
const bot = http.createServer((request, response) => {
  request.resume().on('end', () => response.end(answer));
});
const botPort = await listen(bot);
const port = await freePort();
const gateway = spawn(process.execPath, [path.join(folder, 'dist/bundle/gateway.mjs')], {
  stdio: ['ignore', 'ignore', 'inherit'],
  env: {
    PATH: process.env.PATH,
    PORT: String(port),
    INTERNAL_PORT: String(await freePort()),
    BOTPRESS_URL: `http://127.0.0.1:${botPort}`,
    GATEWAY_KEYS_FILE: path.join(work, 'keys'),
    GATEWAY_REQUESTS_PER_MINUTE: '1000000',
  },
});
let ended = false;
gateway.on('exit', () => (ended = true));

const agent = new http.Agent({ keepAlive: true, maxSockets: CONCURRENCY });
try {
  await waitForGateway();
  await sample(botPort, 500);
  await sample(port, 500);
  const direct = await sample(botPort, SAMPLES);
  const guarded = await sample(port, SAMPLES);
  for (const [name, { p50, p99 }] of Object.entries({ direct, guarded }))
    console.log(`${name}: p50 ${p50.toFixed(2)} ms, p99 ${p99.toFixed(2)} ms`);
  console.log(
    `overhead: p50 ${(guarded.p50 - direct.p50).toFixed(2)} ms, p99 ${(guarded.p99 - direct.p99).toFixed(2)} ms`,
  );
  const began = performance.now();
  const statuses = new Map();
  await inParallel(Number(requests), async (index) => {
    const body = index % 2 ? randomBytes(100) : undefined;
    const status = await send(port, body);
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  });
  const seconds = (performance.now() - began) / 1000;
  console.log(
    `flood: ${requests} requests in ${seconds.toFixed(1)} s (${Math.round(Number(requests) / seconds)}/s),`,
    [...statuses].map(([status, number]) => `${number} × ${status}`).join(', '),
  );
  if (ended) throw new Error('the gateway ended');
  if ((await send(port)) !== 200) throw new Error('the gateway answers no longer');
} finally {
  gateway.kill();
  agent.destroy();
  bot.closeAllConnections();
  bot.close();
  await rm(work, { recursive: true, force: true });
}

/** @param {number} to @param {number} count */
async function sample(to, count) {
  /** @type {number[]} */
  const times = [];
  await inParallel(count, async () => {
    const began = performance.now();
    const status = await send(to);
    if (status !== 200) throw new Error(`status ${status}`);
    times.push(performance.now() - began);
  });
  times.sort((a, b) => a - b);
  const at = (/** @type {number} */ share) => times[Math.floor(share * (times.length - 1))] ?? NaN;
  return { p50: at(0.5), p99: at(0.99) };
}

/** @param {number} count @param {(index: number) => Promise<void>} work */
async function inParallel(count, work) {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: CONCURRENCY }, worker));
}

/** @param {number} to @param {Buffer} [body] @returns {Promise<number | undefined>} */
function send(to, body = Buffer.from('{"type":"text","text":"hello"}')) {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${key}`,
      'content-type': 'application/json',
      'content-length': body.length,
    };
    const options = { port: to, agent, method: 'POST', path: '/api/v1/bots/support/converse/bench', headers };
    http
      .request(options, (response) => response.resume().on('end', () => resolve(response.statusCode)))
      .on('error', reject)
      .end(body);
  });
}

async function waitForGateway() {
  for (let tries = 0; ; tries++) {
    try {
      if ((await send(port)) === 200) return;
    } catch (error) {
      if (tries > 100) throw error;
    }
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** @param {http.Server} server @returns {Promise<number>} */
function listen(server) {
  return new Promise((resolve) => {
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      resolve(typeof address === 'object' && address ? address.port : 0);
    });
  });
}

async function freePort() {
  const server = http.createServer();
  const port = await listen(server);
  await new Promise((resolve) => server.close(resolve));
  return port;
}
