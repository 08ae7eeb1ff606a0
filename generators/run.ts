import { readFileSync, statSync } from 'node:fs';
import { basename } from 'node:path';
import { ALONE_PARTS, type Answers } from '../src/deployment/answers.ts';
import { deriveDeployment } from '../src/deployment/deployment.ts';
import { InputError, showValue } from '../src/deployment/errors.ts';
import type { Part } from '../src/deployment/question.ts';
import { exitCodeOfRun, statuses } from '../src/repository/changes.ts';
import type { Plan } from '../src/rendering/plan.ts';
import type { Progress } from '../src/repository/commit.ts';
import { isInsideGit } from '../src/repository/git.ts';
import {
  apply,
  openRepository,
  prepare,
  refuseDirty,
  type Changes,
  type Repository,
} from '../src/repository/repository.ts';
import { collectAnswers, isNeededBy, type Asker } from './collect.ts';
import { findStack } from './found.ts';
import { findMoves, migrateAnswers, refuseNewer } from './migrations.ts';
import { refuseFaults, renderPlan, version } from './plan.ts';
import { describeChanges, describeNextSteps, type Paint } from './report.ts';
import { presences, questions, setAt } from './table.ts';

/** One run of the generator, whatever the shell: the own command and Yeoman fill this in and walk the same road. */
export interface Run {
  /** As the user wrote it. */
  directory: string;
  /** The part that is set anew: of the others, only what is not stored is asked. `app` and none mean all. */
  part?: Part | undefined;
  /** Answers given as flags, by path. */
  flags: Record<string, unknown>;
  answersFile?: string | undefined;
  /** Take defaults for what is not given. */
  acceptDefaults: boolean;
  /** Absent where nobody can be asked. */
  ask?: Asker | undefined;
  /** Says something between two prompts. */
  tell?: ((text: string) => void) | undefined;
  dryRun: boolean;
  force: boolean;
  restore: readonly string[];
  paint: Paint;
  onProgress?: Progress;
}

/** What a run ends with. */
export interface Result {
  /** For people. */
  text: string;
  exitCode: number;
}

/** Largest answers file that is read, in bytes: far above any real one. */
const LARGEST_ANSWERS_FILE = 1_000_000;

/**
 * Opens a repository with its stored answers under the names of this version.
 * @throws RepositoryError (2) if a newer generator wrote it
 */
export function openMigrated(directory: string): Repository {
  const repository = openRepository(directory);
  const { lock, answers } = repository;
  if (!lock) return repository;
  refuseNewer(lock, version);
  return { ...repository, answers: answers && migrateAnswers(answers, lock.generator) };
}

/** What a run with these answers would change. Writes nothing. */
export function planChanges(
  repository: Repository,
  answers: Answers,
  restore: readonly string[] = [],
): Changes & { plan: Plan } {
  const plan = renderPlan(answers);
  const changes = prepare(repository, plan, { restore, moves: findMoves(repository.lock) });
  return { plan, ...changes };
}

/** Collects the answers for a repository: flags, answers file, stored answers, prompts, defaults. */
export async function askAnswers(repository: Repository, run: Run): Promise<Answers> {
  const { answersFile, ask, force, dryRun, tell, directory } = run;
  if (ask && repository.lock && !force && !dryRun) refuseDirty(repository);
  if (ask) tell?.(`${greet(repository, directory)}\n`);
  const alone = ALONE_PARTS.find((part) => part === run.part);
  // Where nothing of this generator is yet but a compose file of others, a part that can do without the rest does.
  const before = repository.answers?.['alone'];
  const isMore = alone !== undefined && Array.isArray(before) && before.length > 0 && !before.includes(alone);
  const isNew = !repository.lock && !repository.answers;
  const found = alone && (isNew || isMore) ? await findStack(repository.root) : undefined;
  return collectAnswers({
    flags: run.flags,
    ...(answersFile !== undefined && { file: await readAnswersFile(answersFile) }),
    stored: besides(repository.answers, run.part),
    // Stored as they were found, for a part that nobody wanted then.
    ...(isMore && {
      reopened: questions
        .filter(
          (question) =>
            isNeededBy(question, alone) && !before.some((other: unknown) => isNeededBy(question, other)),
        )
        .map(({ path }) => path),
    }),
    ...(alone && found && { alone, found }),
    directory: basename(repository.root),
    ...(run.part && run.part !== 'app' && { part: run.part }),
    ...(ask && { ask }),
    ...(tell && { tell }),
    acceptDefaults: run.acceptDefaults,
  });
}

/**
 * The stored answers with one more part that is used alone, where others are already; its own answer is open again.
 * @throws InputError if that part cannot be used alone
 */
function besides(stored: Repository['answers'], part: Part | undefined): Repository['answers'] {
  const alone = stored?.['alone'];
  if (!Array.isArray(alone) || alone.length === 0 || !part || part === 'app' || alone.includes(part))
    return stored;
  const known = ALONE_PARTS.find((name) => name === part);
  if (!known)
    throw new InputError([
      {
        field: part,
        reason: `is not a part that can be used alone, and ${alone.join(' and ')} is used so here`,
        mend: 'write a whole repository into a folder of its own',
      },
    ]);
  const changed = structuredClone(stored ?? {});
  const presence = presences[known];
  if (presence) {
    Reflect.deleteProperty(changed, presence.path);
    setAt(changed, presence.path, undefined);
  }
  return { ...changed, alone: [...alone, known] };
}

function greet({ answers }: Repository, directory: string): string {
  const where = directory === '.' ? 'this folder' : directory;
  return answers
    ? `The repository in ${where}: Enter keeps an answer as it is shown, Ctrl-C leaves everything as it was.`
    : `A new repository in ${where}: Enter takes what is shown, Ctrl-C leaves everything as it was.`;
}

/** Carries out a run: everything is written, or nothing. */
export function writeAnswers(repository: Repository, answers: Answers, run: Run): Result {
  const { dryRun, force, restore, directory, paint, onProgress } = run;
  const changes = planChanges(repository, answers, restore);
  const { files, plan } = changes;
  if (files.some(({ status }) => statuses[status].writes)) refuseFaults(plan);
  const isFirst = repository.lock === undefined;
  const exitCode = exitCodeOfRun(files);
  if (dryRun) {
    const lines = ['Dry run, nothing is written. It would be:', ...describeChanges(files, isFirst, paint)];
    return { text: lines.join('\n'), exitCode };
  }
  const isWritten = apply(repository, changes, { force, ...(onProgress && { onProgress }) });
  const place = directory === '.' ? 'this folder' : directory;
  const outcome = { directory, isFirst, isInGit: isInsideGit(repository.root), changes: files };
  const lines = [
    paint('bold', `${answers.name} ${isWritten ? 'is written to' : 'is up to date in'} ${place}`),
    ...describeChanges(files, isFirst, paint),
    ...(isWritten ? ['', ...describeNextSteps(deriveDeployment(answers), outcome, paint)] : []),
  ];
  return { text: lines.join('\n'), exitCode };
}

async function readAnswersFile(path: string): Promise<unknown> {
  const refuse = (reason: string, mend: string) =>
    new InputError([{ field: '--answers', value: showValue(path), reason, mend }]);
  let text: string;
  try {
    if (statSync(path).size > LARGEST_ANSWERS_FILE)
      throw refuse('is larger than 1 MB', 'name an answers file');
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (error instanceof InputError) throw error;
    throw refuse('cannot be read', 'name a readable YAML or JSON file');
  }
  // Loaded for the few who give a file. CommonJS: bundled, all it exports is in its default.
  const { default: yaml } = await import('yaml');
  try {
    return yaml.parse(text) ?? {};
  } catch (error) {
    throw refuse(`is not YAML: ${(error as Error).message.split('\n')[0] ?? ''}`, 'correct the file');
  }
}
