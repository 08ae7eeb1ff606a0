import { gunzipSync, gzipSync } from 'node:zlib';
import { RepositoryError } from './errors.ts';
import { hashOf } from './lock.ts';
import { parseRecord, printRecord } from './record.ts';
import { stateFolder } from './tree.ts';

/**
 * The texts of the last run, from which the next one merges. One line a file, so that git merges those of two
 * branches by itself; one file, since making a file costs more than everything else that is done for a base copy.
 */
export const basePath = `${stateFolder}/base.json`;

/** Base copies by the path of their file: gzip in base64. */
export type Base = ReadonlyMap<string, string>;

const mend =
  `Restore it (git checkout -- ${stateFolder}), or delete it: then a file that both you and the generator changed ` +
  'is merged without a base, and every difference in it becomes a conflict.';

/**
 * Reads the text of `.botpress-prod/base.json`, which is not taken on trust. The copies are checked when needed.
 * @throws RepositoryError (2) naming what is wrong and the mend
 */
export function parseBase(text: string): Base {
  const copies = Object.entries(parseRecord(basePath, text, mend));
  return new Map(
    copies.map(([path, copy]) => {
      if (typeof copy !== 'string') throw damaged(`the copy of ${JSON.stringify(path)} is not a string`);
      return [path, copy];
    }),
  );
}

export function printBase(base: Base): string {
  return `${printRecord(base)}\n`;
}

/** Small window and chunk are made for files of a few kilobytes, and the first level is nearly as small as the sixth: a sixth
 * of the time that zlib's defaults take. */
export function pack(bytes: Buffer): string {
  const packed = gzipSync(bytes, { windowBits: 13, memLevel: 6, chunkSize: 4096, level: 1 });
  // Gzip's field for the operating system: "unknown", so that all write the same.
  packed[9] = 255;
  return packed.toString('base64');
}

/**
 * Unpacks a base copy and holds it against the hash in the lock.
 * @throws RepositoryError (2) if it is no gzip or another text
 */
export function unpack(path: string, copy: string, sha256: string): Buffer {
  try {
    // The limit keeps a few hostile kilobytes from filling the memory.
    const bytes = gunzipSync(Buffer.from(copy, 'base64'), { maxOutputLength: 16 * 1024 * 1024 });
    if (hashOf(bytes) === sha256) return bytes;
  } catch {
    // The same mend as for a wrong hash.
  }
  throw damaged(`the copy of ${path} is not the text that the lock records`);
}

function damaged(reason: string): RepositoryError {
  return new RepositoryError(2, `${basePath} cannot be used: ${reason}. ${mend}`);
}
