import { execFileSync } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { printDiff } from '../../../src/repository/diff.ts';
import {
  fileOf,
  generate,
  look,
  makeWorkspace,
  ofKind,
  photograph,
  planOf,
  read,
  write,
} from './workspace.ts';

const numbers = (changed = '') =>
  Array.from({ length: 20 }, (_, line) => `${line === 9 ? changed || 9 : line}\n`).join('');

let workspace: ReturnType<typeof makeWorkspace>;
let dir: string;
beforeEach(() => {
  workspace = makeWorkspace();
  dir = workspace.dir;
});
afterEach(() => workspace.remove());

describe('printDiff', () => {
  it('says nothing when a run would change nothing', () => {
    const plan = planOf([fileOf('a', 'a\n'), fileOf('b', 'b\n')]);
    generate(dir, plan);
    write(dir, 'b', 'mine\n');
    expect(printDiff(look(dir, plan), { colors: false })).toBe('');
  });

  it('shows a changed line with three lines around it', () => {
    generate(dir, planOf([fileOf('a.txt', numbers())]));
    expect(printDiff(look(dir, planOf([fileOf('a.txt', numbers('nine'))])), { colors: false })).toBe(
      'diff --git a/a.txt b/a.txt\n--- a/a.txt\n+++ b/a.txt\n' +
        '@@ -7,7 +7,7 @@\n 6\n 7\n 8\n-9\n+nine\n 10\n 11\n 12\n',
    );
  });

  it('is a patch that git applies: new, changed, removed files and permissions', () => {
    const before = [fileOf('a', numbers()), fileOf('b', 'no newline'), fileOf('bin/c', 'c\n')];
    const after = [
      fileOf('a', numbers('nine')),
      fileOf('bin/c', 'c\n', { mode: 0o755 }),
      fileOf('d/e', 'new\n'),
    ];
    generate(dir, planOf(before));
    const patch = printDiff(look(dir, planOf(after)), { colors: false });
    const copy = join(workspace.parent, 'copy');
    generate(copy, planOf(before));
    execFileSync('git', ['init', '-q'], { cwd: copy });
    execFileSync('git', ['apply', '-'], { cwd: copy, input: patch });
    generate(dir, planOf(after));
    const files = (photo: Record<string, string>) =>
      Object.entries(photo).filter(([path]) => !/^\.(git|botpress)/.test(path));
    expect(files(photograph(copy))).toEqual(files(photograph(dir)));
  });

  it('shows no secret and no value of an environment file', () => {
    const environment = (more = '') => ofKind('seeded', '.env.production', `# Port\nPORT=hush-port\n${more}`);
    const secret = ofKind('secret', 'secrets/password', 'hush-secret');
    const fresh = printDiff(look(dir, planOf([environment(), secret])), { colors: false });
    expect(fresh).toContain('# secrets/password is new; its content is not shown\n');
    expect(fresh).toContain('+PORT=********\n');
    expect(fresh).not.toContain('hush');
    generate(dir, planOf([environment(), secret]));
    write(dir, '.env.production', 'PORT=hush-user\n');
    expect(printDiff(look(dir, planOf([environment('MORE=1\n'), secret])), { colors: false })).toBe(
      '# .env.production lacks variables: add these lines\n#   MORE=1\n',
    );
  });

  it('names what a run leaves to the user', () => {
    generate(dir, planOf([]));
    write(dir, 'mine', 'mine\n');
    mkdirSync(join(dir, 'folder'));
    expect(
      printDiff(look(dir, planOf([fileOf('folder', 'x\n'), fileOf('mine', 'x\n')])), { colors: false }),
    ).toBe(
      '# folder cannot be written\n#   folder is a folder\n# mine is a file of yours and is left as it is\n',
    );
  });

  it('colours for a terminal and gives hostile files no say over it', () => {
    generate(dir, planOf([fileOf('a', 'top\n\n\n\nold\n')]));
    write(dir, 'a', `top\x1b]0;evil\x07\r\n${read(dir, 'a').slice(4)}`);
    const text = printDiff(look(dir, planOf([fileOf('a', 'top\n\n\n\nnew\n')])), { colors: true });
    expect(text).toContain('\x1b[31m-old\x1b[0m\n\x1b[32m+new\x1b[0m\n');
    expect(text.replace(/\x1b\[\d+m/g, '')).not.toMatch(/[\0-\x08\x0b-\x1f]/);
  });
});
