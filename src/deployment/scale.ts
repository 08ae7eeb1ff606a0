import { BACKUP_SCRIPTS } from './backup.ts';
import { NGINX_PAGES, NGINX_SNIPPETS } from './nginx.ts';
import type { Answers, IngressKind } from './answers.ts';
import type { Bot } from './deployment.ts';
import type { Channel } from './channels.ts';
import { DATABASE_STATEMENTS, type Database } from './database.ts';
import type { Environment } from './environments.ts';
import type { Secret } from './secrets.ts';
import { POSTGRES_MAJOR } from './images.ts';

/** One variable of Botpress. */
export interface Setting {
  name: string;
  value: string;
  /** Variable of `.env.<environment>` that replaces the value on a Swarm. */
  variable?: string;
}

/** What a service may take, and what a scheduler keeps free for it. */
export interface Size {
  /** MiB. */
  memory: number;
  cpus: number;
  pids: number;
  /** MiB and CPUs that are set aside. */
  reserved: { memory: number; cpus: number };
}

/** One environment as a cluster runs it. */
export interface ScaledEnvironment {
  /** Namespace, or name of the stack. */
  project: string;
  /** What Botpress calls `EXTERNAL_URL`: an ingress listens on the standard ports, a stack where compose would. */
  externalUrl: string;
  settings: Setting[];
  /** PostgreSQL servers: a primary and its standbys. */
  databaseInstances: number;
  /** PostgreSQL's share of memory, MiB. */
  databaseMemory: number;
  sharedBuffers: string;
}

/** A file that reaches containers as an entry of a ConfigMap, or as a config of a Swarm. */
export interface ContentFile {
  /** Key of a ConfigMap: no slashes. */
  key: string;
  /** Path below `botpress/`. */
  path: string;
}

/** A file of the repository as a config of a Swarm: it has to be handed to each service, as there are no mounts. */
export interface StackConfig {
  /** Name in the stack file. */
  source: string;
  /** Path in the repository; `${ENVIRONMENT}` stands for the name of the environment. */
  file: string;
  /** Path in the container. */
  target: string;
  executable: boolean;
}

/** The same deployment on Kubernetes or on a Swarm. */
export interface Scale {
  enabled: boolean;
  kubernetes: boolean;
  swarm: boolean;
  ingress: IngressKind;
  /** PostgreSQL and Redis are run by this repository, not by somebody else. */
  ownDatabase: boolean;
  ownRedis: boolean;
  monitoring: boolean;
  /** Two nodes of one version serve together while an update is under way. */
  overlap: boolean;
  /** Most Botpress nodes that serve at once, see `deriveCeiling`. */
  ceiling: number;
  autoscaling: boolean;
  /** Seconds between the moment a node leaves the name server's answer and its end. */
  drainSeconds: number;
  /** PostgreSQL of the operator, which needs an image of its own kind. */
  operatorImage: string;
  databaseHost: string;
  settings: Setting[];
  environments: Record<string, ScaledEnvironment>;
  content: ContentFile[];
  /** Secrets that Botpress reads. */
  botpressSecrets: string[];
  /** Files of each service of a stack. */
  configs: Record<ConfiguredService, StackConfig[]>;
  /** All of them, each once. */
  allConfigs: StackConfig[];
  sizes: typeof SIZES;
  /** What the profile `nlu` starts in compose. */
  nlu: boolean;
}

/** The limits of compose.yaml; a reservation is what a service is known to need (vendor: 1 CPU and 2 GB a node). */
const SIZES = {
  botpress: { memory: 4096, cpus: 2, pids: 1024, reserved: { memory: 2048, cpus: 1 } },
  nginx: { memory: 384, cpus: 1, pids: 128, reserved: { memory: 128, cpus: 0.1 } },
  postgres: { memory: 4096, cpus: 2, pids: 512, reserved: { memory: 2048, cpus: 0.5 } },
  redis: { memory: 512, cpus: 1, pids: 64, reserved: { memory: 256, cpus: 0.1 } },
  channels: { memory: 256, cpus: 0.5, pids: 64, reserved: { memory: 64, cpus: 0.05 } },
  purge: { memory: 128, cpus: 0.5, pids: 32, reserved: { memory: 32, cpus: 0.05 } },
  duckling: { memory: 512, cpus: 0.5, pids: 64, reserved: { memory: 256, cpus: 0.1 } },
  languageServer: { memory: 4096, cpus: 1, pids: 128, reserved: { memory: 2048, cpus: 0.25 } },
  lego: { memory: 128, cpus: 0.25, pids: 32, reserved: { memory: 32, cpus: 0.05 } },
  backup: { memory: 2048, cpus: 2, pids: 256, reserved: { memory: 512, cpus: 0.25 } },
} as const satisfies Record<string, Size>;

/**
 * From the moment a node leaves the name server's answer: until nginx asks again, then the last requests, then two
 * seconds for what Botpress writes late (events, logs). Visitors whose socket is on that node are refused meanwhile, so no
 * longer than needed. A Swarm answers at once and nginx asks every 2 s; in Kubernetes the news has to travel to the name
 * servers, which cache for 5 s.
 */
const DRAIN_SECONDS = { compose: 0, swarm: 8, kubernetes: 15 };

/** CloudNativePG runs its own images of PostgreSQL only. */
const OPERATOR_IMAGE = `ghcr.io/cloudnative-pg/postgresql:${POSTGRES_MAJOR}.10-minimal-trixie`;

export type ConfiguredService =
  'nginx' | 'botpress' | 'postgres' | 'redis' | 'channels' | 'purge' | 'lego' | 'backup';

/** Everything a cluster needs beyond what compose needs. Pure. */
export function deriveScale(
  answers: Answers,
  known: {
    environments: Environment[];
    bots: Bot[];
    channels: Channel[];
    database: Database;
    secrets: Secret[];
    redis: boolean;
    nodes: number;
  },
): Scale {
  const { target, deployment: rollout, replicas } = answers.scaling;
  const kubernetes = target === 'kubernetes';
  const ownDatabase = answers.scaling.database === 'cluster';
  const ownRedis = known.redis && answers.scaling.redis === 'cluster';
  const overlap = rollout === 'blue-green';
  const ceiling = deriveCeiling(replicas, overlap, known.nodes);
  const databaseHost = ownDatabase ? (kubernetes ? 'postgres-rw' : 'postgres') : 'postgres.example.com';
  const settings = deriveSettings(answers, known.database, databaseHost, kubernetes);
  const database = new Set(Object.values(known.database.roles).map(({ secret }) => secret));
  const content = listContent(known.bots, known.channels);
  const withChannels = known.channels.length > 0;
  const configs = listConfigs(content, withChannels);
  const used: Record<ConfiguredService, boolean> = {
    nginx: true,
    botpress: true,
    postgres: ownDatabase,
    redis: ownRedis,
    channels: withChannels,
    purge: true,
    lego: known.environments.some(({ tls }) => tls === 'letsencrypt'),
    backup: answers.backup.targets.length > 0,
  };
  return {
    enabled: target !== 'compose',
    kubernetes,
    swarm: target === 'swarm',
    ingress: answers.scaling.ingress,
    ownDatabase,
    ownRedis,
    monitoring: answers.monitoring,
    overlap,
    ceiling,
    autoscaling: kubernetes && ceiling > replicas && known.redis,
    drainSeconds: DRAIN_SECONDS[target],
    operatorImage: OPERATOR_IMAGE,
    databaseHost,
    settings,
    environments: Object.fromEntries(
      known.environments.map((environment) => [environment.name, scaleEnvironment(environment, kubernetes)]),
    ),
    content,
    configs,
    allConfigs: [
      ...new Map(
        Object.entries(configs)
          .filter(([service]) => used[service as ConfiguredService])
          .flatMap(([, list]) => list.map((config) => [config.source, config])),
      ).values(),
    ],
    botpressSecrets: known.secrets
      .map(({ name }) => name)
      .filter(
        (name) =>
          name !== 'postgres-password' && (!database.has(name) || name === known.database.roles.owner.secret),
      ),
    sizes: SIZES,
    nlu: answers.nlu,
  };
}

/**
 * Nodes that may serve at once. The connection budget of the database is made for `nodes` of them, and an update starts
 * one more than serve.
 */
function deriveCeiling(replicas: number, overlap: boolean, nodes: number): number {
  return overlap ? Math.max(replicas, nodes - 1) : replicas;
}

function scaleEnvironment(environment: Environment, kubernetes: boolean): ScaledEnvironment {
  const externalUrl = kubernetes
    ? `${environment.secure ? 'https' : 'http'}://${environment.domain}`
    : environment.externalUrl;
  const origins = environment.origins.map((origin) =>
    origin === environment.externalUrl ? externalUrl : origin,
  );
  return {
    project: environment.project,
    externalUrl,
    settings: [
      { name: 'ENVIRONMENT', value: environment.name },
      { name: 'EXTERNAL_URL', value: externalUrl },
      { name: 'BP_CONFIG_HTTPSERVER_CORS_ORIGIN', value: JSON.stringify(origins) },
      { name: 'BP_PRODUCTION', value: String(!environment.development) },
      { name: 'VERBOSITY_LEVEL', value: String(environment.verbosity), variable: 'VERBOSITY_LEVEL' },
      {
        name: 'BP_DECISION_MIN_CONFIENCE',
        value: String(environment.confidence),
        variable: 'NLU_CONFIDENCE',
      },
      { name: 'BP_CONFIG_JWTTOKEN_COOKIEOPTIONS_SECURE', value: String(environment.secure) },
    ],
    databaseInstances: environment.development ? 1 : 3,
    databaseMemory: environment.development ? 1024 : SIZES.postgres.memory,
    sharedBuffers: environment.development ? '128MB' : '1GB',
  };
}

/** What compose.yaml sets for every node, where each line is explained. */
function deriveSettings(
  answers: Answers,
  database: Database,
  databaseHost: string,
  kubernetes: boolean,
): Setting[] {
  const ownDatabase = answers.scaling.database === 'cluster';
  const plain: Record<string, string> = {
    BPFS_STORAGE: 'database',
    REVERSE_PROXY: 'loopback, uniquelocal',
    DATABASE_HOST: databaseHost,
    DATABASE_PORT: '5432',
    DATABASE_NAME: database.name,
    DATABASE_USER: database.roles.owner.name,
    DATABASE_POOL: JSON.stringify(database.pool),
    ...(!ownDatabase && { DATABASE_PARAMETERS: 'ssl=true' }),
    ...(ownDatabase && kubernetes && { DATABASE_PARAMETERS: 'ssl=true&sslrootcert=/run/database/ca.crt' }),
    APP_DATA_PATH: '/botpress/app-data',
    BP_ADMIN_EMAIL: answers.contact,
    BP_CONFIG_SENDUSAGESTATS: 'false',
    BP_CONFIG_SHOWPOWEREDBY: 'false',
    BP_CONFIG_HTTPSERVER_BODYLIMIT: '10mb',
    BP_CONFIG_JWTTOKEN_USECOOKIESTORAGE: 'true',
    BP_CONFIG_JWTTOKEN_COOKIEOPTIONS_HTTPONLY: 'true',
    BP_CONFIG_JWTTOKEN_COOKIEOPTIONS_SAMESITE: 'strict',
    BP_CONFIG_AUTHSTRATEGIES: '{"default":{"options":{"maxLoginAttempt":10,"lockoutDuration":"15m"}}}',
    BP_CONFIG_EVENTCOLLECTOR_RETENTIONPERIOD: '30d',
    BP_CONFIG_LOGS_DBOUTPUT_EXPIRATION: '2 weeks',
    BP_MODULE_CHANNEL_WEB_FILEUPLOADPATH: '/botpress/uploads',
    BP_DISABLE_SERVER_CONFIG: 'true',
    BP_DISABLE_SERVER_DIAG: 'true',
    BP_CODE_EDITOR_DISABLE_ADVANCED: 'true',
    BP_CODE_EDITOR_DISABLE_UPLOAD: 'true',
    BP_MODULE_NLU_LANGUAGESOURCES: '[{"endpoint":"http://language-server:3100"}]',
    BP_MODULE_NLU_DUCKLINGURL: 'http://duckling:8000',
    BP_MODULE_NLU_DUCKLINGENABLED: String(answers.nlu),
    ...(answers.nlu && { LANGUAGE_SERVER_URL: 'http://language-server:3100' }),
    ...(answers.edition === 'pro' && { PRO_ENABLED: 'true' }),
    ...(answers.scaling.replicas > 1 && {
      CLUSTER_ENABLED: 'true',
      REDIS_HOST: answers.scaling.redis === 'cluster' ? 'redis' : 'redis.example.com',
      REDIS_PORT: '6379',
      BP_CONFIG_HTTPSERVER_SOCKETTRANSPORTS: '["websocket","websocket"]',
    }),
  };
  const replaceable: Record<string, string> = {
    BP_ADMIN_EMAIL: 'ADMIN_EMAIL',
    ...(!ownDatabase && {
      DATABASE_HOST: 'DATABASE_HOST',
      DATABASE_PORT: 'DATABASE_PORT',
      DATABASE_PARAMETERS: 'DATABASE_PARAMETERS',
    }),
    ...(answers.scaling.redis === 'managed' && { REDIS_HOST: 'REDIS_HOST', REDIS_PORT: 'REDIS_PORT' }),
  };
  return Object.entries(plain).map(([name, value]) => ({
    name,
    value,
    ...(replaceable[name] !== undefined && { variable: replaceable[name] }),
  }));
}

/** Content of the first boot and the channels' fragments, as the app part writes them. */
function listContent(bots: Bot[], channels: Channel[]): ContentFile[] {
  const paths = [
    'data/global/workspaces.json',
    ...bots.flatMap(({ id }) =>
      ['bot.config', 'flows/main.flow', 'flows/main.ui', 'content-elements/builtin_text'].map(
        (name) => `data/bots/${id}/${name}.json`,
      ),
    ),
    ...bots.flatMap(({ id }) => channels.map(({ name }) => `channels/${id}/${name}.json`)),
  ];
  return paths.map((path) => ({ key: path.replaceAll('/', '.'), path }));
}

/** Files that compose mounts into each service, as configs with the same paths in the containers. */
function listConfigs(
  content: readonly ContentFile[],
  withChannels: boolean,
): Record<ConfiguredService, StackConfig[]> {
  const config = (file: string, target: string): StackConfig => ({
    source: file.replaceAll('/', '-').replace('${ENVIRONMENT}', 'environment'),
    file,
    target,
    executable: /\.sh$/.test(file),
  });
  const below = (folder: string, target: string, names: readonly string[]) =>
    names.map((name) => config(`${folder}/${name}`, `${target}/${name}`));
  const botpress = below('botpress', '/opt/botpress-prod', [
    ...['entrypoint.sh', 'health.sh', 'database.sh', 'channels.sh', 'migrate.sh', 'drain.sh'],
    ...content.map(({ path }) => path),
  ]);
  const sql = [...DATABASE_STATEMENTS, ...(withChannels ? ['channels'] : [])];
  return {
    botpress,
    nginx: [
      config('nginx/nginx.conf', '/etc/nginx/nginx.conf'),
      config('swarm/nginx/upstream.conf', '/etc/nginx/snippets/upstream.conf'),
      ...below('nginx', '/etc/nginx', [
        ...NGINX_SNIPPETS.map((name) => `snippets/${name}.conf`),
        ...NGINX_PAGES.flatMap((name) => [`pages/${name}.html`, `pages/${name}.json`]),
      ]),
      config('nginx/${ENVIRONMENT}/server.conf', '/etc/nginx/environment/server.conf'),
      config('nginx/${ENVIRONMENT}/real-ip.conf', '/etc/nginx/environment/real-ip.conf'),
      config('swarm/nginx/${ENVIRONMENT}/active-upstream.conf', '/etc/nginx/state/active-upstream.conf'),
      config('nginx/start.d/50-certificate.sh', '/docker-entrypoint.d/50-certificate.sh'),
    ],
    postgres: [
      ...below('database', '/etc/postgresql', ['postgresql.conf', 'pg_hba.conf']),
      config('database/init/10-roles.sh', '/docker-entrypoint-initdb.d/10-roles.sh'),
      ...below('database', '/opt/database', ['secure.sh', ...sql.map((name) => `sql/${name}.sql`)]),
    ],
    redis: below('redis', '/opt/redis', ['redis.conf', 'start.sh']),
    channels: [
      ...below('database', '/opt/database', ['sync-channels.sh', 'sql/channels.sql']),
      ...botpress.filter(
        ({ file }) => file === 'botpress/channels.sh' || file.startsWith('botpress/channels/'),
      ),
    ],
    purge: below('database', '/opt/database', ['purge.sh', 'sql/purge.sql']),
    lego: below('nginx/lego', '/opt/lego', ['renew.sh']),
    backup: below('backup', '/opt/backup', [
      ...['backup.sh', 'recipients.txt'],
      ...BACKUP_SCRIPTS.map((name) => `lib/${name}.sh`),
    ]),
  };
}
