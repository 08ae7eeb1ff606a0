/** Continuous load on a stack, as visitors make it, and what became of every message. */
import { Agent, request } from 'node:https';
import type { LookupFunction } from 'node:net';
import { sleep, waitFor } from './engine/setup.ts';
import { Visitor } from './engine/visitor.ts';
import type { Stack } from './stack.ts';

export interface LoadOptions {
  /** Users of the converse API, each with a keep-alive connection. */
  users: number;
  /** Webchat visitors, each with an open websocket; the last one has none and polls. */
  visitors: number;
}

/** A span of time, in milliseconds since 1970. */
export interface Span {
  from: number;
  to: number;
}

/** One finished request of the HTTP load. */
interface Sample {
  at: number;
  milliseconds: number;
}

/** What became of the messages of one kind. */
export interface Fates {
  sent: number;
  /** Answered, once, in order. */
  answered: number;
  /** No connection, an error, or a status other than 200: one line each. */
  failed: string[];
  /** Accepted, but the answer never came. */
  lost: string[];
  /** Answered more than once. */
  doubled: string[];
}

const noFates = (): Fates => ({ sent: 0, answered: 0, failed: [], lost: [], doubled: [] });

/** How long an accepted webchat message may wait for its answer. */
const ANSWER_LIMIT_MS = 15_000;
/** How long a slow client takes to send one message: longer than a switch and the time until sockets are cut. */
const SLOW_BODY_MS = 12_000;

const lookup: LookupFunction = (_name, options, done) => {
  if (options.all) done(null, [{ address: '127.0.0.1', family: 4 }]);
  else done(null, '127.0.0.1', 4);
};

/**
 * Users who converse by HTTP, one who sends slowly, readers of pages, and webchat visitors who talk as people do: a
 * message, its answer, a moment of thought, and something in the very instant in which their socket ends.
 */
export class Load {
  readonly converse = noFates();
  readonly webchat = noFates();
  readonly pages = noFates();
  readonly samples: Sample[] = [];
  private readonly visitors: Visitor[] = [];
  private readonly loops: Promise<void>[] = [];
  private readonly stack: Stack;
  private isRunning = true;

  private constructor(stack: Stack) {
    this.stack = stack;
  }

  static async start(stack: Stack, { users, visitors }: LoadOptions): Promise<Load> {
    const load = new Load(stack);
    for (let number = 0; number < visitors; number++) {
      const visitor = await Visitor.connect({
        url: `https://${stack.domain}:${stack.httpsPort}`,
        bot: 'support',
        ca: stack.certificate(),
        transports: [number === visitors - 1 ? 'polling' : 'websocket'],
      });
      load.visitors.push(visitor);
      // The bot greets first and repeats from then on.
      await visitor.ask('hello');
      load.loops.push(load.chat(visitor));
    }
    for (let number = 0; number < users; number++) load.loops.push(load.talk(`user-${number}`));
    load.loops.push(load.talkSlowly(), load.read());
    return load;
  }

  /** How often the webchat sockets were opened so far, all visitors together. */
  get connections(): number {
    return this.visitors.reduce((sum, { connections }) => sum + connections, 0);
  }

  /** Milliseconds of the 50th and 99th percentile of the converse requests that ended within spans of time. */
  percentiles(spans: readonly Span[]): {
    p50: number;
    p99: number;
    requests: number;
  } {
    const times = this.samples
      .filter((sample) => spans.some(({ from, to }) => sample.at >= from && sample.at < to))
      .map(({ milliseconds }) => milliseconds)
      .sort((a, b) => a - b);
    const at = (share: number) => Math.round(times[Math.floor((times.length - 1) * share)] ?? NaN);
    return { p50: at(0.5), p99: at(0.99), requests: times.length };
  }

  /** Lets every message that was sent come to its end. */
  async stop(): Promise<void> {
    this.isRunning = false;
    await Promise.all(this.loops);
    // What is doubled may come late.
    await sleep(1000);
    for (const visitor of this.visitors) {
      this.countDoubles(visitor);
      visitor.close();
    }
  }

  private async talk(user: string): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: this.stack.certificate(), lookup });
    await this.post(agent, user, 'hello');
    for (let number = 0; this.isRunning; number++) {
      await this.say(agent, user, `message ${number}`);
      await sleep(150 + Math.random() * 150);
    }
    agent.destroy();
  }

  private async talkSlowly(): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: this.stack.certificate(), lookup });
    await this.post(agent, 'slow-user', 'hello');
    for (let number = 0; this.isRunning; number++)
      await this.say(agent, 'slow-user', `message ${number}`, SLOW_BODY_MS);
    agent.destroy();
  }

  private async say(agent: Agent, user: string, text: string, bodyMs = 0): Promise<void> {
    this.converse.sent += 1;
    const started = Date.now();
    try {
      const { status, body } = await this.post(agent, user, text, bodyMs);
      if (bodyMs === 0) this.samples.push({ at: Date.now(), milliseconds: Date.now() - started });
      const words = status === 200 ? (JSON.parse(body) as { responses: { text: string }[] }).responses : [];
      const expected = words.filter((response) => response.text === `You said ${text}`).length;
      const what = `${new Date().toISOString()} ${user}, ${text}: ${status} ${body.slice(0, 200)}`;
      if (status !== 200) this.converse.failed.push(what);
      else if (expected === 0) this.converse.lost.push(what);
      else if (words.length > 1) this.converse.doubled.push(what);
      else this.converse.answered += 1;
    } catch (error) {
      this.converse.failed.push(
        `${new Date().toISOString()} ${user}, ${text}: ${(error as Error).message} after ${Date.now() - started} ms`,
      );
    }
  }

  private post(
    agent: Agent,
    user: string,
    text: string,
    bodyMs = 0,
  ): Promise<{ status: number; body: string }> {
    const { domain, httpsPort } = this.stack;
    const message = Buffer.from(JSON.stringify({ type: 'text', text }));
    return new Promise((resolve, reject) => {
      const call = request(
        `https://${domain}:${httpsPort}/api/v1/bots/support/converse/${user}`,
        {
          method: 'POST',
          agent,
          timeout: 30_000,
          headers: { 'content-type': 'application/json', 'content-length': message.length },
        },
        (response) => {
          let body = '';
          response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk));
          response.on('error', reject);
          response.on('end', () => resolve({ status: response.statusCode ?? 0, body }));
        },
      );
      call.on('timeout', () => call.destroy(new Error('no answer within 30 s')));
      call.on('error', reject);
      if (bodyMs === 0) {
        call.end(message);
        return;
      }
      call.write(message.subarray(0, 10));
      setTimeout(() => call.end(message.subarray(10)), bodyMs);
    });
  }

  private async read(): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca: this.stack.certificate(), lookup });
    const { domain, httpsPort } = this.stack;
    while (this.isRunning) {
      this.pages.sent += 1;
      await new Promise<void>((resolve) => {
        const fail = (reason: string) => {
          this.pages.failed.push(`${new Date().toISOString()} ${reason}`);
          resolve();
        };
        const call = request(`https://${domain}:${httpsPort}/lite/support/`, { agent, timeout: 30_000 });
        call.on('error', (error) => fail(error.message));
        call.on('response', (response) => {
          response.resume();
          response.on('end', () => {
            if (response.statusCode !== 200) return fail(String(response.statusCode));
            this.pages.answered += 1;
            resolve();
          });
        });
        call.end();
      });
      await sleep(200);
    }
    agent.destroy();
  }

  /** Talks whether the socket stands or not, as a page does not ask either, and each time in the instant in which it ends. */
  private async chat(visitor: Visitor): Promise<void> {
    let end = visitor.nextDisconnect();
    for (let number = 0; this.isRunning; number++) {
      const hasEnded = await Promise.race([
        sleep(2000 + Math.random() * 4000).then(() => false),
        end.then(() => true),
      ]);
      if (hasEnded) end = visitor.nextDisconnect();
      const text = `message ${number}`;
      this.webchat.sent += 1;
      const socket = `connection ${visitor.connections}${visitor.isConnected ? '' : ', which has ended'}`;
      const mark = `${visitor.id.slice(0, 6)}, ${text}, sent ${new Date().toISOString()} on ${socket}`;
      try {
        const { status, body } = await visitor.say(text);
        if (status !== 200) {
          this.webchat.failed.push(`${new Date().toISOString()} ${mark}: ${status} ${body.slice(0, 200)}`);
          continue;
        }
      } catch (error) {
        this.webchat.failed.push(`${new Date().toISOString()} ${mark}: ${(error as Error).message}`);
        continue;
      }
      const accepted = new Date().toISOString();
      try {
        await waitFor(() => visitor.answers.includes(`You said ${text}`), {
          timeout: ANSWER_LIMIT_MS,
          what: 'answer',
          every: 20,
        });
        this.webchat.answered += 1;
      } catch {
        this.webchat.lost.push(`${accepted} ${mark}`);
      }
    }
  }

  private countDoubles(visitor: Visitor): void {
    const counts = new Map<string, number>();
    for (const text of visitor.answers) counts.set(text, (counts.get(text) ?? 0) + 1);
    for (const [text, count] of counts)
      if (count > 1) this.webchat.doubled.push(`${visitor.id.slice(0, 6)}, ${text}: ${count} times`);
  }
}
