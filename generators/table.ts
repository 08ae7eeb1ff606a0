import type { AnswerPath, Answers } from '../src/deployment/answers.ts';
import type { AnyQuestion, Part } from '../src/deployment/question.ts';
import type { Artefact } from '../src/rendering/artefact.ts';
import { questions as aloneQuestions } from './alone.ts';
import { artefacts as appArtefacts } from './app/files.ts';
import { questions as appQuestions } from './app/questions.ts';
import { artefacts as backupArtefacts } from './backup/files.ts';
import { questions as backupQuestions } from './backup/questions.ts';
import { artefacts as ciArtefacts } from './ci/files.ts';
import { questions as ciQuestions } from './ci/questions.ts';
import { artefacts as deployArtefacts } from './deploy/files.ts';
import { artefacts as operationsArtefacts } from './operations/files.ts';
import { questions as operationsQuestions } from './operations/questions.ts';
import { artefacts as scaleArtefacts } from './scale/files.ts';
import { questions as scaleQuestions } from './scale/questions.ts';

/** The question table: every row of every part, in the order in which they are asked. */
export const questions: readonly AnyQuestion[] = [
  ...appQuestions,
  ...scaleQuestions,
  ...backupQuestions,
  ...ciQuestions,
  ...operationsQuestions,
  ...aloneQuestions,
];

/** The artefact table, part by part. A part appears here as soon as it writes files. */
export const artefacts: Partial<Record<Part, readonly Artefact[]>> = {
  app: appArtefacts,
  backup: backupArtefacts,
  ci: ciArtefacts,
  deploy: deployArtefacts,
  operations: operationsArtefacts,
  scale: scaleArtefacts,
};

/** The answer that decides whether a part is there. */
interface Presence {
  path: AnswerPath;
  /** Value that brings the part; none where only the user can say which. */
  present?: unknown;
  absent: unknown;
}

/** Parts that can be taken away. The stack itself and its rollouts are always there. */
export const presences: Partial<Record<Part, Presence>> = {
  backup: { path: 'backup.targets', present: ['local'], absent: [] },
  ci: { path: 'ci', present: 'github', absent: 'none' },
  operations: { path: 'monitoring', present: true, absent: false },
  scale: { path: 'scaling.target', absent: 'compose' },
};

/** Parts that write files, and so can be asked for by name. */
export const writtenParts = Object.keys(artefacts) as Part[];

/** Value of the answers at a dotted path. */
export function valueAt(answers: Partial<Answers>, path: string): unknown {
  return path
    .split('.')
    .reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], answers);
}

/** Sets the value at a dotted path, making the objects on the way. */
export function setAt(target: object, path: string, value: unknown): void {
  const keys = path.split('.');
  const last = keys.pop() ?? path;
  const holder = keys.reduce<Record<string, unknown>>(
    (object, key) => {
      object[key] ??= {};
      return object[key] as Record<string, unknown>;
    },
    target as Record<string, unknown>,
  );
  holder[last] = value;
}
