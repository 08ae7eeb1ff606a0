/** Answers that differ in everything that the output on Kubernetes or a Swarm depends on. */
export const matrix: Record<string, Record<string, unknown>> = {
  'community, defaults': {},
  'community, one node at a time, nothing beside it': {
    'scaling.deployment': 'recreate',
    'backup.targets': [],
    monitoring: false,
    tls: 'provided',
    channels: ['web'],
  },
  'community, all channels, language server': {
    channels: ['web', 'messenger', 'slack', 'telegram', 'twilio', 'teams', 'smooch', 'vonage'],
    bots: ['support', 'sales-desk'],
    nlu: true,
    tls: 'letsencrypt',
    'backup.targets': ['s3', 'sftp'],
    'access.embed': ['https://www.acme.example'],
  },
  'pro, three nodes': {
    edition: 'pro',
    'scaling.replicas': 3,
    'scaling.ingress': 'gateway',
    channels: ['web', 'telegram'],
    languages: ['en', 'no'],
    nlu: true,
  },
  'pro, two nodes one after the other, servers of somebody else': {
    edition: 'pro',
    'scaling.replicas': 2,
    'scaling.deployment': 'recreate',
    'scaling.database': 'managed',
    'scaling.redis': 'managed',
    environments: ['production'],
    tls: 'letsencrypt',
  },
};

export const on = (target: 'kubernetes' | 'swarm', changes: Record<string, unknown>) => ({
  ...changes,
  'scaling.target': target,
});
