import { INGRESSES, SERVICE_HOMES, TARGETS } from '../../src/deployment/answers.ts';
import { questionsOf, type Ask } from '../../src/deployment/question.ts';
import { oneOf } from '../fields.ts';

const onCluster: Ask = ({ draft }) => (draft.scaling?.target ?? 'compose') !== 'compose';

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
  {
    path: 'scaling.ingress',
    message: 'How visitors get into the cluster',
    help: 'On Kubernetes: an Ingress, or a Gateway with its routes; both are written, one is used.',
    field: oneOf(INGRESSES),
    choices: INGRESSES,
    default: 'ingress',
    mend: 'choose ingress or gateway',
    ask: ({ draft }) => draft.scaling?.target === 'kubernetes',
  },
  {
    path: 'scaling.database',
    message: 'Who runs PostgreSQL',
    help: 'On Swarm and Kubernetes: cluster runs it beside the bots (CloudNativePG on Kubernetes), managed takes a server of yours.',
    field: oneOf(SERVICE_HOMES),
    choices: SERVICE_HOMES,
    default: 'cluster',
    mend: 'choose cluster or managed',
    ask: onCluster,
  },
  {
    path: 'scaling.redis',
    message: 'Who runs Redis',
    help: 'On Swarm and Kubernetes, with several nodes: cluster runs it beside the bots, managed takes a server of yours.',
    field: oneOf(SERVICE_HOMES),
    choices: SERVICE_HOMES,
    default: 'cluster',
    mend: 'choose cluster or managed',
    ask: (context) => onCluster(context) && (context.draft.scaling?.replicas ?? 1) > 1,
  },
]);
