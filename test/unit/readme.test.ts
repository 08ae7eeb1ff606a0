import { expect, it } from '@jest/globals';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { formatAnswersTable } from '../../generators/answers-table.ts';

const path = join(import.meta.dirname, '../../README.md');

it('the README lists the answers as the question table has them (UPDATE_README=1 renews it)', () => {
  const text = readFileSync(path, 'utf8');
  const wanted = text.replace(
    /(<!-- answers -->)[\s\S]*(<!-- \/answers -->)/,
    (_, start: string, end: string) =>
      `${start}\n\n<!-- prettier-ignore -->\n${formatAnswersTable()}\n\n${end}`,
  );
  if (process.env['UPDATE_README']) writeFileSync(path, wanted);
  else expect(text).toBe(wanted);
});
