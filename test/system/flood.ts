/** Many requests over a few connections that stay open, several under way on each, as a load generator sends them. */
import { connect, type Socket } from 'node:net';

export interface FloodOptions {
  /** Where to; connections are dealt out in turn. */
  targets: { host: string; port: number }[];
  total: number;
  /** The whole request, as it goes over the wire. */
  request: (index: number) => Buffer;
  /** Connections. */
  sockets?: number;
  /** Requests that wait for their answer on one connection. */
  depth?: number;
  /** Not more than so many a second, evenly; no limit while not given. */
  perSecond?: number;
}

export interface FloodResult {
  /** Status of the answer to each request. */
  statuses: number[];
  seconds: number;
}

/** A request that was sent so often without an answer has a server that does not answer it. */
const MOST_TRIES = 5;
/** No answer to anything in so long means that there will be none. */
const LONGEST_SILENCE_MS = 20_000;

/**
 * Sends all and waits for each answer. What a server leaves unanswered because it closes the connection is sent again, up
 * to five times.
 * @throws when a request is never answered, or an answer is not HTTP/1.1 with a length
 */
export function flood(options: FloodOptions): Promise<FloodResult> {
  const { targets, total, request, sockets = 8, depth = 8, perSecond = Infinity } = options;
  const statuses: number[] = Array(total).fill(0);
  const tries = new Map<number, number>();
  const again: number[] = [];
  const connections = new Set<Socket>();
  const fills = new Set<() => void>();
  const began = performance.now();
  let next = 0;
  let answered = 0;
  let heardAt = began;
  let isOver = false;

  return new Promise((resolve, reject) => {
    const end = (error?: Error) => {
      isOver = true;
      clearInterval(clock);
      for (const connection of connections) connection.removeAllListeners('close').destroy();
      if (error) reject(error);
      else resolve({ statuses, seconds: (performance.now() - began) / 1_000 });
    };
    const take = (): number | undefined => {
      const repeated = again.shift();
      if (repeated !== undefined) return repeated;
      const due = perSecond === Infinity ? total : (perSecond * (performance.now() - began)) / 1_000;
      return next < Math.min(total, due) ? next++ : undefined;
    };

    const open = (number: number) => {
      const { host, port } = targets[number % targets.length]!;
      const underWay: number[] = [];
      let received = Buffer.alloc(0);
      let isAnswered = false;
      const socket = connect({ host, port, noDelay: true });
      connections.add(socket);
      const fill = () => {
        const batch: Buffer[] = [];
        while (underWay.length < depth) {
          const index = take();
          if (index === undefined) break;
          underWay.push(index);
          batch.push(request(index));
        }
        if (batch.length > 0 && socket.writable) socket.write(Buffer.concat(batch));
      };
      fills.add(fill);
      socket.on('connect', fill);
      socket.on('data', (chunk) => {
        heardAt = performance.now();
        received = received.length > 0 ? Buffer.concat([received, chunk]) : chunk;
        for (;;) {
          const head = received.indexOf('\r\n\r\n');
          if (head < 0) break;
          const text = received.toString('latin1', 0, head);
          const status = /^HTTP\/1\.1 (\d{3}) /.exec(text)?.[1];
          const length = /\r\ncontent-length: *(\d+)/i.exec(text)?.[1];
          const index = underWay[0];
          if (status === undefined || length === undefined || index === undefined) {
            end(new Error(`not an answer that was asked for: ${text.slice(0, 300)}`));
            return;
          }
          if (received.length < head + 4 + Number(length)) break;
          received = received.subarray(head + 4 + Number(length));
          underWay.shift();
          isAnswered = true;
          statuses[index] = Number(status);
          if (++answered === total) {
            end();
            return;
          }
        }
        fill();
      });
      // What matters follows as "close".
      socket.on('error', () => undefined);
      socket.on('close', () => {
        connections.delete(socket);
        fills.delete(fill);
        const first = underWay[0];
        // After an answer, those behind it are not to blame for the end.
        if (!isAnswered && first !== undefined) {
          const count = (tries.get(first) ?? 0) + 1;
          tries.set(first, count);
          if (count === MOST_TRIES) {
            end(new Error(`no answer to ${request(first).toString('latin1').slice(0, 300)}`));
            return;
          }
        }
        again.push(...underWay);
        // Not at once where nobody may listen any more.
        setTimeout(() => isOver || open(number), isAnswered ? 0 : 100);
      });
    };

    const clock = setInterval(() => {
      if (performance.now() - heardAt > LONGEST_SILENCE_MS)
        end(new Error(`${total - answered} of ${total} requests were not answered`));
      else for (const fill of fills) fill();
    }, 10);
    for (let number = 0; number < sockets; number++) open(number);
  });
}
