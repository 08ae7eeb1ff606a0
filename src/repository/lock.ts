import { hash } from 'node:crypto';
import type { Kind } from '../rendering/plan.ts';
import { RepositoryError } from './errors.ts';
import { isObject, parseRecord, printRecord } from './record.ts';
import { refusePath, stateFolder } from './tree.ts';

export const lockPath = `${stateFolder}/lock.json`;
const lockVersion = 1;

/** What the last run wrote at one path. */
export interface LockEntry {
  kind: Kind;
  /** Permission bits the file was planned with; the user's may differ. */
  mode: number;
  /** Template below `templates/`, or the name of the secret. */
  template: string;
  /** Of the text as generated, hexadecimal. Only managed files have one: a secret's hash would be a clue to it. */
  sha256?: string;
}

/** The committed record of the last run. */
export interface Lock {
  /** Version of the generator. */
  generator: string;
  files: ReadonlyMap<string, LockEntry>;
}

const kinds: readonly unknown[] = ['managed', 'seeded', 'secret'] satisfies Kind[];

const mend =
  `Restore it (git checkout -- ${stateFolder}), or delete ${stateFolder}: the next run then takes over every file ` +
  'that it would write the same and lists the others.';

/**
 * Reads the text of `.botpress-prod/lock.json`. It comes from the tree, so nothing in it is taken on trust.
 * @throws RepositoryError (2) naming the first thing that is wrong and the mend
 */
export function parseLock(text: string): Lock {
  const data = parseRecord(lockPath, text, mend);
  if (data.lockVersion !== lockVersion)
    throw damaged(
      `"lockVersion" is ${JSON.stringify(data.lockVersion)}, this generator reads ${lockVersion}`,
    );
  if (typeof data.generator !== 'string') throw damaged('"generator" is not a string');
  if (!isObject(data.files)) throw damaged('"files" is not an object');
  const files = Object.entries(data.files).map(([path, entry]) => [path, parseEntry(path, entry)] as const);
  return { generator: data.generator, files: new Map(files) };
}

function parseEntry(path: string, entry: unknown): LockEntry {
  const wrong = (reason: string) => damaged(`files[${JSON.stringify(path)}]: ${reason}`);
  const refusal = refusePath(path);
  if (refusal) throw wrong(`the path is refused: ${refusal}`);
  if (!isObject(entry)) throw wrong('it is not an object');
  const { kind, mode, template, sha256 } = entry;
  if (!kinds.includes(kind)) throw wrong('"kind" is not one of managed, seeded, secret');
  if (typeof mode !== 'string' || !/^[0-7]{3}$/.test(mode)) throw wrong('"mode" is not three octal digits');
  if (typeof template !== 'string') throw wrong('"template" is not a string');
  const known = { kind: kind as Kind, mode: parseInt(mode, 8), template };
  if (kind !== 'managed') return known;
  if (typeof sha256 !== 'string' || !/^[0-9a-f]{64}$/.test(sha256))
    throw wrong('"sha256" is not 64 hexadecimal digits');
  return { ...known, sha256 };
}

/** The text of the lock, fit for git's merge: see `printRecord`. */
export function printLock({ generator, files }: Lock): string {
  const entries = [...files].map(([path, { kind, mode, template, sha256 }]) => {
    return [path, { kind, mode: mode.toString(8).padStart(3, '0'), template, sha256 }] as const;
  });
  const head = `"lockVersion": ${lockVersion},\n"generator": ${JSON.stringify(generator)},\n`;
  return `{\n${head}"files": ${printRecord(new Map(entries))}\n}\n`;
}

/** SHA-256 of bytes, 64 hexadecimal digits. */
export function hashOf(bytes: Buffer): string {
  return hash('sha256', bytes, 'hex');
}

function damaged(reason: string): RepositoryError {
  return new RepositoryError(2, `${lockPath} cannot be used: ${reason}. ${mend}`);
}
