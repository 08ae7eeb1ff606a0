import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { compileTemplate, type TemplateFunction } from './template.ts';

const root = join(import.meta.dirname, '../../templates');
const compiled = new Map<string, TemplateFunction>();
const texts = new Map<string, string>();

/**
 * A template by its name relative to `templates/`, without `.ejs`. Here it is read and compiled when it is first asked
 * for; the build replaces this module by one that holds every template compiled.
 */
export function findTemplate(name: string): TemplateFunction {
  const known = compiled.get(name);
  if (known) return known;
  const template = compileTemplate(readTemplate(name), name);
  compiled.set(name, template);
  return template;
}

/** True for a template without tags: its text is the same for every deployment. */
export function isStatic(name: string): boolean {
  return !readTemplate(name).includes('<%');
}

function readTemplate(name: string): string {
  const known = texts.get(name);
  if (known !== undefined) return known;
  const text = readFileSync(join(root, `${name}.ejs`), 'utf8');
  texts.set(name, text);
  return text;
}
