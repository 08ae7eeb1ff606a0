/**
 * Something about the repository on disk that the user has to know: a damaged lock, files in the way, a full
 * disk. The message is complete: what, where, why and how to mend it; it is shown without a stack.
 *
 * It carries no `code`: `yo` hands that property to `process.exit`, which dies on a string.
 */
export class RepositoryError extends Error {
  override readonly name = 'RepositoryError';
  /** 1 a fault of the machine, 2 a file of the repository is damaged, 3 differences that the user must settle. */
  readonly exitCode: 1 | 2 | 3;

  constructor(exitCode: 1 | 2 | 3, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

const causes: Record<string, string> = {
  EACCES: 'permission denied',
  EDQUOT: 'the disk quota is used up',
  EEXIST: 'something of that name is there already',
  EISDIR: 'a folder is in its place',
  ENAMETOOLONG: 'the name is too long for this file system',
  ENOENT: 'it is not there',
  ENOSPC: 'the disk is full',
  ENOTDIR: 'a file is where a folder is needed',
  EPERM: 'the operation is not permitted',
  EROFS: 'the file system is read-only',
  EXDEV: 'it is on another file system',
};

/**
 * Tells a fault of the file system in words; an error that is told already passes unchanged.
 * @param doing what was attempted, for example `Cannot read README.md`
 * @param consequence what that means for the repository, one sentence; may be empty
 */
export function tellFault(doing: string, error: unknown, consequence = ''): Error {
  if (error instanceof RepositoryError) return error;
  const code = (error as NodeJS.ErrnoException)?.code;
  const cause = (code && causes[code]) ?? (error instanceof Error ? error.message : String(error));
  return new RepositoryError(1, `${doing}: ${cause}. ${consequence}`.trim());
}
