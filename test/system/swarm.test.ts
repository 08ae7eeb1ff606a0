import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer, connect, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { parse } from 'yaml';
import { withAnswers } from '../unit/answers/sample.ts';
import { matrix, on } from '../unit/scale/matrix.ts';
import { fillTables, fillUploads, fingerprintOf, uploadsOf } from './content.ts';
import { seedContent } from './engine/seed.ts';
import {
  demand,
  demandDocker,
  findFreePort,
  run,
  sleep,
  startEngine,
  waitFor,
  type RunResult,
} from './engine/setup.ts';
import { Load } from './load.ts';
import { secretLines, watchArguments } from './secrecy.ts';
import { Stack } from './stack.ts';

jest.setTimeout(240_000);

const generator = join(import.meta.dirname, '../../dist/src/cli.js');
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
    BACKUP_START_DELAY: '100000',
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

it.each(Object.entries(matrix))(
  'is described by files that docker takes as they are: %s',
  async (_, changes) => {
    const scratch = mkdtempSync(join(tmpdir(), 'botpress-prod-stack-'));
    try {
      const file = join(scratch, 'answers.json');
      writeFileSync(file, JSON.stringify(withAnswers(on('swarm', changes))));
      const folder = join(scratch, 'acme-bot');
      await demand(process.execPath, [generator, folder, '--yes', '--answers', file]);
      writeFileSync(join(folder, 'variables.env'), 'BACKUP_KEEP_DAILY=9\n');
      const files = ['stack.yaml', 'stack.production.yaml', 'jobs.yaml', 'migrate.production.yaml'];
      const { code, stdout, stderr } = await run(
        'docker',
        ['stack', 'config', ...files.flatMap((name) => ['--compose-file', join(folder, 'swarm', name)])],
        {
          env: {
            ENVIRONMENT: 'production',
            STACK: 'acme-bot-production',
            BACKUP_KEYS: '/keys',
            BACKUP_FOLDER: '/sets',
            REPOSITORY: folder,
            VARIABLES_FILE: join(folder, 'variables.env'),
          },
        },
      );
      expect([code, stderr]).toEqual([0, '']);
      const { services } = parse(stdout) as {
        services: Record<string, { environment?: Record<string, string>; deploy: { replicas?: number } }>;
      };
      const nodes = Number(changes['scaling.replicas'] ?? 1);
      expect(services.botpress?.deploy.replicas).toBe(nodes);
      expect(services.botpress?.environment?.CLUSTER_ENABLED).toBe(nodes > 1 ? 'true' : undefined);
      expect(services.redis?.deploy.replicas).toBe(
        nodes > 1 && changes['scaling.redis'] !== 'managed' ? 1 : undefined,
      );
      expect(Boolean(services.postgres)).toBe(changes['scaling.database'] !== 'managed');
      const backups = (changes['backup.targets'] as string[] | undefined)?.length !== 0;
      // What the machine says, beside what is in force where it says nothing.
      expect(services.backup?.environment?.BACKUP_KEEP_DAILY).toBe(backups ? '9' : undefined);
      expect(services.backup?.environment?.DEFAULT_KEEP_WEEKLY).toBe(backups ? '8' : undefined);
    } finally {
      rmSync(scratch, { recursive: true });
    }
  },
);

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

  it('changes nothing when it is deployed again, though Docker finds its networks late', async () => {
    const before = await botpressTasks();
    const { stdout } = await demand('which', ['docker']);
    const late = join(stack.folder, 'late');
    mkdirSync(late);
    writeFileSync(
      join(late, 'docker'),
      `#!/bin/sh
if [ "$1 $2" = 'stack deploy' ] && mkdir '${late}/once' 2>/dev/null; then
  echo 'failed to create service x_nginx: Error response from daemon: network x_edge not found' >&2
  exit 1
fi
exec ${stdout.trim()} "$@"
`,
      { mode: 0o755 },
    );
    const { code } = await run(join(stack.folder, 'bin/swarm'), ['up', 'staging'], {
      cwd: stack.folder,
      env: { ...env, PATH: `${late}:${process.env.PATH}` },
      timeout: 230_000,
    });
    expect([code, existsSync(join(late, 'once'))]).toEqual([0, true]);
    rmSync(late, { recursive: true });
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

  describe('takes over a deployment of compose from its backup', () => {
    let old: Stack;
    let id: string;
    /** Rows and uploads on the old machine when the set was made, and here before it was restored. */
    const [there, before] = [new Map<string, string>(), new Map<string, string>()];
    const task = (service: string) =>
      docker(
        'ps',
        '--quiet',
        '--filter',
        `label=com.docker.swarm.service.name=swarm-test-staging_${service}`,
      );
    const command = (name: string, ...args: string[]): Promise<RunResult> =>
      run(join(stack.folder, 'bin', name), args, { cwd: stack.folder, env, timeout: 200_000 });
    const query = ['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-U', 'postgres', '-d', 'botpress', '-c'];
    const rows = () =>
      fingerprintOf(async (statement) => docker('exec', await task('postgres'), ...query, statement));
    const files = () =>
      uploadsOf(async (script) => docker('exec', await task('backup'), 'bash', '-c', script));
    const inside = (service: string, ...args: string[]) =>
      demandDocker(['exec', `${old.project}-${service}-1`, ...args]);
    const oldRows = () => fingerprintOf((statement) => inside('postgres', ...query, statement));
    const oldFiles = () => uploadsOf((script) => inside('backup', 'bash', '-c', script));
    const expectUntouched = async () => {
      expect(await rows()).toBe(before.get('rows'));
      expect(await files()).toBe(before.get('files'));
    };
    const say = async (on: Stack, text: string) =>
      (
        await on.fetch('/api/v1/bots/support/converse/mover', { body: { type: 'text', text } })
      ).body.toString();

    beforeAll(async () => {
      const ports = { httpPort: await findFreePort(), httpsPort: await findFreePort() };
      const place = { ...environment, ...ports };
      old = await Stack.generate({ ...answers, environments: [place], scaling: {} }, place, 'swarm-test');
      await seedContent(join(old.folder, 'botpress/data'), [{ id: 'support' }]);
      writeFileSync(
        join(old.folder, 'compose.test.yaml'),
        JSON.stringify({
          services: Object.fromEntries(
            ['botpress-blue', 'postgres', 'nginx'].map((name) => [name, { healthcheck: { interval: '1s' } }]),
          ),
        }),
      );
      // One deployment has one folder of secrets, wherever it runs.
      cpSync(join(stack.folder, 'secrets'), join(old.folder, 'secrets'), { recursive: true });
      appendFileSync(join(old.folder, '.env.staging'), 'BACKUP_START_DELAY=100000\n');
      await old.demandBin('up');
      await fillTables((statement) => inside('postgres', ...query, statement));
      await fillUploads(`${old.project}-botpress-blue-1`);
      expect(await say(old, 'hello')).toContain('Hello from support');
      await demandDocker(['stop', `${old.project}-botpress-blue-1`]);
      there.set('rows', await oldRows());
      there.set('files', await oldFiles());
      const { stdout } = await demand(join(old.folder, 'bin/backup'), ['create', 'staging'], {
        cwd: old.folder,
      });
      id = stdout.trim();
      // With its owner, as rsync --archive brings it.
      const sets = 'backups/staging';
      await demand('mkdir', ['-p', join(stack.folder, sets)]);
      await demand('cp', ['--archive', `${join(old.folder, sets)}/.`, join(stack.folder, sets)]);
      before.set('rows', await rows());
      before.set('files', await files());
    });

    afterAll(() => old?.destroy());

    it('refuses a set that was tampered with, and leaves everything in force', async () => {
      const spoilt = `${id.slice(0, -6)}${id.endsWith('000000') ? '000001' : '000000'}`;
      const folder = join(stack.folder, 'backups/staging/swarm-test-staging');
      await demand('cp', ['--archive', join(folder, id), join(folder, spoilt)]);
      const node = await botpressTasks();
      const renamed = await command('restore', spoilt, 'staging', '--yes');
      expect([renamed.code, renamed.stderr]).toEqual([3, expect.stringContaining('not signed')]);
      await demand('rm', ['-r', join(folder, spoilt)]);
      const dump = join(folder, id, 'database.dump.age');
      const good = readFileSync(dump);
      const bad = Buffer.from(good);
      bad[500] = (bad[500] ?? 0) ^ 1;
      writeFileSync(dump, bad);
      const { code, stderr } = await command('restore', id, 'staging', '--yes');
      writeFileSync(dump, good);
      expect([code, stderr]).toEqual([3, expect.stringContaining('SHA-256')]);
      await expectUntouched();
      expect((await botpressTasks()).split(' ')[0]).toBe(node.split(' ')[0]);
    });

    it('has the rows, the files and the conversations of the old machine, and shows no key', async () => {
      const watch = await watchArguments();
      let told = '';
      const restoring = command('restore', id, 'staging', '--yes', '--json');
      const ended = restoring.then(
        () => true,
        () => true,
      );
      while (!(await Promise.race([ended, sleep(500).then(() => false)]))) {
        const { code, stdout } = await run('docker', ['inspect', 'swarm-test-staging-restore-tools'], {
          env,
        });
        if (code === 0) told = stdout;
      }
      const { code, stdout, stderr } = await restoring;
      const seen = [...(await watch.end()), told, stdout, stderr].join('\n');
      expect([code, code === 0 ? '' : stderr]).toEqual([0, '']);
      expect(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({
        result: 'restored',
        id,
        target: 'local',
        safetySet: expect.stringMatching(/^\d{8}T/),
      });
      process.stderr.write(`moved to the Swarm: ${stdout.trim().split('\n').at(-1)}\n`);
      expect(await rows()).toBe(there.get('rows'));
      expect(await files()).toBe(there.get('files'));
      // The conversation goes on where it was.
      expect(await say(stack, 'are you there')).toContain('You said are you there');
      expect(seen).toContain('/etc/backup/identity.txt');
      expect(told).toContain('/opt/backup/backup.sh');
      const hidden = secretLines(join(stack.folder, 'secrets/staging'));
      expect(hidden.length).toBeGreaterThan(8);
      for (const secret of hidden) expect(seen).not.toContain(secret);
    });

    it('makes sets of its own, with the configuration and without a secret', async () => {
      // What was said before is written in batches.
      const counting = "SELECT count(*) FROM events WHERE event::text LIKE '%are you there%'";
      await waitFor(
        async () => (await docker('exec', await task('postgres'), ...query, counting)).trim() === '2',
        { timeout: 30_000, what: 'events in the database' },
      );
      const made = await command('backup', 'create', 'staging');
      expect([made.code, made.stderr]).toEqual([0, expect.stringContaining('read back and compared')]);
      const opened = await docker(
        ...['exec', await task('backup'), 'bash', '-c'],
        `age -d -i /etc/backup/identity.txt /backups/*/${made.stdout.trim()}/configuration.tar.zst.age | zstd -dc | tar -t`,
      );
      expect(opened).toContain('./swarm/stack.yaml');
      expect(opened).not.toMatch(/secrets\/|\.env\.staging$|identity\.txt/m);
      expect((await command('backup', 'verify', made.stdout.trim(), 'staging')).code).toBe(0);
      // And the way back.
      const [now, uploads] = [await rows(), await files()];
      await demand('cp', [
        '--archive',
        join(stack.folder, 'backups/staging/swarm-test-staging', made.stdout.trim()),
        join(old.folder, 'backups/staging/swarm-test-staging'),
      ]);
      await demand(
        join(old.folder, 'bin/restore'),
        [made.stdout.trim(), 'staging', '--no-safety-set', '--yes'],
        {
          cwd: old.folder,
          timeout: 150_000,
        },
      );
      expect([await oldRows(), await oldFiles()]).toEqual([now, uploads]);
    });

    it('goes back to what was before, and comes back by itself where Botpress does not start', async () => {
      const undone = await command('restore', '--undo', 'staging', '--yes');
      expect([undone.code, undone.code === 0 ? '' : undone.stderr]).toEqual([0, '']);
      await expectUntouched();
      const failed = await command(
        ...(['restore', id, 'staging', '--yes', '--no-safety-set', '--timeout', '0'] as const),
      );
      expect([failed.code, failed.stderr]).toEqual([12, expect.stringContaining('as it was before')]);
      await expectUntouched();
      expect((await swarm('status', 'staging')).code).toBe(0);
    });
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
