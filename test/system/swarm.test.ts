import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, connect, type Server } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { seedContent } from './engine/seed.ts';
import { demand, run, sleep, startEngine, waitFor } from './engine/setup.ts';
import { Load } from './load.ts';
import { Stack } from './stack.ts';

jest.setTimeout(240_000);

const swarmScript = join(import.meta.dirname, 'engine/swarm.sh');
const environment = {
  name: 'staging',
  domain: 'staging.bot.acme.example',
  httpPort: 19180,
  httpsPort: 19543,
};
const answers = {
  domain: 'bot.acme.example',
  environments: [environment],
  scaling: { target: 'swarm' },
  monitoring: false,
};
const images = [
  'botpress/server:12.31.10',
  'nginxinc/nginx-unprivileged:1.30.1-trixie',
  'postgres:17.10-trixie',
  'botpress-prod-backup:17.10-1',
];

/** The second engine, on which nothing but this test runs. */
let env: { DOCKER_HOST: string; RESOLVE_IMAGES: string };
let stack: Stack;
let door: Server;

const swarm = (...args: string[]) =>
  run(join(stack.folder, 'bin/swarm'), [...args], { cwd: stack.folder, env, timeout: 230_000 });
const docker = async (...args: string[]) => (await demand('docker', args, { env })).stdout.trim();

const variables = () => join(stack.folder, '.env.staging');
/** Sets variables of the machine; the last line of a name counts. */
const setVariables = (lines: Record<string, string>) =>
  appendFileSync(
    variables(),
    Object.entries(lines)
      .map(([name, value]) => `${name}=${value}\n`)
      .join(''),
  );
const botpressTasks = () =>
  docker(
    'service',
    'ps',
    '--filter',
    'desired-state=running',
    '--format',
    '{{.ID}} {{.CurrentState}}',
    'swarm-test-staging_botpress',
  );

beforeAll(async () => {
  await startEngine();
  const { stdout } = await demand(swarmScript, ['start', ...images], { timeout: 200_000 });
  const value = (name: string) => new RegExp(`${name}=(\\S+)`).exec(stdout)?.[1] ?? '';
  env = { DOCKER_HOST: value('DOCKER_HOST'), RESOLVE_IMAGES: 'never' };
  stack = await Stack.generate(answers, environment, 'swarm-test');
  await seedContent(join(stack.folder, 'botpress/data'), [{ id: 'support' }]);
  writeFileSync(variables(), readFileSync(`${variables()}.example`));
  // Two nodes at once on a machine with two CPUs that others use too.
  setVariables({
    BOTPRESS_RESERVED_CPUS: '0.1',
    BOTPRESS_RESERVED_MEMORY: '256m',
    POSTGRES_RESERVED_CPUS: '0.1',
    POSTGRES_RESERVED_MEMORY: '256m',
    UPDATE_MONITOR: '10s',
  });
  // What the second engine publishes is behind its own address; the visitors of the tests look at this machine.
  door = createServer((visitor) => {
    const inside = connect(environment.httpsPort, value('SWARM_ADDRESS'));
    visitor.on('error', () => inside.destroy());
    inside.on('error', () => visitor.destroy());
    visitor.pipe(inside).pipe(visitor);
  });
  await new Promise<void>((resolve) => door.listen(environment.httpsPort, '127.0.0.1', resolve));
});

afterAll(async () => {
  door?.close();
  await run(swarmScript, ['stop'], { timeout: 60_000 });
  await stack?.destroy();
});

describe('a stack on a Swarm', () => {
  it('comes up from the output: tables made by one job, then the nodes', async () => {
    const { code, stdout, stderr } = await swarm('up', 'staging');
    expect([code, code === 0 ? '' : stderr]).toEqual([0, '']);
    expect(stdout).toContain('making and migrating tables');
    expect((await stack.fetch('/lite/support/')).status).toBe(200);
    const { status, body } = await stack.fetch('/api/v1/bots/support/converse/first', {
      body: { type: 'text', text: 'hello' },
    });
    expect([status, body]).toEqual([200, expect.stringContaining('Hello from support')]);
    const services = await docker('service', 'ls', '--format', '{{.Name}} {{.Replicas}}');
    expect(services.split('\n').sort()).toEqual(
      ['backup', 'botpress', 'database-purge', 'nginx', 'postgres'].map(
        (name) => `swarm-test-staging_${name} 1/1`,
      ),
    );
  });

  it('shows no secret: not in what the engine tells of services, nor in names', async () => {
    const names = (await docker('service', 'ls', '--quiet')).split('\n');
    const told = [
      await docker('service', 'inspect', ...names),
      await docker('config', 'ls'),
      await docker('secret', 'ls'),
      readFileSync(join(stack.folder, 'state/staging/swarm/objects.yaml'), 'utf8'),
    ].join('\n');
    for (const secret of ['app-secret', 'admin-password', 'botpress-password', 'postgres-password'])
      expect([secret, told.includes(stack.secret(secret))]).toEqual([secret, false]);
  });

  it('changes nothing when it is deployed again', async () => {
    const before = await botpressTasks();
    expect((await swarm('up', 'staging')).code).toBe(0);
    expect((await botpressTasks()).split(' ')[0]).toBe(before.split(' ')[0]);
  });

  it('is updated under load without a failed request, with another variable and another secret', async () => {
    const secrets = async () =>
      (await docker('secret', 'ls', '--format', '{{.Name}}'))
        .split('\n')
        .filter((name) => name.endsWith('-app-secret')).length;
    expect(await secrets()).toBe(1);
    const before = (await botpressTasks()).split(' ')[0];
    const load = await Load.start(stack, { users: 4, visitors: 3 });
    setVariables({ NLU_CONFIDENCE: '0.66' });
    writeFileSync(join(stack.folder, 'secrets/staging/app-secret'), `${'n'.repeat(43)}\n`);
    const { code, stderr } = await swarm('up', 'staging');
    await sleep(3000);
    await load.stop();
    expect([code, stderr]).toEqual([0, '']);
    expect((await botpressTasks()).split(' ')[0]).not.toBe(before);
    // The one before stays for a rollback.
    expect(await secrets()).toBe(2);
    for (const fates of [load.converse, load.pages])
      expect({ ...fates, sent: 0, answered: 0 }).toEqual({
        sent: 0,
        answered: 0,
        failed: [],
        lost: [],
        doubled: [],
      });
    expect(load.converse.sent).toBeGreaterThan(100);
    expect(load.converse.answered).toBe(load.converse.sent);
    // A visitor whose socket was on the old node is refused until it is cut, unprocessed, and says it again.
    expect(load.webchat.lost).toEqual([]);
    expect(load.webchat.doubled).toEqual([]);
    process.stderr.write(
      `rolling update: ${load.converse.sent} messages by HTTP, ${load.pages.sent} pages, ${load.webchat.sent} by webchat (${load.webchat.failed.length} refused while the old node drained)\n`,
    );
  });

  it('takes a broken image back by itself, and serves all the while', async () => {
    // Has neither the server nor anything that would answer.
    await docker('tag', 'postgres:17.10-trixie', 'botpress/server:12.31.10-broken');
    const load = await Load.start(stack, { users: 2, visitors: 1 });
    setVariables({ IMAGE_BOTPRESS: 'botpress/server:12.31.10-broken' });
    const { code, stderr } = await swarm('up', 'staging');
    await load.stop();
    expect(code).toBe(1);
    expect(stderr).toContain('botpress was not updated');
    expect(
      await docker(
        'service',
        'inspect',
        '--format',
        '{{.Spec.TaskTemplate.ContainerSpec.Image}}',
        'swarm-test-staging_botpress',
      ),
    ).toBe('botpress/server:12.31.10');
    for (const fates of [load.converse, load.pages, load.webchat])
      expect({ ...fates, sent: 0, answered: 0 }).toEqual({
        sent: 0,
        answered: 0,
        failed: [],
        lost: [],
        doubled: [],
      });
    setVariables({ IMAGE_BOTPRESS: 'botpress/server:12.31.10' });
  });

  it('says what lacks, and removes the stack without its volumes', async () => {
    expect((await swarm('status', 'staging')).code).toBe(0);
    expect((await swarm('down', 'staging')).code).toBe(2);
    expect((await swarm('down', 'staging', '--yes')).code).toBe(0);
    await waitFor(async () => (await docker('ps', '--quiet')) === '', {
      timeout: 60_000,
      what: 'end of the tasks',
    });
    expect(await docker('volume', 'ls', '--quiet')).toContain('swarm-test-staging_postgres');
    expect(existsSync(join(stack.folder, 'secrets/staging/app-secret'))).toBe(true);
  });
});
