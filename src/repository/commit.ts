import {
  accessSync,
  chmodSync,
  closeSync,
  constants,
  fchmodSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { RepositoryError, tellFault } from './errors.ts';
import { journalName, readJournal, type Step, targetOf, writeJournal } from './journal.ts';
import { hashOf } from './lock.ts';
import { inspect, stateFolder } from './tree.ts';

/** One file to write. */
export interface Write {
  path: string;
  content: Buffer | string;
  /** Permission bits; the file never exists with wider ones. */
  mode: number;
  /** The folder around it gets mode 700: for secrets. */
  isPrivate?: boolean;
}

/** Called after each file with its path and how far the commit is. */
export type Progress = (path: string, done: number, total: number) => void;

const transactionName = /^transaction-([1-9]\d*)$/;

/** A commit takes well under a second; a folder older than this belongs to nobody, whoever has its number now. */
const staleAfterMs = 10 * 60 * 1000;

/**
 * Writes and removes files: all of them or none.
 *
 * The new texts are staged in `.botpress-prod/transaction-PID/`, then a journal of all steps appears there under
 * its name by one rename. Whatever ends the process before that moment leaves the tree as it was; after it,
 * `recover` completes the steps, each of which is a rename or a removal and may be repeated.
 *
 * This guards against the end of the process (kill -9, Ctrl-C, out of memory), where the kernel keeps every
 * finished write. It does not guard against loss of power: that would need an fsync a file, which makes a run
 * two to three times as long, for a tree that git and one more run can bring back.
 *
 * @throws RepositoryError (1) if the disk is full, something is not permitted, or another run is under way
 */
export function commit(
  root: string,
  writes: readonly Write[],
  removals: readonly string[],
  onStep?: Progress,
): void {
  // Ctrl-C comes too late: to finish takes less time than to clear up, and leaves a tree that one can look at.
  const holdOut = () => {};
  process.on('SIGINT', holdOut);
  try {
    carryOut(root, writes, removals, onStep);
  } finally {
    process.off('SIGINT', holdOut);
  }
}

function carryOut(
  root: string,
  writes: readonly Write[],
  removals: readonly string[],
  onStep?: Progress,
): void {
  let transaction: Transaction | undefined;
  let steps: Step[];
  try {
    transaction = begin(root);
    const replaced = probe(root, [...writes.map(({ path }) => path), ...removals]);
    steps = stage(join(root, transaction.path), writes, removals, replaced);
  } catch (error) {
    transaction?.end();
    throw tellFault(`Cannot write to ${root}`, error, 'Nothing was changed.');
  }
  rollForward(root, transaction.path, steps, onStep);
  transaction.end();
}

/**
 * Settles what a killed run left behind: completes it if its journal is there, otherwise drops what it staged.
 * @returns whether a run was completed
 * @throws RepositoryError (1) if that run is still under way, (2) if its journal is damaged
 */
export function recover(root: string): boolean {
  if (listTransactions(root).length === 0) return false;
  try {
    const transaction = begin(root);
    transaction.end();
    return transaction.hasRecovered;
  } catch (error) {
    throw tellFault(`Cannot settle what a killed run left in ${stateFolder}`, error);
  }
}

interface Transaction {
  /** Its folder, relative to the repository. */
  path: string;
  hasRecovered: boolean;
  /** Removes the transaction's folder, and the folders around it that it made and that are empty. */
  end(): void;
}

/**
 * Claims the repository, then settles what killed runs left. The folder's name carries the process, so that making
 * it is the whole claim: no moment exists in which somebody else could see a claim without its owner. Of two that
 * start at once, each sees the other and at least one gives up.
 */
function begin(root: string): Transaction {
  const state = join(root, stateFolder);
  const firstMade = mkdirSync(state, { recursive: true }) ?? state;
  const name = `transaction-${process.pid}`;
  const folder = join(state, name);
  let hasRecovered = false;
  // In a container every run may have the same number: an old folder of ours is that of a dead namesake.
  if (listTransactions(root).includes(name)) hasRecovered = settle(root, folder);
  const end = () => {
    rmSync(folder, { recursive: true, force: true });
    removeEmptyFolders(state, dirname(firstMade));
  };
  try {
    mkdirSync(folder, { mode: 0o700 });
    const others = listTransactions(root).filter((found) => found !== name);
    for (const other of others) refuseLiving(join(state, other));
    for (const other of others) if (settle(root, join(state, other))) hasRecovered = true;
    // Secrets are staged here: should the process die, no `git add` may pick them up.
    writeFileSync(join(folder, '.gitignore'), '*\n');
  } catch (error) {
    end();
    throw error;
  }
  return { path: `${stateFolder}/${name}`, hasRecovered, end };
}

function listTransactions(root: string): string[] {
  try {
    return readdirSync(join(root, stateFolder)).filter((name) => transactionName.test(name));
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw tellFault(`Cannot read ${stateFolder}`, error);
  }
}

function refuseLiving(folder: string): void {
  const pid = Number(transactionName.exec(basename(folder))?.[1]);
  const age = Date.now() - (lstatSync(folder, { throwIfNoEntry: false })?.mtimeMs ?? 0);
  if (age > staleAfterMs || !isAlive(pid)) return;
  throw new RepositoryError(
    1,
    `Another run (process ${pid}) is writing here. Wait until it has ended, then run again.`,
  );
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** Completes or drops the transaction of a dead run; returns whether there was one to complete. */
function settle(root: string, folder: string): boolean {
  const path = `${stateFolder}/${basename(folder)}`;
  if (!lstatSync(folder).isDirectory()) throw new RepositoryError(2, `${path} is not a folder. Delete it.`);
  const isComplete = inspect(root, `${path}/${journalName}`).type !== 'absent';
  if (isComplete) {
    const steps = readJournal(root, path);
    const found = probe(root, steps.map(targetOf));
    for (const step of steps) if (isStaged(root, path, step)) refuseEdited(step, found.get(targetOf(step)));
    rollForward(root, path, steps);
  }
  rmSync(folder, { recursive: true, force: true });
  return isComplete;
}

function refuseEdited(step: Step, found: string | null | undefined): void {
  if (found === null || found === step.replaces) return;
  throw new RepositoryError(
    3,
    `A run was killed half-way, and ${targetOf(step)} was changed after it. Move your version of it away and run again: ` +
      'that completes the killed run.',
  );
}

/**
 * Finds what would stop a later step while nothing has happened yet: renames must not fail half-way.
 * @returns hash of what is at each path, null where nothing is
 */
function probe(root: string, paths: readonly string[]): Map<string, string | null> {
  const found = new Map(paths.map((path) => [path, fingerprint(root, path)]));
  const device = statSync(join(root, stateFolder)).dev;
  for (const folder of new Set(paths.map((path) => dirname(path)))) {
    let existing = join(root, folder);
    while (!lstatSync(existing, { throwIfNoEntry: false })) existing = dirname(existing);
    accessSync(existing, constants.W_OK | constants.X_OK);
    if (lstatSync(existing).dev !== device)
      throw new RepositoryError(1, `${folder} is on another file system than ${root}. Nothing was changed.`);
  }
  return found;
}

function fingerprint(root: string, path: string): string | null {
  const entry = inspect(root, path);
  if (entry.type === 'absent') return null;
  if (entry.type === 'file') return hashOf(entry.read());
  throw new RepositoryError(2, `${path} cannot be written: ${entry.what}. Move that away and run again.`);
}

function stage(
  folder: string,
  writes: readonly Write[],
  removals: readonly string[],
  replaced: ReadonlyMap<string, string | null>,
): Step[] {
  const replaces = (path: string) => replaced.get(path) ?? null;
  const steps: Step[] = writes.map(({ path, content, mode, isPrivate = false }, index) => {
    const staged = String(index);
    const file = openSync(join(folder, staged), 'wx', 0o600);
    try {
      writeFileSync(file, content);
      fchmodSync(file, mode);
    } finally {
      closeSync(file);
    }
    return { write: path, staged, isPrivate, replaces: replaces(path) };
  });
  for (const path of removals) steps.push({ remove: path, replaces: replaces(path) });
  writeJournal(folder, steps);
  return steps;
}

/** Does the steps of a journal, whether or not some are done already, and takes the journal away. */
function rollForward(root: string, transaction: string, steps: readonly Step[], onStep?: Progress): void {
  try {
    for (const [index, step] of steps.entries()) {
      if ('write' in step) putInPlace(root, transaction, step);
      else remove(root, step);
      onStep?.(targetOf(step), index + 1, steps.length);
    }
    unlinkSync(join(root, transaction, journalName));
  } catch (error) {
    throw tellFault(
      `Cannot complete the changes in ${root}`,
      error,
      'Part of them is in place. Mend the cause and run again: the next run begins by completing them.',
    );
  }
}

/** Whether a write is still to be done. Only a regular file is moved into the tree. */
function isStaged(root: string, transaction: string, step: Step): boolean {
  if (!('write' in step)) return false;
  return lstatSync(join(root, transaction, step.staged), { throwIfNoEntry: false })?.isFile() ?? false;
}

function putInPlace(root: string, transaction: string, step: Extract<Step, { write: string }>): void {
  if (!isStaged(root, transaction, step)) return;
  const target = join(root, step.write);
  const folder = dirname(target);
  makeFolder(folder, step.isPrivate ? 0o700 : 0o755);
  if (step.isPrivate && folder !== root) chmodSync(folder, 0o700);
  renameSync(join(root, transaction, step.staged), target);
}

/** Like files, new folders have their mode whatever the umask: containers read them as other users. */
function makeFolder(folder: string, mode: number): void {
  const firstMade = mkdirSync(folder, { recursive: true, mode });
  if (firstMade === undefined) return;
  for (let at = folder; ; at = dirname(at)) {
    chmodSync(at, mode);
    if (at === resolve(firstMade)) return;
  }
}

/** Leaves a file that somebody made anew since: done steps are repeated after a kill. */
function remove(root: string, { remove: path, replaces }: Extract<Step, { remove: string }>): void {
  const found = fingerprint(root, path);
  if (found !== null && found !== replaces) return;
  rmSync(join(root, path), { force: true });
  removeEmptyFolders(dirname(join(root, path)), root);
}

/** Removes a folder and those around it as long as they are empty; `limit` stays. */
function removeEmptyFolders(folder: string, limit: string): void {
  for (let at = folder; at !== limit; at = dirname(at)) {
    try {
      rmdirSync(at);
    } catch {
      return;
    }
  }
}
