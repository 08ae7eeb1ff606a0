/**
 * The answers: what the user chose, after the gate. Prompts, flags, the answers file and `.yo-rc.json` all end in
 * this one shape. The question table (`generators/<part>/questions.ts`) holds one row for each leaf of it, and the
 * compiler refuses a row whose zod field does not produce the leaf's type.
 *
 * Secrets are never answers.
 */

export const EDITIONS = ['community', 'pro'] as const;
export const CHANNELS = [
  'web',
  'messenger',
  'slack',
  'telegram',
  'twilio',
  'teams',
  'smooch',
  'vonage',
] as const;
export const TLS_MODES = ['letsencrypt', 'provided', 'self-signed'] as const;
export const TARGETS = ['compose', 'swarm', 'kubernetes'] as const;
export const INGRESSES = ['ingress', 'gateway'] as const;
export const SERVICE_HOMES = ['cluster', 'managed'] as const;
export const ROLLOUTS = ['blue-green', 'recreate'] as const;
export const BACKUP_TARGETS = ['local', 's3', 'gcs', 'azure', 'sftp'] as const;
export const CI_SYSTEMS = ['github', 'gitlab', 'none'] as const;
/** Parts that also work beside a stack which this generator did not write. */
export const ALONE_PARTS = ['backup', 'ci'] as const;

export type Edition = (typeof EDITIONS)[number];
export type ChannelName = (typeof CHANNELS)[number];
export type TlsMode = (typeof TLS_MODES)[number];
export type Target = (typeof TARGETS)[number];
export type IngressKind = (typeof INGRESSES)[number];
export type ServiceHome = (typeof SERVICE_HOMES)[number];
export type Rollout = (typeof ROLLOUTS)[number];
export type BackupTarget = (typeof BACKUP_TARGETS)[number];
export type CiSystem = (typeof CI_SYSTEMS)[number];
export type AlonePart = (typeof ALONE_PARTS)[number];

/** One environment with overrides of what is derived; a bare name stands for `{ name }`. */
export interface EnvironmentAnswer {
  name: string;
  /** Host name; derived: localhost for development, the domain for production, else a label before the domain. */
  domain?: string | undefined;
  /** Derived: none for localhost, else the answer `tls`. */
  tls?: TlsMode | 'none' | undefined;
  /** Address of the host on which the ports are published. */
  bind?: string | undefined;
  httpPort?: number | undefined;
  httpsPort?: number | undefined;
  /** Lowest confidence (0 to 1) at which an intent is answered. */
  confidence?: number | undefined;
}

export interface Answers {
  name: string;
  domain: string;
  contact: string;
  bots: string[];
  languages: string[];
  edition: Edition;
  environments: (string | EnvironmentAnswer)[];
  channels: ChannelName[];
  tls: TlsMode;
  access: {
    /** Networks (CIDR) from which the admin and studio pages can be reached. */
    admin: string[];
    /** Origins of the sites that embed the webchat. */
    embed: string[];
  };
  database: {
    rowLevelSecurity: boolean;
    /** Days after which messages and other rows that Botpress never cleans are deleted; 0 keeps them for ever. */
    retentionDays: number;
  };
  /** Language server and duckling of one's own beside the bots. */
  nlu: boolean;
  scaling: {
    target: Target;
    replicas: number;
    deployment: Rollout;
    /** How visitors get in, on Kubernetes. */
    ingress: IngressKind;
    /** Who runs PostgreSQL and Redis on Swarm and Kubernetes: this repository, or somebody else. */
    database: ServiceHome;
    redis: ServiceHome;
  };
  backup: {
    targets: BackupTarget[];
    /** Cron expression with five fields. */
    schedule: string;
    retention: { daily: number; weekly: number; monthly: number };
    /** Every change is kept as it happens: the database can go back to any moment of the last `retention.daily` days. */
    pointInTime: boolean;
  };
  ci: CiSystem;
  monitoring: boolean;
  gateway: {
    /** Closes the open converse API of Botpress and puts one with keys and limits in its place. */
    enabled: boolean;
    /** What one key may ask a minute. */
    requestsPerMinute: number;
  };
  alerts: {
    slack: boolean;
    email: string[];
    /** Ratio 0 to 1. */
    errorRate: number;
    responseTimeMs: number;
    /** Ratio 0 to 1. */
    memoryUsage: number;
  };
  /** Parts that are used alone, beside a stack of somebody else's; empty: the whole repository is the generator's. */
  alone: AlonePart[];
  /** That stack; it says nothing where no part is used alone. */
  stack: {
    /** Name of its compose project. */
    project: string;
    /** Docker's names of the networks on which its database and Botpress are. */
    networks: string[];
    /** How Botpress reaches its database, without the password: `postgres://user@host:5432/name`. */
    database: string;
    /** Compose service of Botpress. */
    botpress: string;
    /** URL, within the networks, that answers 200 when Botpress serves. */
    health: string;
    /** Where Botpress keeps files: docker's names of volumes, or folders that begin with `./` or `/`. */
    files: string[];
    /** Its compose file. */
    file: string;
    /** The repository has a `.gitlab-ci.yml` of its own, which includes the jobs. */
    ownPipeline: boolean;
    /** Branch whose commits are deployed. */
    branch: string;
    /** Servers, one for each environment, in their order. */
    hosts: string[];
    /** Where the clone of the repository is on each of them. */
    folder: string;
    /** Shell command that brings the commit that is checked out there into force. */
    deploy: string;
    /** Public addresses that answer 200 when visitors are served, one for each environment, in their order. */
    urls: string[];
    /** Shell command that tests a change; empty for none. */
    test: string;
  };
}

/** Answers that only repositories with parts that are used alone have. */
type AloneKey = 'alone' | 'stack';

/** The answers as `.yo-rc.json` and the answers file hold them. */
export type StoredAnswers = Omit<Answers, AloneKey> & Partial<Pick<Answers, AloneKey>>;

/** What is stored of the answers: what concerns parts that are used alone only where there are some. */
export function storedAnswers(answers: Answers): StoredAnswers {
  if (answers.alone.length > 0) return answers;
  const own: StoredAnswers = { ...answers };
  delete own.alone;
  delete own.stack;
  return own;
}

/** Dotted paths of the leaves of `Answers`: `name`, `backup.retention.daily` … Lists are leaves. */
export type AnswerPath = LeafPath<Answers>;

type LeafPath<T> = {
  [K in keyof T & string]: T[K] extends readonly unknown[] | string | number | boolean
    ? K
    : `${K}.${LeafPath<T[K]>}`;
}[keyof T & string];

/** The type at a dotted path of `T`. */
export type ValueAt<T, P extends string> = P extends `${infer K}.${infer Rest}`
  ? K extends keyof T
    ? ValueAt<T[K], Rest>
    : never
  : P extends keyof T
    ? T[P]
    : never;
