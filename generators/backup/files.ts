import { ARCHIVE_SCRIPTS, BACKUP_SCRIPTS } from '../../src/deployment/backup.ts';
import type { Artefact, Locals } from '../../src/rendering/artefact.ts';

const executable = 0o755;

const isAlone = ({ deployment }: Locals) => deployment.stack !== undefined;
const isWhole = (locals: Locals) => !isAlone(locals);
const isArchived = ({ deployment }: Locals) => deployment.backup.pointInTime;

const rows: readonly Artefact[] = [
  { template: 'compose.backup.yaml' },
  { template: 'backup/_environment_.env', kind: 'seeded', mode: 0o600, when: isAlone },

  // What runs inside the containers
  { template: 'backup/Dockerfile' },
  { template: 'backup/recipients.txt', kind: 'seeded' },
  { template: 'backup/backup.sh', mode: executable },
  ...BACKUP_SCRIPTS.map((name) => ({ template: `backup/lib/${name}.sh` })),
  { template: 'backup/lib/server.sh', when: isAlone },
  ...ARCHIVE_SCRIPTS.map((name) => ({ template: `backup/lib/${name}.sh`, when: isArchived })),
  { template: 'backup/keep-wal.sh', mode: executable, when: isArchived },
  { template: 'backups/.gitignore' },

  // Commands
  { template: 'bin/backup', mode: executable },
  { template: 'bin/restore', mode: executable },
  { template: 'bin/lib/backup.sh' },
  { template: 'bin/lib/stack.sh', when: isAlone },
  { template: 'bin/lib/parts/backup.sh', when: isWhole },
  { template: 'bin/lib/checks/backups.sh', when: isWhole },

  { template: 'docs/backup.md' },
];

/** What the backup part writes: nothing where the answers name no target. */
export const artefacts: readonly Artefact[] = rows.map((row) => ({
  ...row,
  when: (locals) => locals.deployment.backup.enabled && (row.when?.(locals) ?? true),
}));
