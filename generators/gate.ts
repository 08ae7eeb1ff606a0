import { distance } from 'fastest-levenshtein';
import * as z from 'zod';
import { ALONE_PARTS, type AlonePart, type Answers } from '../src/deployment/answers.ts';
import { deriveEnvironments } from '../src/deployment/environments.ts';
import { InputError, showValue, type Problem } from '../src/deployment/errors.ts';
import { deriveFolders, RESERVED_FOLDERS } from '../src/deployment/stack.ts';
import { PARTS, type AnyQuestion } from '../src/deployment/question.ts';
import { presences, questions, setAt, valueAt } from './table.ts';

// One run parses once or twice: compiling the schema into a function first would cost more than it saves.
z.config({ jitless: true });

let schema: z.ZodType<Answers> | undefined;

/** The zod object of all answers, built from the question table once. Strict: unknown keys are errors. */
export function answersSchema(): z.ZodType<Answers> {
  schema ??= buildSchema();
  return schema;
}

function buildSchema(): z.ZodType<Answers> {
  const shape: Record<string, unknown> = {};
  for (const question of questions) {
    const field = (question.field as z.ZodType).describe(question.help);
    setAt(shape, question.path, question.onlyAlone ? field.default(defaultWhole(question)) : field);
  }
  return toObject(shape) as unknown as z.ZodType<Answers>;
}

/** What stands for an answer that a repository of the generator's own does not store. */
function defaultWhole({ default: fallback }: AnyQuestion): unknown {
  return typeof fallback === 'function' ? fallback({ draft: {}, directory: '' }) : fallback;
}

function toObject(shape: Record<string, unknown>): z.ZodType {
  const object = z.strictObject(
    Object.fromEntries(
      Object.entries(shape).map(([key, value]) => [
        key,
        value instanceof z.ZodType ? value : toObject(value as Record<string, unknown>),
      ]),
    ),
    { error: (issue) => (issue.code === 'invalid_type' ? 'is not an object' : undefined) },
  );
  const isOptional = Object.values(object.shape).every((field) => field instanceof z.ZodDefault);
  return isOptional ? object.prefault({}) : object;
}

/** JSON Schema (draft 2020-12) of the answers file. Every key may be left out there: flags and defaults fill in. */
export function answersJsonSchema(): object {
  const schema = z.toJSONSchema(answersSchema(), { io: 'input', unrepresentable: 'any' }) as JsonSchema;
  for (const { path, default: value } of questions)
    if (typeof value !== 'function') schemaAt(schema, path).default = value;
  dropRequired(schema);
  return { ...schema, title: 'Answers of generator-botpress-prod' };
}

interface JsonSchema {
  properties?: Record<string, JsonSchema>;
  required?: string[];
  default?: unknown;
}

function schemaAt(schema: JsonSchema, path: string): JsonSchema {
  return path.split('.').reduce((object, key) => object.properties?.[key] ?? object, schema);
}

function dropRequired(schema: JsonSchema): void {
  delete schema.required;
  for (const property of Object.values(schema.properties ?? {})) dropRequired(property);
}

/**
 * The one gate: whatever its source, what was answered is parsed here and nowhere else.
 * Throws an InputError that lists every mistake at once.
 */
export function parseAnswers(candidate: unknown): Answers {
  const result = answersSchema().safeParse(candidate);
  if (!result.success)
    throw new InputError(result.error.issues.flatMap((issue) => toProblems(issue, candidate)));
  const problems = findContradictions(result.data);
  if (problems.length > 0) throw new InputError(problems);
  return result.data;
}

function toProblems(issue: z.core.$ZodIssue, candidate: unknown): Problem[] {
  const path = issue.path.map(String);
  if (issue.code === 'unrecognized_keys')
    return issue.keys.map((key) => unknownKey([...path, key].join('.')));
  const question = questions.find(
    ({ path: known }) => path.join('.') === known || path.join('.').startsWith(`${known}.`),
  );
  const value = valueAt(candidate as Partial<Answers>, path.join('.'));
  return [
    {
      field: formatPath(path),
      ...(value !== undefined && { value: showValue(value) }),
      reason: value === undefined ? 'is missing' : issue.message,
      mend: question?.mend ?? 'give an object with the keys of `botpress-prod schema`',
    },
  ];
}

/** `bots.0` → `bots[0]` */
function formatPath(path: readonly string[]): string {
  return (
    path.map((key, index) => (/^\d+$/.test(key) ? `[${key}]` : index === 0 ? key : `.${key}`)).join('') ||
    'answers'
  );
}

/** An unknown key is a mistake, never ignored: a silent typo would be a silent wrong answer. */
export function unknownKey(key: string): Problem {
  const nearest = nearestOf(
    key,
    questions.flatMap(({ path }) => [path, path.split('.')[0] ?? path]),
  );
  return {
    field: showValue(key).slice(1, -1),
    reason: 'is not an answer',
    mend: nearest ? `did you mean ${nearest}?` : 'see `botpress-prod schema` for the known ones',
  };
}

/** The known word nearest to a misspelt one, if it is near enough to be meant. */
export function nearestOf(word: string, known: readonly string[]): string | undefined {
  if (word.length > 60) return undefined;
  const [best] = known
    .map((candidate) => ({ candidate, far: distance(word.toLowerCase(), candidate.toLowerCase()) }))
    .sort((a, b) => a.far - b.far);
  return best && best.far <= Math.max(2, Math.floor(best.candidate.length / 3)) ? best.candidate : undefined;
}

/** Names of compose files that parts write. */
const RESERVED_NAMES: readonly string[] = [...PARTS, 'monitoring'];

/** Answers that are each right but cannot be together. */
function findContradictions(answers: Answers): Problem[] {
  const problems: Problem[] = [];
  const refuse = (field: string, value: unknown, reason: string, mend: string) =>
    problems.push({ field, value: showValue(value), reason, mend });

  if (answers.edition === 'community') {
    if (answers.scaling.replicas > 1)
      refuse(
        'scaling.replicas',
        answers.scaling.replicas,
        'the community edition runs on one node: its locks, caches and sockets are not shared',
        'set edition to pro, or replicas to 1',
      );
    if (answers.languages.length > 1)
      refuse(
        'languages',
        answers.languages,
        'the community edition stops when a bot has more than one language',
        'set edition to pro, or name one language',
      );
  }

  if (answers.gateway.enabled && !answers.monitoring)
    refuse(
      'gateway.enabled',
      true,
      'the gateway is part of the operations service, which monitoring brings',
      'set monitoring to true, or gateway.enabled to false',
    );
  if (answers.gateway.enabled && answers.scaling.target !== 'compose')
    refuse(
      'gateway.enabled',
      true,
      `the gateway runs with compose only: on ${answers.scaling.target} the converse API would be closed and nothing in its place`,
      'set scaling.target to compose, or gateway.enabled to false',
    );

  const archiveless = reasonAgainstArchive(answers);
  if (answers.backup.pointInTime && archiveless)
    refuse(
      'backup.pointInTime',
      true,
      archiveless,
      'set it to false, or write a stack for compose with backups',
    );

  problems.push(...findContradictionsAlone(answers));

  const environments = deriveEnvironments(answers);
  for (const { name } of environments)
    if (RESERVED_NAMES.includes(name))
      refuse(
        'environments',
        name,
        'a part of the output has that name, and both would be called compose.' + name + '.yaml',
        'choose another name',
      );
  reportDoubles(problems, 'environments', environments, ({ name }) => name, 'the same name twice');
  // Beside a stack of somebody else's nothing of this is made.
  if (answers.alone.length > 0) return problems;
  reportDoubles(
    problems,
    'environments',
    environments.flatMap(({ name, bind, httpPort, httpsPort, secure }) =>
      [httpPort, ...(secure ? [httpsPort] : [])].map((port) => ({ name, key: `${bind}:${port}` })),
    ),
    ({ key }) => key,
    'the same address and port twice on one host',
  );
  // Docker takes IPv6 to a container without IPv6 from its own gateway: a private address, which may open the administration.
  for (const [index, { bind }] of environments.entries())
    if (bind.includes(':'))
      refuse(
        `environments[${index}].bind`,
        bind,
        "the containers' networks have no IPv6: nginx would see one private address for every visitor",
        'give an IPv4 address, like 0.0.0.0 for all; a proxy in front can take IPv6',
      );
  for (const { name, tls, httpPort, domain } of environments) {
    if (tls === 'letsencrypt' && httpPort !== 80)
      refuse(
        'environments',
        name,
        "Let's Encrypt proves a domain over port 80",
        'set httpPort to 80, or tls to provided or self-signed',
      );
    if (domain.length > 253)
      refuse('environments', name, 'its derived host name is too long', 'give it a domain');
  }
  return problems;
}

/** Why the write-ahead log cannot be archived here; nothing where it can. */
function reasonAgainstArchive({ alone, backup, scaling }: Answers): string | undefined {
  if (alone.length > 0) return 'the PostgreSQL of a stack that is not of this generator is left as it is';
  if (backup.targets.length === 0)
    return 'the archive belongs to the backups, and without targets there are none';
  if (scaling.target !== 'compose')
    return `the archive needs the directory of PostgreSQL, which ${scaling.target} keeps out of reach of the backups`;
  return undefined;
}

/** Answers that cannot be together where parts are used alone, beside a stack that is not the generator's. */
function findContradictionsAlone(answers: Answers): Problem[] {
  const { alone, name, environments, stack } = answers;
  if (alone.length === 0) return [];
  const problems: Problem[] = [];
  const refuse = (field: string, value: unknown, reason: string, mend: string) =>
    problems.push({ field, value: showValue(value), reason, mend });

  for (const [part, { path, absent }] of Object.entries(presences)) {
    const value = valueAt(answers, path);
    const isThere = JSON.stringify(value) !== JSON.stringify(absent);
    if (isThere && !alone.includes(part as AlonePart))
      refuse(
        path,
        value,
        `the part ${part} is not among those that are used alone here`,
        (ALONE_PARTS as readonly string[]).includes(part)
          ? `add it with botpress-prod ${part}`
          : 'leave it out, or write a whole repository into a folder of its own',
      );
  }
  if (alone.includes('ci')) {
    if (answers.ci === 'none')
      refuse('ci', answers.ci, 'pipelines are what is used here', 'choose github or gitlab');
    for (const [field, values] of [
      ['stack.hosts', stack.hosts],
      ['stack.urls', stack.urls],
    ] as const)
      if (values.length !== environments.length)
        refuse(
          field,
          values,
          `has ${values.length} ${values.length === 1 ? 'entry' : 'entries'} for ${environments.length} environments`,
          'give one for each environment, in their order',
        );
  } else if (environments.length > 1)
    refuse(
      'environments',
      environments,
      'the stack that is there is one environment',
      'name one, like production',
    );
  if (!alone.includes('backup')) return problems;
  for (const environment of deriveEnvironments(answers))
    if (environment.project === stack.project)
      refuse(
        'name',
        name,
        `the compose project of the backups would be called ${stack.project}, as the stack is`,
        'choose another name',
      );
  const folders = deriveFolders(answers).map((folder) => ({
    ...folder,
    name: folder.source,
    key: folder.name,
  }));
  for (const { name: source, key } of folders)
    if (key === '' || RESERVED_FOLDERS.includes(key))
      refuse('stack.files', source, 'its name cannot be that of a part of a backup', 'rename the folder');
  reportDoubles(problems, 'stack.files', folders, ({ key }) => key, 'two folders of the same name');
  return problems;
}

function reportDoubles<T extends { name: string }>(
  problems: Problem[],
  field: string,
  entries: readonly T[],
  key: (entry: T) => string,
  reason: string,
): void {
  const seen = new Set<string>();
  for (const entry of entries) {
    if (seen.has(key(entry)))
      problems.push({ field, value: showValue(key(entry)), reason, mend: `change the entry ${entry.name}` });
    seen.add(key(entry));
  }
}
