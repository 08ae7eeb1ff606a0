import { existsSync } from 'node:fs';
import { parseArgs, type ParseArgsConfig } from 'node:util';
import { distance } from 'fastest-levenshtein';
import { nearestOf } from '../../generators/gate.ts';
import { MEMBER_KINDS, type MemberKind } from '../../generators/members.ts';
import { questions, writtenParts } from '../../generators/table.ts';
import { defaultOf } from '../../generators/collect.ts';
import { InputError, showValue, type Problem } from '../deployment/errors.ts';
import { flagOf, PARTS, type Part } from '../deployment/question.ts';

/** What the command line asks for. */
export interface Arguments {
  command: 'generate' | 'add' | 'remove' | 'check' | 'diff' | 'explain' | 'schema' | 'eject' | 'help';
  directory: string;
  /** The part to add or update; absent for all. */
  part?: Part;
  /** What `add` and `remove` act on. */
  member?: { kind: MemberKind; name: string };
  /** The file to explain. */
  file?: string;
  /** Answers given as flags, by path. */
  flags: Record<string, unknown>;
  answersFile?: string;
  yes: boolean;
  dryRun: boolean;
  force: boolean;
  restore: string[];
}

/** Options besides the answers. Every one stands in `--help`. */
export const OPTIONS = {
  yes: { type: 'boolean', short: 'y', help: 'take defaults for what is not given; never ask' },
  answers: { type: 'string', value: 'FILE', help: 'answers from YAML or JSON; flags win over it' },
  'dry-run': { type: 'boolean', help: 'show what would be done, write nothing' },
  force: { type: 'boolean', help: 'go ahead over uncommitted changes and beside files that are in the way' },
  restore: {
    type: 'string',
    multiple: true,
    value: 'FILE',
    help: 'bring back a generated file that you deleted',
  },
  help: { type: 'boolean', short: 'h', help: 'show this help' },
  version: { type: 'boolean', help: 'show the version' },
} as const;

/** Commands that take neither answers nor anything else that says what to write. */
const WITHOUT_ANSWERS: readonly Arguments['command'][] = ['check', 'diff', 'explain', 'schema', 'eject'];

const COMMANDS = ['remove', 'check', 'diff', 'explain', 'schema', 'eject'] as const;

/**
 * Reads the command line. Throws an InputError for anything that is not known: a typo that is ignored would be a
 * silent wrong answer.
 */
export function readArguments(words: readonly string[]): Arguments {
  const { values, positionals } = parseWords(words);
  const options = sortArguments(values, positionals);
  if (WITHOUT_ANSWERS.includes(options.command)) refuseUnused(options.command, values);
  return options;
}

function sortArguments(values: Record<string, unknown>, positionals: readonly string[]): Arguments {
  const flags = Object.fromEntries(
    questions.flatMap(({ path }) =>
      values[flagOf(path)] === undefined ? [] : [[path, values[flagOf(path)]]],
    ),
  );
  const shared = {
    flags,
    ...(typeof values['answers'] === 'string' && { answersFile: values['answers'] }),
    yes: values['yes'] === true,
    dryRun: values['dry-run'] === true,
    force: values['force'] === true,
    restore: (values['restore'] as string[] | undefined) ?? [],
  };
  if (values['help']) return { command: 'help', directory: '.', ...shared };
  const [first, ...rest] = positionals;
  switch (first) {
    case 'add':
    case 'remove': {
      const form = `${first} ${MEMBER_KINDS.join('|')} NAME [DIR]`;
      const [kind, name, directory] = take(rest, 3, form);
      const member = MEMBER_KINDS.find((known) => known === kind);
      if (!member || !name) throw usage(kind ?? first, 'is not complete', `write botpress-prod ${form}`);
      return { command: first, member: { kind: member, name }, directory: directory ?? '.', ...shared };
    }
    case 'explain': {
      const [file, directory] = take(rest, 2, 'explain FILE [DIR]');
      if (!file) throw usage('explain', 'names no file', 'write botpress-prod explain FILE [DIR]');
      return { command: 'explain', file, directory: directory ?? '.', ...shared };
    }
    case 'check':
    case 'diff':
    case 'eject': {
      const [directory] = take(rest, 1, `${first} [DIR]`);
      return { command: first, directory: directory ?? '.', ...shared };
    }
    case 'schema':
      take(rest, 0, 'schema');
      return { command: 'schema', directory: '.', ...shared };
    default:
  }
  const part = writtenParts.find((known) => known === first);
  if (!part && first !== undefined) refuseMisspelt(first);
  const [directory] = take(part ? rest : positionals, 1, part ? `${part} [DIR]` : '[DIR]');
  return { command: 'generate', ...(part && { part }), directory: directory ?? '.', ...shared };
}

/** What a command would not look at is refused: ignored, it would seem to have been heeded. */
function refuseUnused(command: string, values: Record<string, unknown>): void {
  const answers = questions.map(({ path }) => flagOf(path));
  const problems = [...answers, 'answers', 'restore', 'dry-run']
    .filter((name) => values[name] !== undefined)
    .map((name): Problem => {
      const value = values[name];
      const option = value === false ? `--no-${name}` : `--${name}`;
      return {
        field: option,
        ...(typeof value !== 'boolean' && { value: showValue([value].flat().join(',')) }),
        reason: `is nothing that ${command} looks at`,
        mend: `leave it out; botpress-prod [DIR], PART, add and remove take it`,
      };
    });
  if (problems.length > 0) throw new InputError(problems);
}

/** A misspelt command is not the name of a new folder. */
function refuseMisspelt(word: string): void {
  if (word.includes('/') || existsSync(word)) return;
  const part = PARTS.find((known) => known === word);
  if (part)
    throw usage(word, 'is a part that writes nothing yet', `write ./${word} for a folder of that name`);
  const nearest =
    word.length > 3 ? [...COMMANDS, ...PARTS].find((known) => distance(word, known) <= 2) : undefined;
  if (nearest)
    throw usage(
      word,
      'is not a command',
      `did you mean ${nearest}? For a folder of that name write ./${word}`,
    );
}

function take(words: readonly string[], most: number, form: string): readonly (string | undefined)[] {
  const surplus = words[most];
  if (surplus !== undefined) throw usage(surplus, 'is one word too many', `write botpress-prod ${form}`);
  return words;
}

function parseWords(words: readonly string[]) {
  const options: NonNullable<ParseArgsConfig['options']> = {};
  for (const [name, option] of Object.entries(OPTIONS)) {
    options[name] = { type: option.type, ...('short' in option && { short: option.short }) };
    if ('multiple' in option) options[name].multiple = true;
  }
  for (const question of questions) {
    const fallback = defaultOf(question, { draft: {}, directory: '' });
    options[flagOf(question.path)] =
      typeof fallback === 'boolean' ? { type: 'boolean' } : { type: 'string', multiple: true };
  }
  try {
    return parseArgs({
      args: spellOutBooleans(words, options),
      options,
      allowPositionals: true,
      allowNegative: true,
      strict: true,
    }) as { values: Record<string, unknown>; positionals: string[] };
  } catch (error) {
    const message = (error as Error).message;
    const unknown = /Unknown option '--?([^']*)'/.exec(message)?.[1];
    if (unknown === undefined)
      throw usage('command line', message.split('. ')[0] ?? message, 'see botpress-prod --help');
    const nearest = nearestOf(unknown, Object.keys(options));
    throw usage(
      `--${unknown}`,
      'is not an option',
      nearest ? `did you mean --${nearest}?` : 'see botpress-prod --help',
    );
  }
}

/** `--monitoring=false` is what people write; Node's parser knows `--no-monitoring` only. */
function spellOutBooleans(
  words: readonly string[],
  options: NonNullable<ParseArgsConfig['options']>,
): string[] {
  return words.map((word) => {
    const [, name = '', value = ''] = /^--([a-z-]+)=(.*)$/is.exec(word) ?? [];
    if (options[name]?.type !== 'boolean') return word;
    if (/^(true|yes|on)$/i.test(value)) return `--${name}`;
    if (/^(false|no|off)$/i.test(value)) return `--no-${name}`;
    throw usage(`--${name}`, 'is neither yes nor no', `write --${name} or --no-${name}`, value);
  });
}

function usage(field: string, reason: string, mend: string, value?: string): InputError {
  return new InputError([
    {
      field: showValue(field).slice(1, -1),
      reason,
      mend,
      ...(value !== undefined && { value: showValue(value) }),
    },
  ]);
}
