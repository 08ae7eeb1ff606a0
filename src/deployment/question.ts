import type * as z from 'zod';
import type { AlonePart, AnswerPath, Answers, ValueAt } from './answers.ts';

/** Parts of the output: one folder of `generators/` each. */
export const PARTS = ['app', 'ci', 'backup', 'deploy', 'operations', 'scale'] as const;
export type Part = (typeof PARTS)[number];

/** What is known while questions are being asked: earlier answers, later ones still absent. */
export type Draft = { [K in keyof Answers]?: Answers[K] extends object ? Partial<Answers[K]> : Answers[K] };

/** What a default and a condition may look at. */
export interface Context {
  draft: Draft;
  /** Name of the directory that is written, without its parents. */
  directory: string;
  /** The part that was asked for by name, where the directory holds a stack that this generator did not write. */
  alone?: AlonePart;
  /** What the compose file of that stack says. */
  found?: FoundStack;
}

/** What could be read of a stack that this generator did not write. */
export type FoundStack = Partial<Answers['stack']>;

/** A default is a value, or follows from the context. */
export type Default<T> = T | ((context: Context) => T);

export type Ask = (context: Context) => boolean;

/**
 * One row of the question table. It makes the prompt, the flag, the zod field, the `--help` line, the JSON Schema of
 * the answers file and the row in the README; none of these is written a second time.
 */
export interface Question<P extends AnswerPath = AnswerPath> {
  /** Dotted path in the answers; the flag is the same with dashes: `--backup-retention-daily`. */
  path: P;
  /** What the prompt says. */
  message: string;
  /** One sentence for `--help`, the schema and the README. */
  help: string;
  /** What a value must look like; its messages name reason and mend. */
  field: z.ZodType<ValueAt<Answers, P>>;
  default: Default<ValueAt<Answers, P>>;
  /** How to mend a refused value, in one sentence with an example. */
  mend: string;
  /** Values to choose from: a select for a single value, a checkbox for a list. */
  choices?: readonly string[];
  /** Asked at the prompt only while true; otherwise the default stands. Flags and files may always set it. */
  ask?: Ask;
  /** Parts that need it when they are used alone; without it, the row's own part. */
  neededBy?: readonly AlonePart[];
  /** Default where parts are used alone. */
  defaultAlone?: ValueAt<Answers, P>;
  /** Says something only where parts are used alone: otherwise neither asked nor stored. */
  onlyAlone?: true;
}

/** A row of any path, as the table as a whole sees it. */
export type AnyQuestion = { [P in AnswerPath]: Question<P> }[AnswerPath] & { part: Part };

/** Declares the rows of one part; each row's field and default are checked against the type at its path. */
export function questionsOf(
  part: Part,
  rows: readonly { [P in AnswerPath]: Question<P> }[AnswerPath][],
): AnyQuestion[] {
  return rows.map((row) => ({ ...row, part }) as AnyQuestion);
}

/** `backup.retention.daily` → `backup-retention-daily`; camel case is split: `alerts.errorRate` → `alerts-error-rate`. */
export function flagOf(path: string): string {
  return path.replaceAll('.', '-').replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
