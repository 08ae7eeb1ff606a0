import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const root = join(import.meta.dirname, '../..');

/** The packed tarball, installed in an empty folder beside `yo`, as a user has it. */
describe('the package', () => {
  let folder: string;
  const run = (command: string, args: string[], cwd = folder, uid?: number) =>
    execFileSync(command, args, {
      cwd,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, NODE_OPTIONS: '', ...(uid && { HOME: folder }) },
      ...(uid && { uid, gid: uid }),
    });

  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'botpress-prod-package-'));
    chmodSync(folder, 0o755);
    const [{ filename }] = JSON.parse(run('npm', ['pack', '--json', '--pack-destination', folder], root));
    run('npm', ['init', '--yes']);
    run('npm', ['install', '--no-audit', '--no-fund', '--omit=dev', join(folder, filename), 'yo@7.0.1']);
  }, 600_000);

  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  it('holds what it needs and nothing of the sources', () => {
    const files = run('find', [
      'node_modules/generator-botpress-prod',
      '-type',
      'f',
      '-not',
      '-path',
      '*/node_modules/*/node_modules/*',
    ]);
    expect(files).toMatch(/dist\/src\/cli\.js/);
    expect(files).toMatch(/LICENSE/);
    expect(files).toMatch(/THIRD-PARTY-LICENSES\.txt/);
    expect(files).not.toMatch(/\.ts$|\/test\/|secrets\//m);
  });

  it('answers through its own command', () => {
    expect(run('npx', ['botpress-prod', '--version']).trim()).toBe(
      JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version,
    );
    run('npx', ['botpress-prod', 'own', '--yes']);
    expect(statSync(join(folder, 'own/bin/up')).mode & 0o111).not.toBe(0);
    expect(existsSync(join(folder, 'own/.gitignore'))).toBe(true);
    run('npx', ['botpress-prod', 'check', 'own']);
  });

  it('writes the same tree through yo', () => {
    // As root, yo switches to another user; be that user from the start, in a folder of its own.
    const uid = process.getuid?.() === 0 ? 1000 : undefined;
    const target = join(folder, 'through-yo');
    mkdirSync(target);
    if (uid) execFileSync('chown', ['-R', `${uid}:${uid}`, target]);
    run(
      join(folder, 'node_modules/.bin/yo'),
      ['botpress-prod', '--yes', '--name', 'own', '--skip-install'],
      target,
      uid,
    );
    const files = (tree: string) =>
      run('find', ['.', '-type', 'f', '-not', '-path', './secrets/*'], join(folder, tree))
        .trim()
        .split('\n')
        .sort();
    expect(files('through-yo')).toEqual(files('own'));
    for (const path of files('own'))
      expect(readFileSync(join(target, path)).equals(readFileSync(join(folder, 'own', path)))).toBe(true);
  });
});
