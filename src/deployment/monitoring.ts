import { deriveAlerts, deriveRecordings, type Alert, type Recording } from './alerts.ts';
import type { Answers } from './answers.ts';
import type { Backup } from './backup.ts';
import { deriveDashboards, type Dashboard, type DashboardName } from './dashboards.ts';
import type { Database } from './database.ts';
import type { Environment } from './environments.ts';
import type { Image } from './images.ts';
import { longestGap } from './schedule.ts';

interface MonitoringPorts {
  grafana: number;
  prometheus: number;
  alertmanager: number;
}

/** What watches an environment, and whom it tells. */
export interface Monitoring {
  /** False when the answers want none: then nothing of it is written. */
  enabled: boolean;
  images: Record<MonitoringImage, Image>;
  /** Names of the compose services. */
  services: string[];
  /** Those that alerts need; the others stand in groups of their own, so that none is missing because another one is. */
  alerting: string[];
  alerts: Alert[];
  /** Seconds after which a good set and a drill are missing, by their schedules. */
  backupAges: { late: number; drillLate: number };
  recordings: Recording[];
  /** Alerts that are not sent while another one fires that says what is behind them. */
  inhibitions: { source: string; targets: string[] }[];
  dashboards: Record<DashboardName, Dashboard>;
  /** What is probed from outside, as a visitor does it. */
  site: { path: string; statusCodes: number[] };
  receivers: { slack: boolean; email: string[]; any: boolean };
  /** Ports on the loopback address of the host, unless the environment's variables say otherwise. */
  ports: MonitoringPorts;
  /** What the variables of an environment say of them, so that environments of one machine do not collide. */
  portsOf: (environment: string) => MonitoringPorts;
}

/** Images of the monitoring; those of the stack itself stand in images.ts. */
export const MONITORING_IMAGES = {
  prometheus: { variable: 'IMAGE_PROMETHEUS', reference: 'prom/prometheus:v3.5.3' },
  alertmanager: { variable: 'IMAGE_ALERTMANAGER', reference: 'prom/alertmanager:v0.28.1' },
  grafana: { variable: 'IMAGE_GRAFANA', reference: 'grafana/grafana:12.1.1' },
  postgresExporter: {
    variable: 'IMAGE_POSTGRES_EXPORTER',
    reference: 'prometheuscommunity/postgres-exporter:v0.17.1',
  },
  redisExporter: { variable: 'IMAGE_REDIS_EXPORTER', reference: 'oliver006/redis_exporter:v1.69.0-alpine' },
  nginxExporter: { variable: 'IMAGE_NGINX_EXPORTER', reference: 'nginx/nginx-prometheus-exporter:1.4.1' },
  blackboxExporter: { variable: 'IMAGE_BLACKBOX_EXPORTER', reference: 'prom/blackbox-exporter:v0.28.0' },
  nodeExporter: { variable: 'IMAGE_NODE_EXPORTER', reference: 'prom/node-exporter:v1.9.0' },
  loki: { variable: 'IMAGE_LOKI', reference: 'grafana/loki:3.5.7' },
  logAgent: { variable: 'IMAGE_SYSLOG_NG', reference: 'balabit/syslog-ng:4.11.0' },
} as const satisfies Record<string, Image>;

export type MonitoringImage = keyof typeof MONITORING_IMAGES;

/** Secret files; the optional ones may stay empty, and then nobody is told that way. */
export const MONITORING_SECRETS = {
  grafana: 'grafana-admin-password',
  redis: 'redis-monitor-password',
  slack: 'alert-slack-url',
  smtp: 'alert-smtp-password',
  watchdog: 'alert-watchdog-url',
} as const;

const PORTS = { grafana: 9700, prometheus: 9701, alertmanager: 9702 };

export function deriveMonitoring(
  answers: Answers,
  environments: readonly Environment[],
  database: Database,
  backup: Backup,
  redis: boolean,
): Monitoring {
  const { monitoring: enabled, alerts: wanted, scaling, nlu } = answers;
  const { owner, backup: backupRole } = database.roles;
  const tls = environments.some(({ secure }) => secure);
  const [bot = ''] = answers.bots;
  const backupAges = {
    late: gapOf(backup.schedule) + 2 * 3600,
    drillLate: gapOf(backup.drillSchedule) + 2 * 86_400,
  };
  const alerts = deriveAlerts({
    ...wanted,
    replicas: scaling.replicas,
    redis,
    tls,
    languageServer: nlu,
    owner,
    database: database.name,
    backupRole: backupRole.name,
    ...(backup.enabled && { backup: backupAges }),
    ...(backup.pointInTime && { archive: { gap: gapOf(backup.baseSchedule) } }),
  });
  const alerting = [
    'prometheus',
    'alertmanager',
    'postgres-exporter',
    ...(redis ? ['redis-exporter'] : []),
    'nginx-exporter',
    'blackbox-exporter',
    'node-exporter',
  ];
  return {
    enabled,
    images: MONITORING_IMAGES,
    services: [...alerting, 'grafana', 'loki', 'log-agent'],
    alerting,
    alerts,
    backupAges,
    recordings: deriveRecordings(),
    inhibitions: deriveInhibitions(alerts),
    dashboards: deriveDashboards({
      redis,
      tls,
      backups: backup.enabled,
      gateway: answers.gateway.enabled,
      ...wanted,
      owner,
      database: database.name,
    }),
    // Without webchat no page is open to everybody: that nginx answers at all is then what can be seen.
    site: answers.channels.includes('web')
      ? { path: `/lite/${bot}/`, statusCodes: [200] }
      : { path: '/', statusCodes: [302, 404] },
    receivers: {
      slack: wanted.slack,
      email: wanted.email,
      any: wanted.slack || wanted.email.length > 0,
    },
    ports: PORTS,
    portsOf: (environment) => {
      const shift = 10 * environments.findIndex(({ name }) => name === environment);
      return {
        grafana: PORTS.grafana + shift,
        prometheus: PORTS.prometheus + shift,
        alertmanager: PORTS.alertmanager + shift,
      };
    },
  };
}

/** A schedule that never fits is as good as one every four years: its backup is missed all the same. */
function gapOf(schedule: string): number {
  return Math.min(longestGap(schedule), 4 * 366 * 86_400);
}

/** An inhibition a source, so that Alertmanager compares each pair once. */
function deriveInhibitions(alerts: readonly Alert[]): Monitoring['inhibitions'] {
  const names = alerts.map(({ name }) => name);
  return names
    .map((source) => ({
      source,
      targets: alerts.filter(({ silencedBy }) => silencedBy?.includes(source)).map(({ name }) => name),
    }))
    .filter(({ targets }) => targets.length > 0);
}
