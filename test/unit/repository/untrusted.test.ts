import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdirSync, renameSync, rmSync, symlinkSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { hashOf } from '../../../src/repository/lock.ts';
import { openRepository } from '../../../src/repository/repository.ts';
import { fileOf, generate, makeWorkspace, ofKind, photograph, planOf, read, write } from './workspace.ts';

const lockPath = '.botpress-prod/lock.json';
const plan = planOf([fileOf('README.md', 'text\n')]);

let workspace: ReturnType<typeof makeWorkspace>;
let dir: string;
beforeEach(() => {
  workspace = makeWorkspace();
  dir = workspace.dir;
  generate(dir, plan);
});
afterEach(() => workspace.remove());

/** Writes the lock with one entry changed or added. */
function forge(path: string, entry: object): void {
  const lock = JSON.parse(read(dir, lockPath));
  const files = { ...lock.files, [path]: { ...lock.files['README.md'], ...entry } };
  write(dir, lockPath, JSON.stringify({ ...lock, files }));
}

describe('a lock that somebody edited', () => {
  it.each([
    ['../outside', 'leaves the repository'],
    ['a/../../outside', 'leaves the repository'],
    ['/etc/passwd', 'absolute'],
    ['C:/windows', 'absolute'],
    ['a\0b', 'control character'],
    ['a\\..\\b', 'backslash'],
    ['a//b', 'plain form'],
    ['./a', 'plain form'],
    ['', 'empty'],
    ['.git/config', 'belongs to git'],
    ['.GIT/hooks/pre-commit', 'belongs to git'],
    ['.botpress-prod/lock.json', 'belongs to the generator'],
    ['.yo-rc.json', 'belongs to the generator'],
    ['x'.repeat(256), 'longer than 255 bytes'],
  ])('is refused for the path %j', (path, reason) => {
    forge(path, {});
    expect(() => generate(dir, plan)).toThrow(
      expect.objectContaining({ exitCode: 2, message: expect.stringContaining(reason) }),
    );
  });

  it.each([
    ['kind', 'other', '"kind"'],
    ['mode', '4755', '"mode"'],
    ['mode', 420, '"mode"'],
    ['template', null, '"template"'],
    ['sha256', 'abc', '"sha256"'],
  ])('is refused for the %s %j', (field, value, told) => {
    forge('README.md', { [field]: value });
    expect(() => generate(dir, plan)).toThrow(
      expect.objectContaining({ message: expect.stringContaining(told) }),
    );
  });

  it.each([
    ['', 'not valid JSON'],
    ['[]', 'not a JSON object'],
    ['{"lockVersion": 2, "generator": "9.0.0", "files": {}}', '"lockVersion" is 2, this generator reads 1'],
    ['{"lockVersion": 1, "files": {}}', '"generator"'],
    ['{"lockVersion": 1, "generator": "1.0.0", "files": []}', '"files"'],
    ['{\n<<<<<<< HEAD\n', 'conflict markers of a git merge'],
  ])('is refused as a whole: %j', (text, told) => {
    write(dir, lockPath, text);
    const before = photograph(dir);
    expect(() => generate(dir, plan)).toThrow(
      expect.objectContaining({
        exitCode: 2,
        message: expect.stringMatching(/^\.botpress-prod\/lock\.json .*git checkout/),
      }),
    );
    expect(() => generate(dir, plan)).toThrow(told);
    expect(photograph(dir)).toEqual(before);
  });

  it('makes no object of another kind by its keys', () => {
    write(dir, lockPath, read(dir, lockPath).replace('"README.md"', '"__proto__"'));
    expect([...(openRepository(dir).lock?.files.keys() ?? [])]).toEqual(['__proto__']);
  });
});

describe('base copies that somebody changed', () => {
  const basePath = '.botpress-prod/base.json';
  const copyOf = (bytes: Buffer | string) =>
    JSON.stringify({ 'README.md': gzipSync(bytes).toString('base64') });

  it.each([
    ['another text', copyOf('other\n'), 'is not the text that the lock records'],
    ['no gzip', '{"README.md": "text"}', 'is not the text that the lock records'],
    ['a bomb', copyOf(Buffer.alloc(64 * 1024 * 1024)), 'is not the text that the lock records'],
    ['no string', '{"README.md": {}}', 'is not a string'],
    ['no object', 'null', 'not a JSON object'],
    ['a git merge', '{\n<<<<<<< HEAD\n', 'conflict markers of a git merge'],
  ])('are refused when they are needed: %s', (_, text, told) => {
    write(dir, basePath, text);
    write(dir, 'README.md', 'mine\n');
    expect(() => generate(dir, planOf([fileOf('README.md', 'new\n')]))).toThrow(
      expect.objectContaining({
        exitCode: 2,
        message: expect.stringMatching(/^\.botpress-prod\/base\.json .* delete it: /),
      }),
    );
    expect(() => generate(dir, planOf([fileOf('README.md', 'new\n')]))).toThrow(told);
    expect(read(dir, 'README.md')).toBe('mine\n');
  });

  it('are not read or written through a link', () => {
    const outside = join(workspace.parent, 'outside');
    renameSync(join(dir, basePath), outside);
    symlinkSync(outside, join(dir, basePath));
    const before = photograph(workspace.parent);
    expect(() => generate(dir, planOf([fileOf('README.md', 'new\n')]))).toThrow(
      /base\.json is a symbolic link/,
    );
    expect(photograph(workspace.parent)).toEqual(before);
  });
});

describe('records in strange places', () => {
  it('refuses a linked record folder', () => {
    renameSync(join(dir, '.botpress-prod'), join(workspace.parent, 'outside'));
    symlinkSync('../outside', join(dir, '.botpress-prod'));
    expect(() => openRepository(dir)).toThrow(/\.botpress-prod is not a folder/);
  });

  it('refuses a linked lock', () => {
    rmSync(join(dir, lockPath));
    symlinkSync('/etc/hostname', join(dir, lockPath));
    expect(() => openRepository(dir)).toThrow(/lock\.json is a symbolic link/);
  });

  it.each([
    ['{', 'not valid JSON'],
    ['"text"', 'not a JSON object'],
    ['{"generator-botpress-prod": [1]}', 'not an object'],
  ])('refuses the answers %s', (text, told) => {
    write(dir, '.yo-rc.json', text);
    expect(() => openRepository(dir)).toThrow(
      expect.objectContaining({ exitCode: 2, message: expect.stringContaining(told) }),
    );
  });

  it('refuses a file where the repository should be', () => {
    expect(() => openRepository(join(dir, 'README.md'))).toThrow(/README\.md is not a folder/);
  });

  it('refuses a plan that would leave the repository', () => {
    expect(() => generate(dir, planOf([fileOf('../evil', 'x')]))).toThrow(/leaves the repository/);
    expect(existsSync(join(workspace.parent, 'evil'))).toBe(false);
  });
});

describe('what looks like a killed run', () => {
  const folder = '.botpress-prod/transaction-999999999';
  const leave = (journal: unknown) => {
    write(dir, `${folder}/0`, 'staged\n');
    write(dir, `${folder}/journal.json`, typeof journal === 'string' ? journal : JSON.stringify(journal));
  };

  it('is completed if it is whole, and dropped if it has no journal', () => {
    leave([
      { write: 'new.txt', staged: '0', isPrivate: false },
      { remove: 'README.md', replaces: hashOf(Buffer.from('text\n')) },
    ]);
    expect(openRepository(dir).hasRecovered).toBe(true);
    expect(read(dir, 'new.txt')).toBe('staged\n');
    expect(existsSync(join(dir, 'README.md'))).toBe(false);
    expect(existsSync(join(dir, folder))).toBe(false);
    write(dir, `${folder}/0`, 'staged\n');
    expect(openRepository(dir).hasRecovered).toBe(false);
    expect(existsSync(join(dir, folder))).toBe(false);
  });

  it.each([
    ['{', 'not valid JSON'],
    [{}, 'not a list'],
    [[1], 'not an object'],
    [[{ copy: 'a' }], 'names no file'],
    [[{ write: 'a', staged: '../../README.md' }], 'no staged text'],
    [[{ write: '../evil', staged: '0' }], 'leaves the repository'],
    [[{ remove: '/etc/passwd' }], 'absolute'],
    [[{ write: '.git/hooks/pre-commit', staged: '0' }], 'belongs to git'],
    [[{ write: 'out/evil', staged: '0' }], 'out is a symbolic link'],
  ])('is refused with the journal %j', (journal, told) => {
    symlinkSync(workspace.parent, join(dir, 'out'));
    leave(journal);
    const before = photograph(workspace.parent);
    expect(() => openRepository(dir)).toThrow(
      expect.objectContaining({ exitCode: 2, message: expect.stringContaining(told) }),
    );
    expect(photograph(workspace.parent)).toEqual(before);
  });

  it('replaces nothing that was changed or made since, whoever wrote the journal', () => {
    const secret = ofKind('secret', 'secrets/production/password', 'mine');
    generate(dir, planOf([...plan.files, secret]));
    for (const path of [secret.path, 'README.md']) {
      leave([{ write: path, staged: '0', isPrivate: false, replaces: null }]);
      const before = photograph(dir);
      expect(() => openRepository(dir)).toThrow(
        expect.objectContaining({
          exitCode: 3,
          message: expect.stringContaining(`${path} was changed after it`),
        }),
      );
      expect(photograph(dir)).toEqual(before);
    }
    leave([{ remove: 'README.md', replaces: null }]);
    expect(openRepository(dir).hasRecovered).toBe(true);
    expect(read(dir, 'README.md')).toBe('text\n');
  });
});

describe('two runs at once', () => {
  let other: ReturnType<typeof spawn>;
  beforeEach(async () => {
    other = spawn('sleep', ['60']);
    await once(other, 'spawn');
    mkdirSync(join(dir, `.botpress-prod/transaction-${other.pid}`));
  });
  afterEach(() => void other.kill('SIGKILL'));

  it('refuses the second while the first lives', () => {
    const before = photograph(dir);
    expect(() => generate(dir, planOf([]))).toThrow(
      expect.objectContaining({ exitCode: 1, message: expect.stringContaining(`process ${other.pid}`) }),
    );
    expect(photograph(dir)).toEqual(before);
  });

  it('goes on once the first is dead', async () => {
    other.kill('SIGKILL');
    await once(other, 'exit');
    expect(generate(dir, planOf([]))).toMatchObject({ 'README.md': 'removed' });
  });

  it('goes on if the claim is so old that the process must be another of the same number', () => {
    const hourAgo = Date.now() / 1000 - 3600;
    utimesSync(join(dir, `.botpress-prod/transaction-${other.pid}`), hourAgo, hourAgo);
    expect(generate(dir, planOf([]))).toMatchObject({ 'README.md': 'removed' });
  });
});
