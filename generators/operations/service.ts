import type { Artefact } from '../../src/rendering/artefact.ts';

const executable = 0o755;

const rows: readonly Artefact[] = [
  { template: 'compose.operations.yaml' },
  { template: 'bin/lib/parts/operations.sh' },
  { template: 'nginx/_environment_/parts/operations.conf' },
  { template: 'nginx/_environment_/parts/locations/operations.conf' },
  // Botpress tells the service of the errors of its bots.
  { template: 'botpress/data/global/hooks/on_bot_error/operations.js' },

  // The service itself
  ...[
    '.dockerignore',
    'Dockerfile',
    'README.md',
    'build.js',
    'package-lock.json',
    'package.json',
    'tsconfig.json',
  ].map((name) => ({ template: `operations/${name}` })),
  ...[
    'access-log',
    'bot-errors',
    'cache',
    'content',
    'conversation',
    'database',
    'deadline',
    'gateway',
    'health',
    'keys',
    'limits',
    'listeners',
    'log',
    'message',
    'metrics',
    'operations',
    'probes',
    'ready',
    'reason',
    'redis',
    'remote-log',
    'server',
    'service',
    'settings',
    'statistics',
    'tracker',
  ].map((name) => ({ template: `operations/src/${name}.ts` })),
  ...[
    'access-log.test',
    'cache.test',
    'gateway.test',
    'health.test',
    'listeners.test',
    'redis.test',
    'reports.test',
    'settings.test',
    'sites',
  ].map((name) => ({ template: `operations/test/${name}.ts` })),
];

const gatewayRows: readonly Artefact[] = [
  { template: 'bin/gateway-key', mode: executable },
  { template: 'nginx/snippets/gateway.conf' },
];

/** The service that watches, where the answers ask for monitoring, and what the gateway needs where they ask for that. */
export const artefacts: readonly Artefact[] = [
  ...rows.map(
    (row) => ({ ...row, when: ({ deployment }) => deployment.operations.enabled }) satisfies Artefact,
  ),
  ...gatewayRows.map(
    (row) => ({ ...row, when: ({ deployment }) => deployment.operations.gateway.enabled }) satisfies Artefact,
  ),
];
