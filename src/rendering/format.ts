/** Formats of the output: how a value is written into each, so that no value can change the meaning of the text around it. */

export const FORMATS = [
  'yaml',
  'json',
  'shell',
  'nginx',
  'sql',
  'dotenv',
  'markdown',
  'code',
  'text',
] as const;
export type Format = (typeof FORMATS)[number];

/** The format of a file of the output, told by its path. */
export function formatOf(path: string): Format {
  const name = path.slice(path.lastIndexOf('/') + 1);
  if (/\.ya?ml$/.test(name)) return 'yaml';
  if (/\.json$/.test(name)) return 'json';
  if (/\.sql$/.test(name)) return 'sql';
  if (/\.md$/.test(name)) return 'markdown';
  if (/\.[cm]?[jt]s$/.test(name)) return 'code';
  if (/\.sh$/.test(name) || /^bin\/[^.]+$/.test(path)) return 'shell';
  if (/^\.env\.|\.env$|\.env\.example$/.test(name)) return 'dotenv';
  if (/(^|\/)nginx\/.*\.conf$/.test(path)) return 'nginx';
  return 'text';
}

/** Words that YAML 1.1 or 1.2 readers take for something else than text; `no` is also a language. */
const YAML_WORDS = /^(?:true|false|yes|no|on|off|y|n|null|~)$/i;

const escapes: Record<Format, (value: string) => string> = {
  yaml: (value) =>
    /^[A-Za-z][A-Za-z0-9_./@+-]*(?::[A-Za-z0-9_./@+-]+)*$/.test(value) && !YAML_WORDS.test(value)
      ? value
      : JSON.stringify(value),
  json: (value) => JSON.stringify(value),
  code: (value) => JSON.stringify(value),
  shell: (value) =>
    /^[A-Za-z0-9_./:@%+=,-]+$/.test(value) ? value : `'${value.replaceAll("'", String.raw`'\''`)}'`,
  // nginx has no escape for `$`: inside quotes it still starts a variable.
  nginx: (value) =>
    /^[A-Za-z0-9_./:@%+=,*-]+$/.test(value)
      ? value
      : `"${refuse(value, /\$/, 'nginx').replaceAll('\\', '\\\\').replaceAll('"', '\\"')}"`,
  sql: (value) => `'${value.replaceAll("'", "''")}'`,
  // Between single quotes compose takes a value literally, but knows no escape for the quote itself.
  dotenv: (value) => (/^[A-Za-z0-9_./:@%+=,-]*$/.test(value) ? value : `'${refuse(value, /'/, 'dotenv')}'`),
  markdown: (value) => value.replace(/[\\`*_{}[\]<>()#|!&]/g, (character) => `\\${character}`),
  text: (value) => value,
};

/** Control characters, line separators and half characters have no place in any format. */
const NEVER = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\ufeff]|[\ud800-\udfff]/u;

function refuse(value: string, pattern: RegExp, format: Format): string {
  if (pattern.test(value)) throw new Error(`cannot be written in ${format}: ${JSON.stringify(value)}`);
  return value;
}

/**
 * The escape of a format, for `<%= %>` in its templates.
 * Text made of safe characters stays as it is (except in `json`, `code` and `sql`, where text is always quoted), other
 * text is quoted; numbers and booleans are written plainly. Throws on null and undefined, so that a template never
 * shows an absent field as nothing, and on text that the format cannot hold.
 */
export function escapeFor(format: Format): (value: unknown) => string {
  return (value) => {
    if (typeof value === 'number' || typeof value === 'boolean') return String(value);
    if (typeof value !== 'string') {
      if ((format === 'json' || format === 'code') && value !== undefined) return JSON.stringify(value);
      throw new Error(`a template shows ${JSON.stringify(value)} where text belongs`);
    }
    return escapes[format](format === 'json' || format === 'code' ? value : refuse(value, NEVER, format));
  };
}
