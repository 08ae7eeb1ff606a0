import type { AlonePart, AnswerPath, Answers } from '../src/deployment/answers.ts';
import { InputError, showValue, type Problem } from '../src/deployment/errors.ts';
import {
  flagOf,
  type AnyQuestion,
  type Context,
  type Draft,
  type FoundStack,
  type Part,
} from '../src/deployment/question.ts';
import { parseAnswers, unknownKey } from './gate.ts';
import { presences, questions, setAt, valueAt } from './table.ts';

/** What to type for an empty list where Enter alone would keep a full one. */
export const EMPTY_LIST = '-';

/** Asks one question; `initial` is shown as the default. */
export type Asker = (
  question: Askable,
  initial: unknown,
  refuse: (value: unknown) => string | undefined,
) => Promise<unknown>;

/** What an asker has to know of a question. */
export type Askable = Pick<AnyQuestion, 'message' | 'choices'>;

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
  /** Ask only for this part, and for what the others have not stored. */
  part?: Part;
  /** Stored answers that nobody was asked for so far: of a part that was not used until now. */
  reopened?: readonly string[];
  /** The part that shall be used alone, beside a stack of somebody else's, and what could be read of that stack. */
  alone?: AlonePart;
  found?: FoundStack;
  /** Absent where nobody can be asked. */
  ask?: Asker;
  /** Says something between two prompts. */
  tell?: (text: string) => void;
  /** Take defaults for what is not given. */
  acceptDefaults: boolean;
}

/**
 * Collects the answers from all sources and passes them through the gate.
 * Throws an InputError that lists every mistake; without somebody to ask and without `acceptDefaults`, each missing
 * answer is one of them. Who is asked gets the questions again whose answers cannot be together.
 */
export async function collectAnswers(sources: Sources): Promise<Answers> {
  const { flags, directory, part, alone, found, ask, tell, acceptDefaults } = sources;
  const reopened = new Set(sources.reopened);
  const surroundings = { directory, ...(alone && { alone }), ...(found && { found }) };
  const { answers: file, problems } = readSource(sources.file);
  const { answers: stored, problems: damages } = readSource(sources.stored);
  problems.push(...damages);
  if (problems.length > 0 && ask) throw new InputError(problems);
  const draft: Draft = {};
  const derived = new Set<string>();
  const asked = new Set<string>();
  const missing: string[] = [];

  const put = async (question: AnyQuestion, isAsked: boolean): Promise<void> => {
    const { path } = question;
    const context: Context = { draft, ...surroundings };
    const fallback = defaultOf(question, context);
    const given = path in flags ? coerce(flags[path], fallback) : valueAt(file, path);
    const isOpen = isAskedOf(question, context);
    // Once asked, the answer is what stands in the draft. What nobody is asked for is found anew, not taken as it was then.
    const isStale = reopened.has(path) && !isOpen;
    const kept = isStale ? undefined : valueAt(asked.has(path) ? (draft as Partial<Answers>) : stored, path);
    let value = given ?? kept ?? fallback;
    derived.delete(path);
    if (given === undefined && isOpen && ask && isAsked) {
      const refuse = (answer: unknown) => refuseValue(question, coerce(answer, fallback));
      value = keepObjects(coerce(await ask(question, value, refuse), fallback), value);
      asked.add(path);
    } else if (given === undefined && (kept === undefined || reopened.has(path))) {
      if (kept === undefined && typeof question.default === 'function') derived.add(path);
      if (isOpen && !acceptDefaults && !ask) missing.push(flagOf(path));
    }
    setAt(draft, path, value);
  };

  // First all that stands alone; what is detail of something is asked only of those who want that.
  const isOther = (question: AnyQuestion) =>
    part !== undefined &&
    question.part !== part &&
    !((draft.alone?.length ?? 0) > 0 && isNeededBy(question, part)) &&
    !reopened.has(question.path) &&
    valueAt(stored, question.path) !== undefined;
  // What is used alone decides what is asked at all.
  const [decisive] = questions.filter(({ path }) => path === 'alone');
  if (decisive) await put(decisive, false);
  for (const question of questions)
    if (!isDetail(question) && question !== decisive) await put(question, !isOther(question));
  const details = questions.filter(isDetail);
  const open = details.filter(
    (question) =>
      !isOther(question) && !(question.path in flags) && isAskedOf(question, { draft, ...surroundings }),
  );
  const wantsDetails =
    open.length > 0 && ask !== undefined && (part !== undefined || (await askForDetails(ask, open)));
  for (const question of details) await put(question, wantsDetails && !isOther(question));
  if (missing.length > 0) problems.push(tellMissing(missing));

  for (;;) {
    try {
      const answers = parseAnswers(draft);
      if (problems.length === 0) return answers;
    } catch (error) {
      if (!(error instanceof InputError)) throw error;
      const again = ask
        ? questions.filter(
            ({ path }) => asked.has(path) && error.problems.some((problem) => concerns(problem, path)),
          )
        : [];
      if (again.length > 0) {
        tell?.(`\n${error.message}\n`);
        for (const question of again) await put(question, true);
        continue;
      }
      problems.push(...dropConsequences(error.problems, derived));
    }
    throw new InputError(problems);
  }
}

/**
 * Stored answers through the gate. Those that the version which stored them did not ask yet get the default that a run
 * with --yes would take, and are named in `assumed`.
 * Throws an InputError that lists every mistake.
 */
export async function completeAnswers(
  stored: unknown,
  directory: string,
): Promise<{ answers: Answers; assumed: AnswerPath[] }> {
  const answers = await collectAnswers({ flags: {}, stored, directory, acceptDefaults: true });
  const known = readSource(stored).answers;
  const assumed = questions
    .filter(({ onlyAlone }) => !onlyAlone || answers.alone.length > 0)
    .filter(({ path }) => (valueAt(known, path) ?? undefined) === undefined);
  return { answers, assumed: assumed.map(({ path }) => path) };
}

function tellMissing(flags: readonly string[]): Problem {
  const names = flags.map((flag) => `--${flag}`).join(', ');
  return {
    field: 'answers',
    reason: 'some are missing, and there is no terminal to ask at',
    mend: `give --yes to take the defaults, or ${names}`,
  };
}

/** `backup.schedule` is a detail of backups; `bots` stands alone. */
function isDetail({ path }: AnyQuestion): boolean {
  return path.includes('.');
}

async function askForDetails(ask: Asker, details: readonly AnyQuestion[]): Promise<boolean> {
  const subjects = [...new Set(details.map(({ path }) => path.split('.')[0]))];
  const message = `Go through ${details.length} details as well (${subjects.join(', ')})?`;
  return (await ask({ message }, false, () => undefined)) === true;
}

/** Whether changing the answer at a path can mend the problem: it is about that answer, or advises to set it. */
function concerns({ field, mend }: Problem, path: string): boolean {
  return isAbout(field, path) || new RegExp(`\\b(set|or) ${path} to\\b`).test(mend);
}

function isAbout(field: string, path: string): boolean {
  return field === path || field.startsWith(`${path}[`) || field.startsWith(`${path}.`);
}

/** A default that was derived from a refused answer is no mistake of its own. */
function dropConsequences(problems: readonly Problem[], derived: ReadonlySet<string>): Problem[] {
  const isDerived = ({ field }: Problem) => [...derived].some((path) => isAbout(field, path));
  const own = problems.filter((problem) => !isDerived(problem));
  return own.length > 0 ? own : [...problems];
}

/** Whether a question concerns what is written at all. */
function isAskedOf(question: AnyQuestion, context: Context): boolean {
  const alone: readonly unknown[] = context.draft.alone ?? [];
  const isConcerned =
    alone.length === 0 ? !question.onlyAlone : alone.some((part) => isNeededBy(question, part));
  return isConcerned && (question.ask?.(context) ?? true);
}

/** Whether a part that is used alone needs the answer. */
export function isNeededBy({ part, neededBy }: AnyQuestion, alone: unknown): boolean {
  return (neededBy as readonly unknown[] | undefined)?.includes(alone) ?? part === alone;
}

/** The default of a question in a context. Beside a stack of somebody else's, parts that are not used are absent. */
export function defaultOf(question: AnyQuestion, context: Context): unknown {
  const { default: fallback, defaultAlone, part } = question;
  const alone: readonly unknown[] = context.draft.alone ?? [];
  if (alone.length > 0) {
    const presence = presences[part];
    if (presence?.path === question.path && !alone.includes(part)) return presence.absent;
    if (defaultAlone !== undefined)
      return typeof defaultAlone === 'function' ? defaultAlone(context) : defaultAlone;
  }
  return typeof fallback === 'function' ? fallback(context) : fallback;
}

/** Text from a flag or a prompt becomes the type that the question's default has; what does not fit stays as it is. */
function coerce(value: unknown, like: unknown): unknown {
  if (Array.isArray(like)) {
    if (value === EMPTY_LIST) return [];
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

/** What a source says of the known answers, dotted keys as the objects that they stand for, and what is wrong with it. */
function readSource(source: unknown): { answers: Partial<Answers>; problems: Problem[] } {
  const problems = findUnknownKeys(source);
  const answers: Partial<Answers> = {};
  for (const [path, value] of listAnswers(source)) {
    const before = valueAt(answers, path);
    if (before !== undefined && JSON.stringify(before) !== JSON.stringify(value))
      problems.push({
        field: path,
        value: showValue(value),
        reason: `is given twice, as ${showValue(before)} too: a dotted key means the same as objects`,
        mend: 'keep one of the two',
      });
    setAt(answers, path, value);
  }
  return { answers, problems };
}

/** The known answers of a source with their paths, whether a key stands for one step of the path or, dotted, for several. */
function listAnswers(source: unknown, prefix = ''): [path: string, value: unknown][] {
  if (typeof source !== 'object' || source === null) return [];
  return Object.entries(source).flatMap(([key, value]): [string, unknown][] => {
    const path = prefix + key;
    if (questions.some((question) => question.path === path)) return [[path, value]];
    return isAbove(path) ? listAnswers(value, `${path}.`) : [];
  });
}

/** Whether known answers are below a path. */
function isAbove(path: string): boolean {
  return questions.some((question) => question.path.startsWith(`${path}.`));
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
    return isAbove(path) ? findUnknownKeys(value, path) : [unknownKey(path)];
  });
}
