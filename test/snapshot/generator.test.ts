import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import helpers, { result } from 'yeoman-test';
import AppGenerator from '../../generators/app/index.ts';

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

describe('asking', () => {
  afterAll(() => void result.restore());

  it('takes what was typed and stores it as answers', async () => {
    await helpers
      .create(AppGenerator as never, { namespace: 'botpress-prod:app', resolved } as never)
      .withOptions({ name: 'typed-bot', domain: 'typed.example' } as never)
      .withAnswers({}, { throwOnMissingAnswer: false });
    const stored = JSON.parse(readFileSync(join(result.cwd, '.yo-rc.json'), 'utf8'));
    expect(stored['generator-botpress-prod']).toMatchObject({ name: 'typed-bot', bots: ['support'] });
  });
});
