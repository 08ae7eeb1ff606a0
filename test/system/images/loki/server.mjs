// The part of Loki that a sender meets: POST /loki/api/v1/push in JSON, /ready and /metrics. It takes what the
// documentation of the API allows and refuses the rest with the status that Loki has for it. Each line taken becomes a
// line of /loki/lines.jsonl: { labels, time, line }. What is shown with it is what the agent sends, not how Loki keeps it.
import { appendFileSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import process from 'node:process';

const DAY = 86_400_000;
const OLDEST = 7 * DAY;
const FUTURE = 10 * 60_000;
const LONGEST_LINE = 256 * 1024;
const LARGEST_BODY = 16 * 1024 * 1024;

const argument = (name) =>
  process.argv
    .slice(2)
    .find((entry) => entry.startsWith(`-${name}=`))
    ?.slice(name.length + 2);
readFileSync(argument('config.file'), 'utf8');
if (argument('store.retention') !== undefined && !/^\d+[hdw]$/.test(argument('store.retention')))
  throw new Error(`-store.retention=${argument('store.retention')} is no duration`);

const counts = { taken: 0, refused: 0 };

/** As a Loki that is just starting, or whose disk is full: SIGUSR2 begins and ends it. */
let ailing = false;
process.on('SIGUSR2', () => {
  ailing = !ailing;
});

class Refusal extends Error {
  constructor(status, reason) {
    super(reason);
    this.status = status;
  }
}

const demand = (condition, reason, status = 400) => {
  if (!condition) throw new Refusal(status, reason);
};
const isObject = (value) => typeof value === 'object' && value !== null && !Array.isArray(value);

/** Entries of a push; throws where anything is not as documented. */
function read(body) {
  let parsed;
  try {
    parsed = JSON.parse(body);
  } catch (error) {
    throw new Refusal(400, `no JSON: ${error.message}`);
  }
  demand(isObject(parsed), 'the body is no object');
  demand(Object.keys(parsed).join() === 'streams', `keys of the body: ${Object.keys(parsed).join()}`);
  demand(Array.isArray(parsed.streams) && parsed.streams.length > 0, 'streams is no list, or empty');
  return parsed.streams.flatMap((entry) => {
    demand(isObject(entry), 'a stream is no object');
    demand(
      Object.keys(entry).sort().join() === 'stream,values',
      `keys of a stream: ${Object.keys(entry).join()}`,
    );
    const labels = entry.stream;
    demand(isObject(labels), 'labels are no object');
    const names = Object.keys(labels);
    demand(names.length > 0, 'error at least one label pair is required per stream');
    demand(names.length <= 15, 'too many labels');
    for (const name of names) {
      demand(/^[a-zA-Z_][a-zA-Z0-9_]*$/.test(name), `label ${name} is no name`);
      demand(typeof labels[name] === 'string', `label ${name} is no text`);
      demand(labels[name].length > 0 && labels[name].length <= 2048, `label ${name} is empty or too long`);
    }
    demand(Array.isArray(entry.values) && entry.values.length > 0, 'values is no list, or empty');
    return entry.values.map((value) => {
      demand(Array.isArray(value) && (value.length === 2 || value.length === 3), 'a value is no pair');
      const [time, line, metadata] = value;
      demand(typeof time === 'string' && /^\d{19}$/.test(time), `time ${time} is no text of nanoseconds`);
      demand(typeof line === 'string', 'a line is no text');
      demand(metadata === undefined || isObject(metadata), 'metadata is no object');
      demand(Buffer.byteLength(line) <= LONGEST_LINE, 'Max entry size exceeded');
      const age = Date.now() - Number(BigInt(time) / 1_000_000n);
      demand(age < OLDEST, `entry for stream has timestamp too old: ${time}`);
      demand(age > -FUTURE, `entry for stream has timestamp too new: ${time}`);
      return { labels, time, line };
    });
  });
}

async function push(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    demand(size <= LARGEST_BODY, 'body too large', 413);
    parts.push(part);
  }
  demand(
    /^application\/json\b/.test(request.headers['content-type'] ?? ''),
    `Content-Type ${request.headers['content-type']} is not application/json`,
  );
  const entries = read(Buffer.concat(parts).toString('utf8'));
  appendFileSync('/loki/lines.jsonl', entries.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
  counts.taken += entries.length;
}

const server = createServer((request, response) => {
  const answer = (status, text = '') => response.writeHead(status).end(text);
  const { pathname } = new URL(request.url, 'http://loki');
  if (request.method === 'GET' && pathname === '/ready') return answer(200, 'ready\n');
  if (request.method === 'GET' && pathname === '/metrics')
    return response
      .writeHead(200, { 'content-type': 'text/plain; version=0.0.4' })
      .end(`loki_lines_taken_total ${counts.taken}\nloki_pushes_refused_total ${counts.refused}\n`);
  if (pathname !== '/loki/api/v1/push') return answer(404, 'not found\n');
  if (request.method !== 'POST') return answer(405);
  if (ailing) return answer(503, 'at least 1 live replicas required, could only find 0\n');
  push(request).then(
    () => answer(204),
    (error) => {
      counts.refused += 1;
      console.error(`refused: ${error.message}`);
      answer(error.status ?? 500, `${error.message}\n`);
    },
  );
});
server.listen(3100);
for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
