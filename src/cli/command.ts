import { basename } from 'node:path';
import { completeAnswers, type Asker } from '../../generators/collect.ts';
import { explainFile } from '../../generators/explain.ts';
import { answersJsonSchema, nearestOf } from '../../generators/gate.ts';
import { addMember, refuseUndone, removeMember } from '../../generators/members.ts';
import { renderPlan } from '../../generators/plan.ts';
import { colourful, describeChanges, describeError, EXIT, painterFor } from '../../generators/report.ts';
import {
  askAnswers,
  openMigrated,
  planChanges,
  writeAnswers,
  type Result,
  type Run,
} from '../../generators/run.ts';
import { valueAt } from '../../generators/table.ts';
import type { AnswerPath, Answers } from '../deployment/answers.ts';
import { InputError, showValue } from '../deployment/errors.ts';
import { exitCodeOfCheck, statuses } from '../repository/changes.ts';
import type { Progress } from '../repository/commit.ts';
import { eject, openRepository, type Repository } from '../repository/repository.ts';
import { readArguments, type Arguments } from './arguments.ts';
import { formatHelp } from './help.ts';

/** Runs the command line; returns the exit code. Errors go to stderr in one block, without a stack unless DEBUG is set. */
export async function runCommand(words: readonly string[]): Promise<number> {
  try {
    return await dispatch(readArguments(words));
  } catch (error) {
    return reportError(error);
  }
}

async function dispatch(options: Arguments): Promise<number> {
  switch (options.command) {
    case 'help':
      print(formatHelp());
      return EXIT.done;
    case 'schema':
      print(`${JSON.stringify(answersJsonSchema(), null, 2)}\n`);
      return EXIT.done;
    case 'explain':
      return explain(options);
    case 'eject':
      return endManagement(options);
    case 'check':
      return check(options);
    case 'diff':
      return diff(options);
    case 'add':
    case 'remove':
      return changeMember(options);
    case 'generate':
      return generate(options);
  }
}

async function generate(options: Arguments): Promise<number> {
  const run = await startRun(options);
  const repository = openMigrated(options.directory);
  return finish(writeAnswers(repository, await askAnswers(repository, run), run));
}

async function changeMember(options: Arguments): Promise<number> {
  const { repository, answers } = await openManaged(options.directory);
  const { command, member } = options;
  if (!member || (command !== 'add' && command !== 'remove'))
    throw new Error('add and remove come with a member');
  const { kind, name } = member;
  const changed = command === 'add' ? addMember(answers, kind, name) : removeMember(answers, kind, name);
  const run = await startRun({ ...options, yes: true });
  const asked = await askAnswers({ ...repository, answers: { ...changed } }, run);
  refuseUndone(command, kind, name, changed, asked);
  return finish(writeAnswers(repository, asked, run));
}

async function startRun(options: Arguments): Promise<Run> {
  const { directory, part, flags, answersFile, yes, dryRun, force, restore } = options;
  const isAsking = !yes && process.stdin.isTTY && process.stdout.isTTY;
  return {
    directory,
    part,
    flags,
    answersFile,
    acceptDefaults: yes,
    ...(isAsking && { ask: await loadAsker(), tell: (text: string) => print(`${text}\n`) }),
    dryRun,
    force,
    restore,
    paint: painterFor(process.stdout),
    onProgress: showProgress(),
  };
}

function finish({ text, exitCode }: Result): number {
  print(`${text}\n`);
  return exitCode;
}

async function check(options: Arguments): Promise<number> {
  const { repository, answers, assumed } = await openManaged(options.directory);
  print(tellAssumed(answers, assumed));
  const { files } = planChanges(repository, answers);
  const drift = files.filter(({ status }) => statuses[status].isDrift);
  if (drift.length === 0) {
    print('The repository is what its answers say.\n');
    return EXIT.done;
  }
  const paint = painterFor(process.stdout);
  const where = options.directory === '.' ? '' : ` ${options.directory}`;
  const isMended = drift.some(({ status }) => statuses[status].writes);
  const lines = [
    paint('bold', `The repository is not what its answers say.${isMended ? ' A run would leave:' : ''}`),
    ...describeChanges(drift, false, paint),
    ...(isMended
      ? ['', `botpress-prod diff${where} shows the lines; botpress-prod${where} updates the files.`]
      : []),
  ];
  print(`${lines.join('\n')}\n`);
  return exitCodeOfCheck(files);
}

async function diff(options: Arguments): Promise<number> {
  const { printDiff } = await import('../repository/diff.ts');
  const { repository, answers, assumed } = await openManaged(options.directory);
  print(tellAssumed(answers, assumed));
  const { files } = planChanges(repository, answers);
  print(printDiff(files, { colors: colourful(process.stdout) }));
  return exitCodeOfCheck(files);
}

function endManagement({ directory }: Arguments): number {
  const repository = openRepository(directory);
  if (!repository.lock) throw notManaged(directory);
  eject(repository);
  print('The lock and the base copies are removed; every other file is yours now.\n');
  return EXIT.done;
}

async function explain({ directory, file = '' }: Arguments): Promise<number> {
  const { answers } = await openManaged(directory);
  const path = file.replace(/^\.\//, '');
  const explanation = explainFile(answers, path);
  if (!explanation) {
    const nearest = nearestOf(
      path,
      renderPlan(answers).files.map((planned) => planned.path),
    );
    throw new InputError([
      {
        field: 'explain',
        value: showValue(file),
        reason: 'is not made by the generator',
        mend: nearest ? `did you mean ${nearest}?` : 'name a path inside the repository',
      },
    ]);
  }
  const { kind, template, mode } = explanation.file;
  const meaning = {
    managed: 'managed: your edits are merged on update',
    seeded: 'seeded: written once, then yours',
    secret: 'secret: random, git-ignored, never overwritten',
  };
  print(
    `${[
      file,
      `  ${meaning[kind]}`,
      kind === 'secret' ? `  made for the secret ${template}` : `  template templates/${template}.ejs`,
      `  mode ${mode.toString(8)}`,
      explanation.answers.length === 0 ? '  no answer changes it' : '  answers that change it:',
      ...explanation.answers.map(({ path, value }) => `    ${path}: ${JSON.stringify(value)}`),
    ].join('\n')}\n`,
  );
  return EXIT.done;
}

/** A repository that the generator made, with its stored answers through the gate and complete. */
async function openManaged(
  directory: string,
): Promise<{ repository: Repository; answers: Answers; assumed: AnswerPath[] }> {
  const repository = openMigrated(directory);
  if (!repository.answers) throw notManaged(directory);
  return { repository, ...(await completeAnswers(repository.answers, basename(repository.root))) };
}

/** One line; nothing where all answers are stored. */
function tellAssumed(answers: Answers, assumed: readonly AnswerPath[]): string {
  if (assumed.length === 0) return '';
  const values = assumed.map((path) => `${path} = ${JSON.stringify(valueAt(answers, path))}`);
  return `Not stored, since an older version did not ask, and taken as the default: ${values.join(', ')}.\n`;
}

function notManaged(directory: string): InputError {
  return new InputError([
    {
      field: 'directory',
      value: showValue(directory),
      reason: 'holds no repository that this generator manages',
      mend: 'name its folder, or make one with botpress-prod DIR',
    },
  ]);
}

/** inquirer is loaded only where somebody is there to answer. */
async function loadAsker(): Promise<Asker> {
  const [{ default: inquirer }, { askWith }] = await Promise.all([
    import('inquirer'),
    import('../../generators/prompts.ts'),
  ]);
  return askWith((prompts) => inquirer.prompt(prompts as never) as Promise<Record<string, unknown>>);
}

/** On a terminal one line that counts, once it takes long enough to be read; elsewhere nothing, the summary says it. */
function showProgress(): Progress {
  if (!process.stderr.isTTY || process.env['TERM'] === 'dumb') return () => {};
  let next = Date.now() + 300;
  let isShown = false;
  return (_path, done, total) => {
    if (done === total && isShown) process.stderr.write('\r\x1b[K');
    else if (Date.now() >= next) {
      process.stderr.write(`\rWriting ${done}/${total}`);
      next = Date.now() + 100;
      isShown = true;
    }
  };
}

function print(text: string): void {
  process.stdout.write(text);
}

function reportError(error: unknown): number {
  const { exitCode, text } = describeError(error);
  process.stderr.write(`${text}\n`);
  return exitCode;
}
