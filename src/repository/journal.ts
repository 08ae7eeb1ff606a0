import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { basePath } from './base.ts';
import { RepositoryError } from './errors.ts';
import { lockPath } from './lock.ts';
import { isObject } from './record.ts';
import { answersPath, inspect, refusePath } from './tree.ts';

/**
 * One step of the journal. `staged` names the new text within the transaction's folder; `replaces` is the hash of
 * what was at the path, null if nothing was: a recovery may come days later and must not undo what was typed since.
 */
export type Step =
  | { write: string; staged: string; isPrivate: boolean; replaces: string | null }
  | { remove: string; replaces: string | null };

const ownRecords = [answersPath, basePath, lockPath];
/** Name of the journal within a transaction's folder. */
export const journalName = 'journal.json';

export function targetOf(step: Step): string {
  return 'write' in step ? step.write : step.remove;
}

/** Makes the journal appear in a transaction's folder as a whole: by a rename, it is there or it is not. */
export function writeJournal(folder: string, steps: readonly Step[]): void {
  writeFileSync(join(folder, 'journal.draft'), JSON.stringify(steps));
  renameSync(join(folder, 'journal.draft'), join(folder, journalName));
}

/**
 * Reads a journal as hostile text: it is a file of the tree like any other.
 * @param transaction path of its folder within the repository
 * @throws RepositoryError (2) naming what is wrong and the mend
 */
export function readJournal(root: string, transaction: string): Step[] {
  const path = `${transaction}/${journalName}`;
  const damaged = (reason: string) =>
    new RepositoryError(
      2,
      `${path} cannot be used: ${reason}. Delete the folder ${transaction}, then run again.`,
    );
  const entry = inspect(root, path);
  if (entry.type !== 'file') throw damaged(entry.type === 'absent' ? 'it is not there' : entry.what);
  let steps: unknown;
  try {
    steps = JSON.parse(entry.read().toString());
  } catch {
    throw damaged('it is not valid JSON');
  }
  if (!Array.isArray(steps)) throw damaged('it is not a list');
  return steps.map((step: unknown): Step => {
    if (!isObject(step)) throw damaged('a step is not an object');
    const target = step.write ?? step.remove;
    if (typeof target !== 'string') throw damaged('a step names no file');
    const refusal = ownRecords.includes(target) ? undefined : refusePath(target);
    if (refusal) throw damaged(`the path ${JSON.stringify(target)} is refused: ${refusal}`);
    const replaces = typeof step.replaces === 'string' ? step.replaces : null;
    if (step.write === undefined) return { remove: target, replaces };
    if (typeof step.staged !== 'string' || !/^\d+$/.test(step.staged))
      throw damaged(`${target} has no staged text`);
    return { write: target, staged: step.staged, isPrivate: step.isPrivate === true, replaces };
  });
}
