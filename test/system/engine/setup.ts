/** What system tests stand on: the engine, the images, programs, waiting, HTTP and TLS without DNS. */
import { spawn } from 'node:child_process';
import { request as httpRequest, type IncomingHttpHeaders } from 'node:http';
import { request as httpsRequest } from 'node:https';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));

/** Scratch folder of the machine: the engine's socket and data, build folders, locks. */
export const workFolder = process.env.BOTPRESS_PROD_WORK ?? '/var/tmp/botpress-prod-test';

export interface Engine {
  /** unix:// address of the daemon; also set as DOCKER_HOST of this process. */
  readonly dockerHost: string;
}

export interface RunOptions {
  cwd?: string;
  /** Laid over the environment of this process; undefined removes a variable. */
  env?: Record<string, string | undefined>;
  /** Written to standard input, which is otherwise empty. */
  input?: string;
  /** Kills the program after so many ms (default 300 000). */
  timeout?: number;
}

export interface RunResult {
  /** Exit code; 128 + signal number when a signal ended the program. */
  code: number;
  stdout: string;
  stderr: string;
}

export interface WaitOptions {
  /** Most ms to wait. */
  timeout: number;
  /** What is waited for, for the message of the failure. */
  what: string;
  /** Ms between two looks (default 200). */
  every?: number;
}

export interface HttpOptions {
  method?: string;
  headers?: Record<string, string>;
  /** An object is sent as JSON. */
  body?: string | Buffer | object;
  /** PEM of the certificate authority that must have signed the server's certificate. */
  ca?: string | Buffer;
  /** Where to connect whatever the URL's host says (default 127.0.0.1): the name needs no DNS. */
  connectTo?: string;
  /** Port to connect to whatever the URL says. */
  port?: number;
  /** Most ms until the answer is complete (default 15 000). */
  timeout?: number;
}

export interface HttpResult {
  status: number;
  headers: IncomingHttpHeaders;
  body: string;
}

let started: Promise<Engine> | undefined;

/**
 * Installs what is missing, starts the engine and builds the images that changed. Safe to call from every test file
 * and from several processes at once: a file lock makes the later ones wait.
 * @throws with the end of the program's output when a step fails
 */
export function startEngine(): Promise<Engine> {
  started ??= (async () => {
    const env = { BOTPRESS_PROD_WORK: workFolder };
    const { stdout } = await demand(path.join(here, 'prepare.sh'), [], { env, timeout: 1_200_000 });
    const dockerHost = /DOCKER_HOST=(\S+)/.exec(stdout)?.[1];
    if (!dockerHost) throw new Error(`prepare.sh printed no DOCKER_HOST: ${stdout}`);
    process.env.DOCKER_HOST = dockerHost;
    return { dockerHost };
  })();
  return started;
}

/** Ends the engine of this machine with all its containers; images and build cache stay. */
export async function stopEngine(): Promise<void> {
  await demand(path.join(here, 'engine.sh'), ['stop'], { env: { BOTPRESS_PROD_WORK: workFolder } });
}

/** Runs a program to its end. Rejects only when it cannot be started; a failing exit code is the caller's to judge. */
export function run(
  command: string,
  args: readonly string[] = [],
  options: RunOptions = {},
): Promise<RunResult> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, {
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk));
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk));
    const timer = setTimeout(() => child.kill('SIGKILL'), options.timeout ?? 300_000);
    child.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code: code ?? (signal === 'SIGTERM' ? 143 : 137), stdout, stderr });
    });
    // A program that ends without reading its input is no fault of the test.
    child.stdin.on('error', () => {});
    child.stdin.end(options.input ?? '');
  });
}

/** Like `run`, but a non-zero exit code is an error that shows the end of the output. */
export async function demand(
  command: string,
  args: readonly string[] = [],
  options: RunOptions = {},
): Promise<RunResult> {
  const result = await run(command, args, options);
  if (result.code !== 0) {
    const output = `${result.stdout}\n${result.stderr}`.trim().slice(-4000);
    throw new Error(`${command} ${args.slice(0, 4).join(' ')} ended with ${result.code}:\n${output}`);
  }
  return result;
}

/** Runs `docker` against the engine. Starts nothing: call `startEngine` before. */
export function docker(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  return run('docker', args, options);
}

/** `docker`, where failure is an error. Gives standard output without the last line break. */
export async function demandDocker(args: readonly string[], options: RunOptions = {}): Promise<string> {
  return (await demand('docker', args, options)).stdout.trimEnd();
}

/**
 * Looks again and again until the predicate gives something other than false, null or undefined, and returns it.
 * A predicate that throws is looked at again; its last error is part of the failure's message.
 */
export async function waitFor<T>(
  predicate: () => T | Promise<T>,
  options: WaitOptions,
): Promise<Exclude<T, false | null | undefined>> {
  const deadline = Date.now() + options.timeout;
  let last: string;
  for (;;) {
    try {
      const value = await predicate();
      if (value !== false && value !== null && value !== undefined) {
        return value as Exclude<T, false | null | undefined>;
      }
      last = 'the condition stayed false';
    } catch (error) {
      last = error instanceof Error ? error.message : String(error);
    }
    if (Date.now() >= deadline) throw new Error(`no ${options.what} within ${options.timeout} ms: ${last}`);
    await sleep(options.every ?? 200);
  }
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/**
 * One HTTP or HTTPS request on a connection of its own. The URL's host is what the server sees (Host and SNI); the
 * connection goes to 127.0.0.1 unless `connectTo` says otherwise. Certificates are always verified: give `ca` for
 * one that is signed by a test's own authority.
 * @throws on refused connections, TLS failures and timeouts; any HTTP status is a result
 */
export function fetchFrom(url: string, options: HttpOptions = {}): Promise<HttpResult> {
  const target = new URL(url);
  const isTls = target.protocol === 'https:';
  const isJson = typeof options.body === 'object' && !Buffer.isBuffer(options.body);
  const body = isJson ? JSON.stringify(options.body) : (options.body as string | Buffer | undefined);
  const headers: Record<string, string> = {
    host: target.host,
    connection: 'close',
    ...(isJson ? { 'content-type': 'application/json' } : {}),
    ...(body === undefined ? {} : { 'content-length': String(Buffer.byteLength(body)) }),
    ...options.headers,
  };
  return new Promise((resolve, reject) => {
    const request = (isTls ? httpsRequest : httpRequest)({
      host: options.connectTo ?? '127.0.0.1',
      port: options.port ?? (target.port || (isTls ? 443 : 80)),
      path: `${target.pathname}${target.search}`,
      method: options.method ?? (body === undefined ? 'GET' : 'POST'),
      headers,
      agent: false,
      ...(isTls ? { ca: options.ca, servername: target.hostname } : {}),
    });
    const timer = setTimeout(
      () => request.destroy(new Error(`no answer from ${url} in time`)),
      options.timeout ?? 15_000,
    );
    request.on('error', (error) => {
      clearTimeout(timer);
      reject(error);
    });
    request.on('response', (response) => {
      let text = '';
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk));
      response.on('error', reject);
      response.on('close', () => {
        clearTimeout(timer);
        if (!response.complete) reject(new Error(`the answer from ${url} was cut`));
        else resolve({ status: response.statusCode ?? 0, headers: response.headers, body: text });
      });
    });
    request.end(body);
  });
}

/** Removes what a compose project left: containers, networks and volumes, found by compose's label. */
export async function cleanUp(project: string): Promise<void> {
  const filter = ['--filter', `label=com.docker.compose.project=${project}`];
  const containers = await listIds(['container', 'ls', '--all', '--quiet', ...filter]);
  if (containers.length > 0) await demandDocker(['container', 'rm', '--force', '--volumes', ...containers]);
  for (const id of await listIds(['network', 'ls', '--quiet', ...filter])) {
    // A container that vanishes leaves its endpoint for a moment.
    const isGone = async () => (await docker(['network', 'rm', id])).code === 0 || freeNetwork(id);
    await waitFor(isGone, { timeout: 20_000, what: `end of network ${id}` });
  }
  const volumes = await listIds(['volume', 'ls', '--quiet', ...filter]);
  if (volumes.length > 0) await demandDocker(['volume', 'rm', '--force', ...volumes]);
}

async function listIds(list: string[]): Promise<string[]> {
  return (await demandDocker(list)).split('\n').filter(Boolean);
}

/** Cuts what still hangs on a network. @returns false, as it is not gone yet */
async function freeNetwork(id: string): Promise<false> {
  const format = '{{range $id, $_ := .Containers}}{{$id}} {{end}}';
  const { stdout } = await docker(['network', 'inspect', '--format', format, id]);
  for (const container of stdout.trim().split(' ').filter(Boolean)) {
    await docker(['network', 'disconnect', '--force', id, container]);
  }
  return false;
}

/** A TCP port of this machine that nobody uses now. */
export async function findFreePort(): Promise<number> {
  const { createServer } = await import('node:net');
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.on('error', reject);
    server.listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() => resolve(typeof address === 'object' && address ? address.port : 0));
    });
  });
}
