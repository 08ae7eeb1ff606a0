import { readFileSync, statSync } from 'node:fs';
import { basename, resolve } from 'node:path';
import { parse as parseYaml } from 'yaml';
import { collectAnswers, type Asker } from '../../generators/collect.ts';
import { explainFile } from '../../generators/explain.ts';
import { answersJsonSchema, parseAnswers } from '../../generators/gate.ts';
import { addMember, removeMember } from '../../generators/members.ts';
import { buildPlan } from '../../generators/plan.ts';
import type { Answers } from '../deployment/answers.ts';
import { deriveDeployment } from '../deployment/deployment.ts';
import { InputError, showValue } from '../deployment/errors.ts';
import { exitCodeOfCheck, exitCodeOfRun, statuses } from '../repository/changes.ts';
import type { Progress } from '../repository/commit.ts';
import { RepositoryError } from '../repository/errors.ts';
import { apply, eject, openRepository, prepare, type Repository } from '../repository/repository.ts';
import { readArguments, type Arguments } from './arguments.ts';
import { formatHelp } from './help.ts';
import { colourful, describeChanges, describeNextSteps } from './report.ts';

const EXIT = { done: 0, fault: 1, wrongInput: 2 } as const;

/** Largest answers file that is read, in bytes: far above any real one. */
const LARGEST_ANSWERS_FILE = 1_000_000;

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
      eject(openManaged(options.directory).repository);
      print('The lock and the base copies are removed; every other file is yours now.\n');
      return EXIT.done;
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
  const repository = openRepository(options.directory);
  const { flags, answersFile } = options;
  const answers = await collectAnswers({
    flags,
    ...(answersFile !== undefined && { file: readAnswersFile(answersFile) }),
    stored: repository.answers,
    directory: basename(resolve(options.directory)),
    ...(!options.yes && process.stdin.isTTY && process.stdout.isTTY && { ask: await loadAsker() }),
    acceptDefaults: options.yes,
  });
  return write(repository, answers, options);
}

function changeMember(options: Arguments): Promise<number> | number {
  const { repository, answers } = openManaged(options.directory);
  const { member } = options;
  if (!member) throw new Error('add and remove come with a member');
  const change = options.command === 'add' ? addMember : removeMember;
  return write(repository, parseAnswers(change(answers, member.kind, member.name)), options);
}

function write(repository: Repository, answers: Answers, options: Arguments): number {
  const { dryRun, force, restore, directory } = options;
  const changes = prepare(repository, buildPlan(answers), { restore });
  if (dryRun) {
    print(`${['Dry run: nothing is written', ...describeChanges(changes.files, 'planned')].join('\n')}\n`);
    return exitCodeOfRun(changes.files);
  }
  const written = apply(repository, changes, { force, onProgress: showProgress() });
  const lines = [
    written
      ? `botpress-prod: ${answers.name} in ${directory}`
      : `botpress-prod: ${answers.name} is up to date`,
    ...describeChanges(changes.files, 'done'),
    '',
    ...describeNextSteps(deriveDeployment(answers), directory, repository.lock === undefined),
  ];
  print(`${lines.join('\n')}\n`);
  return exitCodeOfRun(changes.files);
}

function check(options: Arguments): number {
  const { repository, answers } = openManaged(options.directory);
  const { files } = prepare(repository, buildPlan(answers));
  const drift = files.filter(({ status }) => statuses[status].isDrift);
  print(
    drift.length === 0
      ? 'The repository is what its answers say.\n'
      : `${['The repository is not what its answers say:', ...describeChanges(drift, 'planned'), 'Run botpress-prod to update it; botpress-prod diff shows what would change.'].join('\n')}\n`,
  );
  return exitCodeOfCheck(files);
}

async function diff(options: Arguments): Promise<number> {
  const { printDiff } = await import('../repository/diff.ts');
  const { repository, answers } = openManaged(options.directory);
  const { files } = prepare(repository, buildPlan(answers));
  print(printDiff(files, { colors: colourful(process.stdout) }));
  return exitCodeOfCheck(files);
}

function explain({ directory, file = '' }: Arguments): number {
  const { answers } = openManaged(directory);
  const explanation = explainFile(answers, file.replace(/^\.\//, ''));
  if (!explanation)
    throw new InputError([
      {
        field: 'explain',
        value: showValue(file),
        reason: 'is not made by the generator',
        mend: 'name a path inside the repository',
      },
    ]);
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

/** A repository that the generator made, with its stored answers through the gate. */
function openManaged(directory: string): { repository: Repository; answers: Answers } {
  const repository = openRepository(directory);
  if (!repository.answers)
    throw new InputError([
      {
        field: 'directory',
        value: showValue(directory),
        reason: 'holds no repository that this generator made',
        mend: 'name its folder, or make one with botpress-prod DIR',
      },
    ]);
  return { repository, answers: parseAnswers(repository.answers) };
}

function readAnswersFile(path: string): unknown {
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
  try {
    return parseYaml(text) ?? {};
  } catch (error) {
    throw refuse(`is not YAML: ${(error as Error).message.split('\n')[0] ?? ''}`, 'correct the file');
  }
}

/** inquirer is loaded only where somebody is there to answer. */
async function loadAsker(): Promise<Asker> {
  const [{ default: inquirer }, { askWith }] = await Promise.all([
    import('inquirer'),
    import('../../generators/prompts.ts'),
  ]);
  return askWith((prompts) => inquirer.prompt(prompts as never) as Promise<Record<string, unknown>>);
}

/** On a terminal one line that counts; elsewhere nothing, the summary says it. */
function showProgress(): Progress {
  if (!process.stderr.isTTY) return () => {};
  return (_path, done, total) =>
    process.stderr.write(`\rWriting ${done}/${total}${done === total ? '\r\x1b[K' : ''}`);
}

function print(text: string): void {
  process.stdout.write(text);
}

function reportError(error: unknown): number {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  const shown = process.env['DEBUG'] ? (stack ?? message) : message;
  if (error instanceof InputError) {
    process.stderr.write(
      `The input is wrong; nothing was written.\n${process.env['DEBUG'] ? shown : message}\n`,
    );
    return EXIT.wrongInput;
  }
  if (error instanceof RepositoryError) {
    process.stderr.write(`${shown}\n`);
    return error.exitCode;
  }
  // Ctrl-C at a prompt.
  if (name === 'ExitPromptError') {
    process.stderr.write('Stopped; nothing was written.\n');
    return EXIT.fault;
  }
  process.stderr.write(`Unexpected fault: ${shown}\n`);
  return EXIT.fault;
}
