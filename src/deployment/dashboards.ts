/** The dashboards of Grafana: what they show. How a panel looks is decided once, in the template. */

import { LOG_OUTPUT } from './alerts.ts';

export interface Query {
  expr: string;
  /** What the legend says; labels in double braces. */
  legend: string;
  /**
   * An event that has to happen before there is a result: not every machine has had it. Without one, the query has a
   * result as soon as the stack is up.
   */
  needs?: string;
}

export interface Panel {
  title: string;
  /** One number now, lines over time, or log lines, which Loki has and not Prometheus. */
  type: 'stat' | 'timeseries' | 'logs';
  /** Unit as Grafana calls it. */
  unit: string;
  queries: Query[];
  /** Red from here on, green below; or the other way round. */
  limit?: { value: number; worse: 'above' | 'below' };
}

export interface Dashboard {
  uid: string;
  title: string;
  /** What is chosen above the panels: values of a label of a metric, or a text. */
  choices?: ({ name: string; metric: string } | { name: string; text: true })[];
  panels: Panel[];
}

export interface DashboardSettings {
  redis: boolean;
  tls: boolean;
  backups: boolean;
  /** The service before the converse API. */
  gateway: boolean;
  errorRate: number;
  responseTimeMs: number;
  memoryUsage: number;
  owner: { name: string; connectionLimit: number };
  database: string;
}

/** Lines that the log agent has read, by service and level. */
const LINES = 'log_lines_total';

const VISITORS = 'class=~"webchat|converse|webhooks"';

const lines = (title: string, unit: string, ...queries: Query[]): Panel => ({
  title,
  type: 'timeseries',
  unit,
  queries,
});

const number = (
  title: string,
  unit: string,
  expr: string,
  limit?: Panel['limit'],
  needs?: string,
): Panel => ({
  title,
  type: 'stat',
  unit,
  queries: [{ expr, legend: '', ...(needs && { needs }) }],
  ...(limit && { limit }),
});

export const DASHBOARDS = ['overview', 'conversations', 'database', 'deploys', 'logs'] as const;
export type DashboardName = (typeof DASHBOARDS)[number];

export function deriveDashboards(settings: DashboardSettings): Record<DashboardName, Dashboard> {
  return {
    overview: { uid: 'botpress-overview', title: 'Overview', panels: overview(settings) },
    conversations: { uid: 'botpress-conversations', title: 'Conversations', panels: conversations() },
    database: {
      uid: 'botpress-database',
      title: settings.redis ? 'PostgreSQL and Redis' : 'PostgreSQL',
      panels: database(settings),
    },
    deploys: {
      uid: 'botpress-deploys',
      title: settings.backups ? 'Deploys and backups' : 'Deploys',
      panels: deploys(settings),
    },
    logs: {
      uid: 'botpress-logs',
      title: 'Logs',
      choices: [
        { name: 'service', metric: LINES },
        { name: 'level', metric: LINES },
        { name: 'search', text: true },
      ],
      panels: logs(),
    },
  };
}

function overview(settings: DashboardSettings): Panel[] {
  const { errorRate, responseTimeMs, memoryUsage } = settings;
  return [
    number('Nodes that are well', 'short', 'sum(probe_success{job="status"})', { value: 1, worse: 'below' }),
    number('Visitors get a page', 'bool_yes_no', 'min(probe_success{job="site"})', {
      value: 1,
      worse: 'below',
    }),
    number(
      'Failed requests',
      'percentunit',
      'botpress:errors:ratio_5m',
      { value: errorRate, worse: 'above' },
      'requests',
    ),
    number(
      'Alerts that fire',
      'short',
      'count(ALERTS{alertstate="firing",severity=~"page|ticket"}) or vector(0)',
      {
        value: 1,
        worse: 'above',
      },
    ),
    ...(settings.tls
      ? [
          number(
            'Certificate ends in',
            's',
            'min(probe_ssl_earliest_cert_expiry{job="certificate"}) - time()',
            {
              value: 21 * 86_400,
              worse: 'below',
            },
          ),
        ]
      : []),
    lines('Components', 'bool_on_off', { expr: 'botpress_up', legend: '{{component}}' }),
    lines('Requests', 'reqps', {
      expr: 'sum by (class) (rate(botpress_http_requests_total[5m]))',
      legend: '{{class}}',
      needs: 'requests',
    }),
    lines('Requests by status', 'reqps', {
      expr: 'sum by (status) (rate(botpress_http_requests_total[5m]))',
      legend: '{{status}}',
      needs: 'requests',
    }),
    {
      ...lines(
        'Response time of visitors',
        's',
        ...[0.5, 0.95, 0.99].map((quantile) => ({
          expr: `histogram_quantile(${quantile}, sum by (le) (rate(botpress_http_request_duration_seconds_bucket{${VISITORS}}[5m])))`,
          legend: `${quantile * 100} %`,
          needs: 'requests',
        })),
      ),
      limit: { value: responseTimeMs / 1000, worse: 'above' },
    },
    {
      ...lines('Memory of Botpress', 'percentunit', {
        expr: 'botpress_container_memory_bytes / botpress_container_memory_limit_bytes and time() - botpress_container_checked_timestamp_seconds < 120',
        legend: '{{server}}',
      }),
      limit: { value: memoryUsage, worse: 'above' },
    },
    lines(
      'Error budget used, times too fast',
      'short',
      ...['1h', '6h', '1d', '3d'].map((window) => ({
        expr: `botpress:errors:ratio_${window} / 0.005`,
        legend: window,
        needs: 'requests',
      })),
    ),
    lines(
      'Machine: processor',
      'percentunit',
      { expr: '1 - avg(rate(node_cpu_seconds_total{mode="idle"}[5m]))', legend: 'busy' },
      { expr: '1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes', legend: 'memory' },
    ),
    lines('Machine: disk', 'percentunit', {
      expr: '1 - node_filesystem_avail_bytes{mountpoint=~"/disk/.+"} / node_filesystem_size_bytes{mountpoint=~"/disk/.+"}',
      legend: '{{mountpoint}}',
    }),
    lines(
      'nginx: connections',
      'short',
      { expr: 'nginx_connections_active', legend: 'open' },
      { expr: 'nginx_connections_waiting', legend: 'idle' },
    ),
    lines('Probes', 's', { expr: 'probe_duration_seconds', legend: '{{job}} {{instance}}' }),
  ];
}

function conversations(): Panel[] {
  return [
    number('Active conversations', 'short', 'botpress_conversations_active'),
    number('Oldest waiting message', 's', 'botpress_event_queue_age_seconds', { value: 120, worse: 'above' }),
    number(
      'Errors of bots, one hour',
      'short',
      'sum(increase(botpress_bot_errors_total[1h]))',
      { value: 5, worse: 'above' },
      'an error of a bot',
    ),
    lines('Messages', 'cpm', {
      expr: 'sum by (direction) (rate(botpress_messages_total[5m])) * 60',
      legend: '{{direction}}',
      needs: 'messages',
    }),
    lines('Active conversations', 'short', {
      expr: 'botpress_conversations_active',
      legend: 'conversations',
    }),
    lines(
      'Errors',
      'short',
      {
        expr: 'sum by (bot) (increase(botpress_bot_errors_total[5m]))',
        legend: '{{bot}}',
        needs: 'an error of a bot',
      },
      {
        expr: 'sum(increase(botpress_errors_logged_total[5m]))',
        legend: 'log',
        needs: 'an error in the log',
      },
    ),
    lines('Trainings', 'short', {
      expr: 'sum by (state) (botpress_training_sessions)',
      legend: '{{state}}',
      needs: 'a training',
    }),
    lines('Oldest waiting message', 's', { expr: 'botpress_event_queue_age_seconds', legend: 'age' }),
    lines('Bots that answer', 'bool_on_off', {
      expr: 'botpress_conversation_probe_success',
      legend: '{{bot}}',
    }),
    lines('What an answer of a bot takes', 's', {
      expr: 'botpress_conversation_probe_duration_seconds',
      legend: '{{bot}}',
    }),
    lines('What the checks of components take', 's', {
      expr: 'botpress_probe_duration_seconds',
      legend: '{{component}}',
    }),
  ];
}

function database({ owner, database: name, redis, gateway }: DashboardSettings): Panel[] {
  const of = `{datname="${name}"}`;
  return [
    number('PostgreSQL', 'bool_on_off', 'pg_up', { value: 1, worse: 'below' }),
    number('Size', 'bytes', `pg_database_size_bytes${of}`),
    {
      ...number('Connections of Botpress', 'short', `sum(pg_stat_activity_count{usename="${owner.name}"})`),
      limit: { value: Math.floor(owner.connectionLimit * 0.85), worse: 'above' },
    },
    lines('Connections', 'short', {
      expr: `sum by (usename) (pg_stat_activity_count${of})`,
      legend: '{{usename}}',
    }),
    lines(
      'Transactions',
      'ops',
      { expr: `rate(pg_stat_database_xact_commit${of}[5m])`, legend: 'committed' },
      { expr: `rate(pg_stat_database_xact_rollback${of}[5m])`, legend: 'rolled back' },
    ),
    lines('Oldest transaction', 's', {
      expr: 'max by (usename) (pg_stat_activity_max_tx_duration)',
      legend: '{{usename}}',
    }),
    lines('Read from memory', 'percentunit', {
      expr: `rate(pg_stat_database_blks_hit${of}[5m]) / (rate(pg_stat_database_blks_hit${of}[5m]) + rate(pg_stat_database_blks_read${of}[5m]))`,
      legend: 'hits',
    }),
    lines('Deadlocks', 'short', { expr: `increase(pg_stat_database_deadlocks${of}[1h])`, legend: 'an hour' }),
    lines('Pool of the operations service', 'short', {
      expr: 'botpress_pg_pool_connections',
      legend: '{{state}}',
    }),
    ...(gateway
      ? [
          lines('Cache of the gateway', 'reqps', {
            expr: 'sum by (level, result) (rate(botpress_cache_requests_total[5m]))',
            legend: '{{level}} {{result}}',
          }),
        ]
      : []),
    ...(redis
      ? [
          lines(
            'Redis: memory',
            'bytes',
            { expr: 'redis_memory_used_bytes', legend: 'used' },
            { expr: 'redis_memory_max_bytes', legend: 'limit' },
          ),
          lines('Redis: commands', 'ops', {
            expr: 'rate(redis_commands_processed_total[5m])',
            legend: 'commands',
          }),
          lines('Redis: clients', 'short', { expr: 'redis_connected_clients', legend: 'clients' }),
        ]
      : []),
  ];
}

function deploys({ backups }: DashboardSettings): Panel[] {
  return [
    lines('Nodes that are well', 'short', { expr: 'probe_success{job="status"}', legend: '{{instance}}' }),
    lines('Running since', 's', {
      expr: 'time() - botpress_container_start_time_seconds and time() - botpress_container_checked_timestamp_seconds < 120',
      legend: '{{server}}',
    }),
    lines('Version of the database', 'short', { expr: 'botpress_migration_level', legend: '{{version}}' }),
    number('Pending migrations', 'short', 'botpress_migration_pending', { value: 1, worse: 'above' }),
    ...(backups
      ? [
          lines('Age of the newest backup', 's', {
            expr: 'time() - botpress_backup_last_success_timestamp_seconds',
            legend: '{{target}}',
            needs: 'a backup',
          }),
          lines('Size of the newest backup', 'bytes', {
            expr: 'botpress_backup_size_bytes',
            legend: '{{target}}',
            needs: 'a backup',
          }),
          lines('Backups kept', 'short', {
            expr: 'botpress_backup_sets',
            legend: '{{target}}',
            needs: 'a backup',
          }),
          lines('Since the last restore drill', 's', {
            expr: 'time() - botpress_backup_drill_last_timestamp_seconds',
            legend: '{{target}}',
            needs: 'a restore drill',
          }),
          lines('What the last restore drill took', 's', {
            expr: 'botpress_backup_drill_recovery_seconds',
            legend: '{{target}}',
            needs: 'a restore drill',
          }),
        ]
      : []),
  ];
}

function logs(): Panel[] {
  const chosen = 'service=~"$service",level=~"$level"';
  return [
    number('Lines an hour', 'short', `sum(increase(${LINES}[1h]))`),
    number('Errors an hour', 'short', `sum(increase(${LINES}{level="error"}[1h])) or vector(0)`),
    number('Lines that wait for Loki', 'short', `sum(${LOG_OUTPUT.waiting})`, {
      value: 10_000,
      worse: 'above',
    }),
    lines('Lines', 'cpm', {
      expr: `sum by (service) (rate(${LINES}[5m])) * 60`,
      legend: '{{service}}',
    }),
    lines('Errors and warnings', 'cpm', {
      expr: `sum by (service, level) (rate(${LINES}{level=~"error|warn"}[5m])) * 60`,
      legend: '{{service}} {{level}}',
      needs: 'a warning in a log',
    }),
    {
      title: 'Lines',
      type: 'logs',
      unit: 'short',
      queries: [{ expr: `{${chosen}} |~ "(?i)$search"`, legend: '' }],
    },
  ];
}
