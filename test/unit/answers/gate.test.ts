import { describe, expect, it } from '@jest/globals';
import Ajv2020 from 'ajv/dist/2020.js';
import { answersJsonSchema, parseAnswers } from '../../../generators/gate.ts';
import { questions, valueAt } from '../../../generators/table.ts';
import { InputError } from '../../../src/deployment/errors.ts';
import { flagOf } from '../../../src/deployment/question.ts';
import { defaultAnswers, withAnswers } from './sample.ts';

/** The answers file of the documentation. */
const documented = {
  name: 'acme-bot',
  alone: [],
  stack: {
    project: 'botpress',
    networks: ['botpress_default'],
    database: 'postgres://botpress@postgres:5432/botpress',
    botpress: 'botpress',
    health: 'http://botpress:3000/status',
    files: ['./data'],
    file: 'docker-compose.yml',
    ownPipeline: false,
    branch: 'main',
    hosts: ['botpress.example.com'],
    folder: '/opt/botpress',
    deploy: 'docker compose pull && docker compose up -d --wait',
    urls: ['https://botpress.example.com/status'],
    test: '',
  },
  domain: 'bot.acme.example',
  contact: 'ops@acme.example',
  bots: ['support'],
  languages: ['en'],
  edition: 'community',
  environments: ['development', 'staging', 'production'],
  channels: ['web', 'slack'],
  tls: 'letsencrypt',
  access: { admin: ['192.0.2.0/24', '2001:db8::/32'], embed: ['https://www.acme.example'] },
  database: { rowLevelSecurity: true, retentionDays: 90 },
  nlu: true,
  scaling: {
    target: 'compose',
    replicas: 1,
    deployment: 'blue-green',
    ingress: 'ingress',
    database: 'cluster',
    redis: 'cluster',
  },
  backup: {
    targets: ['local', 's3'],
    schedule: '0 3 * * *',
    retention: { daily: 30, weekly: 8, monthly: 12 },
    pointInTime: false,
  },
  ci: 'github',
  monitoring: true,
  gateway: { enabled: false, requestsPerMinute: 60 },
  alerts: {
    slack: true,
    email: ['ops@acme.example'],
    errorRate: 0.05,
    responseTimeMs: 5000,
    memoryUsage: 0.9,
  },
};

function problemsOf(candidate: unknown): InputError['problems'] {
  try {
    parseAnswers(candidate);
  } catch (error) {
    if (error instanceof InputError) return error.problems;
    throw error;
  }
  return [];
}

describe('the gate', () => {
  it('takes the documented answers as they are', () => {
    expect(parseAnswers(documented)).toEqual(documented);
  });

  it('has a row for every leaf and a leaf for every row', () => {
    const leaves = (value: object, prefix = ''): string[] =>
      Object.entries(value).flatMap(([key, inner]) =>
        typeof inner === 'object' && !Array.isArray(inner)
          ? leaves(inner as object, `${prefix}${key}.`)
          : `${prefix}${key}`,
      );
    expect(questions.map(({ path }) => path).sort()).toEqual(leaves(documented).sort());
    expect(new Set(questions.map(({ path }) => flagOf(path))).size).toBe(questions.length);
  });

  it('accepts every default', () => {
    for (const { path } of questions) expect(valueAt(defaultAnswers(), path)).toBeDefined();
  });

  it.each([
    ['name', '../evil'],
    ['name', 'Acme'],
    ['name', '1bot'],
    ['name', 'a'.repeat(41)],
    ['name', ''],
    ['domain', 'https://bot.acme.example'],
    ['domain', 'bot.acme.example/chat'],
    ['domain', 'bot.acme.example:8443'],
    ['domain', 'bot..example'],
    ['domain', '192.0.2.1'],
    ['domain', 'bоt.acme.example'],
    ['contact', 'ops'],
    ['contact', 'ops@acme.example; rm -rf /'],
    ['bots', []],
    ['bots', ['support', 'support']],
    ['bots', ['support', '../x']],
    ['bots', ['studio']],
    ['languages', ['english']],
    ['edition', 'enterprise'],
    ['environments', ['backup']],
    ['environments', []],
    ['environments', ['production', { name: 'production' }]],
    ['environments', [{ name: 'production', colour: 'blue' }]],
    ['channels', ['web', 'smoke-signals']],
    ['tls', 'maybe'],
    ['access.admin', ['10.0.0.0']],
    ['access.admin', ['10.0.0.0/33']],
    ['access.admin', ['::/129']],
    ['access.embed', ['www.acme.example']],
    ['access.embed', ['https://www.acme.example/path']],
    ['access.embed', ['https://www.acme.example:99999']],
    ['database.retentionDays', -1],
    ['database.retentionDays', 1.5],
    ['scaling.replicas', 0],
    ['scaling.replicas', '2'],
    ['backup.schedule', '0 3 * *'],
    ['backup.schedule', '60 3 * * *'],
    ['backup.schedule', '*/0 3 * * *'],
    ['backup.schedule', '0 3 * * *\n* * * * * evil'],
    ['alerts.errorRate', 5],
    ['alerts.email', ['ops@acme']],
    ['monitoring', 'yes'],
  ])('refuses %s = %j with field, reason and mend', (path, value) => {
    const problems = problemsOf(withAnswers({ [path]: value }));
    expect(problems.length).toBeGreaterThan(0);
    for (const { field, reason, mend } of problems) {
      expect(field.startsWith(path)).toBe(true);
      expect(reason).not.toBe('');
      expect(mend).not.toBe('');
    }
  });

  it('lists all mistakes at once', () => {
    const fields = problemsOf(withAnswers({ name: 'A B', tls: 'x', 'backup.schedule': 'now' })).map(
      ({ field }) => field,
    );
    expect(fields).toEqual(expect.arrayContaining(['name', 'tls', 'backup.schedule']));
  });

  it('refuses unknown keys and says what was meant', () => {
    const [problem] = problemsOf({ ...documented, domian: 'x' });
    expect(problem).toMatchObject({
      field: 'domian',
      reason: 'is not an answer',
      mend: 'did you mean domain?',
    });
    const [nested] = problemsOf({ ...documented, backup: { ...documented.backup, shedule: '' } });
    expect(nested).toMatchObject({ field: 'backup.shedule', mend: 'did you mean backup.schedule?' });
  });

  it('refuses several nodes and several languages with the community edition, with the reason', () => {
    expect(problemsOf(withAnswers({ 'scaling.replicas': 2 }))[0]).toMatchObject({
      field: 'scaling.replicas',
      reason: expect.stringContaining('community'),
    });
    expect(problemsOf(withAnswers({ languages: ['en', 'fr'] }))[0]).toMatchObject({ field: 'languages' });
    expect(
      problemsOf(withAnswers({ edition: 'pro', 'scaling.replicas': 2, languages: ['en', 'fr'] })),
    ).toEqual([]);
  });

  it.each([
    [{ 'backup.targets': [] }, 'without targets'],
    [{ 'scaling.target': 'swarm' }, 'swarm'],
    [{ 'scaling.target': 'kubernetes' }, 'kubernetes'],
    [{ 'scaling.target': 'kubernetes', 'scaling.database': 'managed' }, 'kubernetes'],
  ])('refuses an archive of the write-ahead log with %j', (changes, reason) => {
    expect(problemsOf(withAnswers({ ...changes, 'backup.pointInTime': true }))).toEqual([
      expect.objectContaining({ field: 'backup.pointInTime', reason: expect.stringContaining(reason) }),
    ]);
    expect(problemsOf(withAnswers({ 'backup.pointInTime': true }))).toEqual([]);
  });

  it.each(['swarm', 'kubernetes'])('refuses the gateway on %s, where nothing would run it', (target) => {
    const changes = { 'scaling.target': target, 'gateway.enabled': true };
    expect(problemsOf(withAnswers(changes))).toEqual([
      {
        field: 'gateway.enabled',
        value: '"true"',
        reason: expect.stringContaining(target),
        mend: 'set scaling.target to compose, or gateway.enabled to false',
      },
    ]);
    expect(problemsOf(withAnswers({ ...changes, 'scaling.target': 'compose' }))).toEqual([]);
    expect(problemsOf(withAnswers({ ...changes, 'gateway.enabled': false }))).toEqual([]);
  });

  it('refuses an archive beside a stack of somebody else', () => {
    const alone = { alone: ['backup'], environments: ['production'], 'backup.pointInTime': true };
    expect(problemsOf(withAnswers(alone))).toContainEqual(
      expect.objectContaining({ field: 'backup.pointInTime', reason: expect.stringContaining('stack') }),
    );
  });

  it('refuses environments that would collide on one host', () => {
    const twice = [
      { name: 'a', httpsPort: 9443 },
      { name: 'b', httpsPort: 9443 },
    ];
    expect(problemsOf(withAnswers({ environments: twice }))[0]?.reason).toMatch(/port twice/);
  });

  it.each(['::', '::1', '2001:db8::5'])('refuses %s as the address that nginx listens on', (bind) => {
    expect(problemsOf(withAnswers({ environments: ['development', { name: 'production', bind }] }))).toEqual([
      {
        field: 'environments[1].bind',
        value: expect.stringContaining(bind),
        reason: expect.stringContaining('no IPv6'),
        mend: expect.stringContaining('IPv4'),
      },
    ]);
  });

  it('never shows a value that could write to the terminal', () => {
    const error = new InputError(problemsOf(withAnswers({ name: '\u001b[31mred\u202e' })));
    expect(error.message).not.toMatch(/[\u001b\u202e]/);
    expect(error.message).toContain('name');
  });
});

describe('the JSON Schema of the answers file', () => {
  // The package's types know only its CommonJS face.
  const validate = new (Ajv2020 as unknown as typeof Ajv2020.default)({
    strict: false,
    validateFormats: false,
  }).compile(answersJsonSchema());

  it('accepts what the gate accepts and leaves every key optional', () => {
    expect(validate(documented)).toBe(true);
    expect(validate({})).toBe(true);
  });

  it('refuses unknown keys and wrong types', () => {
    expect(validate({ domian: 'x' })).toBe(false);
    expect(validate({ monitoring: 'yes' })).toBe(false);
    expect(validate({ tls: 'maybe' })).toBe(false);
  });

  it('describes every answer', () => {
    const schema = JSON.stringify(answersJsonSchema());
    for (const { help } of questions) expect(schema).toContain(JSON.stringify(help).slice(1, -1));
  });
});
