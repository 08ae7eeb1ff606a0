import { resolve } from 'node:path';
import Generator, { type BaseOptions } from 'yeoman-generator';
import type { Answers } from '../src/deployment/answers.ts';
import { InputError } from '../src/deployment/errors.ts';
import { flagOf } from '../src/deployment/question.ts';
import type { Repository } from '../src/repository/repository.ts';
import { defaultOf } from './collect.ts';
import { nearestOf } from './gate.ts';
import { askWith } from './prompts.ts';
import { describeError, painterFor } from './report.ts';
import { askAnswers, openMigrated, writeAnswers, type Run } from './run.ts';
import { questions } from './table.ts';

type Options = BaseOptions & Record<string, unknown>;

/** What the own command calls the same, as Yeoman's options. */
const OPTIONS = {
  yes: { type: readYesOrNo, alias: 'y', description: 'Take defaults for what is not given; never ask' },
  answers: { type: String, description: 'Answers from YAML or JSON; flags win over it' },
  'dry-run': { type: readYesOrNo, description: 'Show what would be done, write nothing' },
  force: {
    type: readYesOrNo,
    description: 'Go ahead over uncommitted changes and beside files that are in the way',
  },
  restore: { type: takeAsItIs, description: 'Bring back a generated file that you deleted' },
} as const;

/** What `yo`, the environment and the test runner hand to every generator. */
const YEOMANS_OWN = new Set(
  (
    'env help h skip-cache skip-local-cache skip-install force-install ask-answered skip-check-env ignore-version-check ' +
    'namespace resolved unique-by destination-root shared-options shared-data features configure composed-with ' +
    'instance-id local-only insight color no-color debug version generators environment-version log-cwd cwd ' +
    'new-error-handler bail ignore-whitespace skip-yo-resolve node-package-manager skip-generators description ' +
    'disable-conflicter skip-parse-options parent-generator root-generator create-environment ' +
    'generator-options destination-name shared-fs arguments options test'
  ).split(' '),
);

/**
 * The only Yeoman base class: it asks, and hands one plan to the repository. Yeoman's own commit step has nothing to
 * write: it would write file by file and could not merge.
 */
export abstract class BaseGenerator extends Generator<Record<string, unknown>, Options> {
  declare private run_: Run;
  declare private repository: Repository;
  declare private collected: Answers;

  constructor(args: string[], options: Options) {
    super(args, options, {
      unique: 'namespace',
      tasksMatchingPriority: true,
      // The output holds a package.json of its own, which is no reason to run npm.
      customInstallTask: true,
    });
    this.argument('directory', {
      type: String,
      required: false,
      description: 'Directory to write (default .)',
    });
    for (const [name, option] of Object.entries(OPTIONS))
      this.option(name, { ...option, type: option.type as never });
    for (const { path, help } of questions)
      this.option(flagOf(path), { type: takeAsItIs as never, description: help });
  }
}
