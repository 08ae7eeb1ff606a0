import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { buildPlan } from '../../generators/plan.ts';
import { defaultAnswers } from '../unit/answers/sample.ts';
import { demand } from './engine/setup.ts';

jest.setTimeout(300_000);

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'botpress-prod-operations-'));
  for (const { path, content } of buildPlan(defaultAnswers()).files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it('the operations service installs, passes its tests and builds', async () => {
  const cwd = join(folder, 'operations');
  const env = { NODE_OPTIONS: undefined, CI: undefined };
  await demand('npm', ['ci', '--no-audit', '--no-fund'], { cwd, env });
  const { stdout } = await demand('npm', ['test'], { cwd, env });
  expect(stdout).toMatch(/pass ([3-9]\d)/);
  expect(stdout).toMatch(/fail 0/);
  await demand('npm', ['run', 'build'], { cwd, env });
  expect(readdirSync(join(cwd, 'dist/bundle'))).toEqual(
    expect.arrayContaining(['operations.mjs', 'gateway.mjs', 'ready.mjs']),
  );
});
