import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseAnswers } from '../../../generators/gate.ts';
import { buildPlan } from '../../../generators/plan.ts';
import { questions } from '../../../generators/table.ts';
import { InputError } from '../../../src/deployment/errors.ts';
import { escapeFor } from '../../../src/rendering/format.ts';
import { parse as parseYaml } from 'yaml';
import { defaultAnswers, withAnswers } from './sample.ts';

/** What breaks shell, YAML, SQL, nginx, dotenv, EJS, Markdown, paths and terminals. */
const SHARP = [
  '$(touch /tmp/pwned)',
  '`id`',
  '; rm -rf /',
  '&& true',
  '| cat',
  '> /etc/passwd',
  "'; DROP TABLE events; --",
  '"',
  "'",
  '\\',
  '\n',
  '\r\n',
  '\t',
  '\0',
  '\u001b[2J',
  '\u202e',
  '\u2028',
  '\ufeff',
  '\ud800',
  '${HOME}',
  '$$',
  '$1',
  '%00',
  '%APP_SECRET%',
  '../../etc/passwd',
  '/etc/passwd',
  '..\\..\\x',
  '.',
  '..',
  '-rf',
  '--help',
  '*',
  '?',
  '#',
  ': ',
  '- ',
  '{}',
  '{{ x }}',
  '[]',
  '&anchor',
  '*alias',
  '!!js/function',
  '<<',
  '~',
  'null',
  'no',
  'true',
  '1e5',
  '0x10',
  '<%= process.env %>',
  '<%- include("x") %>',
  '<script>',
  ']]>',
  'return 200;',
  'include /etc/passwd;',
  '} server { listen 1;',
  'а',
  'ｅ',
  'ß',
  '💥',
  '__proto__',
  'constructor',
  'toString',
  'a'.repeat(10_000),
  '',
];

const hostileText = fc.oneof(
  fc.constantFrom(...SHARP),
  fc
    .tuple(
      fc.constantFrom('bot', 'bot.acme.example', 'ops@acme.example', 'https://a.example'),
      fc.constantFrom(...SHARP),
    )
    .map((parts) => parts.join('')),
  fc.tuple(fc.constantFrom(...SHARP), fc.constantFrom('bot', 'a.example')).map((parts) => parts.join('')),
  fc.string({ unit: 'binary', maxLength: 40 }),
);

const hostileValue = fc.oneof(
  { weight: 6, arbitrary: hostileText },
  { weight: 3, arbitrary: fc.array(hostileText, { maxLength: 3 }) },
  { weight: 1, arbitrary: fc.oneof(fc.double(), fc.integer(), fc.boolean(), fc.constant(null), fc.object()) },
  { weight: 1, arbitrary: fc.record({ name: hostileText, domain: hostileText }).map((entry) => [entry]) },
);

describe('hostile answers', () => {
  const usual = new Set(buildPlan(defaultAnswers(), () => 's').files.map(({ path }) => path));

  it('are refused with every mistake named, or written so that each format still parses', () => {
    let refused = 0;
    let written = 0;
    fc.assert(
      fc.property(fc.constantFrom(...questions), hostileValue, ({ path }, value) => {
        let answers;
        try {
          answers = parseAnswers(withAnswers({ [path]: value }));
        } catch (error) {
          if (!(error instanceof InputError)) throw error;
          refused++;
          for (const { field, reason, mend } of error.problems) {
            expect(field).not.toBe('');
            expect(reason).not.toBe('');
            expect(mend).not.toBe('');
          }
          // Messages stay short and cannot steer a terminal, whatever was typed.
          expect(error.message).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f\u202e\u2028]/);
          expect(error.message.length).toBeLessThan(600 * error.problems.length);
          return;
        }
        written++;
        // buildPlan checks every text and throws when one does not parse.
        for (const file of buildPlan(answers, () => 's').files)
          if (!usual.has(file.path) && !/^[a-z0-9.][A-Za-z0-9._/-]*$/.test(file.path))
            throw new Error(`odd path ${file.path}`);
      }),
      { numRuns: 2500, seed: 12_31_10 },
    );
    expect(refused).toBeGreaterThan(1500);
    expect(written).toBeGreaterThan(0);
  });

  it('cannot reach object prototypes', () => {
    expect(() => parseAnswers(JSON.parse('{"__proto__": {"polluted": true}}'))).toThrow(InputError);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });
});

describe('escapes', () => {
  const text = fc.oneof(fc.constantFrom(...SHARP), fc.string({ unit: 'grapheme', maxLength: 60 }));

  /** A format may refuse a value; what it writes must read back as the same value. */
  function survives(format: Parameters<typeof escapeFor>[0], read: (written: string) => unknown) {
    fc.assert(
      fc.property(text, (value) => {
        let written;
        try {
          written = escapeFor(format)(value);
        } catch {
          return;
        }
        expect(read(written)).toBe(value);
      }),
      { numRuns: 2000, seed: 1 },
    );
  }

  it('YAML reads every value back as text', () =>
    survives('yaml', (written) => parseYaml(`a: ${written}\n`).a));
  it('JSON reads every value back', () => survives('json', (written) => JSON.parse(written)));
  it('shell words have no open quote', () =>
    survives('shell', (written) =>
      /^[A-Za-z0-9_./:@%+=,-]+$/.test(written)
        ? written
        : written
            .slice(1, -1)
            .split(String.raw`'\''`)
            .map((piece) => (piece.includes("'") ? fail(piece) : piece))
            .join("'"),
    ));
  it('SQL literals double every quote', () =>
    survives('sql', (written) => written.slice(1, -1).replaceAll("''", "'")));

  it('an absent value is a fault, never an empty text', () => {
    for (const value of [undefined, null])
      expect(() => escapeFor('yaml')(value)).toThrow(/where text belongs/);
  });
});

function fail(piece: string): never {
  throw new Error(`an open quote in ${piece}`);
}
