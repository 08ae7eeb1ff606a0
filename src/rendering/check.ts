import { CORE_SCHEMA, load, mergeTag, Schema, YAMLException } from 'js-yaml';
import { formatOf, type Format } from './format.ts';
import type { PlannedFile } from './plan.ts';
import { checkReferences } from './references.ts';

/** Something wrong in a rendered text: a fault of the generator, never of the user. */
export interface Fault {
  path: string;
  reason: string;
}

const checks: Partial<Record<Format, (text: string) => string | undefined>> = {
  json: (text) => {
    try {
      JSON.parse(text);
      return undefined;
    } catch (error) {
      return (error as Error).message;
    }
  },
  dotenv: checkDotenv,
  nginx: checkNginx,
  sql: checkQuotes,
  shell: (text) =>
    text.startsWith('#!') || !text.includes('\r') ? undefined : 'carriage return in a script',
};

/**
 * Checks every rendered text by the rules of its format and what the files say of one another.
 * Returns all faults; an empty list means that each reader will at least be able to parse its file.
 * @param trusted files whose text is not parsed once more
 * @param given folders that were there before the generator
 */
export function checkPlan(
  files: readonly PlannedFile[],
  environments: readonly string[],
  trusted: (file: PlannedFile) => boolean = () => false,
  given: readonly string[] = [],
): Fault[] {
  const faults: Fault[] = [];
  const seen = new Set<string>();
  const documents = new Map<string, unknown>();
  for (const file of files) {
    const { path, content, kind } = file;
    if (seen.has(path)) faults.push({ path, reason: 'two rows of the artefact table make this file' });
    seen.add(path);
    if (/^\/|(^|\/)\.\.(\/|$)|\\|\0/.test(path)) faults.push({ path, reason: 'leaves the repository' });
    if (kind === 'secret' || trusted(file)) continue;
    const format = formatOf(path);
    const reason =
      checkText(content) ??
      (format === 'yaml' ? checkYaml(path, content, documents) : checks[format]?.(content));
    if (reason) faults.push({ path, reason });
  }
  return [...faults, ...(faults.length === 0 ? checkReferences(files, environments, documents, given) : [])];
}

/** YAML 1.2 with the merge keys that compose reads. */
const yamlSchema = new Schema([...CORE_SCHEMA.tags, mergeTag]);

/**
 * Keeps what was parsed for the check of references. Not by the package yaml, which keeps every comment and position:
 * in a process that has just started, that takes as long as all the rest of a run.
 */
function checkYaml(path: string, text: string, documents: Map<string, unknown>): string | undefined {
  try {
    documents.set(path, load(text, { schema: yamlSchema }));
    return undefined;
  } catch (error) {
    if (error instanceof YAMLException) return error.message;
    throw error;
  }
}

function checkText(text: string): string | undefined {
  if (text !== '' && !text.endsWith('\n')) return 'no newline at the end';
  if (text.includes('<%') || text.includes('%>')) return 'a template tag was left over';
  // Tab and newline are the only control characters that any of the formats needs.
  const control = /[\u0000-\u0008\u000b-\u001f\u007f]/.exec(text);
  return control ? `control character at ${control.index}` : undefined;
}

function checkDotenv(text: string): string | undefined {
  const names = new Set<string>();
  for (const [index, line] of text.split('\n').entries()) {
    if (line === '' || line.startsWith('#')) continue;
    const name = /^([A-Z][A-Z0-9_]*)=(?:[^'"$`\\#\s]*|'[^']*')$/.exec(line)?.[1];
    if (!name) return `line ${index + 1} is not NAME=value`;
    if (names.has(name)) return `line ${index + 1} sets ${name} again`;
    names.add(name);
  }
  return undefined;
}

/** Braces balanced, each simple directive ended by a semicolon, quotes closed. */
function checkNginx(text: string): string | undefined {
  let depth = 0;
  let open = false;
  for (const [token] of text.matchAll(
    /#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|\$\{\w+\}|[{};]|["']|[^\s{};"'#]+/g,
  )) {
    if (token.startsWith('#')) continue;
    if (token === '"' || token === "'") return 'a quote is not closed';
    if (token === '{') {
      if (!open) return 'a block without a name';
      depth++;
      open = false;
    } else if (token === '}') {
      if (open) return 'a directive is not ended by a semicolon';
      if (--depth < 0) return 'a brace too many';
    } else open = token !== ';';
  }
  if (depth > 0) return 'a brace is not closed';
  return open ? 'the last directive is not ended by a semicolon' : undefined;
}

/** Outside comments and dollar quotes, single and double quotes come in pairs. */
function checkQuotes(text: string): string | undefined {
  const rest = text
    .replace(/(\$\w*\$)[\s\S]*?\1/g, '')
    .replace(/'(?:[^']|'')*'|"(?:[^"]|"")*"|--[^\n]*|^\\[^\n]*|\/\*[\s\S]*?\*\//gm, '');
  return /['"]/.test(rest) ? 'a quote is not closed' : undefined;
}
