import type { Artefact, Locals } from '../../src/rendering/artefact.ts';

const executable = 0o755;

type When = NonNullable<Artefact['when']>;

const onKubernetes: When = ({ deployment }) => deployment.scale.kubernetes;
const onSwarm: When = ({ deployment }) => deployment.scale.swarm;
const onEither: When = ({ deployment }) => deployment.scale.enabled;

/** All of the conditions. */
const all =
  (...conditions: When[]): When =>
  (locals) =>
    conditions.every((condition) => condition(locals));

const ownDatabase: When = ({ deployment }) => deployment.scale.ownDatabase;
const ownRedis: When = ({ deployment }) => deployment.scale.ownRedis;
const withNlu: When = ({ deployment }) => deployment.nlu;
const withBackup: When = ({ deployment }) => deployment.backup.enabled;
const withLocalBackup: When = ({ deployment }) => deployment.backup.enabled && deployment.backup.local;
const withMonitoring: When = ({ deployment }) => deployment.scale.monitoring;
const ownCertificate = ({ environment }: Locals) =>
  environment?.tls === 'provided' || environment?.tls === 'self-signed';

/** Rows of one folder with one condition. */
function rows(
  when: When,
  folder: string,
  names: readonly string[],
  rest: Partial<Artefact> = {},
): Artefact[] {
  return names.map((name) => ({ template: `${folder}/${name}`, when, ...rest }));
}

const overlay = 'kubernetes/overlays/_environment_';

const kubernetes: readonly Artefact[] = [
  // Lists beside the files that compose mounts
  ...['botpress', 'nginx', 'database'].map((folder) => ({
    template: `${folder}/kustomization.yaml`,
    when: onKubernetes,
  })),
  { template: 'redis/kustomization.yaml', when: all(onKubernetes, ownRedis) },
  { template: 'backup/kustomization.yaml', when: all(onKubernetes, withBackup) },

  // What every environment has
  ...rows(onKubernetes, 'kubernetes/base', [
    'kustomization.yaml',
    'namespace.yaml',
    'service-account.yaml',
    'uploads.yaml',
    'botpress.yaml',
    'botpress-service.yaml',
    'nginx.yaml',
    'nginx-service.yaml',
    'nginx-disruption.yaml',
    'nginx/upstream.conf',
    'nginx/upstream.conf.template',
    'nginx/proxy-headers.conf',
    'database-purge.yaml',
    'network-policies/default.yaml',
    'network-policies/dns.yaml',
    'network-policies/nginx.yaml',
    'network-policies/botpress.yaml',
    'network-policies/database-jobs.yaml',
  ]),
  ...rows(
    all(onKubernetes, ({ deployment }) => deployment.cluster),
    'kubernetes/base',
    ['botpress-disruption.yaml'],
  ),
  ...rows(
    all(onKubernetes, ({ deployment }) => deployment.scale.autoscaling),
    'kubernetes/base',
    ['botpress-autoscaler.yaml'],
  ),
  ...rows(all(onKubernetes, ownDatabase), 'kubernetes/base', [
    'postgres.yaml',
    'network-policies/postgres.yaml',
  ]),
  ...rows(all(onKubernetes, ownRedis), 'kubernetes/base', [
    'redis.yaml',
    'redis-service.yaml',
    'network-policies/redis.yaml',
  ]),
  ...rows(all(onKubernetes, withNlu), 'kubernetes/base', [
    'duckling.yaml',
    'duckling-service.yaml',
    'language-server.yaml',
    'language-server-service.yaml',
    'languages.yaml',
    'network-policies/language.yaml',
  ]),
  ...rows(all(onKubernetes, withBackup), 'kubernetes/base', [
    'backup.yaml',
    'backup-drill.yaml',
    'backup-work.yaml',
    'network-policies/backup.yaml',
  ]),
  ...rows(all(onKubernetes, withLocalBackup), 'kubernetes/base', ['backups.yaml']),

  // Jobs that a command runs
  ...rows(onKubernetes, 'kubernetes/migration', ['kustomization.yaml', 'job.yaml']),
  ...rows(all(onKubernetes, ownDatabase), 'kubernetes/secure-database', ['kustomization.yaml', 'job.yaml']),
  ...rows(all(onKubernetes, ownDatabase), 'kubernetes/secure-database', ['secure-database.sh'], {
    mode: executable,
  }),

  ...rows(all(onKubernetes, withBackup), 'kubernetes/backup-tools', ['kustomization.yaml', 'job.yaml']),
  ...rows(all(onKubernetes, withBackup), 'kubernetes/backup-tools', ['tools.sh'], { mode: executable }),

  // Each environment
  ...rows(onKubernetes, overlay, [
    'kustomization.yaml',
    'settings/kustomization.yaml',
    'nginx/server.conf',
    'nginx/real-ip.conf',
    'nginx/sticky.conf',
    'ingress/kustomization.yaml',
    'ingress/ingress.yaml',
    'ingress/network-policy.yaml',
    'gateway/kustomization.yaml',
    'gateway/gateway.yaml',
    'gateway/route.yaml',
    'gateway/network-policy.yaml',
    'external-secrets/kustomization.yaml',
    'external-secrets/botpress.yaml',
    'migration/kustomization.yaml',
  ]),
  {
    template: `${overlay}/gateway/redirect.yaml`,
    when: all(onKubernetes, ({ environment }) => !!environment?.secure),
  },
  ...rows(
    all(onKubernetes, ({ environment }) => environment?.tls === 'letsencrypt'),
    overlay,
    ['ingress/certificate-proof.yaml', 'gateway/certificate-proof.yaml'],
  ),
  ...rows(all(onKubernetes, ownDatabase), overlay, [
    'external-secrets/postgres-owner.yaml',
    'external-secrets/postgres-superuser.yaml',
    'secure-database/kustomization.yaml',
  ]),
  ...rows(all(onKubernetes, withBackup), overlay, [
    'external-secrets/backup.yaml',
    'backup-tools/kustomization.yaml',
  ]),
  { template: `${overlay}/external-secrets/tls.yaml`, when: all(onKubernetes, ownCertificate) },

  // Commands
  ...['kubernetes', 'kubernetes-secrets'].map((name) => ({
    template: `bin/${name}`,
    mode: executable,
    when: onKubernetes,
  })),
  { template: 'bin/lib/kubernetes/cluster.sh', when: onKubernetes },
  { template: 'bin/lib/kubernetes/backup.sh', when: all(onKubernetes, withBackup) },

  // For the Prometheus operator
  ...rows(all(onKubernetes, withMonitoring), 'kubernetes/components/monitoring', [
    'kustomization.yaml',
    'rules.yaml',
  ]),
  ...rows(all(onKubernetes, withMonitoring), 'kubernetes/components/alerts', [
    'kustomization.yaml',
    'rules.yaml',
  ]),
  ...rows(all(onKubernetes, withMonitoring, ownDatabase), 'kubernetes/components/monitoring', [
    'postgres-metrics-service.yaml',
    'postgres-monitor.yaml',
  ]),
];

const swarm: readonly Artefact[] = [
  ...rows(onSwarm, 'swarm', [
    'stack.yaml',
    'stack._environment_.yaml',
    'jobs.yaml',
    'migrate._environment_.yaml',
    'nginx/upstream.conf',
    'nginx/_environment_/active-upstream.conf',
  ]),
  { template: 'botpress/drain.sh', mode: executable, when: onSwarm },
  { template: 'bin/swarm', mode: executable, when: onSwarm },
  ...rows(onSwarm, 'bin/lib/swarm', ['facts.sh', 'stack.sh']),
  { template: 'bin/lib/swarm/backup.sh', when: all(onSwarm, withBackup) },
];

/** What the scale part writes: nothing where everything runs on one machine. */
export const artefacts: readonly Artefact[] = [
  { template: 'docs/scaling.md', when: onEither },
  { template: 'botpress/migrate.sh', mode: executable, when: onEither },
  { template: 'bin/lib/backup-keys.sh', when: all(onEither, withBackup) },
  ...kubernetes,
  ...swarm,
];
