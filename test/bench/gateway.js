// What the gateway adds to a request to a bot, and whether a flood of nonsense brings it down.
//
//   npm run bench:gateway                       prints the tables; fails when a request of the flood is answered wrongly,
//                                               or the gateway ends
//   npm run bench:gateway -- --write            puts them into docs/performance.md as well
//   npm run bench:gateway -- --rounds 3         fewer rounds than 11
//   npm run bench:gateway -- --flood 10000      a smaller flood than 100,000 requests
//   npm run bench:gateway -- --folder FOLDER    operations/ of a generated repository, built, instead of a fresh one
//
// Client, bot and gateway are processes of this machine, without a network between them and with a bot that answers at
// once, so that the difference is the gateway's own. Needs npm and its registry, or --folder.
import { spawn, spawnSync } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { values: options } = parseArgs({
  options: {
    write: { type: 'boolean' },
    rounds: { type: 'string', default: '11' },
    flood: { type: 'string', default: '100000' },
    folder: { type: 'string' },
  },
});
const rounds = Number(options.rounds);
const floodSize = Number(options.flood);

/** Requests of one round, by how many are under way at a time. */
const SAMPLES = { 1: 1_000, 16: 4_000 };
const CONCURRENCY = 16;
const PATH = '/api/v1/bots/support/converse/bench';
const MESSAGE = Buffer.from('{"type":"text","text":"hello"}');

/** What the flood is made of, and what each gets. */
const KINDS = [
  { what: 'a message', status: 200, body: () => MESSAGE },
  { what: 'random bytes', status: 400, body: () => randomBytes(100) },
  { what: 'half a body', status: 400, body: () => MESSAGE.subarray(0, 20) },
  {
    what: 'another shape',
    status: 400,
    body: () => Buffer.from(JSON.stringify({ type: 'text', text: 1, more: randomBytes(50).toString('hex') })),
  },
  {
    what: 'a prototype',
    status: 400,
    body: () => Buffer.from('{"__proto__":{"a":1},"type":"text","text":"a"}'),
  },
  { what: 'deep lists', status: 400, body: () => Buffer.from('['.repeat(4_000) + ']'.repeat(4_000)) },
  { what: 'too much', status: 413, body: () => Buffer.alloc(20_000, 97) },
  { what: 'another type', status: 415, body: () => MESSAGE, type: 'text/html' },
];

const key = randomBytes(32).toString('base64url');
const scratch = mkdtempSync(join(tmpdir(), 'gateway-bench-'));
const agent = new http.Agent({ keepAlive: true, maxSockets: CONCURRENCY });
/** @type {import('node:child_process').ChildProcess[]} */
const children = [];
const report = (/** @type {string} */ text) => process.stderr.write(`${text}\n`);

function buildService() {
  const folder = join(scratch, 'bench');
  const steps = [
    [process.execPath, [join(root, 'dist/src/cli.js'), folder, '--yes', '--name', 'bench'], root],
    ['npm', ['ci', '--no-audit', '--no-fund'], join(folder, 'operations')],
    ['npm', ['run', 'build'], join(folder, 'operations')],
  ];
  for (const [file, args, cwd] of steps) {
    const { status, stdout, stderr } = spawnSync(file, args, { cwd, encoding: 'utf8' });
    if (status !== 0) throw new Error(`${file} ${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`);
  }
  return join(folder, 'operations');
}

/** Starts a program of Node. @param {'pipe' | number} output where its standard output goes */
function start(/** @type {string[]} */ args, /** @type {Record<string, string>} */ env, output) {
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', output, 'inherit'],
    env: { PATH: process.env.PATH, ...env },
  });
  children.push(child);
  return child;
}

async function startBot() {
  const program = `
    const answer = '{"responses":[{"type":"text","text":"Hello"}]}';
    const headers = { 'content-type': 'application/json', 'content-length': answer.length };
    const server = require('node:http').createServer((request, response) => {
      request.resume().on('end', () => response.writeHead(200, headers).end(answer));
    });
    server.keepAliveTimeout = 60_000;
    server.listen(0, '127.0.0.1', () => console.log(server.address().port));
  `;
  const child = start(['-e', program], {}, 'pipe');
  return new Promise((resolve) => child.stdout.once('data', (line) => resolve(Number(line))));
}

async function startGateway(/** @type {string} */ folder, /** @type {number} */ botPort) {
  const keys = join(scratch, 'keys');
  writeFileSync(keys, `bench ${createHash('sha256').update(key).digest('hex')}\n`);
  const [port, internalPort] = [await freePort(), await freePort()];
  const env = {
    NODE_ENV: 'production',
    PORT: String(port),
    INTERNAL_PORT: String(internalPort),
    BOTPRESS_URL: `http://127.0.0.1:${botPort}`,
    GATEWAY_KEYS_FILE: keys,
    GATEWAY_REQUESTS_PER_MINUTE: '1000000',
  };
  // It writes its log as in production, and the client has no work with it.
  const child = start([join(folder, 'dist/bundle/gateway.mjs')], env, openSync(join(scratch, 'log'), 'w'));
  for (let tries = 0; ; tries++) {
    const status = await send(port).catch(() => 0);
    if (status === 200) return { port, child };
    if (tries > 100 || child.exitCode !== null) throw new Error('the gateway does not start');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** Milliseconds that each of so many requests took. */
async function sample(/** @type {number} */ to, /** @type {number} */ count, /** @type {number} */ atOnce) {
  /** @type {number[]} */
  const times = [];
  await inParallel(count, atOnce, async () => {
    const began = performance.now();
    const status = await send(to);
    if (status !== 200) throw new Error(`status ${status}`);
    times.push(performance.now() - began);
  });
  times.sort((a, b) => a - b);
  const at = (/** @type {number} */ share) => times[Math.floor(share * (times.length - 1))];
  return { p50: at(0.5), p99: at(0.99) };
}

async function inParallel(
  /** @type {number} */ count,
  /** @type {number} */ atOnce,
  /** @type {(index: number) => Promise<void>} */ work,
) {
  let next = 0;
  const worker = async () => {
    while (next < count) await work(next++);
  };
  await Promise.all(Array.from({ length: atOnce }, worker));
}

/** @returns {Promise<number | undefined>} the status */
function send(/** @type {number} */ to, body = MESSAGE, type = 'application/json') {
  return new Promise((resolve, reject) => {
    const headers = {
      authorization: `Bearer ${key}`,
      'content-type': type,
      'content-length': body.length,
    };
    http
      .request({ port: to, agent, method: 'POST', path: PATH, headers }, (response) =>
        response
          .resume()
          .on('end', () => resolve(response.statusCode))
          .on('error', reject),
      )
      .on('error', reject)
      .end(body);
  });
}

function freePort() {
  return new Promise((resolve) => {
    const server = http.createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

const median = (/** @type {number[]} */ values) => values.toSorted((a, b) => a - b)[values.length >> 1];

/** Each round asks both, the one that was second first the next time. */
async function compare(/** @type {number} */ botPort, /** @type {number} */ port) {
  const rows = [];
  for (const [words, count] of Object.entries(SAMPLES)) {
    const atOnce = Number(words);
    const seen = { direct: [], gateway: [] };
    const ways = [
      ['direct', botPort],
      ['gateway', port],
    ];
    for (const [, to] of ways) await sample(to, count, atOnce);
    for (let round = 0; round < rounds; round++) {
      for (const [way, to] of ways) seen[way].push(await sample(to, count, atOnce));
      ways.reverse();
    }
    const of = (way, share) => median(seen[way].map((one) => one[share]));
    const ratio = (share) => median(seen.gateway.map((one, round) => one[share] / seen.direct[round][share]));
    const added = (share) => median(seen.gateway.map((one, round) => one[share] - seen.direct[round][share]));
    for (const share of ['p50', 'p99'])
      rows.push(
        `| ${share}, ${atOnce === 1 ? 'one at a time' : `${atOnce} at a time`} | ${of('direct', share).toFixed(2)} ms | ${of('gateway', share).toFixed(2)} ms | ${added(share).toFixed(2)} ms | ${ratio(share).toFixed(1)} |`,
      );
    report(`${atOnce} at a time: done`);
  }
  return [
    '| converse, time to the answer | direct | through the gateway | added | × direct |',
    '| --- | --- | --- | --- | --- |',
    ...rows,
  ].join('\n');
}

async function drown(/** @type {number} */ port) {
  const began = performance.now();
  /** @type {Map<string, number>} */
  const wrong = new Map();
  await inParallel(floodSize, CONCURRENCY, async (index) => {
    const { what, status, body, type } = KINDS[index % KINDS.length];
    const seen = await send(port, body(), type).catch((error) => {
      // A client that still sends what is too much may find the connection closed.
      if (status === 413 && ['EPIPE', 'ECONNRESET'].includes(error.code)) return 413;
      return error.code ?? error.message;
    });
    if (seen !== status) wrong.set(`${what}: ${seen}`, (wrong.get(`${what}: ${seen}`) ?? 0) + 1);
  });
  return { seconds: (performance.now() - began) / 1_000, wrong };
}

let text;
const problems = [];
try {
  const folder = options.folder ?? buildService();
  const botPort = await startBot();
  const { port, child } = await startGateway(folder, botPort);
  const table = await compare(botPort, port);
  const { seconds, wrong } = await drown(port);
  for (const [what, count] of wrong) problems.push(`${count} × ${what}`);
  if (child.exitCode !== null || child.signalCode !== null) problems.push('the gateway ended');
  else if ((await send(port)) !== 200) problems.push('the gateway answers no longer');
  const each = KINDS.map(({ what, status }) => `${what} (${status})`).join(', ');
  text = `${table}\n\nA flood of ${floodSize.toLocaleString('en')} requests, as many of each kind: ${each}. It took ${seconds.toFixed(0)} s, ${Math.round(floodSize / seconds).toLocaleString('en')} a second; ${problems.length === 0 ? 'each got the answer it should get, and the same process went on answering' : `wrong: ${problems.join(', ')}`}.`;
} finally {
  for (const child of children) child.kill();
  agent.destroy();
  rmSync(scratch, { recursive: true, force: true });
}

process.stdout.write(`${text}\n`);
if (options.write) {
  const page = join(root, 'docs/performance.md');
  writeFileSync(
    page,
    readFileSync(page, 'utf8').replace(
      /(<!-- gateway -->\n)[^]*?(<!-- \/gateway -->)/,
      (_match, begin, end) => `${begin}\n${text}\n\n${end}`,
    ),
  );
  spawnSync(process.execPath, [join(root, 'node_modules/prettier/bin/prettier.cjs'), '--write', page]);
}
if (problems.length > 0) {
  report(problems.join('\n'));
  process.exitCode = 1;
}
