import { afterAll, afterEach, beforeAll, expect, it, jest } from '@jest/globals';
import { build } from 'esbuild';
import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parse } from 'yaml';
import { artefacts } from '../../../generators/table.ts';
import { deriveDeployment } from '../../../src/deployment/deployment.ts';
import { renderArtefacts } from '../../../src/rendering/artefact.ts';
import { defaultAnswers } from '../answers/sample.ts';

jest.setTimeout(60_000);

const root = join(import.meta.dirname, '../../..');
type Findings = Record<string, { up: boolean }>;
interface Service {
  createProbe(settings: object, pool: object, redis: undefined): () => Promise<Findings>;
  readOperationsSettings(variables: Record<string, string>): object;
}

let folder: string;
let service: Service;
let blackbox: { valid_status_codes?: number[]; fail_if_body_not_matches_regexp: string[] };
let server: Server | undefined;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'botpress-prod-health-'));
  const deployment = deriveDeployment(defaultAnswers());
  const files = (['app', 'operations'] as const).flatMap((part) =>
    renderArtefacts(part, artefacts[part] ?? [], deployment),
  );
  for (const { path, content, mode } of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
    chmodSync(join(folder, path), mode);
    if (path === 'monitoring/blackbox.yml')
      blackbox = (parse(content) as { modules: { status: { http: typeof blackbox } } }).modules.status.http;
  }
  const outfile = join(folder, 'service.mjs');
  await build({
    stdin: {
      contents:
        'export { createProbe } from "./probes.ts"; export { readOperationsSettings } from "./settings.ts";',
      resolveDir: join(folder, 'operations/src'),
    },
    nodePaths: [join(root, 'node_modules')],
    bundle: true,
    format: 'esm',
    platform: 'node',
    outfile,
    logLevel: 'error',
  });
  service = (await import(pathToFileURL(outfile).href)) as Service;
  writeFileSync(join(folder, 'server.pid'), `${process.pid}\n`);
});
afterEach(() => {
  server?.close();
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What the health check of compose, Swarm and Kubernetes says, which rollouts run too. */
const byScript = (port: number): Promise<boolean> =>
  new Promise((resolve, reject) => {
    const child = spawn(join(folder, 'botpress/health.sh'), ['--look'], {
      env: { PATH: process.env.PATH, HEALTH_STATE_DIR: folder, PORT: String(port), DATABASE_PORT: '1' },
      stdio: 'ignore',
    });
    child.on('error', reject);
    child.on('close', (code) => resolve(code === 0));
  });

const byService = async (port: number): Promise<boolean> => {
  const settings = service.readOperationsSettings({
    BOTPRESS_NODES: '127.0.0.1',
    BOTPRESS_PORT: String(port),
    HEALTH_COMPONENTS: 'botpress,messaging',
  });
  const { botpress, messaging } = await service.createProbe(
    settings,
    { query: () => Promise.resolve() },
    undefined,
  )();
  return botpress?.up === true && messaging?.up === true;
};

const byPrometheus = async (port: number): Promise<boolean> => {
  const answer = await fetch(`http://127.0.0.1:${port}/status`);
  const body = await answer.text();
  return (
    (blackbox.valid_status_codes?.includes(answer.status) ?? answer.ok) &&
    blackbox.fail_if_body_not_matches_regexp.every((pattern) => new RegExp(pattern).test(body))
  );
};

const up = { botpress: 'up', database: 'up', messaging: 'up', nlu: 'up' };
const cases: [string, number, string, boolean][] = [
  ['all is up', 200, JSON.stringify(up), true],
  ['it is written with spaces', 200, JSON.stringify(up, null, 2), true],
  ['the NLU is off', 200, JSON.stringify({ ...up, nlu: 'down' }), true],
  ['it tells of Redis', 200, JSON.stringify({ ...up, redis: 'up' }), true],
  ['it tells only what counts', 200, '{"messaging":"up","database":"up"}', true],
  ['the database is gone', 200, JSON.stringify({ ...up, database: 'error' }), false],
  ['messaging is down', 200, JSON.stringify({ ...up, messaging: 'down' }), false],
  ['nothing is told', 200, '{}', false],
  ['it is a page', 200, '<html><title>up</title></html>', false],
  ['it says nothing', 200, '', false],
  ['it is loading', 503, '<html>loading</html>', false],
  ['it is loading with a body', 503, JSON.stringify(up), false],
  ['it refuses', 429, '{"message":"too many requests"}', false],
];

it.each(cases)('everybody who judges Botpress agrees when %s', async (_, status, body, isHealthy) => {
  server = createServer((_request, response) => response.writeHead(status).end(body));
  const port = await new Promise<number>((resolve) =>
    server?.listen(0, '127.0.0.1', () => resolve((server?.address() as AddressInfo).port)),
  );
  expect({
    script: await byScript(port),
    service: await byService(port),
    Prometheus: await byPrometheus(port),
  }).toEqual({ script: isHealthy, service: isHealthy, Prometheus: isHealthy });
});
