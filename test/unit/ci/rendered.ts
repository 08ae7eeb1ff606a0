import { chmodSync, mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { parseAnswers } from '../../../generators/gate.ts';
import { renderPlan } from '../../../generators/plan.ts';
import type { PlannedFile } from '../../../src/rendering/plan.ts';
import { withAnswers } from '../answers/sample.ts';

/** Answers that reach every branch of the pipelines' templates, by what they are about. */
export const shapes: Record<string, Record<string, unknown>> = {
  'the defaults': {},
  'one server and no backups': { environments: ['production'], 'backup.targets': [] },
  'three servers': { environments: ['qa', 'uat', 'prod'], tls: 'self-signed' },
  'a laptop alone': { environments: ['local'] },
  'a provided certificate': { environments: ['production'], tls: 'provided' },
  'production first': { environments: ['production', 'staging'] },
  'plain HTTP behind something else': { environments: [{ name: 'production', tls: 'none' }] },
  'Pro with two nodes': { edition: 'pro', 'scaling.replicas': 2 },
  'nodes made anew in place': { 'scaling.deployment': 'recreate' },
  Kubernetes: { 'scaling.target': 'kubernetes' },
};

/** The whole output for some answers, by path. */
export function renderAll(changes: Record<string, unknown>): Map<string, PlannedFile> {
  const { files } = renderPlan(parseAnswers(withAnswers(changes)), () => 's'.repeat(43));
  return new Map(files.map((file) => [file.path, file]));
}

/** Writes an output to a scratch folder, as a clone would have it. */
export function writeAll(files: ReadonlyMap<string, PlannedFile>): string {
  const folder = mkdtempSync(join(tmpdir(), 'botpress-prod-ci-'));
  for (const { path, content, mode } of files.values()) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
    chmodSync(join(folder, path), mode);
  }
  return folder;
}
