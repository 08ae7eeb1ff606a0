import { describe, expect, it } from '@jest/globals';
import { spawnSync } from 'node:child_process';
import { rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { parse } from 'yaml';
import { aloneShapes, renderAll, shapes, writeAll } from './rendered.ts';

/** Reads a pipeline as GitLab does: JSON schema, includes, extends, needs, rules. */
const gitlab = createRequire(import.meta.url).resolve('gitlab-ci-local');

interface Job {
  stage?: string;
  image?: string;
  services?: { name: string }[];
  extends?: string | string[];
  needs?: string[];
  interruptible?: boolean;
  timeout?: string;
  retry?: number;
  resource_group?: string;
  environment?: { name: string };
  id_tokens?: Record<string, { aud: string }>;
  rules?: { if?: string; when?: string }[];
  script?: string[];
}

/** The jobs of all files, with what they extend laid under them. */
function jobsOf(files: ReturnType<typeof renderAll>): Record<string, Job> {
  const all: Record<string, Job> = {};
  for (const { path, content } of files.values())
    if (path.endsWith('.gitlab-ci.yml')) Object.assign(all, parse(content));
  const settings = ['workflow', 'stages', 'include', 'default'];
  const resolve = (name: string): Job => {
    const job = all[name];
    if (!job) throw new Error(`nothing is called ${name}`);
    const under = [job.extends ?? []].flat().map(resolve);
    return Object.assign({}, ...under, job) as Job;
  };
  return Object.fromEntries(
    Object.keys(all)
      .filter((name) => !name.startsWith('.') && !settings.includes(name))
      .map((name) => [name, resolve(name)]),
  );
}

// A reader takes seconds; these answers reach every branch.
it.each([
  'the defaults',
  'one server and no backups',
  'a laptop alone',
  'Pro with two nodes',
  'Kubernetes',
  ...Object.keys(aloneShapes),
])('is read by a runner: schema, includes, extends and needs (%s)', (shape) => {
  const files = renderAll({ ...{ ...shapes, ...aloneShapes }[shape], ci: 'gitlab' });
  const jobs = jobsOf(files);
  const folder = writeAll(files);
  const run = (command: string, ...args: string[]) =>
    spawnSync(command, args, {
      cwd: folder,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], HOME: folder },
    });
  try {
    run('git', 'init', '--quiet', '--initial-branch', 'main');
    // Only files that git knows can be included.
    run('git', 'add', '.gitlab-ci.yml', '.gitlab');
    run('git', 'remote', 'add', 'origin', 'git@gitlab.example.com:acme/bot.git');
    const { stdout, stderr, status } = run(process.execPath, gitlab, '--list-all');
    expect({ status, stderr }).toMatchObject({
      status: 0,
      stderr: expect.stringContaining('schema validated'),
    });
    for (const name of Object.keys(jobs)) expect(stdout).toMatch(new RegExp(`^${name} `, 'm'));
  } finally {
    rmSync(folder, { recursive: true });
  }
});

describe.each(Object.entries({ ...shapes, ...aloneShapes }))('GitLab, %s', (_, changes) => {
  const files = renderAll({ ...changes, ci: 'gitlab' });
  const jobs = jobsOf(files);

  it('makes one pipeline for a change, never two', () => {
    const { workflow } = parse(files.get('.gitlab-ci.yml')?.content ?? '') as {
      workflow: { rules: { if: string }[] };
    };
    for (const { if: condition } of workflow.rules)
      expect(condition).toMatch(/"merge_request_event"|"schedule"|\$CI_COMMIT_BRANCH == \$CI_DEFAULT_BRANCH/);
  });

  it('pins its images, and needs only what is there', () => {
    const { stages } = parse(files.get('.gitlab-ci.yml')?.content ?? '') as { stages: string[] };
    expect(new Set(stages).size).toBe(stages.length);
    for (const [name, job] of Object.entries(jobs)) {
      expect({ name, image: job.image }).toEqual({
        name,
        image: expect.stringMatching(/:\d+\.\d+\.\d+-|@sha256:/),
      });
      for (const { name: service } of job.services ?? []) expect(service).toMatch(/@sha256:[0-9a-f]{64}$/);
      expect(stages).toContain(job.stage);
      for (const needed of job.needs ?? []) expect(Object.keys(jobs)).toContain(needed);
    }
  });

  it('never runs a check or a deployment for a schedule, and nothing scheduled otherwise', () => {
    for (const [name, { rules = [], stage }] of Object.entries(jobs)) {
      const [first] = rules;
      if (stage === 'scheduled')
        expect(first?.if).toMatch(/^\$CI_PIPELINE_SOURCE == "schedule" && \$SCHEDULE == /);
      else
        expect({ name, first }).toEqual({
          name,
          first: { if: '$CI_PIPELINE_SOURCE == "schedule"', when: 'never' },
        });
    }
  });

  it('deploys to one environment at a time and is never cut off or tried again', () => {
    for (const [name, job] of Object.entries(jobs).filter(([name]) => name.startsWith('deploy-'))) {
      expect(job).toMatchObject({ interruptible: false, retry: 0, resource_group: name });
      expect(job.environment?.name).toBe(name.slice('deploy-'.length));
      expect(job.id_tokens).toHaveProperty('DEPLOY_ID_TOKEN');
    }
  });

  it('calls commands that are there and can be run', () => {
    const called = Object.values(jobs).flatMap(({ script = [] }) =>
      [...script.join('\n').matchAll(/\b(bin\/[a-z-]+|ci\/[a-z-]+\.sh)/g)].map(([path]) => path),
    );
    expect(called).toContain('bin/lint');
    for (const path of called) expect({ path, mode: files.get(path)?.mode }).toEqual({ path, mode: 0o755 });
  });
});

it('waits for a person before the last of several servers', () => {
  const jobs = jobsOf(renderAll({ ci: 'gitlab' }));
  expect(jobs['deploy-staging']?.rules?.at(-1)).toEqual({ if: '$CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH' });
  expect(jobs['deploy-production']?.rules?.at(-1)).toMatchObject({ when: 'manual' });
  expect(jobs['deploy-production']?.needs).toEqual(['deploy-staging']);
});

it('is taken in by a pipeline of others with the lines that docs/ci.md gives', () => {
  const changes = Object.values(aloneShapes).at(-1);
  const files = renderAll({ ...changes, ci: 'gitlab', 'stack.ownPipeline': true });
  expect([...files.keys()]).not.toContain('.gitlab-ci.yml');
  const lines = /```yaml\n([\s\S]*?)```/.exec(files.get('docs/ci.md')?.content ?? '')?.[1] ?? '';
  const theirs = `${lines.replace('stages: [', 'stages: [build, ')}
compile:
  stage: build
  image: node:20
  script: [make]
`;
  const folder = writeAll(files);
  const run = (command: string, ...args: string[]) =>
    spawnSync(command, args, {
      cwd: folder,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'], HOME: folder },
    });
  try {
    writeFileSync(join(folder, '.gitlab-ci.yml'), theirs);
    run('git', 'init', '--quiet', '--initial-branch', 'main');
    run('git', 'add', '.gitlab-ci.yml', '.gitlab');
    run('git', 'remote', 'add', 'origin', 'git@gitlab.example.com:acme/bot.git');
    const { stdout, stderr, status } = run(process.execPath, gitlab, '--list-all');
    expect({ status, stderr }).toMatchObject({
      status: 0,
      stderr: expect.stringContaining('schema validated'),
    });
    for (const name of ['compile', ...Object.keys(jobsOf(files))])
      expect(stdout).toMatch(new RegExp(`^${name} `, 'm'));
  } finally {
    rmSync(folder, { recursive: true });
  }
});
