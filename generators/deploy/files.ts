import type { Artefact, Locals } from '../../src/rendering/artefact.ts';

const executable = 0o755;

/** Swarm and Kubernetes roll out by themselves. */
const onCompose = ({ deployment }: Locals) => deployment.target === 'compose';

/** Where two colours overlap, and visitors are moved from one to the other. */
const overlaps = ({ deployment }: Locals) => deployment.target === 'compose' && deployment.blueGreen;

const steps = [
  'announce',
  'checks',
  'dump',
  'journal',
  'maintenance',
  'nodes',
  'overlap',
  'plan',
  'record',
  'recovery',
  'rollout',
  'show',
  'sockets',
  'traffic',
];

/** What the deploy part writes. */
export const artefacts: readonly Artefact[] = [
  { template: 'bin/deploy', mode: executable, when: onCompose },
  { template: 'bin/rollback', mode: executable, when: onCompose },
  ...steps.map((step) => ({ template: `bin/lib/rollout/${step}.sh`, when: onCompose })),
  { template: 'bin/lib/checks/team.sh', when: onCompose },

  // nginx: what a rollout switches without a reload
  { template: 'nginx/_environment_/parts/deploy.conf', when: onCompose },
  { template: 'nginx/_environment_/parts/webchat/deploy.conf', when: onCompose },
  { template: 'nginx/_environment_/parts/locations/deploy.conf', when: onCompose },
  { template: 'nginx/_environment_/parts/admin/deploy.conf', when: onCompose },

  // nginx: what needs its JavaScript
  { template: 'compose.deploy.yaml', when: overlaps },
  { template: 'nginx/start.d/40-scripts.sh', mode: executable, when: overlaps },
  ...['http', 'locations', 'webchat'].map((name) => ({
    template: `nginx/snippets/webchat/${name}.conf`,
    when: overlaps,
  })),
  { template: 'nginx/snippets/webchat/webchat.js', when: overlaps },

  { template: 'docs/deploy.md', when: onCompose },
];
