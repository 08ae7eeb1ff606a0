/** Requests that nobody sends by mistake, for the gateway. */
import { connect } from 'node:net';
import fc from 'fast-check';

/** One request and the statuses that it may get. */
export interface HostileRequest {
  what: string;
  wire: Buffer;
  statuses: number[];
}

const PATH = '/api/v1/bots/support/converse/somebody';
const MESSAGE = '{"type":"text","text":"hello"}';

const json = { 'content-type': 'application/json' };

/** A request as bytes; a body has its length in the head unless the head says something else. */
export function wire(
  path: string,
  headers: Record<string, string | string[]>,
  body: string | Buffer = MESSAGE,
  method = 'POST',
): Buffer {
  const bytes = Buffer.from(body);
  const lines = Object.entries(headers).flatMap(([name, value]) =>
    [value].flat().map((one) => `${name}: ${one}`),
  );
  if (!('content-length' in headers || 'transfer-encoding' in headers))
    lines.push(`content-length: ${bytes.length}`);
  return Buffer.concat([
    Buffer.from(`${method} ${path} HTTP/1.1\r\nhost: gateway\r\n${lines.join('\r\n')}\r\n\r\n`, 'latin1'),
    bytes,
  ]);
}

/** What is refused on a connection that goes on, for a flood. */
export function hostileRequests(key: string): HostileRequest[] {
  const known = { authorization: `Bearer ${key}`, ...json };
  const refuses = (what: string, statuses: number[], bytes: Buffer): HostileRequest => ({
    what,
    wire: bytes,
    statuses,
  });
  const body = (what: string, text: string | Buffer) => refuses(what, [400], wire(PATH, known, text));
  return [
    body('half a body', '{"type":"text"'),
    body('no body', ''),
    body('a list', '[]'),
    body('nothing', 'null'),
    body('a text of no kind', '{"type":"visit","text":"a"}'),
    body('a number for a text', '{"type":"text","text":7}'),
    body('a text too long', JSON.stringify({ type: 'text', text: 'a'.repeat(361) })),
    body('invisible text', JSON.stringify({ type: 'text', text: ' \u200b\u0000\u202e ' })),
    body('more than a message', '{"type":"text","text":"a","includedContexts":["global"]}'),
    body('a prototype', '{"__proto__":{"type":"text","text":"a"},"type":"text","text":"a"}'),
    body('a constructor', '{"constructor":{"prototype":{"type":"text"}},"type":"text","text":"a"}'),
    body('deep lists', '['.repeat(8_000) + ']'.repeat(8_000)),
    body('deep objects', '{"a":'.repeat(2_500) + '1' + '}'.repeat(2_500)),
    body('a key twice', '{"type":"text","type":"image","text":"a"}'),
    body('bytes that are no UTF-8', Buffer.from([0xff, 0xfe, 0x00, 0xc3, 0x28])),
    body(
      'a text that is no UTF-8',
      Buffer.concat([Buffer.from('{"type":"text","text":"'), Buffer.from([0xc3, 0x28]), Buffer.from('"}')]),
    ),
    refuses('text', [415], wire(PATH, { ...known, 'content-type': 'text/html' })),
    refuses('a form', [415], wire(PATH, { ...known, 'content-type': 'application/x-www-form-urlencoded' })),
    refuses('XML', [415], wire(PATH, { ...known, 'content-type': 'application/xml' }, '<!DOCTYPE a>')),
    refuses('a type that is none', [415], wire(PATH, { ...known, 'content-type': ';;;' })),
    refuses('two types', [400, 415], wire(PATH, { ...known, 'content-type': ['text/html', 'text/html'] })),
    refuses('a user of slashes', [400, 404], wire(`${PATH}%2f..%2f..`, known)),
    refuses('a user that is none', [400], wire('/api/v1/bots/support/converse/%00', known)),
    refuses('a long user', [400, 404, 414], wire(`${PATH}${'a'.repeat(3_000)}`, known)),
    refuses('a bot that is none', [400], wire('/api/v1/bots/..%20/converse/somebody', known)),
    refuses('escapes that are none', [400, 404], wire('/api/v1/bots/%zz/converse/%c0%af', known)),
    refuses('a way out', [404], wire('/../../etc/passwd', known)),
    refuses('another method', [404], wire(PATH, known, MESSAGE, 'PUT')),
    refuses('a key of others', [401, 429], wire(PATH, { ...json, authorization: `Bearer ${key}x` })),
    refuses('two keys', [401, 429], wire(PATH, { ...json, 'x-api-key': [key, 'a'] })),
    refuses('a key of another kind', [401, 429], wire(PATH, { ...json, authorization: `Basic ${key}` })),
    refuses('no key', [401, 429], wire(PATH, json)),
  ];
}

/** What ends its connection: the answer, or its absence, is all there is. */
export function malformedRequests(key: string): Buffer[] {
  const known = { authorization: `Bearer ${key}`, ...json };
  const raw = (text: string) => Buffer.from(text, 'latin1');
  const head = `POST ${PATH} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer ${key}\r\ncontent-type: application/json\r\n`;
  return [
    // Only what it would send: refused before the body comes.
    wire(PATH, { ...known, 'content-length': '20000' }, ''),
    wire(PATH, known, 'a'.repeat(20_000)),
    wire(PATH, known, 'a'.repeat(5_000_000)),
    wire(PATH, { ...known, 'x-long': 'a'.repeat(100_000) }),
    raw(`${head}${Array.from({ length: 3_000 }, (_, index) => `x-${index}: 1\r\n`).join('')}\r\n`),
    raw(`${head}content-length: 5\r\ncontent-length: 6\r\n\r\nhello`),
    raw(`${head}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`),
    raw(`${head}content-length: -1\r\n\r\n`),
    raw(`${head}content-length: 99999999999999999999\r\n\r\n`),
    raw(`${head}transfer-encoding: chunked\r\n\r\nzz\r\nhello\r\n`),
    raw(`${head}transfer-encoding: chunked, identity\r\n\r\n0\r\n\r\n`),
    raw(`${head}transfer-encoding: chunked\r\n\r\n4e20\r\n${'a'.repeat(20_000)}\r\n0\r\n\r\n`),
    raw(`${head} folded: 1\r\nno colon\r\n\r\n`),
    raw(`${head}x: \u0000\r\n\r\n`),
    raw(`POST ${PATH} HTTP/9.9\r\nhost: gateway\r\n\r\n`),
    raw(`POST ${PATH}\r\n\r\n`),
    raw(`POST ${PATH} HTTP/1.1\r\n\r\n`),
    raw(`NONSENSE ${PATH} HTTP/1.1\r\nhost: gateway\r\n\r\n`),
    raw(`GET /${'a'.repeat(100_000)} HTTP/1.1\r\nhost: gateway\r\n\r\n`),
    // A handshake for TLS, a preface of HTTP/2, another protocol.
    Buffer.from('16030100f8010000f40303', 'hex'),
    raw('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
    raw('*1\r\n$4\r\nPING\r\n'),
    Buffer.alloc(70_000, 0),
  ];
}

/** What may come before the first line of an answer of the gateway. */
const ANSWER = /^HTTP\/1\.1 (\d{3}) /;

/**
 * Sends bytes and gives the status of the answer; undefined where the connection was closed without one.
 * @param patience milliseconds after which the client ends its side, when no answer came until then
 */
export function send(
  host: string,
  port: number,
  bytes: Buffer | Uint8Array,
  patience = 14_000,
): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    let text = '';
    let timer: NodeJS.Timeout | undefined;
    const socket = connect({ host, port }, () => {
      socket.write(bytes);
      timer = setTimeout(() => socket.end(), patience);
    });
    socket.setTimeout(15_000, () => socket.destroy(new Error('neither an answer nor an end')));
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (text.length >= 13) socket.destroy();
    });
    socket.on('error', (error: NodeJS.ErrnoException) => {
      // It need not read to the end what it refuses.
      if (error.code !== 'ECONNRESET' && error.code !== 'EPIPE') reject(error);
    });
    socket.on('close', () => {
      clearTimeout(timer);
      const status = ANSWER.exec(text)?.[1];
      resolve(status === undefined ? undefined : Number(status));
    });
  });
}

/**
 * A client that sends its request, or what it has of it, byte by byte and never comes to an end.
 * @returns what the server said, and after how many milliseconds it closed the connection
 */
export function drip(
  host: string,
  port: number,
  start: string,
  rest: string,
): Promise<{ text: string; milliseconds: number }> {
  return new Promise((resolve) => {
    const began = performance.now();
    let text = '';
    let sent = 0;
    const socket = connect({ host, port }, () => socket.write(start));
    const timer = setInterval(() => socket.write(rest[sent++ % rest.length] ?? ''), 300);
    socket.on('data', (chunk) => (text += chunk.toString('latin1')));
    socket.on('error', () => undefined);
    socket.on('close', () => {
      clearInterval(timer);
      resolve({ text, milliseconds: performance.now() - began });
    });
  });
}

/** Texts that are words to the gateway: it cleans what others might be. */
const words = (longest: number) =>
  fc.string({
    unit: fc.constantFrom(...'abcdefghijklmnopqrstuvwxyz0123456789'),
    minLength: 1,
    maxLength: longest,
  });

/** A message that is one, and what makes it none: a field more, less, of another type or of another length. */
export const almostMessages: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }),
  fc
    .tuple(
      fc.oneof(
        fc.record({ type: fc.constant('text'), text: words(360) }),
        fc.record({ type: fc.constant('quick_reply'), text: words(360), payload: words(1_000) }),
        fc.record({ type: fc.constant('postback'), payload: words(1_000) }),
      ),
      fc.constantFrom('add', 'drop', 'retype', 'lengthen'),
      fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }),
      fc.jsonValue({ maxDepth: 2 }),
      fc.nat(),
    )
    .map(([message, change, name, value, number]): unknown => {
      const fields = Object.entries(message);
      const [field = 'type'] = fields[number % fields.length] ?? [];
      if (change === 'add') return { ...message, [`${name}_`]: value };
      if (change === 'drop') return Object.fromEntries(fields.filter(([other]) => other !== field));
      if (change === 'retype') return { ...message, [field]: typeof value === 'string' ? [value] : value };
      return { ...message, [field]: 'a'.repeat(1_001) };
    }),
);
