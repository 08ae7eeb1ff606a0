import { defaultOf } from '../../generators/collect.ts';
import { questions, writtenParts } from '../../generators/table.ts';
import { flagOf, type AnyQuestion, type Part } from '../deployment/question.ts';
import { OPTIONS } from './arguments.ts';

const TITLES: Record<Part, string> = {
  app: 'Answers: the stack',
  scale: 'Answers: scaling',
  backup: 'Answers: backup',
  ci: 'Answers: continuous integration',
  deploy: 'Answers: rollouts',
  operations: 'Answers: operations',
};

/** The text of `--help`: the commands, every answer of the question table, every option, the exit codes. */
export function formatHelp(): string {
  const groups = new Map<Part, AnyQuestion[]>();
  for (const question of questions)
    groups.set(question.part, [...(groups.get(question.part) ?? []), question]);
  return [
    'botpress-prod: writes a repository that runs Botpress v12 in production',
    '',
    'Usage',
    ...columns([
      ['botpress-prod [DIR]', 'create or update the repository in DIR (default .)'],
      [
        'botpress-prod PART [DIR]',
        `the same, but asks for one part only: ${writtenParts.filter((part) => part !== 'app').join(', ')}`,
      ],
      ['botpress-prod add|remove KIND NAME [DIR]', 'KIND is environment, channel, bot or part'],
      ['botpress-prod check [DIR]', 'is the repository what the answers say?'],
      ['botpress-prod diff [DIR]', 'what a run would change, secrets masked'],
      ['botpress-prod explain FILE [DIR]', 'which answers and which template made FILE'],
      ['botpress-prod schema', 'JSON Schema of the answers file'],
      ['botpress-prod eject [DIR]', 'stop managing: remove the lock and the base copies'],
    ]),
    ...[...groups].flatMap(([part, rows]) => ['', TITLES[part], ...columns(rows.map(describe))]),
    '',
    'Options',
    ...columns(
      Object.entries(OPTIONS).map(([name, option]) => [
        `${'short' in option ? `-${option.short}, ` : ''}--${name}${'value' in option ? ` ${option.value}` : ''}`,
        option.help,
      ]),
    ),
    '',
    'Lists are comma-separated or repeated; --no-NAME answers a yes-or-no question with no.',
    'Answers, --answers, --restore and --dry-run go with [DIR], PART, add and remove: add part ci --ci gitlab.',
    'The other commands take what is stored, and refuse them.',
    'Answers come from flags, then the answers file, then .yo-rc.json, then you, then the defaults.',
    '',
    'Exit codes',
    ...columns([
      ['0', 'done'],
      ['1', 'unexpected fault'],
      ['2', 'the input is wrong; every mistake is listed'],
      ['3', 'differences (check, diff), or something is left to you: conflicts, files in the way'],
      ['130', 'stopped with Ctrl-C'],
    ]),
    '',
  ].join('\n');
}

function describe(question: AnyQuestion): [string, string] {
  const fallback = defaultOf(question, { draft: {}, directory: '' });
  const shown = Array.isArray(fallback) ? fallback.join(',') : String(fallback);
  const derived = typeof question.default === 'function';
  const kind = typeof fallback === 'boolean' ? '' : ` ${valueName(question, fallback)}`;
  const choices = question.choices ? ` One of: ${question.choices.join(', ')}.` : '';
  return [
    `--${flagOf(question.path)}${kind}`,
    `${question.help}${Array.isArray(fallback) ? choices.replace('One', 'Any') : choices} ${
      shown === '' ? 'Default: none.' : `Default: ${derived ? `derived, like ${shown}` : shown}.`
    }`,
  ];
}

function valueName({ choices }: AnyQuestion, fallback: unknown): string {
  if (Array.isArray(fallback)) return 'LIST';
  return choices ? 'CHOICE' : typeof fallback === 'number' ? 'NUMBER' : 'TEXT';
}

const LEFT = 34;
const WIDTH = 110;

/** Two columns: what to type, and what it does, wrapped. */
function columns(rows: readonly (readonly [string, string])[]): string[] {
  return rows.flatMap(([left, right]) => {
    const lines = wrap(right, WIDTH - LEFT);
    const first = `  ${left}`;
    const indent = ' '.repeat(LEFT);
    return first.length < LEFT - 1
      ? [`${first.padEnd(LEFT)}${lines[0] ?? ''}`, ...lines.slice(1).map((line) => indent + line)]
      : [first, ...lines.map((line) => indent + line)];
  });
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + word.length < width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}
