import type { Answers } from './answers.ts';
import type { Image } from './images.ts';

/** The service that watches a deployment, and the gateway before its converse API. */
export interface Operations {
  /** False when the answers ask for no monitoring: then nothing of this part is written. */
  enabled: boolean;
  /** Built from `operations/Dockerfile` where no registry has it. */
  image: Image;
  /** What that image is built on. */
  base: Image;
  /** What has to be up for the deployment to count as healthy. */
  components: string[];
  /** Connections to PostgreSQL, as the monitoring role. */
  pool: { max: number; idleSeconds: number; connectSeconds: number };
  gateway: {
    enabled: boolean;
    /** What one key may ask a minute. */
    requestsPerMinute: number;
    /** Instances that share the limits through Redis where there is one. */
    instances: number;
  };
}

/** Raised when anything in `operations/` changes, so that a machine builds the image again. */
const IMAGE_REVISION = 2;

/** The role may hold four connections: two for the exporter of PostgreSQL's own metrics. */
const POOL = { max: 2, idleSeconds: 30, connectSeconds: 2 };

export function deriveOperations({ monitoring, gateway, nlu }: Answers, redis: boolean): Operations {
  return {
    enabled: monitoring,
    image: { variable: 'IMAGE_OPERATIONS', reference: `botpress-prod-operations:${IMAGE_REVISION}` },
    base: { variable: 'IMAGE_NODE', reference: 'node:24.21.0-trixie-slim' },
    components: [
      'botpress',
      'database',
      'messaging',
      ...(redis ? ['redis'] : []),
      // Without a language server the NLU has nothing to say.
      ...(nlu ? ['nlu', 'language'] : []),
    ],
    pool: POOL,
    gateway: {
      enabled: monitoring && gateway.enabled,
      requestsPerMinute: gateway.requestsPerMinute,
      instances: redis ? 2 : 1,
    },
  };
}
