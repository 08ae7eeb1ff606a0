import { describe, expect, it } from '@jest/globals';
import { buildPlan } from '../../../generators/plan.ts';
import { pairwiseAnswers } from './pairs.ts';

describe('every pair of answers', () => {
  const sets = pairwiseAnswers();

  it('is covered by at least 60 sets', () => {
    expect(sets.length).toBeGreaterThanOrEqual(60);
  });

  it.each(sets.map((answers, index) => [index, answers] as const))(
    'set %i renders to texts that parse',
    (_, answers) => {
      const { files } = buildPlan(answers, () => 'x'.repeat(43));
      expect(files.length).toBeGreaterThan(20);
      for (const { path, content } of files) {
        // The word has a meaning in TypeScript and JavaScript, and those are compiled and run by tests of their own.
        if (/\.[tj]s$/.test(path)) continue;
        expect(`${path}: ${/undefined|\[object Object\]|NaN/.exec(content)?.[0] ?? 'clean'}`).toBe(
          `${path}: clean`,
        );
        expect(path).toMatch(/^[A-Za-z0-9._/-]+$/);
      }
    },
  );

  it('gives the same plan for the same answers', () => {
    for (const answers of sets.slice(0, 10))
      expect(buildPlan(structuredClone(answers), () => 's')).toEqual(buildPlan(answers, () => 's'));
  });
});
