import type { AlonePart, Answers, ChannelName, CiSystem, Edition, Rollout, Target } from './answers.ts';
import { deriveBackup, type Backup } from './backup.ts';
import { messagingChannels, type Channel } from './channels.ts';
import { derivePipeline, type Pipeline } from './ci.ts';
import { deriveDatabase, type Database } from './database.ts';
import { deriveEnvironments, type Environment } from './environments.ts';
import { greet } from './greetings.ts';
import { BOTPRESS_VERSION, IMAGES, POSTGRES_MAJOR } from './images.ts';
import { deriveMonitoring, MONITORING_SECRETS, type Monitoring } from './monitoring.ts';
import { withPrivateAddresses } from './nginx.ts';
import { deriveOperations, type Operations } from './operations.ts';
import { deriveScale, type Scale } from './scale.ts';
import type { Secret } from './secrets.ts';
import { adoptDatabase, deriveStack, type Stack } from './stack.ts';

export type Colour = 'blue' | 'green';

/** One Botpress server of an environment: one compose service. */
export interface Node {
  /** Name of the compose service, also the node's `SERVER_ID`. */
  service: string;
  /** Absent when rollouts recreate the server in place. */
  colour?: Colour;
  /** The one node of its colour that creates and migrates tables; the others start after it. */
  migrator: boolean;
  /** Service whose health this node waits for, because two nodes must never create tables at once. */
  after?: string;
  /** Started by `bin/up`; the idle colour is started by a rollout only. */
  active: boolean;
}

export interface Bot {
  id: string;
  /** Prefix of the variables with this bot's channel credentials: `support-desk` → `SUPPORT_DESK`. */
  prefix: string;
  /** Secret file with the channel credentials; only where the deployment has messaging channels. */
  credentials: string;
  /** What the bot says first, in each language. */
  greetings: { language: string; text: string }[];
}

/** What is deployed: the answers plus everything derived from them. Templates see this and nothing else. */
export interface Deployment {
  /** Parts that are used alone; empty: the whole repository is the generator's. */
  alone: AlonePart[];
  /** The stack beside which they are used; none where the repository has its own. */
  stack?: Stack;
  /** File with the variables of an environment: `settingsOf('production')` → `.env.production`. */
  settingsOf: (environment: string) => string;
  /** Command that brings up what the parts run, without the environment. */
  startCommand: string;
  /** Command that brings a whole environment to what its files say, where it is to run for visitors. */
  upCommand: string;
  /** Command that brings changed files of `secrets/<environment>/` there. */
  secretsCommand: string;
  name: string;
  title: string;
  domain: string;
  contact: string;
  bots: Bot[];
  languages: string[];
  defaultLanguage: string;
  edition: Edition;
  pro: boolean;
  botpressVersion: string;
  postgresMajor: number;
  environments: Environment[];
  /** The environment that `bin/up` starts when none is named. */
  firstEnvironment: Environment;
  production: Environment;
  /** Where compose runs what a Swarm or a cluster does not have; none where production is the only environment there. */
  composeEnvironment?: Environment;
  channelNames: ChannelName[];
  webchat: boolean;
  /** Messaging channels; webchat is not one of them. */
  channels: Channel[];
  anyTls: boolean;
  letsEncrypt: boolean;
  access: {
    admin: string[];
    /** Those of `admin` that hold private addresses, as Docker's own networks have. */
    adminFromPrivate: string[];
    embed: string[];
  };
  nlu: boolean;
  images: typeof IMAGES;
  target: Target;
  rollout: Rollout;
  blueGreen: boolean;
  /** Nodes that serve at the same time. */
  replicas: number;
  /** More than one node serves: Redis, websocket transport only. */
  cluster: boolean;
  redis: boolean;
  nodes: Node[];
  activeNodes: Node[];
  database: Database;
  backup: Backup;
  monitoring: Monitoring;
  operations: Operations;
  scale: Scale;
  secrets: Secret[];
  randomSecrets: Secret[];
  providedSecrets: Secret[];
  /** Provided ones that Botpress' containers read. */
  botpressSecrets: Secret[];
  ci: CiSystem;
  /** Parts that the answers leave out, for whoever reads what is not there. */
  absentParts: { name: string; without: string }[];
  pipeline: Pipeline;
}

const derived = new WeakMap<Answers, Deployment>();

/** Everything that follows from the answers. Pure: same answers, same deployment. A run asks several times. */
export function deriveDeployment(answers: Answers): Deployment {
  const known = derived.get(answers) ?? derive(answers);
  derived.set(answers, known);
  return known;
}

function derive(answers: Answers): Deployment {
  const { replicas, deployment: rollout, target } = answers.scaling;
  const blueGreen = rollout === 'blue-green';
  const pro = answers.edition === 'pro';
  const cluster = replicas > 1;
  const environments = deriveEnvironments(answers);
  const nodes = deriveNodes(blueGreen, replicas);
  const stack = deriveStack(
    answers,
    environments.map(({ name }) => name),
  );
  const ownDatabase = deriveDatabase(
    // While a rollout that recreates stops one node, its successor may already connect.
    blueGreen ? nodes.length : nodes.length + 1,
    answers.database.rowLevelSecurity,
    answers.database.retentionDays,
  );
  const database = adoptDatabase(ownDatabase, answers);
  const channels = messagingChannels(answers.channels);
  const bots = answers.bots.map((id) => ({
    id,
    prefix: id.replaceAll('-', '_').toUpperCase(),
    credentials: `channels-${id}.env`,
    greetings: greet(id, answers.languages),
  }));
  const backup = deriveBackup(answers, stack);
  const monitoring = deriveMonitoring(answers, environments, database, backup, cluster);
  // The passwords of somebody else's stack are taken over from it, none is made.
  const own = stack ? [] : deriveSecrets(database, bots, channels, pro, cluster);
  const secrets = [...own, ...deriveMonitoringSecrets(monitoring, cluster)];
  const scale = deriveScale(answers, {
    environments,
    bots,
    channels,
    database,
    secrets: own,
    redis: cluster,
    nodes: nodes.length,
  });
  const [firstEnvironment] = environments;
  const production =
    environments.find(({ name }) => name === 'production') ?? environments[environments.length - 1];
  if (!firstEnvironment || !production) throw new Error('answers without an environment passed the gate');
  const composeEnvironment =
    target === 'compose' ? production : environments.filter((each) => each !== production).at(-1);
  return {
    alone: answers.alone,
    ...(stack && { stack }),
    // Beside somebody else's stack a file .env.production may well be theirs.
    settingsOf: (environment) =>
      stack
        ? `${answers.alone.includes('backup') ? 'backup' : 'ci'}/${environment}.env`
        : `.env.${environment}`,
    upCommand: target === 'compose' ? 'bin/up' : `bin/${target} up`,
    secretsCommand:
      target === 'compose' ? 'bin/up' : target === 'swarm' ? 'bin/swarm up' : 'bin/kubernetes-secrets',
    startCommand: stack ? 'bin/backup start' : 'bin/up',
    name: answers.name,
    title: answers.name.replaceAll('-', ' ').replace(/^./, (letter) => letter.toUpperCase()),
    domain: answers.domain,
    contact: answers.contact,
    bots,
    languages: answers.languages,
    defaultLanguage: answers.languages[0] ?? 'en',
    edition: answers.edition,
    pro,
    botpressVersion: BOTPRESS_VERSION,
    postgresMajor: POSTGRES_MAJOR,
    environments,
    firstEnvironment,
    production,
    ...(composeEnvironment && { composeEnvironment }),
    channelNames: answers.channels,
    webchat: answers.channels.includes('web'),
    channels,
    anyTls: environments.some(({ secure }) => secure),
    letsEncrypt: environments.some(({ tls }) => tls === 'letsencrypt'),
    access: { ...answers.access, adminFromPrivate: withPrivateAddresses(answers.access.admin) },
    nlu: answers.nlu,
    images: IMAGES,
    target,
    rollout,
    blueGreen,
    replicas,
    cluster,
    redis: cluster,
    nodes,
    activeNodes: nodes.filter(({ active }) => active),
    database,
    backup,
    monitoring,
    operations: deriveOperations(answers, cluster),
    scale,
    secrets,
    randomSecrets: secrets.filter(({ origin }) => origin === 'random'),
    providedSecrets: secrets.filter(({ origin }) => origin === 'provided'),
    botpressSecrets: own.filter(({ origin }) => origin === 'provided'),
    ci: answers.ci,
    absentParts: [
      { name: 'backup', without: 'nothing here makes backups', absent: answers.backup.targets.length === 0 },
      { name: 'operations', without: 'nothing watches it or sends alerts', absent: !answers.monitoring },
      { name: 'ci', without: 'no pipeline checks or deploys it', absent: answers.ci === 'none' },
    ].flatMap(({ name, without, absent }) => (absent ? [{ name, without }] : [])),
    pipeline: derivePipeline(answers, environments, production, stack),
  };
}

function deriveNodes(blueGreen: boolean, replicas: number): Node[] {
  const numbers = Array.from({ length: replicas }, (_, index) => index + 1);
  const nodesOf = (first: string, active: boolean, colour?: Colour): Node[] =>
    numbers.map((number) => ({
      service: number === 1 ? first : `${first}-${number}`,
      ...(colour && { colour }),
      migrator: number === 1,
      ...(number > 1 && { after: first }),
      active,
    }));
  return blueGreen
    ? [...nodesOf('botpress-blue', true, 'blue'), ...nodesOf('botpress-green', false, 'green')]
    : nodesOf('botpress', true);
}

function deriveSecrets(
  database: Database,
  bots: Bot[],
  channels: Channel[],
  pro: boolean,
  redis: boolean,
): Secret[] {
  const random = (name: string, purpose: string): Secret => ({ name, purpose, origin: 'random' });
  const provided = (name: string, purpose: string): Secret => ({ name, purpose, origin: 'provided' });
  return [
    random('postgres-password', 'PostgreSQL superuser; used by start-up and bin/secure-database only'),
    ...Object.values(database.roles).map(({ name, secret, purpose }) =>
      random(secret, `PostgreSQL role ${name}: ${purpose}`),
    ),
    ...(redis ? [random('redis-password', 'Redis')] : []),
    random('app-secret', 'signs the sessions of the admin pages; changing it logs everybody out'),
    random('admin-password', 'first administrator, made at the first boot'),
    ...(pro ? [provided('license-key', 'Botpress Pro licence')] : []),
    ...(channels.length > 0
      ? bots.map(({ id, credentials }) => ({
          ...provided(credentials, `channel credentials of the bot ${id}`),
          optional: true,
        }))
      : []),
  ];
}

function deriveMonitoringSecrets({ enabled, receivers }: Monitoring, redis: boolean): Secret[] {
  if (!enabled) return [];
  const random = (name: string, purpose: string): Secret => ({ name, purpose, origin: 'random' });
  const optional = (name: string, purpose: string): Secret => ({
    name,
    purpose,
    origin: 'provided',
    optional: true,
  });
  const names = MONITORING_SECRETS;
  return [
    random(names.grafana, 'Grafana, user admin; only its first start reads it'),
    ...(redis ? [random(names.redis, 'Redis user monitor: figures, no keys')] : []),
    ...(receivers.slack ? [optional(names.slack, 'address of the Slack webhook that takes alerts')] : []),
    ...(receivers.email.length > 0
      ? [optional(names.smtp, 'password of the mail server that takes alerts')]
      : []),
    optional(names.watchdog, "address of the dead-man's switch that raises the alarm when it stays quiet"),
  ];
}
