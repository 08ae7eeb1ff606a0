import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { RepositoryError } from './errors.ts';

/** What git says where no working tree is: something else is called `.git`, or the folder is inside it. */
const OUTSIDE = /^fatal: (not a git repository \(or any |this operation must be run in a work tree)/m;

/**
 * Tracked files below a folder that differ from the last commit, by their paths from the top of the working tree.
 * Untracked files do not count: a run never changes a file that it did not write. Empty outside git and without git
 * on the machine.
 *
 * In a tree of another user git refuses to answer, and is not told to do so all the same: the settings of that tree may
 * name programs which git would start.
 * @param root absolute path of an existing folder
 * @throws RepositoryError (1) if git cannot answer
 */
export function listUncommitted(root: string): string[] {
  if (!isInsideGit(root)) return [];
  const command = ['status', '--porcelain=v1', '-z', '--no-renames', '--untracked-files=no', '--', '.'];
  // Its words are looked at, and so must not be translated.
  const env = { ...process.env, GIT_OPTIONAL_LOCKS: '0', LC_ALL: 'C' };
  const { status, stdout, stderr, error } = spawnSync('git', ['-C', root, ...command], {
    env,
    encoding: 'utf8',
    maxBuffer: Infinity,
  });
  if (isMissing(error) || OUTSIDE.test(stderr)) return [];
  if (status !== 0)
    throw new RepositoryError(
      1,
      'Whether the git tree has uncommitted changes is not known, because git failed:\n' +
        `${(error?.message ?? stderr).trim().replace(/^(?=.)/gm, '  ')}\n` +
        'Mend that, or go ahead with --force.',
    );
  return stdout.split('\0').flatMap((entry) => (entry ? [entry.slice(3)] : []));
}

/** Not found on the search path; EACCES comes where a folder of that path cannot be read. */
function isMissing(error: NodeJS.ErrnoException | undefined): boolean {
  return error?.code === 'ENOENT' || error?.code === 'EACCES';
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
