import { randomBytes } from 'node:crypto';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { deploymentOf, renderDatabase } from '../unit/database/rendered.ts';
import { demandDocker, docker, startEngine, waitFor } from './engine/setup.ts';

jest.setTimeout(120_000);

const deployment = deploymentOf({ edition: 'pro', 'scaling.replicas': 2 });
const server = `redis-test-${process.pid}`;
const random = () => randomBytes(32).toString('base64url');

let folder: string;
let password: string;

async function writeSecret(value: string): Promise<void> {
  password = value;
  await writeFile(join(folder, 'redis-password'), `${value}\n`);
  await chmod(join(folder, 'redis-password'), 0o644);
}

/** One command as a client with a password, in the server's container. */
async function redis(secret: string, ...command: string[]): Promise<string> {
  const { stdout, stderr } = await docker([
    ...['exec', '--env', `REDISCLI_AUTH=${secret}`, server, 'redis-cli', '-h', '127.0.0.1', ...command],
  ]);
  return (stdout + stderr).trim();
}

const script = (...args: string[]) => docker(['exec', server, '/opt/redis/start.sh', ...args]);
const becomeHealthy = () =>
  waitFor(async () => (await script('--health')).code === 0, { timeout: 30_000, what: 'Redis' });

beforeAll(async () => {
  await startEngine();
  folder = await mkdtemp(join(tmpdir(), 'redis-test-'));
  for (const [path, content] of renderDatabase(deployment)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), content);
    await chmod(join(folder, path), path.endsWith('.sh') ? 0o755 : 0o644);
  }
  await writeSecret(random());
  await demandDocker([
    ...[
      'run',
      '--detach',
      '--name',
      server,
      '--network',
      'none',
      '--user',
      '999:999',
      '--read-only',
      '--init',
    ],
    ...['--cap-drop', 'ALL', '--security-opt', 'no-new-privileges', '--volume', `${server}:/data`],
    ...['--tmpfs', '/tmp:uid=999,gid=999,mode=0700,size=16m', '--entrypoint', '/opt/redis/start.sh'],
    ...['--volume', `${join(folder, 'redis')}:/opt/redis:ro`],
    ...['--volume', `${join(folder, 'redis-password')}:/run/secrets/redis-password:ro`],
    deployment.images.redis.reference,
  ]);
  await becomeHealthy();
}, 300_000);

afterAll(async () => {
  await docker(['rm', '--force', server]);
  await docker(['volume', 'rm', '--force', server]);
  await rm(folder, { recursive: true, force: true });
});

it('answers nobody without the password', async () => {
  expect(await redis('', 'PING')).toContain('NOAUTH');
  expect(await redis('wrong', 'PING')).toContain('WRONGPASS');
  expect(await redis(password, 'PING')).toBe('PONG');
});

describe('the client of Botpress', () => {
  it.each([
    ['INFO', 'server'],
    ['SET', 'key', 'value'],
    ['EVAL', 'return redis.call("SET", KEYS[1], "1", "PX", "1000", "NX")', '1', 'lock'],
    ['PUBLISH', 'any/channel', 'message'],
    ['PUBSUB', 'NUMSUB', 'socket.io#/#'],
    ['CLIENT', 'SETNAME', 'node'],
    ['KEYS', 'prefix*'],
    ['SCAN', '0'],
    ['XADD', 'stream', '*', 'field', 'value'],
  ])('may %s', async (...command) => {
    expect(await redis(password, ...command)).not.toMatch(/NOPERM|ERR|NOAUTH/);
  });

  it.each([
    ['FLUSHALL'],
    ['FLUSHDB'],
    ['CONFIG', 'GET', '*'],
    ['SHUTDOWN'],
    ['ACL', 'LIST'],
    ['MONITOR'],
    ['CLIENT', 'LIST'],
    ['REPLICAOF', 'NO', 'ONE'],
    ['SAVE'],
    ['MODULE', 'LIST'],
  ])('may not %s', async (...command) => {
    expect(await redis(password, ...command)).toContain('NOPERM');
  });
});

it('keeps its state when it is killed, and writes on disk', async () => {
  await redis(password, 'SET', 'kept', 'yes');
  expect(await redis(password, 'WAITAOF', '1', '0', '10000')).toMatch(/^1/);
  await demandDocker(['kill', server]);
  await demandDocker(['start', server]);
  await becomeHealthy();
  expect(await redis(password, 'GET', 'kept')).toBe('yes');
});

it('refuses to write rather than to forget when its memory is full', async () => {
  expect(await redis(password, 'INFO', 'memory')).toMatch(
    /maxmemory:268435456[\s\S]*maxmemory_policy:noeviction/,
  );
});

it('takes a new password beside the old one, then drops the old one, without cutting anybody off', async () => {
  const old = password;
  const subscriber = docker([
    'exec',
    '--env',
    `REDISCLI_AUTH=${old}`,
    server,
    'timeout',
    '6',
    'redis-cli',
    'SUBSCRIBE',
    'news',
  ]);
  await waitFor(async () => (await redis(old, 'PUBSUB', 'NUMSUB', 'news')).endsWith('1'), {
    timeout: 5_000,
    what: 'subscriber',
  });
  await writeSecret(random());
  expect(await script('--reload')).toMatchObject({ code: 0, stdout: 'OK\n' });
  expect(await redis(old, 'PING')).toBe('PONG');
  expect(await redis(password, 'PING')).toBe('PONG');
  expect(await script('--reload', '--only-new')).toMatchObject({ code: 0 });
  expect(await redis(old, 'PING')).toContain('WRONGPASS');
  expect(await redis(password, 'PUBLISH', 'news', 'still connected')).toBe('1');
  expect((await subscriber).stdout).toContain('still connected');
});

it('shows no password in its arguments, environment, log and files that others can read', async () => {
  const seen = [
    await demandDocker(['inspect', server]),
    await demandDocker(['top', server, '-eo', 'pid,args']),
    await demandDocker([
      'exec',
      server,
      'bash',
      '-c',
      'cat /proc/[0-9]*/environ 2>/dev/null | tr "\\0" "\\n"; cat /tmp/users.acl',
    ]),
    ...Object.values(await docker(['logs', server])).map(String),
  ].join('\n');
  expect(seen).toContain('redis-server');
  expect(seen).not.toContain(password);
  expect(
    await demandDocker(['exec', server, 'stat', '-c', '%a', '/tmp/users.acl', '/tmp/operator-password']),
  ).toBe('600\n600');
});

it('does not start without a password, and says why', async () => {
  const right = password;
  await writeSecret('');
  const { code, stderr } = await docker([
    ...['run', '--rm', '--network', 'none', '--user', '999:999', '--tmpfs', '/tmp:uid=999,gid=999,mode=0700'],
    ...['--entrypoint', '/opt/redis/start.sh', '--volume', `${join(folder, 'redis')}:/opt/redis:ro`],
    ...['--volume', `${join(folder, 'redis-password')}:/run/secrets/redis-password:ro`],
    deployment.images.redis.reference,
  ]);
  expect(code).toBe(1);
  expect(stderr).toContain('redis: secret redis-password cannot be read or is empty');
  await writeSecret(right);
});
