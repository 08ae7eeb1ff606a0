import { DATABASE_STATEMENTS } from '../../src/deployment/database.ts';
import type { AlonePart } from '../../src/deployment/answers.ts';
import { NGINX_PAGES, NGINX_SNIPPETS } from '../../src/deployment/nginx.ts';
import type { Artefact, Locals } from '../../src/rendering/artefact.ts';

const executable = 0o755;

const usesRedis = ({ deployment }: Locals) => deployment.redis;
const hasChannels = ({ deployment }: Locals) => deployment.channels.length > 0;

/** Rows for files that share a folder, an ending and everything else. */
function all(names: readonly string[], pattern: string, rest: Omit<Artefact, 'template'> = {}): Artefact[] {
  return names.map((name) => ({ template: pattern.replace('*', name), ...rest }));
}

const rows: readonly Artefact[] = [
  // The stack
  { template: 'compose.yaml' },
  { template: 'compose._environment_.yaml' },
  { template: '.env._environment_.example' },
  { template: '.env._environment_.example', path: '.env._environment_', kind: 'seeded', mode: 0o600 },

  // nginx
  ...all(['nginx', 'active-upstream', '_environment_/server', '_environment_/real-ip'], 'nginx/*.conf'),
  ...all([...NGINX_SNIPPETS, 'upstream'], 'nginx/snippets/*.conf'),
  ...all(NGINX_PAGES, 'nginx/pages/*.html'),
  ...all(NGINX_PAGES, 'nginx/pages/*.json'),
  { template: 'nginx/start.d/50-certificate.sh', mode: executable },
  {
    template: 'nginx/lego/renew.sh',
    mode: executable,
    when: ({ deployment }) => deployment.letsEncrypt,
  },

  // PostgreSQL and Redis
  ...all(['postgresql', 'pg_hba'], 'database/*.conf'),
  ...all(DATABASE_STATEMENTS, 'database/sql/*.sql'),
  { template: 'database/sql/channels.sql', when: hasChannels },
  ...all(['init/10-roles', 'purge', 'secure'], 'database/*.sh', { mode: executable }),
  { template: 'database/sync-channels.sh', mode: executable, when: hasChannels },
  { template: 'redis/redis.conf', when: usesRedis },
  { template: 'redis/start.sh', mode: executable, when: usesRedis },

  // Botpress
  ...all(['entrypoint', 'health'], 'botpress/*.sh', { mode: executable }),
  ...all(['channels', 'database'], 'botpress/*.sh'),
  { template: 'botpress/channels/_bot_/_channel_.json' },
  { template: 'botpress/data/global/workspaces.json' },
  ...all(
    ['bot.config', 'flows/main.flow', 'flows/main.ui', 'content-elements/builtin_text'],
    'botpress/data/bots/_bot_/*.json',
  ),

  // Commands
  ...all(['check', 'compose', 'down', 'logs', 'rotate', 'secure-database', 'status', 'up'], 'bin/*', {
    mode: executable,
  }),
  ...all(
    [
      'certificate',
      'compose',
      'deployment',
      'diagnosis',
      'environment',
      'lock',
      'output',
      'preflight',
      'requests',
      'rotation',
      'secrets',
      'services',
    ],
    'bin/lib/*.sh',
  ),
  ...all(
    [
      'certificates',
      'conversation',
      'database',
      'environment-variables',
      'firewall',
      'health-checks',
      'load-balancer',
      'redis',
      'rollback',
      'secrets',
      'static-assets',
      'webhooks',
    ],
    'bin/lib/checks/*.sh',
  ),
  { template: '.shellcheckrc' },

  // Typed configuration
  ...all(['package', 'package-lock', 'tsconfig'], 'config/*.json'),
  { template: 'config/README.md' },
  ...all(
    [
      'address',
      'configuration',
      'environments',
      'index',
      'mistake',
      'rules',
      'schema',
      'secret',
      'show',
      'variables',
    ],
    'config/src/*.ts',
  ),
  { template: 'config/test/configuration.test.ts' },

  // The repository itself
  { template: 'README.md' },
  ...all(['architecture', 'configuration', 'runbook', 'security'], 'docs/*.md'),
  { template: 'docs/channels.md', when: hasChannels },
  { template: 'docs/webchat.md', when: ({ deployment }) => deployment.webchat },
  ...all(['dockerignore', 'editorconfig', 'gitattributes', 'gitignore'], '.*'),
  { template: 'secrets/.gitignore' },
  { template: '.github/dependabot.yml', when: ({ deployment }) => deployment.ci === 'github' },
  { template: 'renovate.json', when: ({ deployment }) => deployment.ci !== 'github' },
];

const libraries = (names: readonly string[]) => names.map((name) => `bin/lib/${name}.sh`);

/** What the commands of a part stand on where it is used alone. */
const NEEDED_ALONE: Record<AlonePart, readonly string[]> = {
  backup: [
    ...libraries(['compose', 'deployment', 'environment', 'lock', 'output', 'preflight', 'services']),
    'secrets/.gitignore',
  ],
};

/** What the app part writes: the whole stack, or what parts that are used alone cannot do without. */
export const artefacts: readonly Artefact[] = [
  ...rows.map((row): Artefact => ({
    ...row,
    when: (locals) => {
      const { alone } = locals.deployment;
      const isNeeded = alone.length === 0 || alone.some((part) => NEEDED_ALONE[part].includes(row.template));
      return isNeeded && (row.when?.(locals) ?? true);
    },
  })),
  { template: 'state/.gitignore', when: ({ deployment }) => deployment.stack !== undefined },
];
