import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import helpers, { result } from 'yeoman-test';
import AppGenerator from '../../generators/app/index.ts';
import { runCommand } from '../../src/cli/command.ts';
import { ALONE_PARTS } from '../../src/deployment/answers.ts';
import { writeForeignStack } from '../foreign.ts';

const start = process.cwd();
const resolved = join(import.meta.dirname, '../../generators/app/index.ts');

/** What differs from run to run or says nothing to a reader. */
const UNREAD = /^(secrets\/|\.botpress-prod\/|config\/package-lock\.json)/;

function readTree(folder: string): Record<string, string> {
  const paths = (readdirSync(folder, { recursive: true }) as string[]).sort();
  return Object.fromEntries(
    paths
      .filter((path) => statSync(join(folder, path)).isFile() && !UNREAD.test(path))
      .map((path) => [path, readFileSync(join(folder, path), 'utf8')]),
  );
}

const sets = {
  'the community default': { name: 'acme-bot', domain: 'bot.acme.example' },
  'community, recreate, provided certificate, all channels, one environment': {
    name: 'acme-bot',
    domain: 'bot.acme.example',
    'scaling-deployment': 'recreate',
    tls: 'provided',
    environments: 'production',
    channels: 'web,messenger,slack,telegram,twilio,teams,smooch,vonage',
    ci: 'gitlab',
  },
  'pro, two nodes, Let us Encrypt, row-level security, language server': {
    name: 'acme-bot',
    domain: 'bot.acme.example',
    edition: 'pro',
    'scaling-replicas': 2,
    languages: 'en,no',
    bots: 'support,sales-desk',
    tls: 'letsencrypt',
    nlu: true,
    'database-row-level-security': true,
    'access-embed': 'https://www.acme.example',
  },
};

describe.each(Object.entries(sets))('%s', (_, options) => {
  beforeAll(async () => {
    await helpers
      .create(AppGenerator as never, { namespace: 'botpress-prod:app', resolved } as never)
      .withOptions({ yes: true, ...options } as never);
  });
  afterAll(() => void result.restore());

  it('writes this tree', () => {
    const tree = readTree(result.cwd);
    expect(Object.keys(tree)).toMatchSnapshot('paths');
    for (const [path, text] of Object.entries(tree)) expect(text).toMatchSnapshot(path);
  });

  it('holds no secret, no unpinned image and no open port', () => {
    const tree = readTree(result.cwd);
    const compose = Object.entries(tree).filter(([path]) => path.startsWith('compose'));
    for (const [path, text] of compose) {
      expect(`${path} ${text}`).not.toMatch(/image: .*(:latest|[a-z]\s*$)/m);
      expect(`${path} ${text}`).not.toMatch(/docker\.sock|privileged: true|network_mode: host/);
      expect(`${path} ${text}`).not.toMatch(/container_name|^version:/m);
    }
    const secrets = (readdirSync(join(result.cwd, 'secrets'), { recursive: true }) as string[])
      .map((path) => join(result.cwd, 'secrets', path))
      .filter((path) => statSync(path).isFile())
      .map((path) => readFileSync(path, 'utf8').trim())
      .filter((value) => value.length > 20 && !value.includes('\n'));
    expect(secrets.length).toBeGreaterThan(5);
    for (const [path, text] of Object.entries(tree))
      for (const secret of secrets) expect(`${path} ${text.includes(secret)}`).toBe(`${path} false`);
  });
});

/** One run through Yeoman in a folder that several runs may share; flags as `yo` hands them over. */
function runYeoman(
  cwd: string,
  options: object,
  more: (context: ReturnType<typeof helpers.create>) => unknown = () => {},
  part = 'app',
) {
  const module = join(import.meta.dirname, `../../generators/${part}/index.ts`);
  const context = helpers.create(
    module,
    { namespace: `botpress-prod:${part}`, tmpdir: false } as never,
    // The environment imports it by itself, as yo does.
  );
  context.cd(cwd);
  more(context);
  return context.withOptions(options as never);
}

const storedAnswers = (cwd: string) =>
  JSON.parse(readFileSync(join(cwd, '.yo-rc.json'), 'utf8'))['generator-botpress-prod'];

describe('through Yeoman', () => {
  let cwd: string;
  beforeEach(() => {
    cwd = mkdtempSync(join(tmpdir(), 'botpress-prod-yeoman-'));
  });
  afterEach(() => {
    process.exitCode = undefined;
    process.chdir(start);
    rmSync(cwd, { recursive: true });
  });

  it('asks, takes what was typed and stores it as answers', async () => {
    const asked: string[] = [];
    await runYeoman(cwd, { name: 'typed-bot' }, (context) =>
      context.withAnswers({}, {
        callback: (answer: unknown, { question }: { question: { message: string } }) => {
          asked.push(question.message);
          return question.message.startsWith('Host name') ? 'typed.example' : answer;
        },
      } as never),
    );
    expect(storedAnswers(cwd)).toMatchObject({
      name: 'typed-bot',
      domain: 'typed.example',
      bots: ['support'],
    });
    expect(asked).not.toContain('Name of the project');
    expect(asked).toContain('Edition of Botpress');
  });

  it('reads flags in every form in which yo hands them over', async () => {
    await runYeoman(cwd, {
      yes: true,
      bots: [['first', 'second']],
      languages: 'no',
      channels: ['web,slack', 'teams'],
      monitoring: 'false',
      nlu: true,
      'scaling-replicas': '1',
      'backup-retention-daily': 7,
      name: 'a1',
    });
    expect(storedAnswers(cwd)).toMatchObject({
      name: 'a1',
      bots: ['first', 'second'],
      languages: ['no'],
      channels: ['web', 'slack', 'teams'],
      monitoring: false,
      nlu: true,
      scaling: { replicas: 1 },
      backup: { retention: { daily: 7 } },
    });
  });

  it('writes into the directory that is named', async () => {
    await runYeoman(cwd, { yes: true }, (context) => context.withArguments(['sub-bot']));
    expect(readdirSync(cwd)).toEqual(['sub-bot']);
    expect(statSync(join(cwd, 'sub-bot/compose.yaml')).isFile()).toBe(true);
  });

  it.each([
    [{ 'typo-flag': true, typoFlag: true }, [], '--typo-flag: is not an option'],
    [{ domian: 'x.example' }, [], 'did you mean --domain?'],
    [{ name: '../evil', tls: 'maybe' }, [], /name = [^]*tls = /],
    [{ name: true }, [], 'name = "true"'],
    [{ answers: '/nowhere.yaml' }, [], 'cannot be read'],
    [{}, ['one', 'two'], 'two: is one word too many'],
  ])('refuses %j %j with exit code 2 and writes nothing', async (options, words, message) => {
    const error = await runYeoman(cwd, { yes: true, ...options }, (context) =>
      context.withArguments(words),
    ).then(
      () => undefined,
      (reason: Error & { code?: unknown }) => reason,
    );
    expect(error?.message).toMatch(message);
    expect(error?.message).toMatch(/^The input is wrong/);
    // yo hands it to process.exit.
    expect(error?.code).toBe(2);
    expect(readdirSync(cwd)).toEqual([]);
  });

  it('writes nothing with --dry-run', async () => {
    await runYeoman(cwd, { yes: true, 'dry-run': true });
    expect(readdirSync(cwd)).toEqual([]);
  });

  it('ends with 3 and says where, when edits and new answers disagree', async () => {
    await runYeoman(cwd, { yes: true, domain: 'first.example' });
    const file = join(cwd, 'compose.production.yaml');
    writeFileSync(file, readFileSync(file, 'utf8').replace('https://first.example', 'https://mine.example'));
    await runYeoman(cwd, { yes: true, domain: 'second.example' });
    expect(process.exitCode).toBe(3);
    expect(readFileSync(file, 'utf8')).toMatch(/<<<<<<< yours\n.*mine.*\n=======\n.*second/);
  });
});

describe('each part', () => {
  const parts = readdirSync(join(import.meta.dirname, '../../generators'), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .filter((name) => readdirSync(join(import.meta.dirname, '../../generators', name)).includes('index.ts'));

  it('gives the same tree alone and in any order', async () => {
    const folders = [['app'], parts, [...parts].reverse(), ...parts.map((part) => [part])];
    const trees = [];
    for (const order of folders) {
      const cwd = mkdtempSync(join(tmpdir(), 'botpress-prod-yeoman-'));
      for (const part of order) await runYeoman(cwd, { yes: true, name: 'acme-bot' }, () => {}, part);
      trees.push(readTree(cwd));
      process.chdir(start);
      rmSync(cwd, { recursive: true });
    }
    for (const tree of trees.slice(1)) expect(tree).toEqual(trees[0]);
  });

  it.each(ALONE_PARTS)('%s gives the files of the own command beside a stack of others', async (part) => {
    const scratch = mkdtempSync(join(tmpdir(), 'botpress-prod-yeoman-'));
    const folders = ['yo', 'own'].map((name) => join(scratch, name, 'acme'));
    for (const folder of folders) writeForeignStack(folder);
    const [yo = '', own = ''] = folders;
    await runYeoman(yo, { yes: true }, () => {}, part);
    process.chdir(start);
    expect(await runCommand([part, own, '--yes'])).toBe(0);
    const tree = readTree(yo);
    expect(tree).toEqual(readTree(own));
    expect(Object.keys(tree)).toContain(`docs/${part}.md`);
    expect(Object.keys(tree)).not.toContain('compose.yaml');
    rmSync(scratch, { recursive: true });
  });
});
