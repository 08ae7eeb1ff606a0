import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import {
  chmodSync,
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buildPlan } from '../../generators/plan.ts';
import type { Answers } from '../../src/deployment/answers.ts';
import { IMAGES } from '../../src/deployment/images.ts';
import { pairwiseAnswers } from '../unit/answers/pairs.ts';
import { demand, run, startEngine } from './engine/setup.ts';

jest.setTimeout(300_000);

/** Every seventh set of the pairwise matrix: each program below then reads each branch of the templates. */
const sets = pairwiseAnswers().filter((_, index) => index % 7 === 0);

/** Writes a plan to disk as the command would, without the lock. */
function writePlan(answers: Answers): string {
  const folder = mkdtempSync(join(tmpdir(), 'botpress-prod-emitted-'));
  for (const { path, content, mode } of buildPlan(answers).files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
    chmodSync(join(folder, path), mode);
  }
  return folder;
}

const filesOf = (folder: string) =>
  (readdirSync(folder, { recursive: true }) as string[]).filter((path) =>
    statSync(join(folder, path)).isFile(),
  );

beforeAll(startEngine);

describe.each(sets.map((answers, index) => [index, answers] as const))('what set %i emits', (_, answers) => {
  let folder: string;
  beforeAll(() => {
    folder = writePlan(answers);
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const environments = answers.environments.map((entry) => (typeof entry === 'string' ? entry : entry.name));

  it('passes shellcheck and shfmt', async () => {
    const scripts = filesOf(folder).filter(
      (path) => path.endsWith('.sh') || readFileSync(join(folder, path), 'utf8').startsWith('#!'),
    );
    expect(scripts.length).toBeGreaterThan(20);
    await demand('shellcheck', ['--external-sources', ...scripts], { cwd: folder });
    const { stdout } = await demand('shfmt', ['-d', '-i', '2', '-ci', '-bn', ...scripts], { cwd: folder });
    expect(stdout).toBe('');
  });

  it('has no reader in its scripts that leaves before what it reads from', () => {
    // Under pipefail that kills the writer now and then: an end of 141 where nothing is wrong.
    const leaves = /(?<!\|)\|\s*(head\b|grep (-\S+ )*-[a-zA-Z]*[qm])/;
    const commands = filesOf(folder)
      .map((path) => [path, readFileSync(join(folder, path), 'utf8').replaceAll(/\\\n\s*/g, '')] as const)
      .filter(([path, text]) => /^(#!.*bash|# shellcheck shell=bash)/m.test(text) || path.startsWith('bin/'));
    expect(commands.length).toBeGreaterThan(20);
    const found = commands.flatMap(([path, text]) =>
      text
        .split('\n')
        .filter((line) => leaves.test(line) && !line.trimStart().startsWith('#'))
        .map((line) => `${path}: ${line.trim()}`),
    );
    expect(found).toEqual([]);
  });

  it.each(environments)('is read by compose for %s', async (environment) => {
    const { stderr } = await demand(join(folder, 'bin/compose'), [environment, 'config', '-q'], {
      cwd: folder,
    });
    expect(stderr).toBe('');
  });

  it.each(environments)('is read by nginx for %s', async (environment) => {
    const work = mkdtempSync(join(tmpdir(), 'botpress-prod-nginx-'));
    try {
      // What bin/up makes on the machine: the state file and a certificate.
      mkdirSync(join(work, 'state'));
      mkdirSync(join(work, 'tls'));
      cpSync(join(folder, 'nginx/active-upstream.conf'), join(work, 'state/active-upstream.conf'));
      await demand('openssl', [
        'req',
        '-x509',
        '-newkey',
        'ec',
        '-pkeyopt',
        'ec_paramgen_curve:P-256',
        '-nodes',
        '-days',
        '1',
        '-subj',
        '/CN=test',
        '-keyout',
        join(work, 'tls/privkey.pem'),
        '-out',
        join(work, 'tls/fullchain.pem'),
      ]);
      await demand('chmod', ['-R', 'a+rX', work]);
      const mount = (from: string, to: string) => ['--volume', `${from}:${to}:ro`];
      const { code, stderr } = await run('docker', [
        'run',
        '--rm',
        '--network',
        'none',
        '--read-only',
        '--tmpfs',
        '/tmp:uid=101,gid=101',
        '--user',
        '101:101',
        '--cap-drop',
        'ALL',
        ...mount(join(folder, 'nginx/nginx.conf'), '/etc/nginx/nginx.conf'),
        ...mount(join(folder, 'nginx/snippets'), '/etc/nginx/snippets'),
        ...mount(join(folder, 'nginx/pages'), '/etc/nginx/pages'),
        ...mount(join(folder, 'nginx', environment), '/etc/nginx/environment'),
        ...readdirSync(join(folder, 'nginx/start.d')).flatMap((name) =>
          mount(join(folder, 'nginx/start.d', name), `/docker-entrypoint.d/${name}`),
        ),
        ...mount(join(work, 'state'), '/etc/nginx/state'),
        ...mount(join(work, 'tls'), '/etc/nginx/tls'),
        IMAGES.nginx.reference,
        'nginx',
        '-t',
      ]);
      expect(stderr).toContain('test is successful');
      expect(code).toBe(0);
      expect(stderr).not.toMatch(/\[(warn|error|emerg)\]/);
    } finally {
      rmSync(work, { recursive: true, force: true });
    }
  });
});

describe('the configuration module of the output', () => {
  it('installs, passes its tests and builds', async () => {
    const folder = writePlan(sets[0] as Answers);
    const env = { NODE_OPTIONS: undefined, CI: undefined };
    try {
      await demand('npm', ['ci', '--no-audit', '--no-fund'], { cwd: join(folder, 'config'), env });
      await demand('npm', ['test'], { cwd: join(folder, 'config'), env });
      await demand('npm', ['run', 'build'], { cwd: join(folder, 'config'), env });
    } finally {
      rmSync(folder, { recursive: true, force: true });
    }
  });
});
