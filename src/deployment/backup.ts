import type { Answers, BackupTarget } from './answers.ts';
import { IMAGES, POSTGRES_MAJOR } from './images.ts';
import { deriveFolders, type Folder, type Stack } from './stack.ts';

/** Backups of every environment; which targets one really uses stands in its `.env.<environment>`. */
export interface Backup {
  /** False when the answers name no target: then nothing of this part is written. */
  enabled: boolean;
  targets: BackupTarget[];
  /** One of the targets is a folder of the host. */
  local: boolean;
  /** Cron expression of five fields, in UTC. */
  schedule: string;
  /** When a set is restored for trial, likewise. */
  drillSchedule: string;
  /** Sets to keep on each target: the newest of so many days, weeks and months. */
  retention: { daily: number; weekly: number; monthly: number };
  /** Good sets that stay on each target whatever the retention says. */
  minimum: number;
  /** The write-ahead log of PostgreSQL is archived, so that the database can go back to any moment. */
  pointInTime: boolean;
  /** When the archive gets a base backup to build on: cron expression of five fields, in UTC. */
  baseSchedule: string;
  /** Days that the archive reaches back. */
  windowDays: number;
  /** MiB of write-ahead log that may wait for the archive on the disk; what is more is given up. */
  walQueue: number;
  /** Volumes and folders with files of the bots. */
  folders: Folder[];
  /** Networks of the job, as its compose file calls them. */
  networks: string[];
  /** Image of the job, built from `backup/Dockerfile` where no registry has it. */
  image: string;
  /** Scripts in `backup/lib/`, without `.sh`. */
  scripts: readonly string[];
}

/** Scripts of the job in `backup/lib/`, without `.sh`: every engine mounts the same. */
export const BACKUP_SCRIPTS = [
  'create',
  'database',
  'drill',
  'output',
  'parts',
  'prepare',
  'publish',
  'restore',
  'retention',
  'schedule',
  'sets',
  'settings',
  'signals',
  'targets',
  'verify',
] as const;

/** Further ones where the write-ahead log is archived. */
export const ARCHIVE_SCRIPTS = ['archive', 'recover'] as const;

/** Raised when `backup/Dockerfile` changes, so that a machine builds the image again. */
const IMAGE_REVISION = 1;

/** Sundays, two hours after the default time of the backups; a trial restore takes both cores. */
const DRILL_SCHEDULE = '0 5 * * 0';

/** Well before the default time of the sets: both read the whole database. */
const BASE_SCHEDULE = '30 1 * * *';

/** Twice max_wal_size: what PostgreSQL itself may need, once more. */
const WAL_QUEUE = 4096;

/** With fewer than three sets, a damaged newest one would leave no choice. */
const MINIMUM = 3;

export function deriveBackup(answers: Answers, stack?: Stack): Backup {
  const { backup } = answers;
  const [, release = String(POSTGRES_MAJOR)] = /:(\d+\.\d+)/.exec(IMAGES.postgres.reference) ?? [];
  const pointInTime = backup.targets.length > 0 && backup.pointInTime;
  return {
    enabled: backup.targets.length > 0,
    targets: backup.targets,
    local: backup.targets.includes('local'),
    schedule: backup.schedule,
    drillSchedule: DRILL_SCHEDULE,
    retention: backup.retention,
    minimum: MINIMUM,
    pointInTime,
    baseSchedule: BASE_SCHEDULE,
    windowDays: Math.max(backup.retention.daily, 1),
    walQueue: WAL_QUEUE,
    folders: deriveFolders(answers),
    networks: [...(stack ? stack.networks.map(({ key }) => key) : ['data']), 'egress'],
    image: `botpress-prod-backup:${release}-${IMAGE_REVISION}${pointInTime ? '-pgbackrest' : ''}`,
    scripts: pointInTime ? [...BACKUP_SCRIPTS, ...ARCHIVE_SCRIPTS] : BACKUP_SCRIPTS,
  };
}
