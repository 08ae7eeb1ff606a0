import { basename } from 'node:path/posix';
import type { Kind, Plan, PlannedFile } from '../rendering/plan.ts';
import { hashOf, type Lock, type LockEntry } from './lock.ts';
import { hasMarkers, isBinary, merge } from './merge.ts';
import type { Entry } from './tree.ts';

/**
 * Everything that can be said of one file when a plan meets what is on disk.
 * `writes`: a run changes the file. `isDrift`: the repository is not what the answers say, `check` exits 3.
 * `isOpen`: only the user can settle it, a run exits 3 as well. `meaning` completes "PATH …" for people.
 */
export const statuses = {
  created: { writes: true, isDrift: true, isOpen: false, meaning: 'is new' },
  updated: { writes: true, isDrift: true, isOpen: false, meaning: 'has a new text' },
  merged: { writes: true, isDrift: true, isOpen: false, meaning: 'has a new text, merged with your edits' },
  moved: { writes: true, isDrift: true, isOpen: false, meaning: 'has moved here' },
  removed: { writes: true, isDrift: true, isOpen: false, meaning: 'is no longer needed and goes' },
  restored: {
    writes: true,
    isDrift: false,
    isOpen: false,
    meaning: 'was not in this checkout and is made again',
  },
  conflict: { writes: true, isDrift: true, isOpen: true, meaning: 'has conflicts: settle the marked places' },
  unresolved: {
    writes: false,
    isDrift: true,
    isOpen: true,
    meaning: 'still holds conflict markers: settle them',
  },
  occupied: {
    writes: false,
    isDrift: true,
    isOpen: true,
    meaning: 'is a file of yours and is left as it is',
  },
  obstructed: { writes: false, isDrift: true, isOpen: true, meaning: 'cannot be written' },
  incomplete: { writes: false, isDrift: true, isOpen: true, meaning: 'lacks variables: add these lines' },
  edited: { writes: false, isDrift: false, isOpen: false, meaning: 'keeps your edits' },
  deleted: { writes: false, isDrift: false, isOpen: false, meaning: 'was deleted by you and stays so' },
  kept: { writes: false, isDrift: false, isOpen: false, meaning: 'is no longer made; it is yours now' },
  unchanged: { writes: false, isDrift: false, isOpen: false, meaning: 'is as generated' },
} as const;

export type Status = keyof typeof statuses;

/** What a run does, or must not do, to one file. */
export interface Change {
  path: string;
  kind: Kind;
  status: Status;
  /** Text on disk where it was needed for the decision; that of a secret only where its file moves. */
  before?: Buffer;
  /** Text to write; absent where nothing is written or the file is removed. */
  after?: Buffer;
  /** Permission bits to write with. */
  mode: number;
  /** Permission bits on disk, where they were needed for the decision. */
  modeBefore?: number;
  /** What is in the way, for people. */
  obstacle?: string;
  /** Lines that a seeded `.env` file lacks. */
  missing?: string[];
  /** What the lock says of the file after the run; absent: nothing. */
  entry?: LockEntry;
  /** The text as generated, where it becomes the base of the next merge. */
  base?: Buffer;
}

/** Where a newer generator writes what an older one wrote elsewhere: the old path of a new one. */
export type Moves = ReadonlyMap<string, string>;

/** What `compare` may ask about the disk. */
export interface Surroundings {
  inspect(path: string): Entry;
  /** The text of the last run, checked against its hash, or an empty one if the copy is missing. */
  readBase(path: string, sha256: string): Buffer;
}

/**
 * Decides what becomes of every file of the plan and of every file that the last run wrote. Changes nothing: a
 * run, `--dry-run`, `check` and `diff` all begin here.
 * @param plan the complete output: what the lock knows and the plan lacks is no longer made
 * @param lock of the last run; undefined on the first
 * @param restore paths that are written although the user deleted them or has a file of his own there
 * @param moves files whose last text is looked for at another path
 * @returns sorted by path
 */
export function compare(
  plan: Plan,
  lock: Lock | undefined,
  restore: ReadonlySet<string>,
  disk: Surroundings,
  moves: Moves = new Map(),
): Change[] {
  const handled = new Set(plan.files.map((file) => file.path));
  const decide = (file: PlannedFile, last: LockEntry | undefined, here: Entry): Change => {
    if (file.kind === 'secret') return decideSecret(file, last, here);
    if (file.kind === 'seeded') return decideSeeded(file, last, here, restore.has(file.path));
    return decideManaged(file, last, here, restore.has(file.path), disk);
  };
  const changes = plan.files.flatMap((file): Change[] => {
    const last = lock?.files.get(file.path);
    const here = disk.inspect(file.path);
    const from = moves.get(file.path);
    const before = from === undefined || last || handled.has(from) ? undefined : lock?.files.get(from);
    if (from === undefined || before?.kind !== file.kind) return [decide(file, last, here)];
    const there = disk.inspect(from);
    // Both exist: the one that is here is the user's own.
    if (here.type !== 'absent' && there.type !== 'absent') return [decide(file, last, here)];
    handled.add(from);
    if (there.type === 'absent') return [decide(file, before, here)];
    return follow(decide(file, before, there), from, there);
  });
  for (const [path, last] of lock?.files ?? [])
    if (!handled.has(path)) changes.push(decideDropped(path, last, disk.inspect(path)));
  return changes.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** Carries out at the new path what was decided for the text at the old one, and removes that. */
function follow(change: Change, from: string, there: Entry): Change[] {
  const isSettled = statuses[change.status].writes || !statuses[change.status].isOpen;
  // Only the user can go on: until then everything stays where it is, under its old entry.
  if (there.type !== 'file' || !(isSettled || change.status === 'incomplete'))
    return [{ ...change, path: from }];
  const before = there.read();
  const { kind, status } = change;
  const moved: Change = {
    ...change,
    status: statuses[status].writes && status !== 'updated' ? status : 'moved',
    after: change.after ?? before,
    ...(kind !== 'managed' && { mode: there.mode }),
  };
  delete moved.before;
  delete moved.modeBefore;
  return [moved, { path: from, kind, status: 'removed', mode: there.mode, before }];
}

function decideManaged(
  file: PlannedFile,
  recorded: LockEntry | undefined,
  here: Entry,
  isRestored: boolean,
  disk: Surroundings,
): Change {
  const { path, kind } = file;
  const last = recorded?.kind === kind ? recorded : undefined;
  const ours = Buffer.from(file.content);
  const sha256 = hashOf(ours);
  const entry: LockEntry = { kind, mode: file.mode, template: file.template, sha256 };
  const generated = { path, kind, mode: file.mode, entry, base: ours };
  // Where the new text is not taken, the lock must go on describing the old one, or a later merge loses its base.
  const postponed = { path, kind, mode: file.mode, entry: last };

  if (here.type === 'absent')
    return last && !isRestored
      ? { ...postponed, status: 'deleted' }
      : { ...generated, status: 'created', after: ours };
  if (here.type !== 'file') return { ...postponed, status: 'obstructed', obstacle: here.what };

  const before = here.read();
  const mode = last && last.mode !== file.mode ? file.mode : here.mode;
  const settled = { ...generated, mode, modeBefore: here.mode, before };
  const keepText = (status: Status): Change =>
    mode === here.mode ? { ...settled, status } : { ...settled, status: 'updated', after: before };

  if (before.equals(ours)) return keepText('unchanged');
  if (!last && !isRestored) return { ...postponed, before, status: 'occupied' };
  if (last?.sha256 && hashOf(before) === last.sha256) return { ...settled, status: 'updated', after: ours };
  if (hasMarkers(before)) return { ...postponed, before, status: 'unresolved' };
  if (last?.sha256 === sha256) return keepText('edited');
  if (isBinary(before)) return { ...postponed, status: 'obstructed', obstacle: `${path} is a binary file` };

  const base = last?.sha256 ? disk.readBase(path, last.sha256) : Buffer.alloc(0);
  const { merged, hasConflict } = merge(base, before, ours);
  if (hasConflict) return { ...settled, status: 'conflict', after: merged };
  if (merged.equals(before)) return keepText('edited');
  return { ...settled, status: 'merged', after: merged };
}

function decideSeeded(
  file: PlannedFile,
  last: LockEntry | undefined,
  here: Entry,
  isRestored: boolean,
): Change {
  const { path, kind, mode, template, content } = file;
  const change = { path, kind, mode, entry: { kind, mode, template } };
  const after = Buffer.from(content);
  if (here.type === 'absent') {
    if (!last || isRestored) return { ...change, status: 'created', after };
    // Git ignores the environment files, so one that is missing means a fresh clone and not a decision.
    return isEnvironment(path) ? { ...change, status: 'restored', after } : { ...change, status: 'deleted' };
  }
  if (here.type !== 'file') return { ...change, entry: last, status: 'obstructed', obstacle: here.what };
  if (!isEnvironment(path)) return { ...change, status: 'unchanged' };
  const missing = findMissingVariables(content, here.read().toString());
  return missing.length ? { ...change, status: 'incomplete', missing } : { ...change, status: 'unchanged' };
}

function decideSecret(file: PlannedFile, last: LockEntry | undefined, here: Entry): Change {
  const { path, kind, mode, template, content } = file;
  const change = { path, kind, mode, entry: { kind, mode, template } };
  if (here.type === 'absent')
    return { ...change, status: last ? 'restored' : 'created', after: Buffer.from(content) };
  // A link is the user's way to a vault. A folder is what Docker makes of a secret that was missing.
  if (here.type === 'obstacle') return { ...change, entry: last, status: 'obstructed', obstacle: here.what };
  return { ...change, status: 'unchanged' };
}

/** A file that an earlier run wrote and the plan no longer has. */
function decideDropped(path: string, last: LockEntry, here: Entry): Change {
  const change = { path, kind: last.kind, mode: last.mode };
  if (here.type === 'absent') return { ...change, status: 'unchanged' };
  if (last.kind !== 'managed') return { ...change, status: 'kept' };
  // The entry of an edited file stays: should the answers ask for the file again, its edits can still be merged.
  if (here.type !== 'file') return { ...change, status: 'kept', entry: last };
  const before = here.read();
  if (hashOf(before) === last.sha256) return { ...change, status: 'removed', before };
  return { ...change, status: 'kept', entry: last };
}

/** Whether a path is an environment file such as `.env.production`: git-ignored, one `NAME=value` a line. */
export function isEnvironment(path: string): boolean {
  return basename(path).startsWith('.env');
}

/** Lines of an environment file whose variable another one lacks; one that is commented out counts as there. */
function findMissingVariables(planned: string, present: string): string[] {
  const nameOf = (line: string) => /^\s*#?\s*(?:export\s+)?([A-Za-z_]\w*)=/.exec(line)?.[1];
  const names = new Set(present.split('\n').map(nameOf));
  return planned
    .split('\n')
    .filter((line) => !/^\s*#/.test(line) && nameOf(line) && !names.has(nameOf(line)));
}

/** Exit code of a run that made these changes: 3 if something is left to the user, otherwise 0. */
export function exitCodeOfRun(changes: readonly Change[]): 0 | 3 {
  return changes.some(({ status }) => statuses[status].isOpen) ? 3 : 0;
}

/** Exit code of `check` and `diff`: 3 if the repository is not what the answers say, otherwise 0. */
export function exitCodeOfCheck(changes: readonly Change[]): 0 | 3 {
  return changes.some(({ status }) => statuses[status].isDrift) ? 3 : 0;
}
