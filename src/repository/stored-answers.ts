import type { StoredAnswers } from '../deployment/answers.ts';
import { RepositoryError } from './errors.ts';
import { isObject, parseRecord } from './record.ts';
import { answersPath } from './tree.ts';

const key = 'generator-botpress-prod';
const mend = `Correct it, or restore it (git checkout -- ${answersPath}).`;

/**
 * The stored answers in the text of `.yo-rc.json`, not yet validated, or undefined if there are none.
 * @throws RepositoryError (2) if the text is no JSON object
 */
export function readAnswers(text: string): Record<string, unknown> | undefined {
  const answers = parseRecord(answersPath, text, mend)[key];
  if (answers === undefined || isObject(answers)) return answers;
  throw new RepositoryError(2, `${answersPath} cannot be used: "${key}" is not an object. ${mend}`);
}

/**
 * The text of `.yo-rc.json` with new answers. What other generators keep there stays; a text that already says
 * the same is returned as it is.
 * @param text present text, undefined if there is no such file
 */
export function writeAnswers(text: string | undefined, answers: StoredAnswers): string {
  const all = text === undefined ? {} : parseRecord(answersPath, text, mend);
  if (text !== undefined && JSON.stringify(all[key]) === JSON.stringify(answers)) return text;
  return `${JSON.stringify({ ...all, [key]: answers }, null, 2)}\n`;
}
