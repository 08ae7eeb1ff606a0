import type { Answers } from '../src/deployment/answers.ts';
import { InputError, showValue, type Problem } from '../src/deployment/errors.ts';
import { flagOf, type AnyQuestion, type Context, type Draft } from '../src/deployment/question.ts';
import { parseAnswers, unknownKey } from './gate.ts';
import { questions, setAt, valueAt } from './table.ts';

/** Asks one question; `initial` is shown as the default. */
export type Asker = (
  question: AnyQuestion,
  initial: unknown,
  refuse: (value: unknown) => string | undefined,
) => Promise<unknown>;

/** Where answers can come from, strongest first: flags, answers file, stored answers, the user, defaults. */
export interface Sources {
  /** By path; text as the command line gave it, lists perhaps still comma-separated. */
  flags: Record<string, unknown>;
  /** Content of the answers file. */
  file?: unknown;
  /** What `.yo-rc.json` holds. */
  stored?: unknown;
  /** Name of the directory that is written. */
  directory: string;
  /** Absent where nobody can be asked. */
  ask?: Asker;
  /** Take defaults for what is not given. */
  acceptDefaults: boolean;
}

/**
 * Collects the answers from all sources and passes them through the gate.
 * Throws an InputError that lists every mistake; without somebody to ask and without `acceptDefaults`, each missing
 * answer is one of them.
 */
export async function collectAnswers(sources: Sources): Promise<Answers> {
  const { flags, file, stored, directory, ask, acceptDefaults } = sources;
  const problems = [...findUnknownKeys(file), ...findUnknownKeys(stored)];
  const draft: Draft = {};
  const missing: Problem[] = [];
  for (const question of questions) {
    const { path } = question;
    const context: Context = { draft, directory };
    const fallback = defaultOf(question, context);
    const given = path in flags ? coerce(flags[path], fallback) : valueAt(file as Partial<Answers>, path);
    const kept = valueAt(stored as Partial<Answers>, path);
    const asked = question.ask?.(context) ?? true;
    let value = given ?? kept ?? fallback;
    if (given === undefined && asked && ask) {
      const refuse = (answer: unknown) => refuseValue(question, coerce(answer, fallback));
      value = keepObjects(coerce(await ask(question, value, refuse), fallback), value);
    } else if (given === undefined && kept === undefined && asked && !acceptDefaults) {
      missing.push({
        field: path,
        reason: 'is missing, and there is no terminal to ask at',
        mend: `give --${flagOf(path)}, or --yes to take ${showValue(fallback)}`,
      });
    }
    setAt(draft, path, value);
  }
  problems.push(...missing);
  try {
    const answers = parseAnswers(draft);
    if (problems.length === 0) return answers;
  } catch (error) {
    if (!(error instanceof InputError)) throw error;
    problems.push(...error.problems);
  }
  throw new InputError(problems);
}

/** The default of a question in a context. */
export function defaultOf(question: AnyQuestion, context: Context): unknown {
  const { default: fallback } = question;
  return typeof fallback === 'function' ? fallback(context) : fallback;
}

/** Text from a flag or a prompt becomes the type that the question's default has; what does not fit stays as it is. */
function coerce(value: unknown, like: unknown): unknown {
  if (Array.isArray(like)) {
    const items = (Array.isArray(value) ? value : [value]).flatMap((item) =>
      typeof item === 'string' ? item.split(',') : [item],
    );
    return items.map((item) => (typeof item === 'string' ? item.trim() : item)).filter((item) => item !== '');
  }
  const single = Array.isArray(value) ? value.at(-1) : value;
  if (typeof single !== 'string') return single;
  if (typeof like === 'number') return /^-?\d+(\.\d+)?$/.test(single.trim()) ? Number(single) : single;
  if (typeof like === 'boolean') {
    if (/^(true|yes|on)$/i.test(single)) return true;
    if (/^(false|no|off)$/i.test(single)) return false;
  }
  return single;
}

/** At a prompt an environment is only its name; the object that stood behind that name stays. */
function keepObjects(answered: unknown, before: unknown): unknown {
  if (!Array.isArray(answered) || !Array.isArray(before)) return answered;
  return answered.map(
    (item: unknown) => before.find((entry) => isNamed(entry) && entry.name === item) ?? item,
  );
}

function isNamed(entry: unknown): entry is { name: unknown } {
  return typeof entry === 'object' && entry !== null && 'name' in entry;
}

function refuseValue(question: AnyQuestion, value: unknown): string | undefined {
  const result = question.field.safeParse(value);
  return result.success ? undefined : `${result.error.issues[0]?.message ?? 'is refused'}: ${question.mend}`;
}

function findUnknownKeys(source: unknown, prefix = ''): Problem[] {
  if (source === undefined || source === null) return [];
  if (typeof source !== 'object' || Array.isArray(source))
    return [
      {
        field: prefix || 'answers file',
        value: showValue(source),
        reason: 'is not an object',
        mend: 'give answers as keys, as `botpress-prod schema` describes them',
      },
    ];
  return Object.entries(source).flatMap(([key, value]) => {
    const path = prefix ? `${prefix}.${key}` : key;
    if (questions.some((question) => question.path === path)) return [];
    return questions.some((question) => question.path.startsWith(`${path}.`))
      ? findUnknownKeys(value, path)
      : [unknownKey(path)];
  });
}
