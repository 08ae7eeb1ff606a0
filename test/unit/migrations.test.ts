import { chmodSync, existsSync, mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  findMoves,
  migrateAnswers,
  migrations,
  refuseNewer,
  type Migration,
} from '../../generators/migrations.ts';
import { version } from '../../generators/plan.ts';
import { openMigrated } from '../../generators/run.ts';
import { exitCodeOfRun } from '../../src/repository/changes.ts';
import { RepositoryError } from '../../src/repository/errors.ts';
import { apply, openRepository, prepare } from '../../src/repository/repository.ts';
import {
  fileOf,
  generate,
  makeWorkspace,
  modeOf,
  ofKind,
  planOf,
  read,
  statusesOf,
  write,
} from './repository/workspace.ts';

describe('stored answers', () => {
  const steps: Migration[] = [
    { version: '0.9.0', answers: { address: 'domain' } },
    { version: '1.2.0', answers: { 'mail.to': 'alerts.email', ssl: 'tls' } },
    { version: '1.10.0', answers: { tls: 'certificates' } },
  ];

  it('take the names of each later version in turn', () => {
    const stored = { name: 'bot', ssl: 'provided', mail: { to: ['a@b.example'] } };
    expect(migrateAnswers(stored, '1.0.0', steps)).toEqual({
      name: 'bot',
      certificates: 'provided',
      alerts: { email: ['a@b.example'] },
    });
    expect(stored).toEqual({ name: 'bot', ssl: 'provided', mail: { to: ['a@b.example'] } });
  });

  it.each([
    ['1.10.0', { tls: 'x' }],
    ['1.9.9', { certificates: 'x' }],
    ['1.10.0-rc.1', { certificates: 'x' }],
    ['2.0.0', { tls: 'x' }],
  ])('that version %s stored become %j', (from, expected) => {
    expect(migrateAnswers({ tls: 'x' }, from, steps)).toEqual(expected);
  });

  it('keep a value that stands under the new name already, and siblings of a renamed one', () => {
    expect(
      migrateAnswers(
        { ssl: 'old', tls: 'new', mail: { to: ['x'], from: 'y' } },
        '1.2.0-rc.1',
        steps.slice(1, 2),
      ),
    ).toEqual({ tls: 'new', mail: { from: 'y' }, alerts: { email: ['x'] } });
  });
});

it('the table is in the order of versions and not ahead of the package', () => {
  const versions = [...migrations.map((step) => step.version), version];
  for (const [index, later] of versions.slice(1).entries())
    expect(() => refuseNewer({ generator: versions[index]!, files: new Map() }, later)).not.toThrow();
});

describe('a repository of another version', () => {
  let workspace: ReturnType<typeof makeWorkspace>;
  let dir: string;
  beforeEach(() => {
    workspace = makeWorkspace();
    dir = workspace.dir;
  });
  afterEach(() => workspace.remove());

  const lines = (port: number) => `# Server\n\nlisten ${port};\n\nroot /srv;\n\nend;\n`;
  const steps: Migration[] = [
    { version: '1.1.0', files: { 'nginx/_environment_.conf': 'nginx/_environment_/site.conf' } },
    { version: '1.2.0', files: { 'nginx/_environment_/site.conf': 'nginx/_environment_/server.conf' } },
  ];
  const before = 'nginx/staging.conf';
  const after = 'nginx/staging/server.conf';

  /** A run of the newer generator. */
  function update(files: ReturnType<typeof fileOf>[], options: { restore?: string[] } = {}) {
    const repository = openRepository(dir);
    const changes = prepare(repository, planOf(files), {
      ...options,
      moves: findMoves(repository.lock, steps),
    });
    apply(repository, changes, { force: true });
    return { statuses: statusesOf(changes.files), code: exitCodeOfRun(changes.files) };
  }

  /** Whatever the way there, the next run must find nothing to do. */
  function expectSettled(files: ReturnType<typeof fileOf>[]) {
    const { root, ...rest } = openRepository(dir);
    const changes = prepare({ root, ...rest }, planOf(files), { moves: findMoves(rest.lock, steps) });
    expect(changes.records).toEqual([]);
    expect(changes.files.filter(({ after, status }) => after && status !== 'unchanged')).toEqual([]);
  }

  it('moves an untouched file, through all versions in between', () => {
    generate(dir, planOf([fileOf(before, lines(80))]));
    const files = [fileOf(after, lines(81))];
    expect(update(files).statuses).toMatchObject({ [before]: 'removed', [after]: 'moved' });
    expect(read(dir, after)).toBe(lines(81));
    expect(existsSync(join(dir, before))).toBe(false);
    expectSettled(files);
  });

  it('moves edits along, and merges them with the new text and in later runs', () => {
    generate(dir, planOf([fileOf(before, lines(80))]));
    write(dir, before, lines(80).replace('/srv', '/mine'));
    chmodSync(join(dir, before), 0o640);
    expect(update([fileOf(after, lines(81))]).statuses).toMatchObject({
      [after]: 'merged',
      [before]: 'removed',
    });
    expect(read(dir, after)).toBe(lines(81).replace('/srv', '/mine'));
    expect(modeOf(join(dir, after))).toBe('640');
    expectSettled([fileOf(after, lines(81))]);
    update([fileOf(after, lines(82))]);
    expect(read(dir, after)).toBe(lines(82).replace('/srv', '/mine'));
  });

  it('keeps edits where the text is the same at the new path', () => {
    generate(dir, planOf([fileOf(before, lines(80))]));
    write(dir, before, `${lines(80)}mine;\n`);
    expect(update([fileOf(after, lines(80))]).statuses[after]).toBe('moved');
    expect(read(dir, after)).toBe(`${lines(80)}mine;\n`);
    expectSettled([fileOf(after, lines(80))]);
  });

  it('shows a conflict at the new path', () => {
    generate(dir, planOf([fileOf(before, lines(80))]));
    write(dir, before, lines(8080));
    expect(update([fileOf(after, lines(81))])).toMatchObject({ code: 3, statuses: { [after]: 'conflict' } });
    expect(read(dir, after)).toMatch(/listen 8080;\n=======\nlisten 81;/);
    expect(existsSync(join(dir, before))).toBe(false);
  });

  it('waits while an older conflict is not settled, and moves afterwards', () => {
    generate(dir, planOf([fileOf(before, lines(80))]));
    write(dir, before, lines(8080));
    generate(dir, planOf([fileOf(before, lines(81))]), { force: true });
    const marked = read(dir, before);
    expect(update([fileOf(after, lines(81))])).toMatchObject({
      code: 3,
      statuses: { [before]: 'unresolved' },
    });
    expect(read(dir, before)).toBe(marked);
    write(dir, before, lines(8080));
    expect(update([fileOf(after, lines(81))])).toMatchObject({ code: 0, statuses: { [after]: 'moved' } });
    expect(read(dir, after)).toBe(lines(8080));
    expectSettled([fileOf(after, lines(81))]);
  });

  it('takes a file that the user moved there for the same file', () => {
    generate(dir, planOf([fileOf(before, lines(80))]));
    write(dir, before, lines(80).replace('/srv', '/mine'));
    mkdirSync(join(dir, 'nginx/staging'));
    renameSync(join(dir, before), join(dir, after));
    expect(update([fileOf(after, lines(81))]).statuses[after]).toBe('merged');
    expect(read(dir, after)).toBe(lines(81).replace('/srv', '/mine'));
  });

  it('leaves a deleted file deleted', () => {
    generate(dir, planOf([fileOf(before, lines(80))]));
    rmSync(join(dir, before));
    expect(update([fileOf(after, lines(81))]).statuses[after]).toBe('deleted');
    expect(existsSync(join(dir, after))).toBe(false);
    expect(update([fileOf(after, lines(81))], { restore: [after] }).statuses[after]).toBe('created');
  });

  it('writes nothing over a file of the user at the new path, and keeps his edits at the old one', () => {
    generate(dir, planOf([fileOf(before, lines(80))]));
    write(dir, before, 'mine\n');
    write(dir, after, 'mine too\n');
    expect(update([fileOf(after, lines(81))])).toMatchObject({
      code: 3,
      statuses: { [after]: 'occupied', [before]: 'kept' },
    });
    expect([read(dir, before), read(dir, after)]).toEqual(['mine\n', 'mine too\n']);
  });

  it('moves secrets and seeded files with their contents and modes', () => {
    const kinds = ['secret', 'seeded'] as const;
    for (const kind of kinds) {
      generate(dir, planOf([ofKind(kind, before, 'first\n', 0o600)]), { force: true });
      if (kind === 'seeded') write(dir, before, 'mine\n');
      const files = [ofKind(kind, after, 'other\n', 0o600)];
      expect(update(files).statuses).toMatchObject({ [before]: 'removed', [after]: 'moved' });
      expect(read(dir, after)).toBe(kind === 'secret' ? 'first\n' : 'mine\n');
      expect(modeOf(join(dir, after))).toBe('600');
      expectSettled(files);
      rmSync(dir, { recursive: true });
    }
  });

  it('is refused if a newer generator wrote it, with the version that can go on', () => {
    generate(dir, { ...planOf([fileOf(before, lines(80))]), generator: '99.0.0' });
    expect(() => openMigrated(dir)).toThrow(RepositoryError);
    expect(() => openMigrated(dir)).toThrow(
      /version 99\.0\.0 .* install generator-botpress-prod@99\.0\.0 or later/,
    );
  });
});
