import { questions } from '../../../generators/table.ts';
import type { Answers } from '../../../src/deployment/answers.ts';
import { parseAnswers } from '../../../generators/gate.ts';
import { InputError } from '../../../src/deployment/errors.ts';
import { withAnswers } from './sample.ts';

/** Values worth trying for the questions that have no choices, chosen to reach every branch of the templates. */
const VALUES: Record<string, readonly unknown[]> = {
  name: ['acme-bot', 'b'],
  domain: ['bot.acme.example', 'xn--bcher-kva.example'],
  contact: ['ops@acme.example', 'first.last+bot@mail.acme.example'],
  bots: [['support'], ['support', 'sales-desk'], ['a', 'b', 'c']],
  // `no` is a language and, to some YAML readers, false.
  languages: [['en'], ['no', 'en'], ['fr', 'de', 'es']],
  environments: [
    ['development', 'staging', 'production'],
    ['production'],
    ['local'],
    ['qa', 'uat', 'prod'],
    ['development', 'staging', { name: 'production', domain: 'a.example', httpsPort: 444 }],
    [
      { name: 'a', confidence: 1 },
      { name: 'b', tls: 'self-signed', bind: '127.0.0.2' },
    ],
    [
      'dev',
      {
        name: 'live',
        domain: 'chat.acme.example',
        tls: 'provided',
        bind: '192.0.2.10',
        httpPort: 8000,
        httpsPort: 8443,
      },
      { name: 'test', tls: 'none', confidence: 0 },
    ],
  ],
  channels: [
    ['web'],
    ['web', 'slack'],
    ['messenger'],
    ['web', 'twilio', 'vonage'],
    ['web', 'teams'],
    ['smooch', 'web'],
    ['web', 'messenger', 'slack', 'telegram', 'twilio', 'teams', 'smooch', 'vonage'],
    ['telegram'],
  ],
  'access.admin': [[], ['10.0.0.0/8'], ['192.0.2.7/32', '2001:db8::/32']],
  'access.embed': [[], ['https://www.acme.example', 'http://localhost:8080']],
  'database.retentionDays': [365, 0],
  'scaling.replicas': [1, 2, 3, 10],
  'backup.targets': [[], ['local'], ['local', 's3', 'gcs', 'azure', 'sftp']],
  'backup.schedule': ['0 3 * * *', '*/15 0-6 1,15 * 1-5'],
  'backup.retention.daily': [30, 0],
  'backup.retention.weekly': [8, 0],
  'backup.retention.monthly': [12, 0],
  'gateway.requestsPerMinute': [60, 1],
  'alerts.email': [[], ['ops@acme.example', 'on-call@acme.example']],
  'alerts.errorRate': [0.05, 1],
  'alerts.responseTimeMs': [5000, 1],
  'alerts.memoryUsage': [0.9, 1],
};

function valuesOf(path: string, choices: readonly string[] | undefined): readonly unknown[] {
  return VALUES[path] ?? choices ?? [true, false];
}

type Choice = { path: string; index: number };

/**
 * Sets of answers in which every pair of values of two different questions stands together at least once, except the
 * pairs that the gate refuses. Greedy: each set takes as many open pairs as it can. Deterministic.
 */
export function pairwiseAnswers(): Answers[] {
  const rows = questions.map(({ path, choices }) => ({ path, values: valuesOf(path, choices) }));
  const keyOf = (a: Choice, b: Choice) => [`${a.path}=${a.index}`, `${b.path}=${b.index}`].sort().join('&');
  const open = new Set<string>();
  rows.forEach((row, at) =>
    rows
      .slice(at + 1)
      .forEach((other) =>
        row.values.forEach((_, index) =>
          other.values.forEach((_value, otherIndex) =>
            open.add(keyOf({ path: row.path, index }, { path: other.path, index: otherIndex })),
          ),
        ),
      ),
  );
  const sets: Answers[] = [];
  for (const start of [...open]) {
    if (!open.has(start)) continue;
    const fixed = start.split('&').map((text) => {
      const [path = '', index = '0'] = text.split('=');
      return { path, index: Number(index) };
    });
    const chosen: Choice[] = [...fixed];
    for (const { path, values } of rows) {
      if (chosen.some((choice) => choice.path === path)) continue;
      const scored = values
        .map((_, index) => ({ path, index }))
        .map((choice) => ({ choice, gain: chosen.filter((other) => open.has(keyOf(choice, other))).length }))
        .sort((a, b) => b.gain - a.gain)
        .filter(({ choice }) => tryParse([...chosen, choice], rows) !== undefined);
      // Whatever is left in contradiction keeps its default.
      if (scored[0]) chosen.push(scored[0].choice);
    }
    const answers = tryParse(chosen, rows);
    open.delete(start);
    if (!answers) continue;
    chosen.forEach((choice, at) =>
      chosen.slice(at + 1).forEach((other) => open.delete(keyOf(choice, other))),
    );
    sets.push(answers);
  }
  return sets;
}

function tryParse(
  choices: readonly Choice[],
  rows: readonly { path: string; values: readonly unknown[] }[],
): Answers | undefined {
  const changes = Object.fromEntries(
    choices.map(({ path, index }) => [path, rows.find((row) => row.path === path)?.values[index]]),
  );
  try {
    return parseAnswers(withAnswers(changes));
  } catch (error) {
    if (error instanceof InputError) return undefined;
    throw error;
  }
}
