import { TARGETS } from '../../src/deployment/answers.ts';
import { questionsOf } from '../../src/deployment/question.ts';
import { oneOf } from '../fields.ts';

export const questions = questionsOf('scale', [
  {
    path: 'scaling.target',
    message: 'Where it runs',
    help: 'compose runs on one machine; swarm and kubernetes on several.',
    field: oneOf(TARGETS),
    choices: TARGETS,
    default: 'compose',
    mend: `choose ${TARGETS.join(', ')}`,
  },
]);
