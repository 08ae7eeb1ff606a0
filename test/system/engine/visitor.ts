/** A webchat visitor as a browser is one: a page, its cookies, a socket, and messages sent by POST. */
import { randomUUID } from 'node:crypto';
import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import type { LookupFunction } from 'node:net';
import { io, type Socket } from 'socket.io-client';
import { fetchFrom, waitFor, type HttpOptions, type HttpResult } from './setup.ts';

export interface VisitorOptions {
  /** Public address, e.g. https://bot.acme.example:8443; the name needs no DNS. */
  url: string;
  bot: string;
  /** Who it is (default random): the same visitor may have several sockets. */
  id?: string;
  /** PEM of the authority behind the server's certificate. */
  ca?: string | Buffer;
  /** Where to connect whatever the name says (default 127.0.0.1). */
  connectTo?: string;
  transports?: ('websocket' | 'polling')[];
  /** Whether the socket comes back by itself (default true, as in a browser). */
  reconnects?: boolean;
}

/** One message that reached the visitor's socket. */
export interface Received {
  id: string;
  conversationId: string;
  /** The visitor's own words come back too, with its user id; the bot's have none. */
  authorId: string | null;
  text: string;
  /** Milliseconds since the epoch, of this machine's clock. */
  at: number;
}

export class Visitor {
  readonly id: string;
  readonly received: Received[] = [];
  /** Cookies that the server set on the page or on a POST. */
  readonly cookies = new Map<string, string>();
  /** How often the socket was connected so far. */
  connections = 0;
  conversationId: string | undefined;
  /** The socket's id, which each POST names: as on the page, that of the last one until the next one is connected. */
  socketId = '';
  private readonly options: VisitorOptions;
  private readonly socket: Socket;

  private constructor(options: VisitorOptions) {
    this.options = options;
    this.id = options.id ?? randomUUID().replaceAll('-', '');
    const lookup: LookupFunction = (_name, lookupOptions, done) => {
      const address = options.connectTo ?? '127.0.0.1';
      if (lookupOptions.all) done(null, [{ address, family: 4 }]);
      else done(null, address, 4);
    };
    const isTls = options.url.startsWith('https:');
    const agent = isTls ? new HttpsAgent({ ca: options.ca, lookup }) : new HttpAgent({ lookup });
    this.socket = io(`${options.url}/guest`, {
      query: { visitorId: this.id },
      transports: options.transports ?? ['websocket', 'polling'],
      reconnection: options.reconnects ?? true,
      reconnectionDelay: 200,
      reconnectionDelayMax: 1000,
      autoConnect: false,
      forceNew: true,
      // The types speak of an agent's name alone, which is what browsers have.
      agent: agent as unknown as string,
      extraHeaders: {},
    });
    this.socket.io.on('reconnect_attempt', () => this.takeCookiesAlong());
    this.socket.on('connect', () => {
      this.connections += 1;
      this.socketId = this.socket.id ?? '';
    });
    this.socket.on('event', (event: { name: string; data: Record<string, unknown> }) => {
      if (event.name !== 'guest.webchat.message') return;
      const { id, conversationId, authorId, payload } = event.data as unknown as Received & {
        payload: { text: string };
      };
      this.received.push({ id, conversationId, authorId, text: payload.text, at: Date.now() });
    });
  }

  /** Loads the page, opens the socket and waits until it is connected. */
  static async connect(options: VisitorOptions): Promise<Visitor> {
    const visitor = new Visitor(options);
    await visitor.loadPage();
    visitor.takeCookiesAlong();
    visitor.socket.connect();
    await waitFor(() => visitor.isConnected, { timeout: 15_000, what: 'webchat socket' });
    return visitor;
  }

  get isConnected(): boolean {
    return this.socket.connected;
  }

  /** What the bot said, in order of arrival. */
  get answers(): string[] {
    return this.received.filter(({ authorId }) => !authorId).map(({ text }) => text);
  }

  /** Does something in the instant in which the socket has ended, once. */
  onDisconnect(work: () => void): void {
    this.socket.once('disconnect', work);
  }

  /** Resolves in the instant in which the socket ends next. */
  nextDisconnect(): Promise<void> {
    return new Promise((resolve) => this.onDisconnect(resolve));
  }

  /** Ends the connection under the socket, which comes back by itself. */
  cutConnection(): void {
    this.socket.io.engine.close();
  }

  /** Opens the next socket of one that does not reconnect by itself. */
  connectAgain(): void {
    this.takeCookiesAlong();
    this.socket.connect();
  }

  loadPage(): Promise<HttpResult> {
    return this.fetch(`/lite/${this.options.bot}/`);
  }

  /** Posts one text. The status is the server's; the answer arrives over the socket. */
  async say(text: string): Promise<HttpResult> {
    return this.fetch(`/api/v1/bots/${this.options.bot}/mod/channel-web/messages`, {
      body: {
        webSessionId: this.socketId,
        conversationId: this.conversationId,
        payload: { type: 'text', text },
      },
      // Longer than nginx holds what is said while a rollout moves the visitor.
      timeout: 30_000,
    });
  }

  /** Posts one text and waits for the bot's next words. */
  async ask(text: string, timeout = 10_000): Promise<string> {
    const before = this.answers.length;
    const result = await this.say(text);
    if (result.status !== 200)
      throw new Error(`the message was refused with ${result.status}: ${result.body}`);
    return waitFor(() => this.answers[before], { timeout, what: `answer to "${text}"`, every: 50 });
  }

  close(): void {
    this.socket.close();
  }

  private takeCookiesAlong(): void {
    const cookie = this.cookieHeader();
    this.socket.io.opts.extraHeaders = cookie ? { cookie } : {};
  }

  private cookieHeader(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join('; ');
  }

  private async fetch(path: string, options: HttpOptions = {}): Promise<HttpResult> {
    const cookie = this.cookieHeader();
    const result = await fetchFrom(`${this.options.url}${path}`, {
      ...options,
      ca: this.options.ca,
      connectTo: this.options.connectTo,
      headers: { ...options.headers, ...(cookie ? { cookie } : {}) },
    });
    for (const line of result.headers['set-cookie'] ?? []) {
      const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
      this.cookies.set(name, value);
    }
    return result;
  }
}
