import type { Lock } from '../src/repository/lock.ts';
import { RepositoryError } from '../src/repository/errors.ts';
import type { Moves } from '../src/repository/changes.ts';
import { setAt, valueAt } from './table.ts';

/** What one version of the generator calls or puts elsewhere than the versions before it. */
export interface Migration {
  /** The first version with the new names, as in package.json: `1.2.0`. */
  version: string;
  /** New path of each answer whose path changed: `{ 'ssl': 'tls' }`. */
  answers?: Record<string, string>;
  /**
   * New path of each file that moved. `_environment_`, `_bot_` and `_channel_` stand for one name each, as in the
   * artefact table: `{ 'nginx/_environment_.conf': 'nginx/_environment_/server.conf' }`.
   */
  files?: Record<string, string>;
}

/** Every migration there is, oldest first. None yet: nothing was renamed since the first version. */
export const migrations: readonly Migration[] = [];

/**
 * The stored answers under the names of this version. Values that are no longer valid are left to the gate.
 * @param stored what `.yo-rc.json` holds; not changed
 * @param from version that stored them
 */
export function migrateAnswers(
  stored: Record<string, unknown>,
  from: string,
  steps: readonly Migration[] = migrations,
): Record<string, unknown> {
  const answers = structuredClone(stored);
  for (const { version, answers: renamed = {} } of steps) {
    if (compareVersions(version, from) <= 0) continue;
    for (const [before, after] of Object.entries(renamed)) {
      const value = valueAt(answers, before);
      if (value === undefined) continue;
      removeAt(answers, before);
      if (valueAt(answers, after) === undefined) setAt(answers, after, value);
    }
  }
  return answers;
}

/**
 * Where each file that the lock knows is written by now, as the old path of each new one. Not bound to the lock's
 * version: a move that had to wait, because of an unsettled conflict in the file, is still to be made later.
 */
export function findMoves(lock: Lock | undefined, steps: readonly Migration[] = migrations): Moves {
  const moves = new Map<string, string>();
  const rules = steps.flatMap(({ files = {} }) => Object.entries(files));
  if (rules.length === 0) return moves;
  for (const path of lock?.files.keys() ?? []) {
    const target = rules.reduce((at, [before, after]) => moveAlong(at, before, after), path);
    if (target !== path) moves.set(target, path);
  }
  return moves;
}

/**
 * Refuses a repository that a newer generator wrote: this one would take its new files for leftovers.
 * @throws RepositoryError (2)
 */
export function refuseNewer(lock: Lock, version: string): void {
  if (compareVersions(lock.generator, version) <= 0) return;
  throw new RepositoryError(
    2,
    `This repository was last written by version ${lock.generator} of the generator, and this is ${version}, which would undo ` +
      `what is newer: install generator-botpress-prod@${lock.generator} or later.`,
  );
}

/** Below 0 where `a` is older than `b`. A version with a suffix (`1.0.0-rc.1`) is older than the one without. */
function compareVersions(a: string, b: string): number {
  const [left, right] = [a, b].map((version) => {
    const [core = '', ...suffix] = version.split('-');
    return [...core.split('.').map(Number), suffix.length === 0 ? 1 : 0, suffix.join('-')];
  }) as [(number | string)[], (number | string)[]];
  for (const [index, value] of left.entries()) {
    const other = right[index] ?? 0;
    if (value !== other) return value < other ? -1 : 1;
  }
  return 0;
}

/** Takes away a value, and the objects around it that it leaves empty: an empty one would be an unknown answer. */
function removeAt(answers: Record<string, unknown>, path: string): void {
  const keys = path.split('.');
  const last = keys.pop() ?? path;
  const holder = keys.length === 0 ? answers : valueAt(answers, keys.join('.'));
  if (typeof holder !== 'object' || holder === null) return;
  Reflect.deleteProperty(holder, last);
  if (keys.length > 0 && Object.keys(holder).length === 0) removeAt(answers, keys.join('.'));
}

const PLACEHOLDER = /_(?:environment|bot|channel)_/g;

function moveAlong(path: string, before: string, after: string): string {
  const names = [...before.matchAll(PLACEHOLDER)].map(([name]) => name);
  const literal = before.split(PLACEHOLDER).map((text) => text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'));
  const found = new RegExp(`^${literal.join('([a-z0-9-]+)')}$`).exec(path);
  if (!found) return path;
  return names.reduce((text, name, index) => text.replaceAll(name, found[index + 1] ?? ''), after);
}
