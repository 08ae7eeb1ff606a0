import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { parse as parseYaml } from 'yaml';
import Generator, { type BaseOptions } from 'yeoman-generator';
import type { Answers } from '../src/deployment/answers.ts';
import { deriveDeployment } from '../src/deployment/deployment.ts';
import { flagOf } from '../src/deployment/question.ts';
import { exitCodeOfRun, statuses } from '../src/repository/changes.ts';
import { apply, openRepository, prepare, type Repository } from '../src/repository/repository.ts';
import { collectAnswers, defaultOf } from './collect.ts';
import { buildPlan } from './plan.ts';
import { askWith } from './prompts.ts';
import { questions } from './table.ts';

type Options = BaseOptions & Record<string, unknown> & { yes?: boolean; answers?: string; force?: boolean };

/**
 * The only Yeoman base class: it asks, and hands one plan to the repository. Yeoman's own commit step is not used: it
 * would write file by file and could not merge.
 */
export abstract class BaseGenerator extends Generator<Record<string, unknown>, Options> {
  declare private repository: Repository;
  declare private collected: Answers;

  constructor(args: string[], options: Options) {
    super(args, options, { unique: 'namespace', tasksMatchingPriority: true, customInstallTask: true });
    this.argument('directory', {
      type: String,
      required: false,
      description: 'Directory to write (default .)',
    });
    this.option('yes', {
      type: Boolean,
      alias: 'y',
      description: 'Take defaults for what is not given; never ask',
    });
    this.option('answers', { type: String, description: 'Answers from YAML or JSON; flags win over it' });
    for (const { path, help } of questions)
      // yo would turn --ci=false into true and wrap repeated lists: take what it parsed as it is.
      this.option(flagOf(path), { type: ((value: unknown) => value) as never, description: help });
  }

  /** Opens the repository and collects the answers: flags, answers file, stored answers, prompts, defaults. */
  protected async collectAnswers(): Promise<void> {
    const directory = String(this.options['directory'] ?? this.destinationPath());
    this.repository = openRepository(directory);
    this.collected = await collectAnswers({
      flags: Object.fromEntries(
        questions.flatMap(({ path }) => {
          const value = this.options[flagOf(path)];
          return value === undefined ? [] : [[path, readFlag(value, path)]];
        }),
      ),
      ...(this.options.answers && { file: parseYaml(readFileSync(this.options.answers, 'utf8')) }),
      stored: this.repository.answers,
      directory: basename(this.repository.root),
      ...(!this.options.yes && { ask: askWith((prompts) => this.prompt(prompts as never)) }),
      acceptDefaults: this.options.yes === true,
    });
  }

  /** Renders the plan and commits it: everything or nothing. */
  protected commitPlan(): void {
    const changes = prepare(this.repository, buildPlan(this.collected));
    apply(this.repository, changes, { force: this.options.force === true });
    for (const { path, status } of changes.files)
      if (statuses[status].isOpen) this.log(`${path} ${statuses[status].meaning}`);
    process.exitCode = exitCodeOfRun(changes.files);
  }

  protected tellNextStep(): void {
    const { firstEnvironment } = deriveDeployment(this.collected);
    this.log(
      `${this.collected.name}: ./bin/up starts ${firstEnvironment.name} at ${firstEnvironment.externalUrl}`,
    );
  }
}

/** yo hands a flag over as text, as true, or as a list within a list. */
function readFlag(value: unknown, path: string): unknown {
  const flat = Array.isArray(value) ? value.flat(2) : value;
  const question = questions.find((row) => row.path === path);
  const fallback = question && defaultOf(question, { draft: {}, directory: '' });
  return typeof fallback === 'string' && typeof flat === 'number' ? String(flat) : flat;
}
