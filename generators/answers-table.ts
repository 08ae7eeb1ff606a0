import { defaultOf } from './collect.ts';
import { questions } from './table.ts';
import { flagOf } from '../src/deployment/question.ts';

/** The question table as a Markdown table, for the README. */
export function formatAnswersTable(): string {
  const rows = questions.map((question) => {
    const fallback = defaultOf(question, { draft: {}, directory: '' });
    const shown = Array.isArray(fallback) ? fallback.join(', ') : String(fallback);
    const derived = typeof question.default === 'function' ? 'derived: ' : '';
    return [
      `\`${question.path}\``,
      `\`--${flagOf(question.path)}\``,
      shown === '' ? 'none' : `${derived}\`${shown}\``,
      question.choices ? `${question.help} (${question.choices.join(', ')})` : question.help,
    ];
  });
  return [['answer', 'flag', 'default', 'meaning'], ['---', '---', '---', '---'], ...rows]
    .map((cells) => `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`)
    .join('\n');
}
