import { questions, setAt } from '../../../generators/table.ts';
import { defaultOf } from '../../../generators/collect.ts';
import { parseAnswers } from '../../../generators/gate.ts';
import type { Answers } from '../../../src/deployment/answers.ts';
import type { Draft } from '../../../src/deployment/question.ts';

/** All defaults, as `--yes` would take them in a folder called acme-bot. */
export function defaultAnswers(): Answers {
  const draft: Draft = {};
  for (const question of questions)
    setAt(draft, question.path, structuredClone(defaultOf(question, { draft, directory: 'acme-bot' })));
  return parseAnswers(draft);
}

/** The defaults with some answers changed, by dotted path; not parsed. */
export function withAnswers(changes: Record<string, unknown>): unknown {
  const answers = structuredClone(defaultAnswers());
  for (const [path, value] of Object.entries(changes)) setAt(answers, path, value);
  return answers;
}

/** The same, parsed: what the generator would go on with. */
export function answersWith(changes: Record<string, unknown>): Answers {
  return parseAnswers(withAnswers(changes));
}
