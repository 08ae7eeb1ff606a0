import { closeSync, constants, lstatSync, openSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { tellFault } from './errors.ts';

/** Folder of the repository where the generator keeps its own records. */
export const stateFolder = '.botpress-prod';

/** Where Yeoman keeps the answers of all its generators. */
export const answersPath = '.yo-rc.json';

/** A hand-edited text file is far below this; beyond it, merging would only burn memory. Bytes. */
const largest = 8 * 1024 * 1024;

/** What is found at a path of the repository. Contents are read on demand: secrets never are. */
export type Entry =
  | { type: 'absent' }
  | { type: 'file'; /** Permission bits. */ mode: number; read(): Buffer }
  | { type: 'link' | 'obstacle'; /** For people: what is there, with its path. */ what: string };

/**
 * Why a path cannot be that of a generated file, or undefined if it can. For paths from files that anybody may
 * have edited, and as the last gate for the plan's own.
 */
export function refusePath(path: string): string | undefined {
  if (path === '' || /[\0-\x1f\x7f\\]/.test(path))
    return 'it is empty or holds a control character or backslash';
  if (path.startsWith('/') || /^[a-z]:/i.test(path)) return 'it is absolute';
  const parts = path.split('/');
  if (parts.includes('..')) return 'it leaves the repository';
  if (parts.includes('') || parts.includes('.')) return 'it is not in its plain form';
  // A file system without case would take `.GIT` for the same.
  const top = parts[0]?.toLowerCase();
  if (top === '.git') return 'it belongs to git';
  if (top === stateFolder || top === answersPath) return 'it belongs to the generator';
  if (parts.some((part) => Buffer.byteLength(part) > 255)) return 'a name in it is longer than 255 bytes';
  return undefined;
}

/**
 * Looks at a path of the repository and follows no symbolic link on the way, so that nothing outside is ever
 * read, written or removed.
 * @param root absolute path of the repository
 * @param path relative path with POSIX separators
 */
export function inspect(root: string, path: string): Entry {
  const parts = path.split('/');
  for (let depth = 1; depth <= parts.length; depth++) {
    const at = parts.slice(0, depth).join('/');
    const place = join(root, at);
    const stat = look(place, at);
    if (!stat) return { type: 'absent' };
    const isLast = depth === parts.length;
    if (stat.isSymbolicLink())
      return { type: isLast ? 'link' : 'obstacle', what: `${at} is a symbolic link` };
    if (!isLast) {
      if (!stat.isDirectory()) return { type: 'obstacle', what: `${at} is not a folder` };
    } else if (stat.isDirectory()) {
      return { type: 'obstacle', what: `${at} is a folder` };
    } else if (!stat.isFile()) {
      return { type: 'obstacle', what: `${at} is not a regular file` };
    } else if (stat.size > largest) {
      return { type: 'obstacle', what: `${at} is larger than ${largest / 1024 / 1024} MiB` };
    } else {
      return { type: 'file', mode: stat.mode & 0o777, read: () => readWithoutFollowing(place, at) };
    }
  }
  return { type: 'absent' };
}

function look(place: string, path: string) {
  try {
    return lstatSync(place, { throwIfNoEntry: false });
  } catch (error) {
    throw tellFault(`Cannot look at ${path}`, error);
  }
}

function readWithoutFollowing(place: string, path: string): Buffer {
  try {
    const file = openSync(place, constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0));
    try {
      return readFileSync(file);
    } finally {
      closeSync(file);
    }
  } catch (error) {
    throw tellFault(`Cannot read ${path}`, error);
  }
}
