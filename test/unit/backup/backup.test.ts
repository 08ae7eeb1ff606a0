import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { artefacts } from '../../../generators/backup/files.ts';
import { parseAnswers } from '../../../generators/gate.ts';
import { deriveDeployment } from '../../../src/deployment/deployment.ts';
import { renderArtefacts } from '../../../src/rendering/artefact.ts';
import { withAnswers } from '../answers/sample.ts';

const render = (changes: Record<string, unknown>) =>
  new Map(
    renderArtefacts('backup', artefacts, deriveDeployment(parseAnswers(withAnswers(changes)))).map(
      ({ path, content }) => [path, content],
    ),
  );

interface Service {
  user: string;
  read_only: boolean;
  cap_drop: string[];
  volumes: string[];
  secrets?: string[];
  profiles?: string[];
}

describe('the files of the part', () => {
  it('are none where the answers name no target', () => {
    expect(render({ 'backup.targets': [] }).size).toBe(0);
  });

  it('mount a folder of the host for the target local only', () => {
    expect(render({ 'backup.targets': ['local'] }).get('compose.backup.yaml')).toContain(':/backups');
    expect(render({ 'backup.targets': ['s3'] }).get('compose.backup.yaml')).not.toContain(':/backups');
  });

  it('run the job hardened, with the right to read the files of the bots and nothing more', () => {
    const { services } = parse(render({}).get('compose.backup.yaml') ?? '', { merge: true }) as {
      services: Record<string, Service>;
    };
    const { backup, restore } = services as { backup: Service; restore: Service };
    expect(backup).toMatchObject({
      user: '999:999',
      read_only: true,
      cap_drop: expect.arrayContaining(['ALL']),
      secrets: ['botpress-backup-password'],
    });
    expect(backup.volumes).toEqual(
      expect.arrayContaining(['uploads:/data/uploads:ro', 'app-data:/data/app-data:ro', '.:/repository:ro']),
    );
    expect(restore.profiles).toEqual(['restore']);
  });

  it('name as companions what runs beside the bot, all of it and nothing else', () => {
    const files = render({});
    const { services } = parse(files.get('compose.backup.yaml') ?? '', { merge: true }) as {
      services: Record<string, Service & { image?: string }>;
    };
    const own = Object.entries(services).filter(([, { image, profiles }]) => image && !profiles);
    expect(files.get('bin/lib/parts/backup.sh')).toContain(
      `COMPANIONS['backup']='${own.map(([service]) => service).join(' ')}'`,
    );
  });

  it('take settings from the file of the environment alone', () => {
    const interpolated = [...(render({}).get('compose.backup.yaml') ?? '').matchAll(/\$\{(BACKUP_\w+)/g)];
    expect(interpolated.map(([, variable]) => variable).sort()).toEqual([
      'BACKUP_CPUS',
      'BACKUP_DIRECTORY',
      'BACKUP_DIRECTORY',
      'BACKUP_DIRECTORY',
      'BACKUP_MEMORY',
    ]);
  });

  it('archive the write-ahead log where the answers say so, by a service that no network reaches', () => {
    const { services } = parse(render({ 'backup.pointInTime': true }).get('compose.backup.yaml') ?? '', {
      merge: true,
    }) as { services: Record<string, Service & { network_mode?: string }> };
    expect(services['wal-archive']).toMatchObject({
      user: '999:999',
      read_only: true,
      network_mode: 'none',
      volumes: expect.arrayContaining(['postgres:/var/lib/postgresql/data:ro']),
    });
    const without = [...render({})].map((file) => file.join('\n')).join('\n');
    expect(without).not.toMatch(/pgbackrest|wal-|archive_tool|--at/i);
  });

  it('build the image that the system tests use', () => {
    const folder = join(import.meta.dirname, '../../system/images');
    const images = readFileSync(join(folder, 'images.json'), 'utf8');
    for (const [context, pointInTime] of [
      ['backup', false],
      ['backup-point-in-time', true],
    ] as const) {
      const changes = { 'backup.pointInTime': pointInTime };
      const dockerfile = readFileSync(join(folder, context, 'Dockerfile'), 'utf8');
      expect(render(changes).get('backup/Dockerfile')).toBe(dockerfile);
      const { backup } = deriveDeployment(parseAnswers(withAnswers(changes)));
      expect(images).toContain(`"${backup.image}"`);
    }
  });
});

describe('the schedule', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'backup-schedule-'));
    writeFileSync(join(folder, 'schedule.sh'), render({}).get('backup/lib/schedule.sh') ?? '');
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  const next = (expression: string, after: string) =>
    new Date(
      1000 *
        Number(
          execFileSync(
            'bash',
            [
              '-c',
              'set -f; . "$1"; next_moment "$2" "$3"',
              'bash',
              join(folder, 'schedule.sh'),
              expression,
              String(Date.parse(after) / 1000),
            ],
            { encoding: 'utf8', env: { ...process.env, TZ: 'Asia/Kathmandu' } },
          ),
        ),
    ).toISOString();

  /** What the schedule waits for at a moment, when the last backup and the last trial restore began at others. */
  const job = (schedule: string, drill: string, now: string, served: string, drilled: string) => {
    const seconds = (moment: string) => String(Date.parse(moment) / 1000);
    const [what, moment] = execFileSync(
      'bash',
      [
        '-c',
        'set -f; . "$1"; date() { printf "%s\\n" "$NOW"; }; next_job "$2" "$3"',
        ...['bash', join(folder, 'schedule.sh'), seconds(served), seconds(drilled)],
      ],
      {
        encoding: 'utf8',
        env: {
          ...process.env,
          NOW: seconds(now),
          BACKUP_SCHEDULE: schedule,
          BACKUP_DRILL_SCHEDULE: drill,
        },
      },
    ).split(' ');
    return `${what} ${new Date(1000 * Number(moment)).toISOString().slice(0, 16)}`;
  };

  // The 4th of January 2026 is a Sunday.
  it.each([
    // Both in the same minute: one after the other.
    ['0 * * * *', '0 5 * * 0', '04T04:10', '04T04:00', '01T00:00', 'create 2026-01-04T05:00'],
    ['0 * * * *', '0 5 * * 0', '04T05:02', '04T05:00', '01T00:00', 'drill 2026-01-04T05:00'],
    ['0 * * * *', '0 5 * * 0', '04T05:09', '04T05:00', '04T05:02', 'create 2026-01-04T06:00'],
    // What falls due during a long job comes once after it.
    ['*/30 * * * *', '0 5 * * 0', '04T06:40', '04T04:30', '04T05:00', 'create 2026-01-04T05:00'],
    ['*/30 * * * *', '0 5 * * 0', '04T06:45', '04T06:40', '04T05:00', 'create 2026-01-04T07:00'],
    ['0 3 * * *', 'off', '04T01:00', '03T03:00', '01T00:00', 'create 2026-01-04T03:00'],
    // A clock that was set back by days waits for the next moment all the same.
    ['0 3 * * *', '0 5 * * 0', '04T01:00', '09T03:00', '09T03:00', 'create 2026-01-04T03:00'],
  ])('%s and %s at %s, last at %s and %s: %s', (schedule, drill, now, served, drilled, expected) => {
    const [at, a, b] = [now, served, drilled].map((day) => `2026-01-${day}:00Z`) as [string, string, string];
    expect(job(schedule, drill, at, a, b)).toBe(expected);
  });

  it.each([
    ['0 3 * * *', '2026-01-01T02:59:59Z', '2026-01-01T03:00:00.000Z'],
    ['0 3 * * *', '2026-01-01T03:00:00Z', '2026-01-02T03:00:00.000Z'],
    ['*/15 * * * *', '2026-01-01T23:46:00Z', '2026-01-02T00:00:00.000Z'],
    ['30 4 1 * *', '2026-01-01T04:30:00Z', '2026-02-01T04:30:00.000Z'],
    ['0 0 29 2 *', '2026-03-01T00:00:00Z', '2028-02-29T00:00:00.000Z'],
    ['0 5 * * 0', '2026-01-01T00:00:00Z', '2026-01-04T05:00:00.000Z'],
    ['0 5 * * 7', '2026-01-01T00:00:00Z', '2026-01-04T05:00:00.000Z'],
    ['0 5 * * 1-5', '2026-01-02T06:00:00Z', '2026-01-05T05:00:00.000Z'],
    // The 13th or a Friday, whichever comes first.
    ['0 0 13 * 5', '2026-01-03T00:00:00Z', '2026-01-09T00:00:00.000Z'],
    ['0 0 13 * 5', '2026-01-09T00:00:00Z', '2026-01-13T00:00:00.000Z'],
    ['5,10 8-9 * * *', '2026-01-01T08:10:00Z', '2026-01-01T09:05:00.000Z'],
    ['08 09 * * *', '2026-01-01T00:00:00Z', '2026-01-01T09:08:00.000Z'],
  ])('%s after %s is %s', (expression, after, expected) => {
    expect(next(expression, after)).toBe(expected);
  });

  it('refuses what never fits', () => {
    expect(() => next('0 0 31 2 *', '2026-01-01T00:00:00Z')).toThrow();
  });
});
