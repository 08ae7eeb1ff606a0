import { BACKUP_SCRIPTS } from '../../src/deployment/backup.ts';
import type { Artefact } from '../../src/rendering/artefact.ts';

const executable = 0o755;

const rows: readonly Artefact[] = [
  { template: 'compose.backup.yaml' },

  // What runs inside the containers
  { template: 'backup/Dockerfile' },
  { template: 'backup/recipients.txt', kind: 'seeded' },
  { template: 'backup/backup.sh', mode: executable },
  ...BACKUP_SCRIPTS.map((name) => ({ template: `backup/lib/${name}.sh` })),
  { template: 'backups/.gitignore' },

  // Commands
  { template: 'bin/backup', mode: executable },
  { template: 'bin/restore', mode: executable },
  { template: 'bin/lib/backup.sh' },
  { template: 'bin/lib/parts/backup.sh' },
  { template: 'bin/lib/checks/backups.sh' },

  { template: 'docs/backup.md' },
];

/** What the backup part writes: nothing where the answers name no target. */
export const artefacts: readonly Artefact[] = rows.map((row) => ({
  ...row,
  when: ({ deployment }) => deployment.backup.enabled,
}));
