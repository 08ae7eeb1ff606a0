import type { Answers, EnvironmentAnswer, TlsMode } from './answers.ts';

/** One environment of the deployment, everything decided. */
export interface Environment {
  name: string;
  /** Name of the compose project, so that environments do not collide on one host. */
  project: string;
  /** Runs on a laptop: plain HTTP on the loopback address, debug logs, stack traces. */
  development: boolean;
  domain: string;
  tls: TlsMode | 'none';
  /** True when nginx terminates TLS. */
  secure: boolean;
  /** Address of the host on which nginx publishes its ports. */
  bind: string;
  httpPort: number;
  httpsPort: number;
  /** What Botpress calls `EXTERNAL_URL`: scheme, host and, where it is not the scheme's own, port; never a path. */
  externalUrl: string;
  /** Botpress `VERBOSITY_LEVEL`: 0 production, 1 developer, 2 debug. */
  verbosity: 0 | 1 | 2;
  logLevel: 'debug' | 'info' | 'warn';
  /** Lowest confidence at which an intent is answered (`BP_DECISION_MIN_CONFIENCE`). */
  confidence: number;
  /** Origins that may call the API and embed the webchat: the environment's own and the chosen ones. */
  origins: string[];
  /** Optional services that run here: values of `COMPOSE_PROFILES`. */
  profiles: string[];
  composeFile: string;
  variablesFile: string;
}

const DEVELOPMENT_NAMES = ['development', 'dev', 'local'];
const PRODUCTION_NAMES = ['production', 'prod', 'live'];

/** First ports of an environment that is neither production nor on a laptop; each further one is 100 higher. */
const FIRST_PORTS = { development: { http: 3000, https: 3443 }, other: { http: 8080, https: 8443 } };

/** Environments of the answers in their order, with every derived value that was not overridden. */
export function deriveEnvironments(answers: Answers): Environment[] {
  let developments = 0;
  let others = 0;
  return answers.environments.map((entry) => {
    const answer: EnvironmentAnswer = typeof entry === 'string' ? { name: entry } : entry;
    const development = DEVELOPMENT_NAMES.includes(answer.name);
    const production = PRODUCTION_NAMES.includes(answer.name);
    const ports = production
      ? { http: 80, https: 443 }
      : development
        ? shiftPorts(FIRST_PORTS.development, developments++)
        : shiftPorts(FIRST_PORTS.other, others++);
    const httpPort = answer.httpPort ?? ports.http;
    const httpsPort = answer.httpsPort ?? ports.https;
    const domain =
      answer.domain ??
      (development ? 'localhost' : production ? answers.domain : `${answer.name}.${answers.domain}`);
    const tls = answer.tls ?? deriveTls(answers.tls, domain, httpPort);
    const secure = tls !== 'none';
    const externalUrl = formatUrl(secure, domain, secure ? httpsPort : httpPort);
    return {
      name: answer.name,
      project: `${answers.name}-${answer.name}`,
      development,
      domain,
      tls,
      secure,
      bind: answer.bind ?? (domain === 'localhost' ? '127.0.0.1' : '0.0.0.0'),
      httpPort,
      httpsPort,
      externalUrl,
      verbosity: development ? 2 : production ? 0 : 1,
      logLevel: development ? 'debug' : production ? 'warn' : 'info',
      // The tutorial's values; production asks the most before it answers.
      confidence: answer.confidence ?? (development ? 0.3 : production ? 0.8 : 0.7),
      origins: [...new Set([externalUrl, ...answers.access.embed])],
      profiles: [
        ...(answers.nlu ? ['nlu'] : []),
        ...(tls === 'letsencrypt' ? ['letsencrypt'] : []),
        // Ten more containers are too much for a laptop.
        ...(answers.monitoring && !development ? ['monitoring'] : []),
      ],
      composeFile: `compose.${answer.name}.yaml`,
      variablesFile: `.env.${answer.name}`,
    };
  });
}

function shiftPorts(first: { http: number; https: number }, index: number): { http: number; https: number } {
  return { http: first.http + 100 * index, https: first.https + 100 * index };
}

/** Let's Encrypt proves a domain over port 80, so an environment on another port cannot use it. */
function deriveTls(wanted: TlsMode, domain: string, httpPort: number): TlsMode | 'none' {
  if (domain === 'localhost') return 'none';
  return wanted === 'letsencrypt' && httpPort !== 80 ? 'self-signed' : wanted;
}

function formatUrl(secure: boolean, domain: string, port: number): string {
  const standard = secure ? 443 : 80;
  return `${secure ? 'https' : 'http'}://${domain}${port === standard ? '' : `:${port}`}`;
}
