import type { Answers } from '../src/deployment/answers.ts';
import { InputError } from '../src/deployment/errors.ts';
import type { AnyQuestion } from '../src/deployment/question.ts';
import type { PlannedFile } from '../src/rendering/plan.ts';
import { parseAnswers } from './gate.ts';
import { renderPlan } from './plan.ts';
import { questions, setAt, valueAt } from './table.ts';

/** Where a file of the output comes from. */
export interface Explanation {
  file: PlannedFile;
  /** Answers whose change would change the file, with their present values. */
  answers: { path: string; value: unknown }[];
}

/**
 * Tells which template and which answers made a file. The answers are found by trying: each one is changed in turn, and
 * the file is compared. Returns undefined when the plan has no such file.
 */
export function explainFile(answers: Answers, path: string): Explanation | undefined {
  const secret = () => 'secret';
  const find = (candidate: Answers) => renderPlan(candidate, secret).files.find((file) => file.path === path);
  const file = find(answers);
  if (!file) return undefined;
  const asked = questions.filter(({ onlyAlone }) => !onlyAlone || answers.alone.length > 0);
  const decisive = asked.filter((question) =>
    variants(question, valueAt(answers, question.path)).some((value) => {
      const changed = tryAnswer(answers, question.path, value);
      return changed !== undefined && find(changed)?.content !== file.content;
    }),
  );
  return {
    file,
    answers: decisive.map((question) => ({ path: question.path, value: valueAt(answers, question.path) })),
  };
}

/** Other values that an answer could have. Those that the gate refuses are passed over later. */
function variants({ choices }: AnyQuestion, value: unknown): unknown[] {
  if (Array.isArray(value))
    return choices
      ? [choices.filter((choice) => !value.includes(choice)), [...choices]]
      : [
          [...value, 'xx'],
          value.slice(1),
          ['192.0.2.0/24'],
          ['https://other.example'],
          ['other@other.example'],
        ];
  if (choices) return choices.filter((choice) => choice !== value);
  if (typeof value === 'boolean') return [!value];
  if (typeof value === 'number') return [value + 1, value / 2, 0];
  return ['other', 'other.example', 'other@other.example', '5 5 5 5 5'];
}

function tryAnswer(answers: Answers, path: string, value: unknown): Answers | undefined {
  const changed = structuredClone(answers);
  setAt(changed, path, value);
  try {
    return parseAnswers(changed);
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}
