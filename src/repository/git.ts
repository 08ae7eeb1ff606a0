import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';

/**
 * Tracked files below a folder that differ from the last commit, by their paths from the top of the working tree.
 * Untracked files do not count: a run never changes a file that it did not write. Empty outside git, without git
 * on the machine, and where git refuses to answer.
 * @param root absolute path of an existing folder
 */
export function listUncommitted(root: string): string[] {
  if (!isInsideGit(root)) return [];
  const command = ['status', '--porcelain=v1', '-z', '--no-renames', '--untracked-files=no', '--', '.'];
  const env = { ...process.env, GIT_OPTIONAL_LOCKS: '0' };
  const { status, stdout } = spawnSync('git', ['-C', root, ...command], { env, encoding: 'utf8' });
  if (status !== 0) return [];
  return stdout.split('\0').flatMap((entry) => (entry ? [entry.slice(3)] : []));
}

/**
 * Whether a folder is in a git working tree. Looked at without git: starting a program costs more than all the rest of
 * a run that changes nothing.
 */
export function isInsideGit(folder: string): boolean {
  if (existsSync(join(folder, '.git'))) return true;
  const parent = dirname(folder);
  return parent !== folder && isInsideGit(parent);
}
