import { BACKUP_TARGETS } from '../../src/deployment/answers.ts';
import { questionsOf, type Ask } from '../../src/deployment/question.ts';
import { cron, integer, list, oneOf, yesOrNo } from '../fields.ts';

const ask: Ask = ({ draft }) => (draft.backup?.targets ?? ['local']).length > 0;

const retention = (unit: string, value: number) =>
  ({
    message: `Backups to keep, one ${unit}`,
    help: `How many backups to keep, the newest of each ${unit}.`,
    field: integer(0, 3650),
    default: value,
    mend: 'give a number from 0 to 3650',
    ask,
  }) as const;

export const questions = questionsOf('backup', [
  {
    path: 'backup.targets',
    message: 'Where backups go',
    help: 'Targets of the backups, several at once; an empty list makes none.',
    field: list(oneOf(BACKUP_TARGETS)),
    choices: BACKUP_TARGETS,
    default: ['local'],
    mend: `choose among ${BACKUP_TARGETS.join(', ')}`,
  },
  {
    path: 'backup.schedule',
    message: 'When backups run (cron)',
    help: 'Cron expression of five fields, in UTC.',
    field: cron,
    default: '0 3 * * *',
    mend: "use five fields, like '0 3 * * *' for three o'clock each night",
    ask,
  },
  { path: 'backup.retention.daily', ...retention('day', 30) },
  { path: 'backup.retention.weekly', ...retention('week', 8) },
  { path: 'backup.retention.monthly', ...retention('month', 12) },
  {
    path: 'backup.pointInTime',
    message: 'Keep every change, so that the database can go back to any moment',
    help: 'Archive the write-ahead log of PostgreSQL, for restores to any moment of the last days (compose only).',
    field: yesOrNo,
    default: false,
    mend: 'give true or false',
    ask: (context) => ask(context) && (context.draft.scaling?.target ?? 'compose') === 'compose',
    // Of a PostgreSQL that is not of this generator no settings are changed.
    neededBy: [],
  },
]);
