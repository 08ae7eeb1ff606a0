import { spawn } from 'node:child_process';
import { cpSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { build } from 'esbuild';
import type { Plan } from '../../../src/rendering/plan.ts';
import { openRepository } from '../../../src/repository/repository.ts';
import { fileOf, generate, makeWorkspace, ofKind, photograph, planOf, read, write } from './workspace.ts';

/** A run as a program of its own, which can really be killed. */
const program = `
  import { readFileSync } from 'node:fs';
  import { apply, openRepository, prepare } from './src/repository/repository.ts';
  try {
    const [dir, plan] = process.argv.slice(2);
    const repository = openRepository(dir);
    apply(repository, prepare(repository, JSON.parse(readFileSync(plan, 'utf8'))));
  } catch (error) {
    console.error(error.message);
    process.exitCode = error.exitCode ?? 99;
  }`;

const secret = ofKind('secret', 'secrets/production/password', 'hush');
const seeded = ofKind('seeded', '.env.production', 'PORT=443\n');
const before = planOf([fileOf('README.md', 'a\n\nb\n'), fileOf('old/file', 'old\n'), seeded]);
const after = planOf(
  [fileOf('README.md', 'a\n\nB\n'), fileOf('bin/up', 'up\n', { mode: 0o755 }), seeded, secret],
  { name: 'other' },
);

/** How the tree is before the run, and what the run wants. */
const scenarios: Record<string, { prepareTree(dir: string): void; plan: Plan }> = {
  'a first run': { prepareTree: () => {}, plan: after },
  'a run that merges, creates and removes': {
    prepareTree: (dir) => {
      generate(dir, before);
      write(dir, 'README.md', 'mine\na\n\nb\n');
    },
    plan: after,
  },
  'a run that removes everything': { prepareTree: (dir) => void generate(dir, before), plan: planOf([]) },
};

let workspace: ReturnType<typeof makeWorkspace>;
let bundle: string;
beforeAll(async () => {
  workspace = makeWorkspace();
  bundle = join(workspace.parent, 'run.mjs');
  const stdin = { contents: program, resolveDir: process.cwd(), loader: 'ts' as const };
  await build({ stdin, outfile: bundle, bundle: true, platform: 'node', format: 'esm', logLevel: 'error' });
});
afterAll(() => workspace.remove());

let copies = 0;
function copyTree(source: string): string {
  const target = join(workspace.parent, `copy-${copies++}`);
  cpSync(source, target, { recursive: true });
  return target;
}

/** Runs the program on a folder; resolves when it has ended, however it did. */
function run(dir: string, plan: Plan, interruption: { how: 'kill' | 'full'; at: number }) {
  const planFile = `${dir}.plan.json`;
  writeFileSync(planFile, JSON.stringify(plan));
  const preload = pathToFileURL('test/unit/repository/interruption.js');
  preload.search = `how=${interruption.how}&at=${interruption.at}`;
  const child = spawn(process.execPath, ['--import', preload.href, bundle, dir, planFile]);
  let errors = '';
  child.stderr.on('data', (data) => (errors += data));
  return new Promise<{ code: number | null; signal: string | null; errors: string }>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, signal) => resolve({ code, signal, errors }));
  });
}

/** Interrupts at the first, second, … change of the file system, two at a time, until a run comes to its end. */
async function interruptEverywhere(attempt: (at: number) => Promise<'interrupted' | 'ended'>) {
  for (let at = 1; ; at += 2) {
    const results = await Promise.all([attempt(at), attempt(at + 1)]);
    if (results.includes('ended')) return at;
  }
}

/** The tree before a run and photographs of it before and after. */
function prepareTrees(name: string) {
  const { prepareTree, plan } = scenarios[name]!;
  const source = join(workspace.parent, `source-${copies++}`);
  mkdirSync(source);
  prepareTree(source);
  const finished = copyTree(source);
  generate(finished, plan);
  return { plan, source, oldTree: photograph(source), newTree: photograph(finished) };
}

describe.each(Object.keys(scenarios))('%s', (name) => {
  it('killed at any point, leaves the old tree or the new one to the next run, which completes it', async () => {
    const { plan, source, oldTree, newTree } = prepareTrees(name);
    const seen = { oldTrees: 0, newTrees: 0 };
    const points = await interruptEverywhere(async (at) => {
      const dir = copyTree(source);
      const { code, signal } = await run(dir, plan, { how: 'kill', at });
      if (signal === null) {
        expect(code).toBe(0);
        return 'ended';
      }
      openRepository(dir);
      const found = photograph(dir);
      // A folder for records, made and still empty, is nothing of either tree.
      if (Object.keys(found).join() === '.botpress-prod/') delete found['.botpress-prod/'];
      const isNew = JSON.stringify(found) === JSON.stringify(newTree);
      expect(found).toEqual(isNew ? newTree : oldTree);
      seen[isNew ? 'newTrees' : 'oldTrees']++;
      generate(dir, plan);
      expect(photograph(dir)).toEqual(newTree);
      return 'interrupted';
    });
    expect(points).toBeGreaterThan(20);
    expect(seen.oldTrees).toBeGreaterThan(5);
    expect(seen.newTrees).toBeGreaterThan(5);
  }, 120_000);

  it('on a disk that becomes full at any point, leaves the old tree and one message, or is completed later', async () => {
    const { plan, source, oldTree, newTree } = prepareTrees(name);
    await interruptEverywhere(async (at) => {
      const dir = copyTree(source);
      const { code, errors } = await run(dir, plan, { how: 'full', at });
      if (code === 0) return 'ended';
      expect(code).toBe(1);
      expect(errors).toMatch(/^Cannot [^\n]*: the disk is full\. [^\n]*\n$/);
      if (errors.includes('Nothing was changed.')) expect(photograph(dir)).toEqual(oldTree);
      else expect(openRepository(dir).hasRecovered).toBe(true);
      generate(dir, plan);
      expect(photograph(dir)).toEqual(newTree);
      return 'interrupted';
    });
  }, 120_000);
});

it('a run killed while it completes a killed one is completed by the next', async () => {
  const { plan, source, newTree } = prepareTrees('a run that merges, creates and removes');
  const halfDone = await leaveJournal();
  await interruptEverywhere(async (at) => {
    const dir = copyTree(halfDone);
    const { signal } = await run(dir, plan, { how: 'kill', at });
    if (signal === null) return 'ended';
    openRepository(dir);
    expect(photograph(dir)).toEqual(newTree);
    return 'interrupted';
  });

  async function leaveJournal(): Promise<string> {
    for (let at = 1; ; at++) {
      const dir = copyTree(source);
      await run(dir, plan, { how: 'kill', at });
      if (Object.keys(photograph(dir)).some((path) => path.endsWith('/journal.json'))) return dir;
    }
  }
}, 120_000);

it('a run killed after its last step does not repeat it: what was taken back since stays', async () => {
  const { plan, source } = prepareTrees('a run that removes everything');
  const killed = new Map<number, string>();
  await interruptEverywhere(async (at) => {
    const dir = copyTree(source);
    const { signal } = await run(dir, plan, { how: 'kill', at });
    if (signal === null) return 'ended';
    killed.set(at, dir);
    return 'interrupted';
  });
  const last = killed.get(Math.max(...killed.keys()))!;
  write(last, 'old/file', 'old\n');
  openRepository(last);
  expect(read(last, 'old/file')).toBe('old\n');
}, 120_000);
