import { CI_SYSTEMS } from '../../src/deployment/answers.ts';
import { questionsOf } from '../../src/deployment/question.ts';
import { oneOf } from '../fields.ts';

export const questions = questionsOf('ci', [
  {
    path: 'ci',
    message: 'Continuous integration',
    help: 'System that runs the pipelines; also decides which dependency bot is configured.',
    field: oneOf(CI_SYSTEMS),
    choices: CI_SYSTEMS,
    default: 'github',
    defaultAlone: ({ found }) => found?.ci ?? 'github',
    mend: `choose ${CI_SYSTEMS.join(', ')}`,
  },
]);
