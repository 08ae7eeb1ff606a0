import { RepositoryError } from './errors.ts';

/**
 * Parses a JSON object that lies in the tree, where anybody may have edited it.
 * @param path of the file, for the message
 * @param mend what to do about a broken one, one or more sentences
 * @throws RepositoryError (2)
 */
export function parseRecord(path: string, text: string, mend: string): Record<string, unknown> {
  const refuse = (reason: string) => new RepositoryError(2, `${path} cannot be used: ${reason}. ${mend}`);
  let data: unknown;
  try {
    data = JSON.parse(text);
  } catch {
    const isMerge = /^[<>]{7} /m.test(text);
    throw refuse(isMerge ? 'it holds conflict markers of a git merge' : 'it is not valid JSON');
  }
  if (!isObject(data)) throw refuse('it is not a JSON object');
  return data;
}

/** JSON with one sorted line an entry: git merges two branches that changed different entries. */
export function printRecord(entries: ReadonlyMap<string, unknown>): string {
  const lines = [...entries]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${JSON.stringify(key)}: ${JSON.stringify(value)}`);
  return lines.length > 0 ? `{\n${lines.join(',\n')}\n}` : '{}';
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
