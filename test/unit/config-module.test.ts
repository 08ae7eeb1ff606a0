import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative } from 'node:path';
import type { Answers } from '../../src/deployment/answers.ts';
import { deriveDeployment } from '../../src/deployment/deployment.ts';
import { renderArtefacts } from '../../src/rendering/artefact.ts';
import { checkPlan } from '../../src/rendering/check.ts';
import { answersWith } from './answers/sample.ts';

// The compiler alone takes some seconds; on a busy machine many.
jest.setTimeout(180_000);

const root = join(import.meta.dirname, '../..');
const templates = join(root, 'templates/app');

const answers = answersWith({
  domain: 'bot.acme.example',
  tls: 'self-signed',
  contact: 'ops@acme.example',
  'access.admin': ['10.0.0.0/8'],
});

/** Answers whose configuration modules differ most from each other. */
const deployments: Record<string, Answers> = {
  'community with three environments': answers,
  'a cluster whose environments are all overridden': {
    ...answers,
    name: 'c',
    edition: 'pro',
    environments: [
      { name: 'qa', domain: 'localhost', confidence: 0 },
      { name: 'eu-live-1', tls: 'none', httpPort: 8081, confidence: 1 },
    ],
    access: { admin: [], embed: ['http://shop.acme.example', 'https://acme.example:443'] },
    scaling: { ...answers.scaling, replicas: 3, deployment: 'recreate' },
  },
  'one laptop': { ...answers, environments: ['development'], domain: 'change-me.example' },
};

const folder = mkdtempSync(join(tmpdir(), 'config-module-'));
afterAll(() => rmSync(folder, { recursive: true }));

function listFiles(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) =>
    entry.isDirectory() ? listFiles(join(directory, entry.name)) : [join(directory, entry.name)],
  );
}

function run(directory: string, args: string[], variables: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(process.execPath, args, {
    cwd: directory,
    encoding: 'utf8',
    env: { PATH: process.env.PATH, ...variables },
  });
  return { status, stdout, stderr };
}

/** Writes the module as the generator would, with this project's zod and compiler beside it. */
function writeModule(name: string, given: Answers): string {
  const target = join(folder, name.replaceAll(' ', '-'));
  const rows = listFiles(join(templates, 'config')).map((path) => ({
    template: relative(templates, path).replace(/\.ejs$/, ''),
  }));
  const files = renderArtefacts('app', rows, deriveDeployment(given));
  expect(checkPlan(files, [])).toEqual([]);
  for (const { path, content } of files) {
    mkdirSync(dirname(join(target, path)), { recursive: true });
    writeFileSync(join(target, path), content);
  }
  const module = join(target, 'config');
  symlinkSync(join(root, 'node_modules'), join(module, 'node_modules'));
  return module;
}

describe.each(Object.entries(deployments))('the configuration module of %s', (name, given) => {
  let module = '';

  beforeAll(() => {
    module = writeModule(name, given);
  });

  it('compiles strictly and passes its own tests', () => {
    expect(run(module, ['node_modules/typescript/bin/tsc'])).toEqual({ status: 0, stdout: '', stderr: '' });
    const tests = run(module, ['--test', '--test-reporter=tap', 'dist/test/configuration.test.js']);
    expect(tests.stdout).toMatch(/^# pass (2[5-9]|[3-9]\d)$/m);
    expect(tests.stdout).toMatch(/^# fail 0$/m);
    expect(tests.stdout).toMatch(/^# skipped 0$/m);
    expect(tests.status).toBe(0);
  });

  it('shows each environment without its secrets, or its mistakes', () => {
    const secrets = join(module, 'secrets');
    const password = 'kX3-vbT9_qLw2RzY8mNd';
    mkdirSync(secrets);
    for (const file of ['botpress-readonly-password', 'redis-password'])
      writeFileSync(join(secrets, file), `${password}\n`);
    const variables = {
      CONFIG_SECRETS_DIRECTORY: secrets,
      EXTERNAL_URL: 'https://bot.acme.test',
      CONFIG_ORIGINS: 'https://a.test',
    };
    for (const { name: environment, confidence } of deriveDeployment(given).environments) {
      const shown = run(module, ['dist/src/show.js', environment], variables);
      expect(shown).toMatchObject({ status: 0, stderr: '' });
      expect(JSON.parse(shown.stdout)).toMatchObject({
        environment,
        externalUrl: 'https://bot.acme.test',
        cluster: given.scaling.replicas > 1,
        nlu: { confidence },
        database: { password: '[secret]' },
      });
      expect(shown.stdout).not.toContain(password);
    }
    const refused = run(module, ['dist/src/show.js', 'nowhere'], variables);
    expect(refused).toMatchObject({ status: 2, stdout: '' });
    expect(refused.stderr).toContain('is none of the environments');
  });
});

it('its lock file installs exactly what package.json names, from whatever registry npm is set to', () => {
  const read = (path: string) =>
    JSON.parse(readFileSync(path, 'utf8').replace(/<%=.*?%>/g, '"x"')) as Record<
      string,
      Record<string, string>
    >;
  const manifest = read(join(templates, 'config/package.json.ejs'));
  const lock = read(join(templates, 'config/package-lock.json.ejs'));
  const packages = lock.packages as unknown as Record<string, Record<string, unknown>>;
  const { '': own, ...locked } = packages;
  expect(own).toMatchObject({
    dependencies: manifest.dependencies,
    devDependencies: manifest.devDependencies,
    engines: manifest.engines,
  });
  for (const [path, entry] of Object.entries(locked)) {
    expect([path, entry.integrity]).toEqual([path, expect.stringMatching(/^sha512-/)]);
    expect(entry).not.toHaveProperty('resolved');
  }
  for (const [name, version] of Object.entries({ ...manifest.dependencies, ...manifest.devDependencies })) {
    expect(locked[`node_modules/${name}`]?.version).toBe(version);
    // The module is proven with the same versions as it is installed with.
    expect(read(join(root, 'node_modules', name, 'package.json')).version).toBe(version);
  }
});

it('names the rate limits that nginx keeps', () => {
  const limits = readFileSync(join(templates, 'nginx/snippets/limits.conf.ejs'), 'utf8');
  const rate = (zone: string) => new RegExp(`zone=${zone}:\\S+ rate=(\\d+)r/`).exec(limits)?.[1];
  const environments = readFileSync(join(templates, 'config/src/environments.ts.ejs'), 'utf8');
  expect(environments).toContain(
    `rateLimits: { requestsPerSecond: ${rate('chat')}, loginsPerMinute: ${rate('login')} }`,
  );
});
