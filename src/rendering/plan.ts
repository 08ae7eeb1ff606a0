import type { Answers } from '../deployment/answers.ts';

/**
 * What happens to a file when the generator runs again:
 * `managed` is merged with the user's edits, `seeded` is written once and then the user's,
 * `secret` is random, git-ignored and never overwritten.
 */
export type Kind = 'managed' | 'seeded' | 'secret';

/** One file of the output with its final text. */
export interface PlannedFile {
  /** Path inside the repository, POSIX separators, no `..`, not absolute. */
  path: string;
  kind: Kind;
  /** Permission bits, for example 0o644. */
  mode: number;
  /** Template that made it, relative to `templates/`; for secrets, the name of the secret. */
  template: string;
  /**
   * Shows nothing that a user wrote: no answer can break its format, so that the tests check it for every run at once.
   */
  closed?: boolean;
  /** Final text, UTF-8. A secret that already exists on disk is never replaced by it. */
  content: string;
}

/** Everything one run wants on disk. Pure data: the same for Yeoman and for the own command. */
export interface Plan {
  /** Version of the generator that made the plan. */
  generator: string;
  /** The answers, which end in `.yo-rc.json`; never contain a secret. */
  answers: Answers;
  /** Sorted by path, paths unique. */
  files: PlannedFile[];
}
