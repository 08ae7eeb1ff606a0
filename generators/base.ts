import { resolve } from 'node:path';
import Generator, { type BaseOptions } from 'yeoman-generator';
import type { Answers } from '../src/deployment/answers.ts';
import { InputError, showValue } from '../src/deployment/errors.ts';
import { flagOf, PARTS } from '../src/deployment/question.ts';
import type { Repository } from '../src/repository/repository.ts';
import { defaultOf } from './collect.ts';
import { nearestOf } from './gate.ts';
import { askWith } from './prompts.ts';
import { describeError, painterFor } from './report.ts';
import { askAnswers, openMigrated, writeAnswers, type Run } from './run.ts';
import { questions } from './table.ts';

type Options = BaseOptions & Record<string, unknown>;

/** yo reads flags without knowing their types: take what it made of them as it is, and read it ourselves. */
const takeAsItIs = (value: unknown) => value;

/** The own command's options under Yeoman. */
const OPTIONS = {
  yes: { alias: 'y', description: 'Take defaults for what is not given; never ask' },
  answers: { description: 'Answers from YAML or JSON; flags win over it' },
  'dry-run': { description: 'Show what would be done, write nothing' },
  force: { description: 'Go ahead over uncommitted changes and beside files that are in the way' },
  restore: { description: 'Bring back a generated file that you deleted' },
};

/** Options of `yo`, of its environment and of every generator that are no concern of ours. */
const YEOMANS_OWN =
  'help h env namespace resolved skip-cache skip-local-cache skip-install force-install ask-answered ' +
  'skip-check-env ignore-version-check local-only insight color debug';

/**
 * The only Yeoman base class: it asks, and hands one plan to the repository. Yeoman's own commit step finds nothing to
 * do: it would write file by file and could not merge.
 */
export abstract class BaseGenerator extends Generator<Record<string, unknown>, Options> {
  declare private settings: Run;
  declare private repository: Repository;
  declare private collected: Answers;
  declare private outcome: string;

  constructor(args: string[], options: Options) {
    super(args, options, {
      unique: 'namespace',
      tasksMatchingPriority: true,
      // A package.json in the output is no reason to run npm.
      customInstallTask: true,
    });
    this.argument('directory', { required: false, description: 'Directory to write (default .)' });
    for (const [name, option] of Object.entries(OPTIONS))
      this.option(name, { ...option, type: takeAsItIs as never });
    for (const { path, help } of questions)
      this.option(flagOf(path), { type: takeAsItIs as never, description: help });
  }

  /** Opens the repository and collects the answers: flags, answers file, stored answers, prompts, defaults. */
  protected async collectAnswers(): Promise<void> {
    try {
      this.settings = this.readOptions();
      this.repository = openMigrated(resolve(this.destinationPath(), this.settings.directory));
      this.collected = await askAnswers(this.repository, this.settings);
    } catch (error) {
      throw tellShell(error);
    }
  }

  /** Renders the plan and commits it: everything or nothing. */
  protected commitPlan(): void {
    try {
      const { text, exitCode } = writeAnswers(this.repository, this.collected, this.settings);
      this.outcome = text;
      process.exitCode = exitCode;
    } catch (error) {
      throw tellShell(error);
    }
  }

  protected tellNextStep(): void {
    this.log(this.outcome);
  }

  private readOptions(): Run {
    this.refuseUnknown();
    const { options } = this;
    const isOn = (name: string) =>
      options[name] === true || /^(true|yes|on|)$/i.test(String(options[name] ?? 'no'));
    const acceptDefaults = isOn('yes');
    const part = String(options['namespace']).split(':').at(-1);
    return {
      part: PARTS.find((known) => known === part),
      directory: String(options['directory'] ?? '.'),
      flags: Object.fromEntries(
        questions.flatMap((question) => {
          const value = options[flagOf(question.path)];
          const isText = typeof defaultOf(question, { draft: {}, directory: '' }) !== 'number';
          return value === undefined ? [] : [[question.path, isText ? undoNumber(value) : flatten(value)]];
        }),
      ),
      ...(options['answers'] !== undefined && { answersFile: String(options['answers']) }),
      acceptDefaults,
      ...(!acceptDefaults &&
        this.canAsk() && { ask: askWith((prompts) => this.prompt(prompts as never)), tell: this.log }),
      dryRun: isOn('dry-run'),
      force: isOn('force'),
      restore: [flatten(options['restore'] ?? [])].flat().map(String),
      paint: painterFor(process.stderr),
    };
  }

  /** yo prompts without a terminal too, and then waits for ever. An adapter without a standard input asks by other means. */
  private canAsk(): boolean {
    const { adapter } = this.env as unknown as { adapter: Adapter };
    const stdin = adapter.stdin ?? adapter.actualAdapter?.stdin;
    return stdin === undefined || stdin.isTTY === true;
  }

  /**
   * A typo must not be a silent wrong answer. yo hands over each flag under its name and in camel case, the environment
   * its own options in camel case alone: that tells them apart.
   */
  private refuseUnknown(): void {
    const declared = [
      ...Object.keys(OPTIONS),
      'y',
      'directory',
      ...questions.map(({ path }) => flagOf(path)),
    ];
    const known = new Set([...declared, ...YEOMANS_OWN.split(' ')]);
    const problems = Object.entries(this.options).flatMap(([name, value]) => {
      if (known.has(name) || !/^[a-z][a-z0-9-]*$/.test(name)) return [];
      if (typeof value === 'object' && !Array.isArray(value)) return [];
      const nearest = nearestOf(name, declared);
      const mend = nearest ? `did you mean --${nearest}?` : 'see yo botpress-prod --help';
      return [{ field: `--${name}`, reason: 'is not an option', mend }];
    });
    for (const word of this.args.slice(1))
      problems.push({
        field: showValue(word).slice(1, -1),
        reason: 'is one word too many',
        mend: 'name one directory',
      });
    if (problems.length > 0) throw new InputError(problems);
  }
}

/**
 * An error as yo can tell it: yo shows the message and ends with `code`, which has to be a number; text would make it
 * stumble over its own exit.
 */
function tellShell(error: unknown): Error {
  const { text, exitCode } = describeError(error);
  return Object.assign(new Error(text, { cause: error }), { code: exitCode });
}

interface Adapter {
  stdin?: { isTTY?: boolean };
  actualAdapter?: Adapter;
}

/** yo hands a repeated flag over as a list, or as a list within a list. */
function flatten(value: unknown): unknown {
  return Array.isArray(value) ? value.flat(2) : value;
}

/** yo makes a number of whatever looks like one. */
function undoNumber(value: unknown): unknown {
  const text = (item: unknown) => (typeof item === 'number' ? String(item) : item);
  return Array.isArray(value) ? value.flat(2).map(text) : text(value);
}
