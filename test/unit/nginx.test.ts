import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import type { Answers } from '../../src/deployment/answers.ts';
import { deriveDeployment } from '../../src/deployment/deployment.ts';
import { renderArtefacts } from '../../src/rendering/artefact.ts';
import { checkPlan } from '../../src/rendering/check.ts';
import { answersWith } from './answers/sample.ts';

const templates = join(import.meta.dirname, '../../templates/app');
const rows = readdirSync(join(templates, 'nginx'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ejs'))
  .map((name) => ({ template: `nginx/${name.slice(0, -'.ejs'.length)}` }));

const base = answersWith({
  domain: 'bot.acme.example',
  channels: ['web', 'telegram'],
  tls: 'letsencrypt',
  contact: 'ops@acme.example',
  'access.admin': ['10.0.0.0/8', '2001:db8::/32'],
  'access.embed': ['https://www.acme.example'],
  monitoring: false,
});
const cluster: Partial<Answers> = {
  edition: 'pro',
  scaling: { ...base.scaling, replicas: 3, deployment: 'blue-green' },
};
const sets: Record<string, Partial<Answers>> = {
  default: {},
  'self-signed, recreate, slack only': {
    tls: 'self-signed',
    channels: ['slack'],
    scaling: { ...base.scaling, replicas: 1, deployment: 'recreate' },
  },
  'provided certificate, webchat only': { tls: 'provided', channels: ['web'] },
  'cluster, nobody embeds, everybody administers': {
    ...cluster,
    access: { admin: ['0.0.0.0/0', '::/0'], embed: [] },
  },
  'a hundred sites with long names': {
    domain: `${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.example`,
    access: {
      admin: [],
      embed: Array.from({ length: 100 }, (_, index) => `https://site-${index}.${'d'.repeat(60)}.example`),
    },
  },
};

/** One directive: its words without quotes, and what its braces hold. */
interface Directive {
  name: string;
  words: string[];
  block?: Directive[];
}

function parse(text: string): Directive[] {
  const tokens = [
    ...text.matchAll(/#[^\n]*|"((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|[{};]|(?:\\.|\$\{|[^\s{};"'#])+/g),
  ]
    .filter(([token]) => !token.startsWith('#'))
    .map(([token, double, single]) => ({
      token,
      word: (double ?? single ?? token).replace(/\\(["\\])/g, '$1'),
    }));
  let at = 0;
  const block = (): Directive[] => {
    const directives: Directive[] = [];
    let words: string[] = [];
    for (; at < tokens.length && tokens[at]?.token !== '}'; at++) {
      const { token, word } = tokens[at] ?? { token: '', word: '' };
      if (token !== ';' && token !== '{') {
        words.push(word);
        continue;
      }
      const [name = '', ...rest] = words;
      words = [];
      if (token === ';') directives.push({ name, words: rest });
      else {
        at++;
        directives.push({ name, words: rest, block: block() });
      }
    }
    return directives;
  };
  return block();
}

/** The output of one set of answers as the nginx of one environment sees it. */
function read(change: Partial<Answers>, environment: string) {
  const deployment = deriveDeployment({ ...base, ...change });
  const plan = renderArtefacts('app', rows, deployment);
  const files = new Map<string, string>();
  for (const { path, content } of plan) {
    const inside = path.replace(/^nginx\//, '').replace(`${environment}/`, 'environment/');
    files.set(inside === 'active-upstream.conf' ? 'state/active-upstream.conf' : inside, content);
  }
  const load = (name: string): Directive[] => expand(parse(files.get(name) ?? ''));
  const expand = (directives: Directive[]): Directive[] =>
    directives.flatMap((directive) => {
      const target =
        directive.name === 'include' ? (directive.words[0] ?? '').replace('/etc/nginx/', '') : '';
      if (target.includes('*') || target === 'mime.types') return [];
      if (directive.name !== 'include')
        return [{ ...directive, ...(directive.block && { block: expand(directive.block) }) }];
      if (!files.has(target)) throw new Error(`includes ${target}, which the plan does not write`);
      return load(target);
    });
  const root = load('nginx.conf');
  const http = root.find(({ name }) => name === 'http')?.block ?? [];
  const servers = http.filter(({ name }) => name === 'server').map(({ block = [] }) => block);
  const site = servers.find((server) => server.some(({ name }) => name === 'proxy_redirect')) ?? [];
  return { deployment, plan, root, http, servers, site };
}

const named = (directives: readonly Directive[], name: string) =>
  directives.filter((directive) => directive.name === name);
const walk = (directives: readonly Directive[]): Directive[] =>
  directives.flatMap((directive) => [directive, ...walk(directive.block ?? [])]);

/** What a `map` makes of a value: literal keys first, then expressions in their order, then the default. */
function look(http: readonly Directive[], variable: string, value: string): string {
  const rows = http.find(({ name, words }) => name === 'map' && words[1] === variable)?.block ?? [];
  const literal = rows.find(({ name }) => name === value);
  if (literal) return literal.words[0] ?? '';
  for (const { name, words } of rows) {
    const [, flag, source] = /^~(\*?)(.*)$/.exec(name) ?? [];
    if (source === undefined) continue;
    const match = new RegExp(source, flag ? 'i' : '').exec(value);
    if (match)
      return (words[0] ?? '').replace(/\$\{?(\w+)\}?/g, (whole, group) => match.groups?.[group] ?? whole);
  }
  return rows.find(({ name }) => name === 'default')?.words[0] ?? '';
}

/** nginx's choice of a location: exact, else the longest prefix, and expressions unless that prefix forbids them. */
function locate(site: readonly Directive[], path: string): Directive {
  const locations = named(site, 'location');
  const sign = ({ words }: Directive) => (words.length === 2 ? words[0] : '');
  const target = ({ words }: Directive) => words.at(-1) ?? '';
  const exact = locations.find((location) => sign(location) === '=' && target(location) === path);
  if (exact) return exact;
  const [longest] = locations
    .filter((location) => ['', '^~'].includes(sign(location) ?? '') && path.startsWith(target(location)))
    .sort((a, b) => target(b).length - target(a).length);
  const expression = locations.find(
    (location) => sign(location) === '~' && new RegExp(target(location)).test(path),
  );
  const chosen = (longest && sign(longest) === '^~' ? undefined : expression) ?? longest;
  if (!chosen) throw new Error(`no location for ${path}`);
  return chosen;
}

/** Who may ask for a path: everybody, the allow-listed networks, or nobody. */
function access({ http, site }: ReturnType<typeof read>, path: string): 'public' | 'listed' | 'refused' {
  if (look(http, '$refused_path', path) === '1') return 'refused';
  const { block = [] } = locate(site, path.replace(/\?.*/, ''));
  if (!block.some(({ name }) => name === 'proxy_pass')) return 'refused';
  return block.some(({ name, words }) => name === 'if' && words[0] === '($admin_denied)')
    ? 'listed'
    : 'public';
}

const WEBCHAT = [
  '/lite/support/',
  '/lite/support/env.js',
  '/s/help',
  '/assets/modules/channel-web/inject.js',
  '/socket.io/?EIO=3&transport=websocket',
  '/api/v1/bots/support/mod/channel-web/messages',
  '/api/v1/bots/support/mod/channel-web/messages/files',
];
const PUBLIC = [
  '/assets/ui-lite/public/main.js',
  '/api/v1/bots/support/media/logo.png',
  '/api/v1/media/logo.png',
  '/api/v1/bots/support/converse/visitor',
  '/api/v1/bots/support/converse/visitor/secured',
  '/api/v1/messaging/webhooks/v1/support/telegram',
];
const LISTED = [
  '/admin',
  '/admin/login',
  '/studio/support/flows',
  '/assets/studio/ui/main.js',
  '/api/v1/auth/config',
  '/api/v1/auth/login/basic/default',
  '/api/v1/auth/register/basic/default',
  '/api/v1/admin/docker_images',
  '/api/v1/admin/management/versioning/export',
  '/api/v2/admin/x',
  '/api/v1/studio/support/flows/skills%2Fchoice.flow.json',
  '/api/v1/bots/support',
  '/api/v1/bots/support/events/1',
  '/api/v1/bots/support/mod/analytics/x',
  '/api/v1/bots/support/mod/channel-web-private/x',
  '/api/v1/modules',
  '/api/v1/telemetry',
  '/api/v1/media',
];
const REFUSED = [
  '/status',
  '/version',
  '/metrics',
  '/api/v1/messaging/status',
  '/api/v1/messaging/version',
  '/api/v1/messaging/messages',
  '/api/v1/chat/receive',
  '/api/internal/x',
  '/api/v1/sdk/x',
  '/api/v1/users',
  '/.env',
  '/lite/.git/config',
  '/_pages/unavailable.json/../x',
  '/ADMIN',
  '/api/v1/admin/..%2f..%2f..%2fassets/x',
  '/api/v1/admin/%2E%2e/x',
  '/assets/../admin',
  '/assets/x/..',
  '/lite/a%2f..%2fadmin',
  '/lite/a\\..\\admin',
  '/lite/a#/studio/',
  '/lite/a/studio/b',
  '/assets/STUDIO/ui/x.js',
  '/assets/modules/x/api/v1/studio',
  '/api/v1/bots/a%2fmod%2fchannel-web%2f/events/1',
];

describe.each(Object.entries(sets))('nginx of %s', (_, change) => {
  const environments = ['development', 'staging', 'production'].map((name) => ({
    name,
    ...read(change, name),
  }));

  it('passes the check of every rendered text', () => {
    const [{ plan, deployment } = environments[0] as never] = environments;
    expect(
      checkPlan(
        plan,
        deployment.environments.map(({ name }) => name),
      ),
    ).toEqual([]);
    for (const { path, content } of plan.filter((file) => !file.path.endsWith('.json')))
      expect({ path, said: content.includes('Made by generator-botpress-prod.') }).toEqual({
        path,
        said: true,
      });
  });

  it.each(environments)('has no word that nginx cannot read ($name)', ({ root }) => {
    const long = walk(root).flatMap(({ words }) => words.filter((word) => word.length > 4000));
    expect(long).toEqual([]);
  });

  it.each(environments)('defines every variable that it uses ($name)', ({ root }) => {
    const known = new Set(
      (
        'uri request request_uri request_id request_method request_length request_time host scheme https status bytes_sent ' +
        'remote_addr binary_remote_addr server_protocol ssl_protocol time_iso8601 limit_req_status upstream_addr ' +
        'upstream_status upstream_connect_time upstream_response_time upstream_cache_status'
      )
        .split(' ')
        .map((name) => `$${name}`),
    );
    const all = walk(root);
    for (const { name, words } of all) {
      if (name === 'map') known.add(words[1] ?? '');
      if (name === 'geo' || name === 'set') known.add(words[0] ?? '');
      if (name.startsWith('~')) for (const [, group] of name.matchAll(/\(\?<(\w+)>/g)) known.add(`$${group}`);
    }
    const used = all.flatMap(({ name, words }) =>
      (name.startsWith('~') || ['map', 'location'].includes(name) ? words.slice(0, 1) : words).flatMap(
        (word) => [...word.matchAll(/\$\{?([a-z_]\w*)\}?/g)].map(([, variable]) => `$${variable}`),
      ),
    );
    const unknown = used.filter(
      (name) => !known.has(name) && !/^\$(?:http|cookie|upstream_http)_/.test(name),
    );
    expect(unknown).toEqual([]);
  });

  it.each(environments)('loses no inherited header in any location ($name)', ({ site }) => {
    for (const kind of ['add_header', 'proxy_set_header', 'proxy_hide_header']) {
      const inherited = named(site, kind).map(({ words }) => words[0]);
      expect(inherited.length).toBeGreaterThan(0);
      for (const location of named(site, 'location')) {
        const own = named(location.block ?? [], kind).map(({ words }) => words[0]);
        if (own.length > 0) expect(own).toEqual(expect.arrayContaining(inherited));
      }
    }
  });

  it.each(environments)('lets an if do nothing but answer ($name)', ({ root }) => {
    for (const { block = [] } of named(walk(root), 'if'))
      expect(block.map(({ name }) => name)).toEqual(['return']);
  });

  it.each(environments)('opens, lists and refuses the paths of Botpress ($name)', (environment) => {
    const { deployment } = environment;
    const expected = (paths: string[], verdict: string) => paths.map((path) => `${verdict} ${path}`);
    const seen = (paths: string[]) => paths.map((path) => `${access(environment, path)} ${path}`);
    const pub = PUBLIC.filter((path) => deployment.channels.length > 0 || !path.includes('webhooks'));
    expect(seen(WEBCHAT)).toEqual(expected(WEBCHAT, deployment.webchat ? 'public' : 'listed'));
    expect(seen(pub)).toEqual(expected(pub, 'public'));
    expect(seen(LISTED)).toEqual(expected(LISTED, 'listed'));
    expect(seen(REFUSED)).toEqual(expected(REFUSED, 'refused'));
  });

  it.each(environments)('takes no body of 30 MB on a public path ($name)', ({ site }) => {
    const megabytes = (directives: readonly Directive[]) => {
      const [limit] = named(directives, 'client_max_body_size');
      return limit && Number.parseInt(limit.words[0] ?? '', 10);
    };
    expect(megabytes(site)).toBe(10);
    for (const path of [...WEBCHAT, ...PUBLIC])
      expect(megabytes(locate(site, path.replace(/\?.*/, '')).block ?? []) ?? 10).toBeLessThan(30);
    expect(
      megabytes(locate(site, '/api/v1/admin/management/versioning/update').block ?? []),
    ).toBeGreaterThanOrEqual(500);
  });

  it.each(environments)('answers only for its own host ($name)', ({ deployment, servers, name }) => {
    const environment = deployment.environments.find((candidate) => candidate.name === name);
    const listening = servers.map((server) => ({
      listen: named(server, 'listen')[0]?.words.join(' '),
      host: named(server, 'server_name')[0]?.words.join(' '),
      answer: named(server, 'return')[0]?.words.join(' '),
    }));
    const refusal = { host: '_', answer: '444' };
    expect(listening).toContainEqual({ listen: '8080 default_server', ...refusal });
    if (environment?.secure) {
      expect(listening).toContainEqual({ listen: '8443 ssl default_server', ...refusal });
      const redirect = walk(servers.flat()).find(
        ({ name, words }) => name === 'return' && words[0] === '308',
      );
      expect(redirect?.words[1]).toBe(`${environment.externalUrl}$request_uri`);
    } else expect(listening.filter(({ listen }) => listen?.includes('8443'))).toEqual([]);
  });

  it.each(environments)(
    'promises HTTPS for ever only with a real certificate ($name)',
    ({ deployment, http, name }) => {
      const environment = deployment.environments.find((candidate) => candidate.name === name);
      const real = environment?.tls === 'letsencrypt' || environment?.tls === 'provided';
      expect(look(http, '$strict_transport_security', 'on')).toBe(real ? 'max-age=63072000' : '');
    },
  );

  it.each(environments)(
    'lets the chosen sites embed the webchat and nothing else ($name)',
    ({ deployment, http }) => {
      const sites = look(http, '$frame_ancestors', 'webchat').split(' ');
      expect(sites[0]).toBe("'self'");
      const origins = sites.slice(1).map((variable) => look(http, variable, ''));
      expect(origins).toEqual(deployment.access.embed);
      expect(look(http, '$x_frame_options', 'webchat')).toBe('');
      for (const policy of ['admin', 'management', '']) {
        expect(look(http, '$frame_ancestors', policy)).toBe("'none'");
        expect(look(http, '$x_frame_options', policy)).toBe('DENY');
      }
      const evaluating = named(http, 'map')
        .find(({ words }) => words[1] === '$content_security_policy')
        ?.block?.filter(({ words }) => words[0]?.includes("'unsafe-eval'"));
      expect(evaluating?.map(({ name }) => name)).toEqual(['studio']);
    },
  );
});

describe('nginx', () => {
  const { http, site } = read({}, 'production');

  it('limits guessing of passwords strictly and sockets not at all', () => {
    const zones = (path: string) =>
      named(locate(site, path).block ?? [], 'limit_req').map(({ words }) => words[0]);
    expect(zones('/api/v1/auth/login/basic/default')).toEqual(['zone=login']);
    expect(zones('/socket.io/')).toEqual([]);
    expect(zones('/lite/support/')).toEqual(['zone=pages']);
    expect(named(http, 'limit_req_status')[0]?.words).toEqual(['429']);
  });

  it('writes neither queries nor the token of Telegram into its log', () => {
    const logged = (path: string) => look(http, '$logged_path', path);
    expect(logged('/socket.io/?token=secret')).toBe('/socket.io/');
    expect(logged('/api/v1/messaging/webhooks/v1/support/telegram/123:secret?a=b')).toBe(
      '/api/v1/messaging/webhooks/v1/support/telegram/***',
    );
    expect(logged('/api/v1/messaging/webhooks/v1/support/telegram')).toBe(
      '/api/v1/messaging/webhooks/v1/support/telegram',
    );
    for (const path of ['/socket.io/', '/api/v1/messaging/webhooks/v1/support/telegram'])
      expect(named(locate(site, path).block ?? [], 'error_log')[0]?.words).toEqual(['/dev/stderr', 'emerg']);
  });

  it('upgrades sockets to websockets and nothing else', () => {
    expect(look(http, '$websocket_upgrade', 'socket:websocket')).toBe('websocket');
    expect(look(http, '$websocket_upgrade', 'socket:h2c')).toBe('');
    expect(look(http, '$websocket_upgrade', 'webchat:websocket')).toBe('');
  });

  it('opens sockets for its own pages and the embedding sites', () => {
    for (const origin of ['', 'https://bot.acme.example', 'https://www.acme.example'])
      expect(look(http, '$foreign_origin', origin)).toBe('0');
    expect(look(http, '$foreign_origin', 'https://evil.example')).toBe('1');
    expect(look(http, '$foreign_origin', 'null')).toBe('1');
  });

  it('tells caches to keep files with a hash in their name, and errors never', () => {
    expect(look(http, '$asset_cache_control', '200')).toBe('$asset_lifetime');
    expect(look(http, '$asset_cache_control', '404')).toBe('no-store');
    expect(look(http, '$asset_lifetime', '/assets/main.1a2b3c4d.js')).toContain('immutable');
    expect(look(http, '$asset_lifetime', '/assets/modules/channel-web/inject.js')).not.toContain('immutable');
    expect(look(http, '$cache_control', '503:webchat:public')).toBe('no-store');
  });

  it('serves from the active nodes, without the idle colour', () => {
    const servers = (change: Partial<Answers>) =>
      named(walk(read(change, 'production').http), 'upstream').map(({ words, block = [] }) => ({
        name: words[0],
        servers: named(block, 'server').map((server) => server.words[0]),
        resolved: named(block, 'server').every((server) => server.words.includes('resolve')),
        idleSeconds: named(block, 'keepalive_timeout')[0]?.words[0],
      }));
    const expected = { resolved: true, idleSeconds: '4s' };
    expect(servers({})).toEqual([{ name: 'botpress_blue', servers: ['botpress-blue:3000'], ...expected }]);
    expect(servers(cluster)).toEqual([
      {
        name: 'botpress_blue',
        servers: ['botpress-blue:3000', 'botpress-blue-2:3000', 'botpress-blue-3:3000'],
        ...expected,
      },
    ]);
    expect(servers({ scaling: { ...base.scaling, deployment: 'recreate' } })).toEqual([
      { name: 'botpress_only', servers: ['botpress:3000'], ...expected },
    ]);
  });

  it('sends the deployment cookie only while the browser has another one', () => {
    expect(look(http, '$deployment_cookie', 'blue:blue')).toBe('');
    expect(look(http, '$deployment_cookie', ':blue')).toContain('Secure; SameSite=None; Partitioned');
    expect(look(http, '$deployment_cookie', 'green:blue')).toContain(
      'botpress_deployment=$deployment_colour',
    );
  });
});
