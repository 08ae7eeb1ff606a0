import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { exitCodeOfCheck, exitCodeOfRun } from '../../../src/repository/changes.ts';
import { apply, eject, openRepository, prepare } from '../../../src/repository/repository.ts';
import {
  fileOf,
  generate,
  look,
  makeWorkspace,
  modeOf,
  ofKind,
  photograph,
  planOf,
  read,
  statusesOf,
  write,
} from './workspace.ts';

const readme = (port = 443, more = '') =>
  fileOf('README.md', `# Bot\n\nOne line.\n\nPort ${port}\n\nThe end.\n${more}`);
const up = fileOf('bin/up', '#!/bin/bash\necho up\n', { mode: 0o755 });
const secret = (value = 'first') => ofKind('secret', 'secrets/production/password', value);
const environment = (...lines: string[]) => ofKind('seeded', '.env.production', `${lines.join('\n')}\n`);

let workspace: ReturnType<typeof makeWorkspace>;
let dir: string;
beforeEach(() => {
  workspace = makeWorkspace();
  dir = workspace.dir;
});
afterEach(() => workspace.remove());

describe('a first run', () => {
  it('writes every file with its mode, the answers, the lock and the base copies', () => {
    generate(dir, planOf([readme(), up, secret(), environment('PORT=443')]));
    expect(read(dir, 'README.md')).toContain('Port 443');
    expect(modeOf(join(dir, 'bin/up'))).toBe('755');
    expect(modeOf(join(dir, '.env.production'))).toBe('600');
    expect(JSON.parse(read(dir, '.yo-rc.json'))).toEqual({ 'generator-botpress-prod': { name: 'acme-bot' } });
    expect(openRepository(dir).answers).toEqual({ name: 'acme-bot' });
    const copy = JSON.parse(read(dir, '.botpress-prod/base.json'))['bin/up'];
    expect(gunzipSync(Buffer.from(copy, 'base64')).toString()).toBe(up.content);
    expect(readdirSync(join(dir, '.botpress-prod'))).toEqual(['base.json', 'lock.json']);
  });

  it('keeps secrets to their owner and out of the records', () => {
    generate(dir, planOf([secret(), ofKind('secret', 'secrets/production/shared', 'other', 0o644)]));
    expect(modeOf(join(dir, 'secrets/production'))).toBe('700');
    expect(modeOf(join(dir, 'secrets/production/password'))).toBe('600');
    expect(modeOf(join(dir, 'secrets/production/shared'))).toBe('644');
    expect(JSON.parse(read(dir, '.botpress-prod/lock.json')).files['secrets/production/password']).toEqual({
      kind: 'secret',
      mode: '600',
      template: 'app/secrets/production/password.ejs',
    });
    expect(read(dir, '.botpress-prod/base.json')).toBe('{}\n');
  });

  it.each([0o077, 0o027, 0o022])('makes folders that others can enter under umask %s', (mask) => {
    const former = process.umask(mask);
    try {
      generate(dir, planOf([fileOf('nginx/snippets/log.conf', '#\n')]));
    } finally {
      process.umask(former);
    }
    expect(
      ['nginx', 'nginx/snippets', 'nginx/snippets/log.conf'].map((path) => modeOf(join(dir, path))),
    ).toEqual(['755', '755', '644']);
  });

  it('closes a folder to others before a secret comes into it', () => {
    mkdirSync(join(dir, 'secrets/production'), { recursive: true });
    chmodSync(join(dir, 'secrets/production'), 0o755);
    generate(dir, planOf([ofKind('secret', 'secrets/production/shared', 'other', 0o644)]));
    expect(modeOf(join(dir, 'secrets/production'))).toBe('700');
  });

  it('tells its progress file by file', () => {
    const seen: string[] = [];
    const repository = openRepository(dir);
    apply(repository, prepare(repository, planOf([readme(), up])), {
      onProgress: (path, done, total) => seen.push(`${path} ${done}/${total}`),
    });
    expect(seen.slice(0, 3)).toEqual(['.yo-rc.json 1/5', 'README.md 2/5', 'bin/up 3/5']);
  });

  it('refuses a folder where files are in the way, names them and writes nothing', () => {
    write(dir, 'README.md', 'mine\n');
    write(dir, 'notes.txt', 'mine too\n');
    const before = photograph(dir);
    expect(() => generate(dir, planOf([readme(), up]))).toThrow(
      expect.objectContaining({ exitCode: 3, message: expect.stringContaining('  README.md\n') }),
    );
    expect(photograph(dir)).toEqual(before);
  });

  it('takes over files that are the same and goes beside the others with force', () => {
    write(dir, 'bin/up', up.content);
    write(dir, 'README.md', 'mine\n');
    expect(generate(dir, planOf([readme(), up]), { force: true })).toMatchObject({
      'README.md': 'occupied',
      'bin/up': 'unchanged',
    });
    expect(read(dir, 'README.md')).toBe('mine\n');
    expect([...(openRepository(dir).lock?.files.keys() ?? [])]).toEqual(['bin/up']);
  });

  it('merges a file of the user with the generated one when told to', () => {
    write(dir, 'README.md', 'mine\n');
    expect(generate(dir, planOf([readme()]), { restore: ['README.md'] })).toMatchObject({
      'README.md': 'conflict',
    });
    expect(read(dir, 'README.md')).toMatch(/^<<<<<<< yours\nmine\n=======\n# Bot\n/);
  });

  it('keeps the answers of other generators', () => {
    write(dir, '.yo-rc.json', '{"generator-other": {"a": 1}}');
    generate(dir, planOf([readme()]));
    expect(JSON.parse(read(dir, '.yo-rc.json'))).toEqual({
      'generator-other': { a: 1 },
      'generator-botpress-prod': { name: 'acme-bot' },
    });
  });
});

describe('a later run', () => {
  it('changes nothing when nothing is new, and says so', () => {
    const plan = planOf([readme(), up, secret(), environment('PORT=443')]);
    generate(dir, plan);
    const before = photograph(dir);
    const repository = openRepository(dir);
    const changes = prepare(repository, planOf([readme(), up, secret('second'), environment('PORT=443')]));
    expect(apply(repository, changes)).toBe(false);
    expect([exitCodeOfRun(changes.files), exitCodeOfCheck(changes.files)]).toEqual([0, 0]);
    expect(photograph(dir)).toEqual(before);
  });

  it('updates an untouched file and merges an edited one', () => {
    generate(dir, planOf([readme(), fileOf('a', 'one\n')]));
    write(dir, 'README.md', read(dir, 'README.md').replace('One line.', 'My line.'));
    expect(generate(dir, planOf([readme(8443), fileOf('a', 'two\n')]))).toMatchObject({
      'README.md': 'merged',
      a: 'updated',
    });
    expect(read(dir, 'README.md')).toBe(readme(8443).content.replace('One line.', 'My line.'));
  });

  it('leaves a clean edit alone, and check is content with it', () => {
    generate(dir, planOf([readme()]));
    write(dir, 'README.md', 'all mine\n');
    const files = look(dir, planOf([readme()]));
    expect(statusesOf(files)).toMatchObject({ 'README.md': 'edited' });
    expect(exitCodeOfCheck(files)).toBe(0);
  });

  it('marks a conflict once, refuses to merge over it, and goes on when it is settled', () => {
    generate(dir, planOf([readme()]));
    write(dir, 'README.md', read(dir, 'README.md').replace('Port 443', 'Port 1'));
    expect(generate(dir, planOf([readme(8443)]))).toMatchObject({ 'README.md': 'conflict' });
    const marked = read(dir, 'README.md');
    expect(generate(dir, planOf([readme(8443)]))).toMatchObject({ 'README.md': 'unresolved' });
    expect(generate(dir, planOf([readme(9443)]))).toMatchObject({ 'README.md': 'unresolved' });
    expect(read(dir, 'README.md')).toBe(marked);
    const files = look(dir, planOf([readme(9443)]));
    expect([exitCodeOfRun(files), exitCodeOfCheck(files)]).toEqual([3, 3]);

    write(dir, 'README.md', readme(8443).content.replace('One line.', 'My line.'));
    expect(generate(dir, planOf([readme(9443)]))).toMatchObject({ 'README.md': 'merged' });
    expect(read(dir, 'README.md')).toBe(readme(9443).content.replace('One line.', 'My line.'));
  });

  it('lets a deleted file stay deleted, also across new texts, until it is restored', () => {
    generate(dir, planOf([readme(), up]));
    rmSync(join(dir, 'README.md'));
    expect(generate(dir, planOf([readme(8443), up]))).toMatchObject({ 'README.md': 'deleted' });
    expect(exitCodeOfCheck(look(dir, planOf([readme(8443), up])))).toBe(0);
    expect(generate(dir, planOf([readme(8443), up]), { restore: ['README.md'] })).toMatchObject({
      'README.md': 'created',
    });
    expect(read(dir, 'README.md')).toBe(readme(8443).content);
  });

  it('refuses to restore a file that it does not make', () => {
    expect(() => generate(dir, planOf([readme()]), { restore: ['READ.me'] })).toThrow(
      /Cannot restore READ.me/,
    );
  });

  it('takes a renamed file for a deleted one and does not touch the new name', () => {
    generate(dir, planOf([readme()]));
    renameSync(join(dir, 'README.md'), join(dir, 'LIESMICH.md'));
    expect(generate(dir, planOf([readme(8443)]))).toMatchObject({ 'README.md': 'deleted' });
    expect(read(dir, 'LIESMICH.md')).toBe(readme().content);
  });

  it('removes a file that is no longer made with its folder, keeps an edited one, and merges it if it returns', () => {
    const monitoring = (port: number) => fileOf('monitoring/a.yml', `a\n\nb\n\nport: ${port}\n`);
    generate(dir, planOf([readme(), monitoring(1), fileOf('monitoring/deep/b.yml', 'b\n')]));
    write(dir, 'monitoring/a.yml', `mine\n${read(dir, 'monitoring/a.yml')}`);
    expect(generate(dir, planOf([readme()]))).toMatchObject({
      'monitoring/a.yml': 'kept',
      'monitoring/deep/b.yml': 'removed',
    });
    expect(readdirSync(join(dir, 'monitoring'))).toEqual(['a.yml']);
    expect(generate(dir, planOf([readme(), monitoring(2)]))).toMatchObject({ 'monitoring/a.yml': 'merged' });
    expect(read(dir, 'monitoring/a.yml')).toBe(`mine\n${monitoring(2).content}`);
  });

  it('keeps permissions that the user changed, unless the generator changes them', () => {
    generate(dir, planOf([readme(), up]));
    chmodSync(join(dir, 'README.md'), 0o640);
    generate(dir, planOf([readme(8443), up]));
    expect(modeOf(join(dir, 'README.md'))).toBe('640');
    generate(dir, planOf([{ ...readme(8443), mode: 0o755 }, up]));
    expect(modeOf(join(dir, 'README.md'))).toBe('755');
  });

  it('never touches a seeded file and names the lines of new variables', () => {
    generate(dir, planOf([environment('A=1', 'B=2'), ofKind('seeded', 'data/flow.json', '{}\n')]));
    write(dir, '.env.production', '# A=old\nexport B=3\n');
    rmSync(join(dir, 'data/flow.json'));
    const plan = planOf([
      environment('A=1', 'B=2', 'C=three'),
      ofKind('seeded', 'data/flow.json', '{"new": 1}\n'),
    ]);
    expect(generate(dir, plan)).toMatchObject({
      '.env.production': 'incomplete',
      'data/flow.json': 'deleted',
    });
    const files = look(dir, plan);
    expect(files.find(({ path }) => path === '.env.production')?.missing).toEqual(['C=three']);
    expect(exitCodeOfCheck(files)).toBe(3);
    write(dir, '.env.production', '# A=old\nexport B=3\nC=4\n');
    expect(exitCodeOfCheck(look(dir, plan))).toBe(0);
  });

  it('makes secrets and environment files anew in a fresh clone, which check does not mind', () => {
    const plan = planOf([secret(), environment('A=1'), readme()]);
    generate(dir, plan);
    rmSync(join(dir, 'secrets'), { recursive: true });
    rmSync(join(dir, '.env.production'));
    expect(exitCodeOfCheck(look(dir, plan))).toBe(0);
    expect(generate(dir, plan)).toMatchObject({
      'secrets/production/password': 'restored',
      '.env.production': 'restored',
    });
    expect(modeOf(join(dir, 'secrets/production'))).toBe('700');
  });

  it('never overwrites a secret, and leaves those of a dropped environment', () => {
    generate(dir, planOf([secret('first')]));
    write(dir, 'secrets/production/password', 'rotated');
    expect(generate(dir, planOf([secret('second')]))).toMatchObject({
      'secrets/production/password': 'unchanged',
    });
    expect(generate(dir, planOf([]))).toMatchObject({ 'secrets/production/password': 'kept' });
    expect(read(dir, 'secrets/production/password')).toBe('rotated');
  });

  it('heals a lost base copy and drops one that nothing needs', () => {
    const plan = planOf([readme()]);
    generate(dir, plan);
    const before = photograph(dir);
    write(dir, '.botpress-prod/base.json', '{"old/file": "old"}');
    generate(dir, plan);
    expect(photograph(dir)).toEqual(before);
  });

  it('merges without a base, by a conflict, where the copy is gone and both sides changed', () => {
    generate(dir, planOf([readme()]));
    rmSync(join(dir, '.botpress-prod/base.json'));
    write(dir, 'README.md', 'mine\n');
    expect(generate(dir, planOf([readme(8443)]))).toMatchObject({ 'README.md': 'conflict' });
    expect(read(dir, 'README.md')).toContain('\nmine\n');
  });

  it('does not overwrite what was edited between prepare and apply', () => {
    generate(dir, planOf([readme()]));
    const repository = openRepository(dir);
    const changes = prepare(repository, planOf([readme(8443)]));
    write(dir, 'README.md', 'typed just now\n');
    expect(() => apply(repository, changes)).toThrow(/README.md was changed while this run was at work/);
    expect(read(dir, 'README.md')).toBe('typed just now\n');
  });
});

describe('things in the place of a file', () => {
  it.each([
    ['a link out of the tree', (path: string) => symlinkSync('/etc/hostname', path), 'is a symbolic link'],
    ['a folder', (path: string) => mkdirSync(path), 'is a folder'],
    ['a pipe', (path: string) => execFileSync('mkfifo', [path]), 'is not a regular file'],
    ['a binary file', (path: string) => write(path, '', Buffer.from([0, 1, 2])), 'is a binary file'],
  ])('reports %s and leaves it', (_, put, told) => {
    generate(dir, planOf([readme(), up]));
    rmSync(join(dir, 'README.md'));
    put(join(dir, 'README.md'));
    const before = photograph(dir)['README.md'];
    const files = look(dir, planOf([readme(8443), up]));
    expect(files.find(({ path }) => path === 'README.md')).toMatchObject({
      status: 'obstructed',
      obstacle: `README.md ${told}`,
    });
    generate(dir, planOf([readme(8443), up]));
    expect(photograph(dir)['README.md']).toBe(before);
  });

  it('does not follow a linked folder out of the tree', () => {
    const outside = join(workspace.parent, 'outside');
    generate(dir, planOf([readme(), up]));
    renameSync(join(dir, 'bin'), outside);
    symlinkSync(outside, join(dir, 'bin'));
    expect(generate(dir, planOf([{ ...up, content: 'new\n' }]))).toMatchObject({ 'bin/up': 'obstructed' });
    expect(generate(dir, planOf([]))).toMatchObject({ 'bin/up': 'kept' });
    expect(read(outside, 'up')).toBe(up.content);
  });

  it('accepts a secret that is a link to a vault and reports a folder that Docker made of a missing one', () => {
    generate(dir, planOf([readme()]));
    mkdirSync(join(dir, 'secrets/production'), { recursive: true });
    symlinkSync('/run/vault/password', join(dir, 'secrets/production/password'));
    mkdirSync(join(dir, 'secrets/production/token'));
    expect(
      look(dir, planOf([secret(), ofKind('secret', 'secrets/production/token', 'x')])).slice(2),
    ).toMatchObject([
      { path: 'secrets/production/password', status: 'unchanged' },
      { path: 'secrets/production/token', status: 'obstructed' },
    ]);
  });
});

describe('git', () => {
  const git = (...command: string[]) =>
    execFileSync('git', ['-C', dir, '-c', 'user.name=t', '-c', 'user.email=t@t.example', ...command], {
      encoding: 'utf8',
    });

  it('refuses a dirty tree with the reason in one sentence, unless forced or nothing is new', () => {
    generate(dir, planOf([readme(), up]));
    git('init', '-q');
    git('add', '.');
    git('commit', '-qm', 'first');
    write(dir, 'README.md', `${read(dir, 'README.md')}mine\n`);
    const before = photograph(dir);
    expect(() => generate(dir, planOf([readme(8443), up]))).toThrow(
      expect.objectContaining({
        exitCode: 3,
        message: expect.stringMatching(
          /^The git tree has uncommitted changes \(README\.md\), [^.]* --force\.$/,
        ),
      }),
    );
    expect(photograph(dir)).toEqual(before);
    expect(generate(dir, planOf([readme(), up]))).toMatchObject({ 'README.md': 'edited' });
    expect(generate(dir, planOf([readme(8443), up]), { force: true })).toMatchObject({
      'README.md': 'merged',
    });
  });

  it('does not mind untracked files, a clean tree, or secrets that only this checkout lacks', () => {
    const plan = planOf([readme(), secret()]);
    generate(dir, plan);
    write(dir, '.gitignore', 'secrets/\n');
    git('init', '-q');
    git('add', '.');
    git('commit', '-qm', 'first');
    write(dir, 'notes.txt', 'untracked\n');
    expect(generate(dir, planOf([readme(8443), secret()]))).toMatchObject({ 'README.md': 'updated' });
    rmSync(join(dir, 'secrets'), { recursive: true });
    expect(generate(dir, planOf([readme(8443), secret()]))).toMatchObject({
      'secrets/production/password': 'restored',
    });
  });

  it('works where git is not installed', () => {
    generate(dir, planOf([readme()]));
    git('init', '-q');
    git('add', '.');
    const path = process.env.PATH;
    process.env.PATH = '/nonexistent';
    try {
      expect(generate(dir, planOf([readme(8443)]))).toMatchObject({ 'README.md': 'updated' });
    } finally {
      process.env.PATH = path;
    }
  });

  it.each([
    // As the owner of a bind mount is to root in a container.
    [
      'a tree of another user',
      { GIT_TEST_ASSUME_DIFFERENT_OWNER: '1' },
      () => {},
      /dubious ownership.*safe\.directory/s,
    ],
    ['a damaged index', {}, () => write(dir, '.git/index', 'junk'), /index file smaller than expected/],
    [
      'a working tree whose repository is elsewhere',
      {},
      () => {
        rmSync(join(dir, '.git'), { recursive: true });
        write(dir, '.git', 'gitdir: /nonexistent/repository\n');
      },
      /not a git repository: /,
    ],
  ])(
    'refuses %s, of which git cannot say whether it is clean, with the words of git, unless forced',
    (...row) => {
      const [, environment, damage, words] = row;
      generate(dir, planOf([readme(), up]));
      git('init', '-q');
      git('add', '.');
      git('commit', '-qm', 'first');
      write(dir, 'README.md', `${read(dir, 'README.md')}mine\n`);
      damage();
      const before = photograph(dir);
      const outer = { ...process.env };
      // Whatever this machine trusts.
      const settings = {
        GIT_CONFIG_GLOBAL: '/dev/null',
        GIT_CONFIG_SYSTEM: '/dev/null',
        LC_ALL: 'de_DE.UTF-8',
      };
      Object.assign(process.env, settings, environment);
      try {
        expect(() => generate(dir, planOf([readme(8443), up]))).toThrow(
          expect.objectContaining({
            exitCode: 1,
            message: expect.stringMatching(/^Whether .* git failed:\n {2}fatal: [^]*\n.* --force\.$/),
          }),
        );
        expect(() => generate(dir, planOf([readme(8443), up]))).toThrow(words);
        expect(photograph(dir)).toEqual(before);
        expect(generate(dir, planOf([readme(8443), up]), { force: true })).toMatchObject({
          'README.md': 'merged',
        });
      } finally {
        process.env = outer;
      }
    },
  );

  it('does not mind something else that is called .git', () => {
    generate(dir, planOf([readme()]));
    mkdirSync(join(dir, '.git'));
    expect(generate(dir, planOf([readme(8443)]))).toMatchObject({ 'README.md': 'updated' });
  });

  it('merges the records of two branches by itself', () => {
    const files = Array.from({ length: 9 }, (_, index) => fileOf(`file-${index}`, `text ${index}\n`));
    const changed = (at: number) =>
      planOf(files.map((file, index) => (index === at ? fileOf(file.path, 'new\n') : file)));
    generate(dir, planOf(files));
    git('init', '-q', '-b', 'one');
    git('add', '.');
    git('commit', '-qm', 'first');
    git('branch', 'two');
    for (const [branch, at] of [
      ['one', 1],
      ['two', 6],
    ] as const) {
      git('checkout', '-q', branch);
      generate(dir, changed(at));
      git('commit', '-qam', branch);
    }
    git('merge', '-q', '-m', 'both', 'one');
    const both = planOf(
      files.map((file, index) => (index === 1 || index === 6 ? fileOf(file.path, 'new\n') : file)),
    );
    expect(apply(openRepository(dir), prepare(openRepository(dir), both))).toBe(false);
  });
});

describe('eject', () => {
  it('removes the records and nothing else', () => {
    generate(dir, planOf([readme(), up, secret()]));
    const before = photograph(dir);
    eject(openRepository(dir));
    const isRecord = (path: string) => path.startsWith('.botpress-prod');
    expect(photograph(dir)).toEqual(
      Object.fromEntries(Object.entries(before).filter(([path]) => !isRecord(path))),
    );
    expect(openRepository(dir).lock).toBeUndefined();
  });
});
