import { deriveDeployment, type Deployment } from '../../../src/deployment/deployment.ts';
import { renderArtefacts, type Artefact } from '../../../src/rendering/artefact.ts';
import { parseAnswers } from '../../../generators/gate.ts';
import { withAnswers } from '../answers/sample.ts';

/** What this folder tests, as rows of the artefact table. */
export const rows: readonly Artefact[] = [
  { template: 'database/postgresql.conf' },
  { template: 'database/pg_hba.conf' },
  { template: 'database/init/10-roles.sh', mode: 0o755 },
  { template: 'database/secure.sh', mode: 0o755 },
  { template: 'database/purge.sh', mode: 0o755 },
  {
    template: 'database/sync-channels.sh',
    mode: 0o755,
    when: ({ deployment }) => deployment.channels.length > 0,
  },
  ...['secure', 'state', 'roles', 'passwords', 'tables', 'privileges'].map((name) => ({
    template: `database/sql/${name}.sql`,
  })),
  { template: 'database/sql/row-level-security.sql' },
  { template: 'database/sql/row-level-security-undo.sql' },
  { template: 'database/sql/purge.sql' },
  { template: 'database/sql/channels.sql', when: ({ deployment }) => deployment.channels.length > 0 },
  { template: 'redis/redis.conf', when: ({ deployment }) => deployment.redis },
  { template: 'redis/start.sh', mode: 0o755, when: ({ deployment }) => deployment.redis },
];

/** The deployment of the default answers with some of them changed, by dotted path. */
export function deploymentOf(changes: Record<string, unknown> = {}): Deployment {
  return deriveDeployment(parseAnswers(withAnswers(changes)));
}

/** Path in the output → final text. */
export function renderDatabase(deployment: Deployment): Map<string, string> {
  return new Map(renderArtefacts('app', rows, deployment).map(({ path, content }) => [path, content]));
}
