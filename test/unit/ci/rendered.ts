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

/** The part alone, beside a stack that this generator did not write. */
const alone = {
  alone: ['ci'],
  environments: ['production'],
  'backup.targets': [],
  monitoring: false,
  'stack.hosts': ['bot.acme.example'],
  'stack.urls': ['https://bot.acme.example/status'],
};

/** Answers that reach every branch of what is written for the part alone. */
export const aloneShapes: Record<string, Record<string, unknown>> = {
  'beside a stack of others': alone,
  'beside a stack of others, with tests and another branch': {
    ...alone,
    'stack.test': 'npm ci && echo \'a b\' | grep "a"',
    'stack.branch': 'release/12',
  },
  'beside a stack of others, on three servers, with backups': {
    ...alone,
    alone: ['backup', 'ci'],
    'backup.targets': ['local'],
    environments: ['production', 'dev', 'staging'],
    'stack.hosts': ['192.0.2.7', 'dev.acme.example', '2001:db8::7'],
    'stack.urls': ['bot', 'dev', 'staging'].map((name) => `https://${name}.acme.example/status`),
  },
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
