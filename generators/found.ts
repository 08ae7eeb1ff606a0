import { existsSync, readFileSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import type { FoundStack } from '../src/deployment/question.ts';

/** Compose files in the order in which compose looks for them, then names that people give theirs. */
const COMPOSE_FILES = [
  'compose.yaml',
  'compose.yml',
  'docker-compose.yaml',
  'docker-compose.yml',
  'docker-compose.prod.yml',
  'docker-compose.prod.yaml',
  'docker-compose.production.yml',
];

/** Largest file that is read, in bytes: far above any real one. */
const LARGEST = 1_000_000;

type Entries = Record<string, unknown>;

/**
 * What a compose file of others says of its stack, for the defaults of the questions: whatever cannot be read is left out,
 * the user is asked anyway. Secrets are read with the rest and go nowhere.
 * @param root folder of the repository
 * @returns undefined where there is no compose file
 */
export async function findStack(root: string): Promise<FoundStack | undefined> {
  const file = COMPOSE_FILES.map((name) => join(root, name)).find((path) => existsSync(path));
  if (file === undefined) return undefined;
  const { default: yaml } = await import('yaml');
  const variables = readVariables(join(root, '.env'));
  let compose: Entries;
  try {
    compose = asEntries(yaml.parse(fill(read(file), variables), { merge: true }));
  } catch {
    return {};
  }
  const project = String(
    variables.get('COMPOSE_PROJECT_NAME') ??
      compose['name'] ??
      basename(root)
        .toLowerCase()
        .replaceAll(/[^a-z0-9_-]/g, '')
        .replace(/^[_-]+/, ''),
  );
  const services = Object.entries(asEntries(compose['services']));
  const find = (image: RegExp, name: RegExp) =>
    services.find(([, service]) => image.test(String(asEntries(service)['image']))) ??
    services.find(([key]) => name.test(key));
  const botpress = find(/botpress\/server(:|@|$)/, /^botpress/);
  const postgres = find(/(^|\/)(postgres|postgis|pgvector)(:|@|$)/, /^(postgres|db|database)/);
  const realName = (kind: 'networks' | 'volumes', key: string) => {
    const entry = asEntries(asEntries(compose[kind])[key]);
    if (typeof entry['name'] === 'string') return entry['name'];
    return entry['external'] === true ? key : `${project}_${key}`;
  };
  const networks = networksOf([postgres?.[1], botpress?.[1]]).map((key) => realName('networks', key));
  const database = addressOf(asEntries(botpress?.[1]), postgres?.[0], asEntries(postgres?.[1]));
  const files = foldersOf(asEntries(botpress?.[1])).map((source) =>
    /^[./]/.test(source) ? source.replace(/\/+$/, '') : realName('volumes', source),
  );
  return {
    project,
    networks,
    ...(database !== undefined && { database }),
    ...(botpress && { botpress: botpress[0] }),
    ...(files.length > 0 && { files }),
  };
}

function read(path: string): string {
  return statSync(path).size > LARGEST ? '' : readFileSync(path, 'utf8');
}

function readVariables(path: string): Map<string, string> {
  if (!existsSync(path)) return new Map();
  return new Map(
    read(path)
      .split(/\r?\n/)
      .flatMap((line) => {
        const [, name, value = ''] = /^\s*(?:export\s+)?([A-Za-z_]\w*)=(.*)$/.exec(line) ?? [];
        return name === undefined ? [] : [[name, value.replace(/^(['"])(.*)\1\s*$/, '$2')] as const];
      }),
  );
}

/** Variables of compose: $NAME, ${NAME}, ${NAME:-default}, ${NAME-default}, ${NAME:?message}. */
function fill(text: string, variables: ReadonlyMap<string, string>): string {
  return text.replaceAll(
    /\$(?:(\w+)|\{(\w+)(?::?([-?])([^}]*))?\})/g,
    (_, bare?: string, name?: string, kind?: string, rest = '') =>
      variables.get(bare ?? name ?? '') ?? (kind === '-' ? String(rest) : ''),
  );
}

function asEntries(value: unknown): Entries {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Entries) : {};
}

/** Networks of several services, each once; a service that names none is on the default one. */
function networksOf(services: readonly unknown[]): string[] {
  const keys = services
    .filter((service) => service !== undefined)
    .flatMap((service) => {
      const { networks } = asEntries(service);
      const named = Array.isArray(networks) ? networks.map(String) : Object.keys(asEntries(networks));
      return named.length > 0 ? named : ['default'];
    });
  return keys.length > 0 ? [...new Set(keys)] : ['default'];
}

function environmentOf(service: Entries): Map<string, string> {
  const { environment } = service;
  if (!Array.isArray(environment))
    return new Map(Object.entries(asEntries(environment)).map(([name, value]) => [name, String(value)]));
  return new Map(
    environment.map((line) => {
      const [name = '', ...rest] = String(line).split('=');
      return [name, rest.join('=')];
    }),
  );
}

/** DATABASE_URL of Botpress without its password, or what PostgreSQL was told to make. */
function addressOf(botpress: Entries, host: string | undefined, postgres: Entries): string | undefined {
  const [, user, rest] =
    /^postgres(?:ql)?:\/\/([^:@/]+)(?::.*)?@([^@/]+\/[\w-]+)/.exec(
      environmentOf(botpress).get('DATABASE_URL') ?? '',
    ) ?? [];
  if (user !== undefined && rest !== undefined) {
    const [place = '', name = ''] = rest.split('/');
    return `postgres://${user}@${place.includes(':') ? place : `${place}:5432`}/${name}`;
  }
  if (host === undefined) return undefined;
  const variables = environmentOf(postgres);
  const role = variables.get('POSTGRES_USER') ?? 'postgres';
  return `postgres://${role}@${host}:5432/${variables.get('POSTGRES_DB') ?? role}`;
}

/** Sources of what is mounted below /botpress and can be written; a single file is configuration. */
function foldersOf(service: Entries): string[] {
  const { volumes } = service;
  if (!Array.isArray(volumes)) return [];
  return volumes.flatMap((volume) => {
    const [source = '', target = '', mode = ''] =
      typeof volume === 'string'
        ? volume.split(':')
        : [
            String(asEntries(volume)['source'] ?? ''),
            String(asEntries(volume)['target'] ?? ''),
            asEntries(volume)['read_only'] === true ? 'ro' : '',
          ];
    const isFolder = /^\/botpress(\/[^.]*)?$/.test(target) && source !== '' && !/\bro\b/.test(mode);
    return isFolder ? [source] : [];
  });
}
