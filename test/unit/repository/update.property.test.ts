import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { Plan } from '../../../src/rendering/plan.ts';
import { fileOf, generate, makeWorkspace, ofKind, photograph, planOf, read } from './workspace.ts';

/** Stand-in for answers: enough to add, drop, lengthen, shorten and change files. */
const answers = fc.record({
  port: fc.integer({ min: 1, max: 3 }),
  environments: fc.integer({ min: 0, max: 4 }),
  hasMonitoring: fc.boolean(),
  isExecutable: fc.boolean(),
});
type Answers = typeof answers extends fc.Arbitrary<infer T> ? T : never;

let secretCount = 0;

function planFor({ port, environments, hasMonitoring, isExecutable }: Answers): Plan {
  const names = Array.from({ length: environments }, (_, index) => `environment-${index}`);
  const compose = [
    'services:',
    '',
    '  nginx:',
    `    port: ${port}`,
    '',
    ...names.map((name) => `  ${name}:`),
    '',
    'end: 1',
  ];
  return planOf(
    [
      fileOf('compose.yaml', `${compose.join('\n')}\n`),
      fileOf('README.md', `# Bot\n\nPort ${port}\n\n${names.join('\n\n')}\n\nLast words`),
      fileOf('bin/up', `#!/bin/bash\n\necho ${port}\n`, { mode: isExecutable ? 0o755 : 0o644 }),
      ...(hasMonitoring ? [fileOf('monitoring/rules.yml', `a\nb\nport ${port}\nc\nd\n`)] : []),
      ...names.map((name) => fileOf(`env/${name}.yaml`, `name: ${name}\n\nport: ${port}\n`)),
      ofKind('seeded', '.env.production', `PORT=${port}\n${hasMonitoring ? 'MONITORING=1\n' : ''}`),
      ofKind('secret', 'secrets/production/password', `secret-${secretCount++}`),
    ],
    { port, environments, hasMonitoring, isExecutable },
  );
}

type Edit = { operation: keyof typeof operations; file: number; line: number };
const tokens = { count: 0 };
const makeLine = () => `line of the user ${tokens.count++};`;

/** Edits one file as bytes, so that what earlier edits did to its encoding stays. */
const editLines = (change: (lines: string[], at: number) => void) => (path: string, line: number) => {
  const lines = readFileSync(path, 'latin1').split('\n');
  change(lines, line % lines.length);
  writeFileSync(path, lines.join('\n'), 'latin1');
};
const editText = (change: (text: string) => string) => (path: string) =>
  writeFileSync(path, change(readFileSync(path, 'latin1')), 'latin1');

const operations = {
  insert: editLines((lines, at) => lines.splice(at, 0, makeLine())),
  change: editLines((lines, at) => (lines[at] = makeLine())),
  delete: editLines((lines, at) => lines.splice(at, 1)),
  append: editText((text) => text + makeLine()),
  prepend: editText((text) => `${makeLine()}\n${text}`),
  convertToCrlf: editText((text) => text.replace(/\r?\n/g, '\r\n')),
  addByteOrderMark: editText((text) => `\xef\xbb\xbf${text}`),
  cutFinalNewline: editText((text) => text.replace(/\r?\n$/, '')),
  addLatin1: editText((text) => `${makeLine()} caf\xe9\n${text}`),
  settleConflict: editText((text) =>
    text.replace(/^(<{7} yours|={7}|>{7} generator-botpress-prod)\r?\n/gm, ''),
  ),
  empty: editText(() => ''),
  chmod: (path: string, line: number) => chmodSync(path, line % 2 ? 0o600 : 0o755),
  rename: (path: string, line: number) => {
    if (!existsSync(`${path}.${line}`)) renameSync(path, `${path}.${line}`);
  },
  remove: (path: string) => rmSync(path),
};

const edit: fc.Arbitrary<Edit> = fc.record({
  operation: fc.constantFrom(...(Object.keys(operations) as (keyof typeof operations)[])),
  file: fc.nat(20),
  line: fc.nat(30),
});

/** Managed, seeded and unknown files: whatever a user may edit. */
function listEditable(dir: string): string[] {
  const paths = readdirSync(dir, { recursive: true, encoding: 'utf8' });
  return paths
    .filter((path) => !/^(\.botpress-prod|secrets|\.yo-rc)/.test(path) && statSync(join(dir, path)).isFile())
    .sort();
}

function carryOut(dir: string, { operation, file, line }: Edit): void {
  const files = listEditable(dir);
  if (files.length > 0) operations[operation](join(dir, files[file % files.length]!), line);
}

function listUserLines(dir: string): Set<string> {
  const text = listEditable(dir).map((path) => readFileSync(join(dir, path), 'latin1'));
  return new Set(text.join('\n').match(/line of the user \d+;(?: caf\xe9)?/g));
}

const rounds = fc.array(fc.record({ edits: fc.array(edit, { maxLength: 6 }), next: answers }), {
  minLength: 1,
  maxLength: 3,
});

describe('any sequence of runs and edits', () => {
  it('loses no line of the user, changes no secret, and has nothing to do a second time', () => {
    const run = fc.property(answers, rounds, (first, sequence) => {
      const { dir, remove } = makeWorkspace();
      try {
        generate(dir, planFor(first));
        const secret = read(dir, 'secrets/production/password');
        for (const { edits, next } of sequence) {
          for (const each of edits) carryOut(dir, each);
          const lines = listUserLines(dir);
          generate(dir, planFor(next));
          expect(listUserLines(dir)).toEqual(lines);
          expect(read(dir, 'secrets/production/password')).toBe(secret);
          const after = photograph(dir);
          generate(dir, planFor(next));
          expect(photograph(dir)).toEqual(after);
        }
      } finally {
        remove();
      }
    });
    fc.assert(run, { numRuns: 1000 });
  }, 120_000);

  it('without edits ends in the tree of a fresh run with the last answers', () => {
    const run = fc.property(answers, fc.array(answers, { minLength: 1, maxLength: 3 }), (first, later) => {
      const { parent, dir, remove } = makeWorkspace();
      try {
        for (const each of [first, ...later]) generate(dir, planFor(each));
        generate(join(parent, 'fresh'), planFor(later.at(-1)!));
        // What is written once is not compared: there, the first answers hold.
        const isManaged = ([path]: [string, string]) => !/^(\.env|secrets)/.test(path);
        const managed = (folder: string) => Object.entries(photograph(folder)).filter(isManaged);
        expect(managed(dir)).toEqual(managed(join(parent, 'fresh')));
      } finally {
        remove();
      }
    });
    fc.assert(run, { numRuns: 300 });
  }, 120_000);
});
