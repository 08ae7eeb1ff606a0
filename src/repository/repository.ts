import { lstatSync, realpathSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { storedAnswers, type Answers } from '../deployment/answers.ts';
import type { Plan } from '../rendering/plan.ts';
import { type Base, basePath, pack, parseBase, printBase, unpack } from './base.ts';
import { type Change, compare, type Moves, statuses } from './changes.ts';
import { commit, type Progress, recover, type Write } from './commit.ts';
import { RepositoryError } from './errors.ts';
import { listUncommitted } from './git.ts';
import { type Lock, type LockEntry, lockPath, parseLock, printLock } from './lock.ts';
import { readAnswers, writeAnswers } from './stored-answers.ts';
import { answersPath, inspect, refusePath, stateFolder } from './tree.ts';

/** What a run would do, computed by `prepare`; nothing is written yet. */
export interface Changes {
  /** One a file, sorted by path, the answers among them. */
  files: Change[];
  /** The generator's own records that change along with the files. */
  records: Write[];
}

/**
 * A generated repository on disk, or the folder that shall become one. The own command and Yeoman both walk
 * `openRepository`, `prepare`, `apply`; `check`, `diff` and `--dry-run` stop after `prepare`.
 */
export interface Repository {
  /** Absolute path with symbolic links resolved. */
  root: string;
  /** From `.yo-rc.json`, not yet validated. */
  answers: Record<string, unknown> | undefined;
  /** Of the last run; undefined before the first. */
  lock: Lock | undefined;
  /** The lock's text, to notice another run in between. */
  lockText: string | undefined;
  /** Whether opening it completed a run that had been killed. */
  hasRecovered: boolean;
}

/**
 * Opens the repository in a folder, which need not exist. Completes or drops what a killed run left.
 * @throws RepositoryError (1) if another run is under way, (2) if the folder or a record in it cannot be used
 */
export function openRepository(folder: string): Repository {
  const root = findRoot(folder);
  const state = lstatSync(join(root, stateFolder), { throwIfNoEntry: false });
  if (state && !state.isDirectory())
    throw new RepositoryError(
      2,
      `${stateFolder} is not a folder. Restore it (git checkout -- ${stateFolder}).`,
    );
  const hasRecovered = recover(root);
  const lockText = readText(root, lockPath);
  const answers = readText(root, answersPath);
  return {
    root,
    answers: answers === undefined ? undefined : readAnswers(answers),
    lock: lockText === undefined ? undefined : parseLock(lockText),
    lockText,
    hasRecovered,
  };
}

/**
 * Compares a plan with what is on disk. Writes nothing.
 * @param options.restore paths to bring back that the user deleted, or to merge where a file of the user's is in
 *   the place of a generated one
 * @param options.moves new paths of files that an older generator wrote elsewhere; a user's edits move along
 * @throws RepositoryError (2) if `restore` names a file that the plan does not make, or a base copy is damaged
 */
export function prepare(
  repository: Repository,
  plan: Plan,
  options: { restore?: readonly string[]; moves?: Moves } = {},
): Changes {
  const { root, lock } = repository;
  const base = readBase(root);
  const restore = new Set(options.restore);
  for (const { path } of plan.files) {
    const refusal = refusePath(path);
    if (refusal) throw new RepositoryError(2, `Cannot write ${JSON.stringify(path)}: ${refusal}.`);
  }
  for (const path of restore)
    if (!plan.files.some((file) => file.path === path))
      throw new RepositoryError(2, `Cannot restore ${path}: with these answers no such file is made.`);
  const { moves } = options;
  const disk = {
    inspect: (path: string) => inspect(root, path),
    readBase: (path: string, sha256: string) => readCopy(base, path, moves?.get(path), sha256),
  };
  const files = compare(plan, lock, restore, disk, moves);
  const records = prepareRecords(repository, base, plan.generator, files, moves);
  const answers = compareAnswers(root, plan.answers);
  return { files: [answers, ...files].sort((a, b) => (a.path < b.path ? -1 : 1)), records };
}

/**
 * Carries out what `prepare` found: everything or nothing.
 * @param options.force go ahead in a dirty git tree, and on a first run beside files that are in the way (they stay)
 * @param options.onProgress called after each file written or removed
 * @returns whether anything was written
 * @throws RepositoryError (3) if the git tree is dirty, files are in the way of a first run, or the tree changed
 *   since `prepare`; (1) if git cannot tell, or the disk cannot take the changes
 */
export function apply(
  repository: Repository,
  changes: Changes,
  options: { force?: boolean; onProgress?: Progress } = {},
): boolean {
  const { root, lock } = repository;
  const { records } = changes;
  const touched = changes.files.filter(({ status }) => statuses[status].writes);
  if (!options.force && !lock) refuseOccupied(root, changes.files);
  if (touched.length + records.length === 0) return false;
  // What git ignores and this checkout lacks can be made beside any edit.
  const isOwnOnly = touched.every(({ status }) => status === 'restored') && records.length === 0;
  if (!options.force && lock && !isOwnOnly) refuseDirty(repository);
  refuseStale(repository, touched);
  const writes = touched.flatMap(({ path, kind, mode, after }): Write[] =>
    after ? [{ path, content: after, mode, isPrivate: kind === 'secret' }] : [],
  );
  const removals = touched.filter(({ after }) => !after).map(({ path }) => path);
  commit(root, [...writes, ...records], removals, options.onProgress);
  return true;
}

/** Ends the management of a repository: the lock and the base copies go, every other file stays. */
export function eject({ root }: Repository): void {
  const records = [lockPath, basePath].filter((path) => inspect(root, path).type === 'file');
  if (records.length > 0) commit(root, [], records);
}

function findRoot(folder: string): string {
  const stat = statSync(folder, { throwIfNoEntry: false });
  if (!stat) return resolve(folder);
  if (!stat.isDirectory())
    throw new RepositoryError(2, `${folder} is not a folder. Name a folder, new or existing.`);
  return realpathSync(folder);
}

function readText(root: string, path: string): string | undefined {
  const entry = inspect(root, path);
  if (entry.type === 'absent') return undefined;
  if (entry.type === 'file') return entry.read().toString();
  throw new RepositoryError(
    2,
    `${path} cannot be read: ${entry.what}. Restore it (git checkout -- ${path}).`,
  );
}

function readBase(root: string): Base {
  const text = readText(root, basePath);
  return text === undefined ? new Map() : parseBase(text);
}

/** The base copy of a file, which may still lie under the path that the file had before. */
function readCopy(base: Base, path: string, from: string | undefined, sha256: string): Buffer {
  const at = base.has(path) || from === undefined ? path : from;
  const copy = base.get(at);
  return copy === undefined ? Buffer.alloc(0) : unpack(at, copy, sha256);
}

function compareAnswers(root: string, answers: Answers): Change {
  const entry = inspect(root, answersPath);
  const text = readText(root, answersPath);
  const wanted = writeAnswers(text, storedAnswers(answers));
  const change = { path: answersPath, kind: 'managed', mode: 0o644, after: Buffer.from(wanted) } as const;
  if (entry.type !== 'file') return { ...change, status: 'created' };
  const status = wanted === text ? 'unchanged' : 'updated';
  return { ...change, status, mode: entry.mode, before: entry.read() };
}

/** The lock and the base copies as they must be once the changes are made; those that are so already are left out. */
function prepareRecords(
  { root, lock }: Repository,
  base: Base,
  generator: string,
  files: Change[],
  moves: Moves = new Map(),
): Write[] {
  const entries = new Map<string, LockEntry>();
  const copies = new Map<string, string>();
  for (const { path, entry, base: text } of files) {
    if (!entry) continue;
    entries.set(path, entry);
    const isCurrent = lock?.files.get(path)?.sha256 === entry.sha256;
    const copy =
      (isCurrent && base.get(path)) ||
      (text && pack(text)) ||
      base.get(path) ||
      base.get(moves.get(path) ?? '');
    if (copy && entry.sha256) copies.set(path, copy);
  }
  const records = [
    { path: lockPath, content: printLock({ generator, files: entries }), mode: 0o644 },
    { path: basePath, content: printBase(copies), mode: 0o644 },
  ];
  return records.filter(({ path, content }) => content !== readText(root, path));
}

function refuseOccupied(root: string, files: Change[]): void {
  const inTheWay = files.filter(({ status }) => status === 'occupied' || status === 'obstructed');
  if (inTheWay.length === 0) return;
  throw new RepositoryError(
    3,
    `Files are in the way in ${root}:\n` +
      inTheWay.map(({ path }) => `  ${path}\n`).join('') +
      'Move them away or choose another folder. With --force they stay as they are and the rest is written; ' +
      '--restore FILE merges one with the text that would be generated.',
  );
}

/**
 * Refuses a working tree that differs from the last commit. A run does so by itself before it writes; a shell asks
 * earlier, so that nobody answers questions in vain.
 * @throws RepositoryError (3), (1) if git cannot tell
 */
export function refuseDirty({ root }: Repository): void {
  const uncommitted = listUncommitted(root);
  if (uncommitted.length === 0) return;
  const others = uncommitted.length > 1 ? ` and ${uncommitted.length - 1} more` : '';
  throw new RepositoryError(
    3,
    `The git tree has uncommitted changes (${uncommitted[0]}${others}), and mixed with them this run could neither be ` +
      'read with git diff nor taken back with git restore: commit or stash them first, or go ahead with --force.',
  );
}

/** Nothing may be overwritten that `prepare` did not see. */
function refuseStale({ root, lockText }: Repository, touched: Change[]): void {
  const moved = touched.find(({ path, before }) => {
    const entry = inspect(root, path);
    return before ? entry.type !== 'file' || !entry.read().equals(before) : entry.type !== 'absent';
  });
  const path = moved?.path ?? (readText(root, lockPath) === lockText ? undefined : lockPath);
  if (path) throw new RepositoryError(3, `${path} was changed while this run was at work. Run again.`);
}
