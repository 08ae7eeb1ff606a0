import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import vm from 'node:vm';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { artefacts as appArtefacts } from '../../../generators/app/files.ts';
import { parseAnswers } from '../../../generators/gate.ts';
import { artefacts } from '../../../generators/operations/service.ts';
import { deriveDeployment } from '../../../src/deployment/deployment.ts';
import { InputError } from '../../../src/deployment/errors.ts';
import { renderArtefacts, type Artefact } from '../../../src/rendering/artefact.ts';
import { withAnswers } from '../answers/sample.ts';

const root = join(import.meta.dirname, '../../..');

const deploymentOf = (changes: Record<string, unknown>) =>
  deriveDeployment(parseAnswers(withAnswers(changes)));
const render = (
  changes: Record<string, unknown>,
  part = 'operations',
  rows: readonly Artefact[] = artefacts,
) => new Map(renderArtefacts(part, rows, deploymentOf(changes)).map(({ path, content }) => [path, content]));
const text = (files: Map<string, string>, path: string) => files.get(path) ?? `no ${path}`;

interface Service {
  image: string;
  user: string;
  read_only: boolean;
  cap_drop: string[];
  environment: Record<string, string>;
  volumes: string[];
  networks: string[];
  secrets?: string[];
  ports?: unknown;
  scale?: number;
}
const servicesOf = (changes: Record<string, unknown>) =>
  (
    parse(text(render(changes), 'compose.operations.yaml'), { merge: true }) as {
      services: Record<string, Service>;
    }
  ).services;

describe('the files of the operations service', () => {
  it('are none where the answers ask for no monitoring', () => {
    expect(render({ monitoring: false }).size).toBe(0);
  });

  it('are all of operations/, and the gateway key command only with a gateway', () => {
    const folder = join(root, 'templates/operations/operations');
    const templates = readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1, -'.ejs'.length));
    const written = [...render({}).keys()].filter((path) => path.startsWith('operations/'));
    expect(written.sort()).toEqual(templates.map((path) => `operations/${path}`).sort());
    expect(render({}).has('bin/gateway-key')).toBe(false);
    expect(render({ 'gateway.enabled': true }).has('bin/gateway-key')).toBe(true);
  });

  it('are the same source for every deployment, so that one image serves all', () => {
    const source = (changes: Record<string, unknown>) =>
      [...render(changes)].filter(([path]) => path.startsWith('operations/'));
    expect(source({ name: 'other', 'gateway.enabled': true, nlu: true })).toEqual(source({}));
  });

  it('build the image that the system tests use, on the one that they bring', () => {
    const images = readFileSync(join(root, 'test/system/images/images.json'), 'utf8');
    const { image, base } = deploymentOf({}).operations;
    for (const { reference } of [image, base]) expect(images).toContain(`"${reference}"`);
    expect(text(render({}), 'operations/Dockerfile')).toContain(`NODE_IMAGE=${base.reference}`);
  });
});

describe('the service', () => {
  it('runs hardened, publishes nothing, and gets the two secrets it needs at most', () => {
    const { operations } = servicesOf({ edition: 'pro', 'scaling.replicas': 2 });
    expect(operations).toMatchObject({
      user: '1000:101',
      read_only: true,
      cap_drop: expect.arrayContaining(['ALL']),
      secrets: ['botpress-monitor-password', 'redis-password'],
    });
    expect(operations?.ports).toBeUndefined();
    expect(servicesOf({}).operations?.secrets).toEqual(['botpress-monitor-password']);
  });

  it('looks at what the deployment has', () => {
    const components = (changes: Record<string, unknown>) =>
      servicesOf(changes).operations?.environment.HEALTH_COMPONENTS;
    expect(components({})).toBe('botpress,database,messaging');
    expect(components({ nlu: true })).toBe('botpress,database,messaging,nlu,language');
    expect(components({ edition: 'pro', 'scaling.replicas': 2 })).toBe('botpress,database,messaging,redis');
    const nodes = (changes: Record<string, unknown>) =>
      servicesOf(changes).operations?.environment.BOTPRESS_NODES;
    expect(nodes({})).toBe('botpress-blue=blue,botpress-green=green');
    expect(nodes({ 'scaling.deployment': 'recreate' })).toBe('botpress');
  });

  it('takes fewer connections than its role may hold', () => {
    const { operations, database } = deploymentOf({});
    expect(operations.pool.max).toBeLessThan(database.roles.monitor.connectionLimit);
  });

  it('is a companion: nothing that visitors need waits for it', () => {
    expect(text(render({}), 'bin/lib/parts/operations.sh')).toContain("COMPANIONS[operations]='operations'");
    expect(text(render({}), 'compose.operations.yaml')).not.toContain('depends_on');
  });

  it('reads columns that its role may read', () => {
    const tables = text(render({}, 'app', appArtefacts), 'database/sql/tables.sql');
    const statistics = text(render({}), 'operations/src/statistics.ts');
    for (const [table, columns] of Object.entries({
      events: ['botId', 'type', 'direction', 'createdOn'],
      srv_logs: ['timestamp', 'level'],
      dialog_sessions: ['modified_on'],
      nlu_trainings: ['status'],
    })) {
      expect(statistics).toContain(table);
      const listed = new RegExp(`\\('${table}', '\\w+', '\\{(.*)\\}'\\)`).exec(tables)?.[1]?.split(',');
      expect(listed).toEqual(expect.arrayContaining(columns));
    }
    for (const table of ['model_entry', 'srv_metadata']) {
      expect(statistics).toContain(table);
      expect(tables).toContain(`('${table}', 'plain'`);
    }
  });
});

describe('the gateway', () => {
  const locations = 'nginx/production/parts/locations/operations.conf';

  it('takes the place of the open converse API, and only then', () => {
    const open = (changes: Record<string, unknown>) =>
      text(render(changes, 'app', appArtefacts), 'nginx/snippets/paths.conf').includes('/converse/');
    expect([open({}), open({ 'gateway.enabled': true })]).toEqual([true, false]);
    expect(text(render({}), locations)).not.toContain('converse');
    expect(text(render({ 'gateway.enabled': true }), locations)).toContain('converse');
  });

  it('shares its limits where there is Redis, and has one instance where there is none', () => {
    expect(servicesOf({ 'gateway.enabled': true }).gateway?.scale).toBeUndefined();
    const cluster = servicesOf({ 'gateway.enabled': true, edition: 'pro', 'scaling.replicas': 2 }).gateway;
    expect(cluster).toMatchObject({ scale: 2, environment: { REDIS_HOST: 'redis' } });
  });

  it('has a folder for its keys that bin/up makes, because Docker would make it as root', () => {
    const part = (changes: Record<string, unknown>) => text(render(changes), 'bin/lib/parts/operations.sh');
    expect(part({})).not.toContain('SECRET_FOLDERS');
    expect(part({ 'gateway.enabled': true })).toContain('SECRET_FOLDERS+=(gateway)');
    expect(servicesOf({ 'gateway.enabled': true }).gateway?.volumes).toEqual([
      './secrets/${ENVIRONMENT}/gateway:/run/gateway:ro',
    ]);
    const up = text(render({}, 'app', appArtefacts), 'bin/up');
    expect(up).toContain('for folder in "${SECRET_FOLDERS[@]}"; do mkdir -p "$secrets_dir/$folder"; done');
  });

  it('needs the part that brings it', () => {
    expect(() => deploymentOf({ 'gateway.enabled': true, monitoring: false })).toThrow(InputError);
  });
});

describe('the hook on_bot_error', () => {
  const path = 'botpress/data/global/hooks/on_bot_error/operations.js';
  const run = async (events: object[], post: (...args: unknown[]) => Promise<unknown>, exposed?: string) => {
    vm.runInNewContext(`(function () {${text(render({}), path)}\n})()`, {
      botId: 'support',
      events,
      process: { env: exposed ? { EXPOSED_OPERATIONS_URL: exposed } : {} },
      require: (name: string) => (name === 'axios' ? { post } : undefined),
    });
    await new Promise((resolve) => setTimeout(resolve, 10));
  };

  it('sends what happened, shortened, and nothing but that', async () => {
    const sent: unknown[][] = [];
    const event = { level: 'error', message: 'x'.repeat(5_000), scope: 'a', args: { secret: 1 } };
    await run(Array(500).fill(event) as object[], (...args) => Promise.resolve(sent.push(args)));
    const [[url, body]] = sent as [[string, { botId: string; events: { message: string }[] }]];
    expect(url).toBe('http://operations:9464/bot-errors');
    expect(body.events).toHaveLength(200);
    expect(body.events[0]?.message).toHaveLength(2_000);
    expect(JSON.stringify(body)).not.toContain('secret');
  });

  it('troubles no bot when the service is not there', async () => {
    await expect(run([{}], () => Promise.reject(new Error('refused')), 'http://x')).resolves.toBeUndefined();
  });
});

it('the lock file installs exactly what package.json names, from whatever registry npm is set to', () => {
  const files = render({});
  const manifest = JSON.parse(text(files, 'operations/package.json')) as Record<
    string,
    Record<string, string>
  >;
  const lock = JSON.parse(text(files, 'operations/package-lock.json')) as {
    packages: Record<string, Record<string, unknown>>;
  };
  const { '': own, ...locked } = lock.packages;
  expect(own).toMatchObject({ devDependencies: manifest.devDependencies, engines: manifest.engines });
  for (const [path, entry] of Object.entries(locked)) {
    expect([path, entry.integrity]).toEqual([path, expect.stringMatching(/^sha512-/)]);
    expect(entry).not.toHaveProperty('resolved');
  }
  for (const [name, version] of Object.entries(manifest.devDependencies ?? {}))
    expect(locked[`node_modules/${name}`]?.version).toBe(version);
});
