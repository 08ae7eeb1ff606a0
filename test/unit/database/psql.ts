import type { PGlite } from '@electric-sql/pglite';

/** One statement with the psql command that follows it on its last line, if any. */
interface Step {
  text: string;
  /** Parameters of `\bind`. */
  bind?: string[];
}

/**
 * Runs a file made for psql on an in-process PostgreSQL: statement by statement as psql sends them, variables put in,
 * `\bind` and `\gset` honoured, other commands left out. Gives the first column of each row of each statement.
 * Includes (`\ir`) are the caller's: the files are run one by one.
 */
export async function runFile(
  database: PGlite,
  text: string,
  variables: Record<string, string> = {},
): Promise<string[]> {
  const output: string[] = [];
  for (const step of splitStatements(text)) {
    const sql = step.text.replace(/:'(\w+)'/g, (_, name: string) => quote(demand(variables, name)));
    const parameters = step.bind?.map((name) => demand(variables, name.slice(1)));
    const rows = parameters
      ? (await database.query<Record<string, unknown>>(sql, parameters)).rows
      : ((await database.exec(sql)).at(-1)?.rows ?? []);
    for (const row of rows as Record<string, unknown>[]) output.push(String(Object.values(row)[0]));
  }
  return output;
}

function splitStatements(text: string): Step[] {
  const steps: Step[] = [];
  let statement = '';
  const finish = (bind?: string[]) => {
    if (statement.trim()) steps.push({ text: statement, ...(bind && { bind }) });
    statement = '';
  };
  const tokens = text.matchAll(
    /--[^\n]*|(\$\w*\$)[\s\S]*?\1|'(?:[^']|'')*'|"[^"]*"|\\[^\n]*|;|[^-$'"\\;]+|[-$]/g,
  );
  for (const [token] of tokens) {
    if (token.startsWith('--')) continue;
    if (token.startsWith('\\')) {
      const bind = /^\\bind((?: :\w+)+) /.exec(token)?.[1]?.trim().split(' ');
      if (/\\gset\b/.test(token)) finish(bind);
    } else if (token === ';') finish();
    else statement += token;
  }
  finish();
  return steps;
}

function demand(variables: Record<string, string>, name: string): string {
  const value = variables[name];
  if (value === undefined) throw new Error(`the file uses the variable ${name}, which the test does not set`);
  return value;
}

function quote(value: string): string {
  return `'${value.replaceAll("'", "''")}'`;
}
