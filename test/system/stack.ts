import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  cleanUp,
  demand,
  demandDocker,
  fetchFrom,
  run,
  type HttpOptions,
  type RunResult,
} from './engine/setup.ts';

const command = join(import.meta.dirname, '../../dist/src/cli.js');

/** A generated repository and one environment of it, running in real containers. */
export class Stack {
  readonly folder: string;
  readonly environment: string;
  readonly domain: string;
  readonly httpPort: number;
  readonly httpsPort: number;
  readonly project: string;

  private constructor(
    folder: string,
    environment: string,
    name: string,
    domain: string,
    ports: [number, number],
  ) {
    this.folder = folder;
    this.environment = environment;
    this.domain = domain;
    [this.httpPort, this.httpsPort] = ports;
    this.project = `${name}-${environment}`;
  }

  /** Writes a repository with the built command, from an answers file as a user would write it. */
  static async generate(
    answers: object,
    environment: { name: string; domain: string; httpPort: number; httpsPort: number },
    name = 'system-test',
  ): Promise<Stack> {
    const scratch = mkdtempSync(join(tmpdir(), 'botpress-prod-system-'));
    const folder = join(scratch, name);
    const file = join(scratch, 'answers.json');
    writeFileSync(file, JSON.stringify(answers));
    const stack = new Stack(folder, environment.name, name, environment.domain, [
      environment.httpPort,
      environment.httpsPort,
    ]);
    await demand(process.execPath, [command, folder, '--yes', '--name', name, '--answers', file]);
    // Ten more containers, and Grafana cannot be had from Debian: the test that is about them starts what it can.
    const variables = join(folder, `.env.${environment.name}`);
    writeFileSync(
      variables,
      readFileSync(variables, 'utf8').replace(/^(COMPOSE_PROFILES=.*?),?monitoring$/m, '$1'),
    );
    return stack;
  }

  /** Runs a command of the repository, for example `bin('up')`; the environment is added as its first argument. */
  bin(command: string, ...args: string[]): Promise<RunResult> {
    return run(join(this.folder, 'bin', command), [this.environment, ...args], { cwd: this.folder });
  }

  /** Like `bin`, but a failing exit code is an error with the end of the output. */
  demandBin(command: string, ...args: string[]): Promise<RunResult> {
    return demand(join(this.folder, 'bin', command), [this.environment, ...args], { cwd: this.folder });
  }

  /** One request through nginx over TLS, with the self-signed certificate of this stack as the only trusted one. */
  fetch(path: string, options: HttpOptions = {}) {
    return fetchFrom(`https://${this.domain}:${this.httpsPort}${path}`, {
      ca: this.certificate(),
      ...options,
    });
  }

  certificate(): Buffer {
    return readFileSync(join(this.folder, 'secrets', this.environment, 'tls/fullchain.pem'));
  }

  secret(name: string): string {
    return readFileSync(join(this.folder, 'secrets', this.environment, name), 'utf8').trim();
  }

  /** `docker inspect` of every container of this environment. */
  async inspect(): Promise<Container[]> {
    const ids = await demandDocker([
      'container',
      'ls',
      '--all',
      '--quiet',
      '--filter',
      `label=com.docker.compose.project=${this.project}`,
    ]);
    const list = ids.split('\n').filter(Boolean);
    if (list.length === 0) return [];
    return JSON.parse(await demandDocker(['container', 'inspect', ...list])) as Container[];
  }

  /** State of a service's container: `healthy`, `unhealthy`, `starting`, or what it does without a check. */
  async health(service: string): Promise<string> {
    const container = (await this.inspect()).find(
      ({ Config }) => Config.Labels['com.docker.compose.service'] === service,
    );
    return container?.State.Health?.Status ?? container?.State.Status ?? 'absent';
  }

  async destroy(): Promise<void> {
    await cleanUp(this.project);
    rmSync(join(this.folder, '..'), { recursive: true, force: true });
  }
}

/** The part of `docker inspect` that the tests look at. */
export interface Container {
  Id: string;
  Name: string;
  State: { Status: string; ExitCode: number; Health?: { Status: string } };
  Config: { Labels: Record<string, string>; Env: string[]; User: string };
  HostConfig: {
    CapAdd: string[] | null;
    CapDrop: string[] | null;
    ReadonlyRootfs: boolean;
    Privileged: boolean;
    Memory: number;
    NanoCpus: number;
    PidsLimit: number | null;
    SecurityOpt: string[] | null;
    LogConfig: { Type: string; Config: Record<string, string> };
    RestartPolicy: { Name: string };
    PortBindings: Record<string, { HostIp: string; HostPort: string }[]> | null;
    Binds: string[] | null;
  };
}
