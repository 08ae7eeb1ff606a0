/** What the tests of rollouts share: images with other behaviour, and a look at the state of an environment. */
import { expect } from '@jest/globals';
import { spawn } from 'node:child_process';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { IMAGES } from '../../src/deployment/images.ts';
import { seedContent } from './engine/seed.ts';
import { cleanUp, demandDocker, docker, waitFor } from './engine/setup.ts';
import { Stack } from './stack.ts';

/** Knobs of the stand-in that shorten its start: what is tested here is the rollout. */
const FAST = { STANDIN_LISTEN_MS: '500', STANDIN_READY_MS: '1200', STANDIN_MESSAGING_MS: '300' };

/** The steps of each way, in their order. */
export const STEPS: Record<string, readonly string[]> = {
  overlap: ['freeze', 'start', 'gate', 'switch', 'drain', 'stop'],
  maintenance: ['close', 'stop', 'dump', 'change', 'start', 'gate', 'open'],
};

/** Tags of `botpress/server`, each with variables that are baked into it. */
export async function makeVariants(variants: Record<string, Record<string, string>>): Promise<void> {
  for (const [tag, variables] of Object.entries(variants)) {
    const folder = mkdtempSync(join(tmpdir(), 'botpress-prod-variant-'));
    const lines = Object.entries({ ...FAST, ...variables }).map(([name, value]) => `ENV ${name}=${value}`);
    writeFileSync(join(folder, 'Dockerfile'), ['FROM botpress/server:12.31.10', ...lines, ''].join('\n'));
    await demandDocker(['build', '--quiet', '--tag', `botpress/server:${tag}`, folder]);
    rmSync(folder, { recursive: true });
  }
}

/** nginx as the slim images are: without the module for JavaScript. */
export async function makeNginxWithoutJavaScript(tag: string): Promise<void> {
  const lines = [
    `FROM ${IMAGES.nginx.reference}`,
    'USER root',
    'RUN rm /usr/lib/nginx/modules/ngx_http_js_module.so',
    'USER 101',
  ];
  const folder = mkdtempSync(join(tmpdir(), 'botpress-prod-variant-'));
  writeFileSync(join(folder, 'Dockerfile'), [...lines, ''].join('\n'));
  await demandDocker(['build', '--quiet', '--tag', tag, folder]);
  rmSync(folder, { recursive: true });
}

export async function removeVariants(variants: object): Promise<void> {
  for (const tag of Object.keys(variants)) await docker(['image', 'rm', `botpress/server:${tag}`]);
}

/**
 * Writes a repository and starts its staging environment with one bot and an image of a tag. What an interrupted run of
 * the same test left behind goes first.
 * @param ports HTTP, and HTTPS one above
 */
export async function startStack(
  name: string,
  ports: number,
  tag: string,
  answers: object = {},
): Promise<Rollouts> {
  const environment = {
    name: 'staging',
    domain: 'staging.bot.acme.example',
    httpPort: ports,
    httpsPort: ports + 1,
  };
  await cleanUp(`${name}-staging`);
  const stack = await Stack.generate(
    {
      domain: 'bot.acme.example',
      environments: ['development', environment, 'production'],
      backup: { targets: [] },
      monitoring: false,
      ...answers,
    },
    environment,
    name,
  );
  await seedContent(join(stack.folder, 'botpress/data'), [{ id: 'support' }]);
  const variables = join(stack.folder, '.env.staging');
  copyFileSync(`${variables}.example`, variables);
  appendFileSync(variables, `\nIMAGE_BOTPRESS=botpress/server:${tag}\n`);
  if ((answers as { edition?: string }).edition === 'pro') {
    const secrets = join(stack.folder, 'secrets/staging');
    mkdirSync(secrets, { recursive: true, mode: 0o700 });
    writeFileSync(join(secrets, 'license-key'), 'the stand-in asks for none');
  }
  try {
    await stack.demandBin('up');
  } catch (error) {
    await stack.destroy();
    throw error;
  }
  return new Rollouts(stack);
}

/** What `bin/deploy status --json` says. */
export interface Status {
  serving: string;
  health: string;
  version: string;
  image: string;
  interrupted: boolean;
  phase: string;
}

/** One line of the record, as far as the tests look at it. */
export interface DeploymentRecord {
  way: string;
  result: string;
  seconds: number;
  reason: string;
  from_version: string;
  to_version: string;
  dump?: string;
}

/** The rollouts of one environment of a stack. */
export class Rollouts {
  readonly stack: Stack;

  constructor(stack: Stack) {
    this.stack = stack;
  }

  /** Path of a file of state/<environment>. */
  stateFile(name: string): string {
    return join(this.stack.folder, 'state', this.stack.environment, name);
  }

  async status(): Promise<Status> {
    return JSON.parse((await this.stack.demandBin('deploy', 'status', '--json')).stdout) as Status;
  }

  async history(): Promise<DeploymentRecord[]> {
    const { stdout } = await this.stack.demandBin('deploy', 'history', '--json');
    return stdout
      .split('\n')
      .filter(Boolean)
      .map((line) => JSON.parse(line) as DeploymentRecord);
  }

  /** Deploys, and gives the line of the record that it printed. */
  async deploy(...args: string[]): Promise<DeploymentRecord> {
    return JSON.parse((await this.stack.demandBin('deploy', ...args, '--json')).stdout) as DeploymentRecord;
  }

  /** What the bot says to a user of the converse API, or the status of the refusal. */
  async say(user: string, text: string): Promise<string> {
    const { status, body } = await this.stack.fetch(`/api/v1/bots/support/converse/${user}`, {
      body: { type: 'text', text },
      timeout: 30_000,
    });
    if (status !== 200) return String(status);
    return (JSON.parse(body) as { responses: { text: string }[] }).responses
      .map((response) => response.text)
      .join('|');
  }

  /** Services of Botpress whose containers run. */
  async runningNodes(): Promise<string[]> {
    return (await this.stack.inspect())
      .filter(({ State }) => State.Status === 'running')
      .map(({ Config }) => Config.Labels['com.docker.compose.service'] ?? '')
      .filter((service) => service.startsWith('botpress'));
  }

  /** Nothing is left of a run: what serves is healthy, only that runs, nothing is frozen or closed. */
  async expectAtRest(expected: Partial<Status> = {}): Promise<void> {
    await waitFor(async () => (await this.status()).health === 'healthy', {
      timeout: 60_000,
      what: 'healthy node',
      every: 1000,
    });
    const now = await this.status();
    expect(now).toMatchObject({ interrupted: false, phase: 'idle', ...expected });
    const switches = ['frozen', 'draining', 'moving', 'closing', 'maintenance'].map(
      (name) => `nginx/${name}`,
    );
    const left = ['rollout', ...switches].filter((name) => existsSync(this.stateFile(name)));
    expect(left).toEqual([]);
    const other = now.serving === 'blue' ? 'botpress-green' : 'botpress-blue';
    expect(await this.runningNodes()).not.toContain(other);
  }

  /** The step that a running deployment has got to, or that a killed one left. */
  step(): string {
    return /^step=(.*)$/m.exec(this.journal())?.[1] ?? '';
  }

  /** Whether the step that is written down is this one or a later one: some are over in a moment. */
  hasReached(step: string): boolean {
    const way = /^way=(.*)$/m.exec(this.journal())?.[1] ?? '';
    const steps = STEPS[way] ?? [];
    return steps.includes(step) && steps.indexOf(this.step()) >= steps.indexOf(step);
  }

  private journal(): string {
    const file = this.stateFile('rollout');
    return existsSync(file) ? readFileSync(file, 'utf8') : '';
  }

  /** Starts a deployment as the head of a process group of its own. */
  start(...args: string[]): Run {
    return new Run(this, args);
  }
}

/** A deployment that is under way. */
export class Run {
  readonly ended: Promise<number | null>;
  private readonly rollouts: Rollouts;
  private readonly child;
  /** Whether the step that is written down can be its own: not while it stands there from a run before. */
  private isUnderWay: boolean;

  constructor(rollouts: Rollouts, args: string[]) {
    const { folder, environment } = rollouts.stack;
    this.rollouts = rollouts;
    this.isUnderWay = rollouts.step() === '';
    this.child = spawn(join(folder, 'bin/deploy'), [environment, ...args], {
      stdio: 'ignore',
      detached: true,
    });
    this.ended = new Promise((resolve) => this.child.on('exit', (code) => resolve(code)));
  }

  /** Waits until the deployment gets to a step of its own, or past it, after the repair of what an earlier one left. */
  async reach(step: string): Promise<void> {
    const owner = this.rollouts.stateFile('lock.owner');
    await waitFor(
      () => {
        if (this.child.exitCode !== null) throw new Error(`the deployment ended with ${this.child.exitCode}`);
        if (!existsSync(owner) || !readFileSync(owner, 'utf8').endsWith(`process ${this.child.pid}\n`))
          return false;
        this.isUnderWay ||= this.rollouts.step() === '';
        return this.isUnderWay && this.rollouts.hasReached(step);
      },
      { timeout: 120_000, what: `step ${step}`, every: 10 },
    );
  }

  signal(name: NodeJS.Signals): void {
    process.kill(-(this.child.pid ?? 0), name);
  }

  /** Ends the command and everything it started in its group, as the end of the machine would. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.ended;
  }
}
