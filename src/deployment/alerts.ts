/**
 * The alert table. Each row makes the rule, its unit tests, its inhibitions and its section in the runbook; none of these
 * is written a second time.
 */

/** `page` wakes somebody up, `ticket` waits for business hours, `none` goes to a machine. */
export type Severity = 'page' | 'ticket' | 'none';

/** Series of a unit test in the notation of promtool, by their names with labels. */
export type Series = Record<string, string>;

export interface Alert {
  name: string;
  group: string;
  severity: Severity;
  /** How long the expression has to hold; without it, once is enough. */
  for?: string;
  expr: string;
  summary: string;
  description: string;
  /** Alerts that say what is behind this one: while they fire, this one is not sent. */
  silencedBy?: string[];
  runbook: {
    /** What has happened, what visitors notice. */
    meaning: string;
    /** Commands to look and to mend; `{env}` and `{node}` stand for the environment and a node that serves. */
    commands: string[];
    /** What to do with what they say. */
    mend: string;
  };
  test: {
    /** Moment at which both cases are judged. */
    at: string;
    /** Time between two samples and two evaluations (default 1m). */
    step?: '10m';
    firing: Series;
    /** Near the threshold, and quiet; absent for the one alert that always fires. */
    quiet?: Series;
  };
}

/** A rule that is computed once so that several alerts and panels can read it. */
export interface Recording {
  record: string;
  expr: string;
}

/** What the table depends on. */
export interface AlertSettings {
  errorRate: number;
  responseTimeMs: number;
  memoryUsage: number;
  replicas: number;
  redis: boolean;
  tls: boolean;
  languageServer: boolean;
  owner: { name: string; connectionLimit: number };
  database: string;
  backupRole: string;
  /** Seconds after which a good set and a drill are missing; absent where there are no backups. */
  backup?: { late: number; drillLate: number };
  /** Longest time in seconds between two base backups; absent where the write-ahead log is not archived. */
  archive?: { gap: number };
}

/**
 * Share of visitors' requests that has to succeed within 30 days. One machine that is updated and rebooted now and then
 * keeps it; 0.5 % are three and a half hours.
 */
export const OBJECTIVE = 0.995;

/** Windows of the burn rates: how much of the budget, in which time, as a page or a ticket (Google's 30-day table). */
const BURNS = [
  { name: 'Fastest', share: '2 %', long: '1h', short: '5m', factor: 14.4, severity: 'page', for: '2m' },
  { name: 'Fast', share: '5 %', long: '6h', short: '30m', factor: 6, severity: 'page', for: '5m' },
  { name: 'Slow', share: '10 %', long: '1d', short: '2h', factor: 3, severity: 'ticket', for: '1h' },
  { name: 'Slowest', share: '10 %', long: '3d', short: '6h', factor: 1, severity: 'ticket', for: '3h' },
] as const;

/** Requests within the long window below which a ratio says nothing. */
const LEAST_REQUESTS = 100;

/** Classes of requests that visitors and channels make. */
const VISITORS = 'class=~"webchat|converse|webhooks"';

/** What the log agent counts of its way to Loki. */
export const LOG_OUTPUT = {
  delivered: 'syslogng_output_events_total{id="d_loki#0",result="delivered"}',
  dropped: 'syslogng_output_events_total{id="d_loki#0",result="dropped"}',
  waiting: 'syslogng_output_events_total{id="d_loki#0",result="queued"}',
};

const DAY = 86_400;
const unavailable = ['PostgresDown', 'BotpressDown'];

export function deriveRecordings(): Recording[] {
  const windows = [...new Set(BURNS.flatMap(({ long, short }) => [short, long]))];
  return windows.flatMap((window) => [
    {
      record: `botpress:requests:rate_${window}`,
      expr: `sum(rate(botpress_http_requests_total{${VISITORS}}[${window}]))`,
    },
    {
      record: `botpress:errors:ratio_${window}`,
      expr: `(sum(rate(botpress_http_requests_total{${VISITORS},status=~"5.."}[${window}])) or vector(0)) / (sum(rate(botpress_http_requests_total{${VISITORS}}[${window}])) > 0)`,
    },
  ]);
}

/** All alerts of a deployment, in the order of the runbook. */
export function deriveAlerts(settings: AlertSettings): Alert[] {
  return [
    ...availability(settings),
    ...service(settings),
    ...resources(settings),
    ...(settings.tls ? certificate() : []),
    ...(settings.backup ? backups(settings.backup) : []),
    ...(settings.archive ? archive(settings.archive) : []),
    ...monitoring(),
  ];
}

function availability({ replicas, redis, languageServer }: AlertSettings): Alert[] {
  const group = 'availability';
  const restart = 'bin/compose {env} restart {node}';
  const alerts: (Alert | false)[] = [
    {
      name: 'SiteDown',
      group,
      severity: 'page',
      // Later than what may be behind it.
      for: '2m',
      expr: 'probe_success{job="site"} == 0',
      summary: 'Visitors get no page',
      description: 'A request for {{ $labels.instance }} by way of nginx has failed for two minutes.',
      silencedBy: [...unavailable, 'NginxDown'],
      runbook: {
        meaning: 'A visitor who opens the bot gets an error, or nothing.',
        commands: ['bin/status {env}', 'bin/logs {env} nginx --since 5m', 'bin/check {env}'],
        mend: 'Where nginx and Botpress are healthy, the certificate or the name is at fault: `bin/check` says which.',
      },
      test: {
        at: '5m',
        firing: { 'probe_success{job="site",instance="https://bot"}': '1x2 0x8' },
        quiet: { 'probe_success{job="site",instance="https://bot"}': '1x3 0 1x6' },
      },
    },
    {
      name: 'BotpressDown',
      group,
      severity: 'page',
      for: '90s',
      expr: 'sum(probe_success{job="status"}) < 1',
      summary: 'No node of Botpress is well',
      description:
        'For ninety seconds no node has said in the body of /status that its database and messaging are up. Its status code is 200 whatever they are.',
      silencedBy: ['PostgresDown'],
      runbook: {
        meaning: 'Nobody gets an answer from the bots.',
        commands: ['bin/status {env}', 'bin/logs {env} {node} --since 15m', 'bin/up {env}'],
        mend: 'See "Botpress runs but nothing listens" in [runbook.md](runbook.md). A node that listens on no port does not recover by itself for five minutes.',
      },
      test: {
        at: '5m',
        firing: {
          'probe_success{job="status",instance="blue"}': '0x10',
          'probe_success{job="status",instance="green"}': '0x10',
        },
        // The idle colour is not up, and that is right.
        quiet: {
          'probe_success{job="status",instance="blue"}': '1x10',
          'probe_success{job="status",instance="green"}': '0x10',
        },
      },
    },
    replicas > 1 && {
      name: 'NodeMissing',
      group,
      severity: 'ticket',
      for: '10m',
      expr: `sum(probe_success{job="status"}) < ${replicas}`,
      summary: 'A node of Botpress is missing',
      description: `Only {{ $value }} of ${replicas} nodes are well.`,
      silencedBy: unavailable,
      runbook: {
        meaning: 'Visitors are served, with less room, and the next node that fails is felt.',
        commands: ['bin/status {env}', 'bin/up {env}'],
        mend: '`bin/up` starts the node and explains what does not start.',
      },
      test: {
        at: '15m',
        firing: {
          'probe_success{job="status",instance="1"}': '1x20',
          'probe_success{job="status",instance="2"}': '0x20',
        },
        quiet: Object.fromEntries(
          Array.from({ length: replicas }, (_, index) => [
            `probe_success{job="status",instance="${index}"}`,
            '1x20',
          ]),
        ),
      },
    },
    {
      name: 'PostgresDown',
      group,
      severity: 'page',
      for: '1m',
      // An exporter whose question hangs is not reached itself; then what Botpress says counts.
      expr: 'pg_up == 0 or (up{job="postgres"} == 0 and on() sum(probe_success{job="status"}) < 1)',
      summary: 'PostgreSQL is down',
      description:
        'PostgreSQL has not answered its exporter for a minute. Botpress answers nobody without it.',
      runbook: {
        meaning: 'Everything stands still. Botpress recovers by itself once PostgreSQL is back.',
        commands: ['bin/status {env}', 'bin/logs {env} postgres --since 15m', 'bin/up {env}', 'df -h'],
        mend: 'See "Database down" in [runbook.md](runbook.md); a full disk is the first suspect.',
      },
      test: {
        at: '5m',
        firing: { 'up{job="postgres"}': '0x9', 'probe_success{job="status",instance="blue"}': '1 0x8' },
        // The exporter alone is down, and before that one question failed.
        quiet: {
          pg_up: '1 1 0 stale',
          'up{job="postgres"}': '1x2 0x7',
          'probe_success{job="status",instance="blue"}': '1x9',
        },
      },
    },
    redis && {
      name: 'RedisDown',
      group,
      severity: 'page',
      for: '1m',
      expr: 'redis_up == 0',
      summary: 'Redis is down',
      description:
        'The exporter has not reached Redis for a minute. The nodes cannot pass messages to each other.',
      runbook: {
        meaning: 'Webchat does not answer although /status says that all is up.',
        commands: ['bin/logs {env} redis --since 15m', 'bin/up {env}', restart],
        mend: 'Botpress gives up on Redis after ten tries: restart the nodes once Redis is healthy.',
      },
      test: { at: '5m', firing: { redis_up: '1 0x9' }, quiet: { redis_up: '1x3 0 1x6' } },
    },
    {
      name: 'NginxDown',
      group,
      severity: 'page',
      for: '1m',
      expr: 'nginx_up == 0',
      summary: 'nginx is down',
      description: 'nginx has not answered its exporter for a minute.',
      runbook: {
        meaning: 'Nobody reaches anything.',
        commands: ['bin/status {env}', 'bin/logs {env} nginx --since 15m', 'bin/up {env}'],
        mend: 'A configuration that nginx refuses stands in its log with file and line.',
      },
      test: { at: '5m', firing: { nginx_up: '1 0x9' }, quiet: { nginx_up: '1x3 0 1x6' } },
    },
    {
      name: 'ComponentDown',
      group,
      severity: 'page',
      for: '3m',
      expr: 'botpress_up{component=~"database|messaging|redis"} == 0',
      summary: 'Botpress has lost {{ $labels.component }}',
      description: 'The operations service has found {{ $labels.component }} down for three minutes.',
      silencedBy: [...unavailable, 'RedisDown'],
      runbook: {
        meaning: 'Channels and webchat are silent, or answers are lost.',
        commands: ['bin/status {env}', 'bin/logs {env} {node} --since 15m', restart],
        mend: 'Messaging is never restarted by Botpress; the health check ends the node after five minutes for that.',
      },
      test: {
        at: '6m',
        firing: { 'botpress_up{component="messaging"}': '0x10' },
        quiet: { 'botpress_up{component="messaging"}': '1 0 0 1x8', 'botpress_up{component="nlu"}': '0x10' },
      },
    },
    {
      name: 'BotSilent',
      group,
      severity: 'page',
      // Asked each five minutes: two answers have to be missing.
      for: '6m',
      expr: 'botpress_conversation_probe_success == 0',
      summary: 'The bot {{ $labels.bot }} does not answer',
      description: 'Twice in a row {{ $labels.bot }} had no words for a greeting.',
      silencedBy: [...unavailable, 'NginxDown', 'ComponentDown'],
      runbook: {
        meaning: 'Visitors of this bot talk to nobody, while everything else looks well.',
        commands: ['bin/check {env}', 'bin/logs {env} {node} --since 15m', restart],
        mend: 'A bot that was made or changed on the other colour is unknown to this one: a restart reads it again. `bin/check` asks every bot.',
      },
      test: {
        at: '10m',
        firing: { 'botpress_conversation_probe_success{bot="support"}': '1 0x12' },
        quiet: { 'botpress_conversation_probe_success{bot="support"}': '1x4 0x4 1x4' },
      },
    },
    {
      name: 'NluDown',
      group,
      severity: 'ticket',
      for: '10m',
      expr: 'botpress_up{component="nlu"} == 0',
      summary: 'The language understanding is down',
      description: 'For ten minutes the NLU has not answered. Bots reply with their fallback only.',
      silencedBy: unavailable,
      runbook: {
        meaning:
          'Bots understand nobody. It is also down where no bot uses the NLU module: then silence this alert for good.',
        commands: ['bin/logs {env} {node} --since 30m', restart],
        mend: 'Memory is the first suspect: a model that is loaded takes up to 850 MB.',
      },
      test: {
        at: '15m',
        firing: { 'botpress_up{component="nlu"}': '0x20' },
        quiet: { 'botpress_up{component="nlu"}': '0x5 1 0x14' },
      },
    },
    languageServer && {
      name: 'LanguageServerDown',
      group,
      severity: 'ticket',
      for: '10m',
      expr: 'botpress_up{component="language"} == 0',
      summary: 'The language server is down',
      description: 'Bots cannot be trained, and new words are not understood.',
      runbook: {
        meaning: 'Trained bots go on; training fails.',
        commands: ['bin/logs {env} language-server --since 30m', 'bin/up {env}', restart],
        mend: 'Without its files of words it never gets healthy: see [configuration.md](configuration.md). The NLU asks for languages at its start only.',
      },
      test: {
        at: '15m',
        firing: { 'botpress_up{component="language"}': '0x20' },
        quiet: { 'botpress_up{component="language"}': '0x5 1 0x14' },
      },
    },
    {
      name: 'OperationsDown',
      group,
      severity: 'page',
      for: '3m',
      expr: 'up{job="operations"} == 0 or absent(up{job="operations"})',
      summary: 'The operations service is down',
      description: 'Failed requests, response times and queues are not measured.',
      runbook: {
        meaning: 'Bots may be well, but nobody would notice if they were slow or failing.',
        commands: ['bin/logs {env} operations --since 15m', 'bin/up {env}'],
        mend: '`bin/up` starts it and explains what does not start.',
      },
      test: {
        at: '6m',
        firing: { 'up{job="operations"}': '1 0x9' },
        quiet: { 'up{job="operations"}': '1 0 0 1x7' },
      },
    },
    {
      name: 'TargetDown',
      group,
      severity: 'ticket',
      for: '10m',
      expr: 'up{job!="operations"} == 0',
      summary: '{{ $labels.job }} is not measured',
      description: 'Prometheus has not reached {{ $labels.instance }} for ten minutes.',
      runbook: {
        meaning: 'What this exporter measures is unknown; its alerts cannot fire.',
        commands: ['bin/status {env}', 'bin/up {env}'],
        mend: '`bin/logs {env} <service>` of the exporter says why; its service is named like the instance.',
      },
      test: {
        at: '15m',
        firing: { 'up{job="postgres",instance="postgres-exporter:9187"}': '0x20' },
        quiet: {
          'up{job="postgres",instance="postgres-exporter:9187"}': '0x5 1 0x14',
          'up{job="operations"}': '0x20',
        },
      },
    },
    {
      name: 'BotpressRestartLoop',
      group,
      severity: 'page',
      expr: 'changes(botpress_container_start_time_seconds[30m]) >= 3',
      summary: '{{ $labels.server }} starts again and again',
      description: '{{ $labels.server }} was started {{ $value }} times within half an hour.',
      silencedBy: ['PostgresDown'],
      runbook: {
        meaning:
          'Botpress ends with exit code 0 when it is misconfigured, and is started again without an end.',
        commands: ['bin/status {env}', 'bin/logs {env} {node} --tail 200'],
        mend: 'The last lines before each start name the reason; "Out of memory" in [runbook.md](runbook.md) is the one that leaves no line.',
      },
      test: {
        at: '12m',
        firing: {
          'botpress_container_start_time_seconds{server="botpress-blue"}': '100x3 200x3 300x3 400x5',
        },
        quiet: { 'botpress_container_start_time_seconds{server="botpress-blue"}': '100x3 200x3 300x8' },
      },
    },
    {
      name: 'MigrationPending',
      group,
      severity: 'ticket',
      for: '15m',
      expr: 'botpress_migration_pending > 0',
      summary: 'The database is older than Botpress',
      description: 'A migration has been pending for a quarter of an hour.',
      runbook: {
        meaning: 'The next start of a node without AUTO_MIGRATE ends with exit code 0.',
        commands: ['bin/status {env}', 'bin/logs {env} {node} --since 30m'],
        mend: 'See "New version and rollback" in [runbook.md](runbook.md).',
      },
      test: {
        at: '20m',
        firing: { botpress_migration_pending: '1x30' },
        quiet: { botpress_migration_pending: '1x10 0x20' },
      },
    },
  ];
  return alerts.filter((alert) => alert !== false);
}

function service({ errorRate, responseTimeMs }: AlertSettings): Alert[] {
  const group = 'service';
  const requests = (status: string) => `botpress_http_requests_total{class="converse",status="${status}"}`;
  const bucket = (le: string) => `botpress_http_request_duration_seconds_bucket{class="converse",le="${le}"}`;
  const failing = [
    'bin/logs {env} nginx --since 10m --tail all | grep -o \'"status":5[0-9]*,\' | sort | uniq -c',
    'bin/logs {env} {node} --since 10m',
    'bin/status {env}',
  ];
  const burns = BURNS.map<Alert>(({ name, share, long, short, factor, severity, for: patience }, index) => {
    const step = long === '1h' ? '1m' : '10m';
    const span = { '1h': 70, '6h': 40, '1d': 150, '3d': 450 }[long];
    const at = { '1h': '65m', '6h': '370m', '1d': '1500m', '3d': '4500m' }[long];
    const share5xx = Math.min(1, factor * (1 - OBJECTIVE));
    const perStep = step === '10m' ? 600 : 60;
    const series = (ratio: number) => ({
      [requests('200')]: `0+${round(perStep * (1 - ratio))}x${span}`,
      [requests('502')]: `0+${round(perStep * ratio)}x${span}`,
    });
    return {
      name: `ErrorBudgetBurn${name}`,
      group,
      severity,
      for: patience,
      expr: `botpress:errors:ratio_${long} > ${round(factor * (1 - OBJECTIVE))} and botpress:errors:ratio_${short} > ${round(factor * (1 - OBJECTIVE))} and botpress:requests:rate_${long} * ${secondsOf(long)} > ${LEAST_REQUESTS}`,
      summary:
        factor > 1
          ? `Failed requests use up the error budget ${factor} times too fast`
          : 'Failed requests use up the whole error budget',
      description: `{{ $value | humanizePercentage }} of visitors' requests failed within ${long}: ${share} of what ${round(100 - OBJECTIVE * 100)} % of 30 days allow.`,
      silencedBy: [...unavailable, ...BURNS.slice(0, index).map((faster) => `ErrorBudgetBurn${faster.name}`)],
      runbook: {
        meaning: `Visitors notice: if it goes on, the month's budget is gone long before the month.`,
        commands: failing,
        mend: 'If a rollout has just ended, take it back first and look afterwards.',
      },
      test: {
        at,
        ...(step === '10m' && { step }),
        firing: series(Math.min(1, share5xx * 1.2)),
        quiet: series(share5xx * 0.8),
      },
    };
  });
  return [
    {
      name: 'ErrorRateHigh',
      group,
      severity: 'page',
      for: '5m',
      expr: `botpress:errors:ratio_5m > ${errorRate} and botpress:requests:rate_5m * 300 > 20`,
      summary: 'Too many requests fail',
      description: `{{ $value | humanizePercentage }} of visitors' requests failed in the last five minutes; the limit is ${round(errorRate * 100)} %.`,
      silencedBy: unavailable,
      runbook: {
        meaning: 'Messages are lost or have to be sent again.',
        commands: failing,
        mend: '502 and 504 name Botpress, 500 the code of a bot. If a rollout has just ended, take it back first.',
      },
      test: {
        at: '12m',
        firing: {
          [requests('200')]: `0+${round(60 * (1 - Math.min(1, errorRate * 1.5)))}x15`,
          [requests('500')]: `0+${round(60 * Math.min(1, errorRate * 1.5))}x15`,
        },
        // Half of very few.
        quiet: { [requests('200')]: '0+1x15', [requests('500')]: '0+1x15' },
      },
    },
    {
      name: 'ResponseTimeHigh',
      group,
      severity: 'ticket',
      for: '10m',
      expr: `histogram_quantile(0.95, sum by (le) (rate(botpress_http_request_duration_seconds_bucket{${VISITORS}}[10m]))) > ${responseTimeMs / 1000} and on() botpress:requests:rate_5m * 300 > 20`,
      summary: 'Answers take too long',
      description: `One in twenty visitors waits {{ $value | humanizeDuration }} or longer; the limit is ${responseTimeMs / 1000} s.`,
      silencedBy: [...unavailable, 'ErrorRateHigh'],
      runbook: {
        meaning: 'Visitors believe that the bot is dead.',
        commands: [
          'docker stats --no-stream',
          'bin/compose {env} exec postgres psql -U postgres -c "SELECT pid, state, now() - query_start AS age, left(query, 60) FROM pg_stat_activity WHERE state <> \'idle\' ORDER BY age DESC LIMIT 10"',
          'bin/logs {env} {node} --since 10m',
        ],
        mend: 'A full CPU: raise BOTPRESS_CPUS. Old queries: the database. Neither: an action of a bot waits for somebody else.',
      },
      test: {
        at: '25m',
        firing: {
          [requests('200')]: '0+60x30',
          [bucket(String(responseTimeMs / 1000))]: '0+50x30',
          [bucket(String((responseTimeMs / 1000) * 10))]: '0+60x30',
          [bucket('+Inf')]: '0+60x30',
        },
        quiet: {
          [requests('200')]: '0+60x30',
          [bucket(String(responseTimeMs / 1000))]: '0+59x30',
          [bucket(String((responseTimeMs / 1000) * 10))]: '0+60x30',
          [bucket('+Inf')]: '0+60x30',
        },
      },
    },
    ...burns,
    {
      name: 'EventQueueStuck',
      group,
      severity: 'page',
      for: '5m',
      expr: 'botpress_event_queue_age_seconds > 120',
      summary: 'Messages wait to be answered',
      description: 'The oldest message has waited for {{ $value | humanizeDuration }}.',
      silencedBy: unavailable,
      runbook: {
        meaning: 'Messages arrive and are not worked on.',
        commands: ['bin/logs {env} {node} --since 15m', 'bin/compose {env} restart {node}'],
        mend: 'An action of a bot that waits for another server without a time limit holds up everybody of that bot.',
      },
      test: {
        at: '10m',
        firing: { botpress_event_queue_age_seconds: '130+60x15' },
        quiet: { botpress_event_queue_age_seconds: '200x3 5 200x4 5x6' },
      },
    },
    {
      name: 'BotErrors',
      group,
      severity: 'ticket',
      expr: 'sum by (bot) (increase(botpress_bot_errors_total[15m])) > 5',
      summary: 'The bot {{ $labels.bot }} fails',
      description: '{{ $value | humanize }} errors of {{ $labels.bot }} within a quarter of an hour.',
      runbook: {
        meaning: 'Visitors of this bot get its error message.',
        commands: ['bin/logs {env} {node} --since 30m | grep -i error'],
        mend: 'The log names the flow and the node of the flow; mend it in the studio.',
      },
      test: {
        at: '20m',
        firing: { 'botpress_bot_errors_total{bot="support"}': '0+1x30' },
        quiet: { 'botpress_bot_errors_total{bot="support"}': '0x8 1 2 3 3x20' },
      },
    },
    {
      name: 'ErrorsLogged',
      group,
      severity: 'ticket',
      expr: 'sum(increase(botpress_errors_logged_total[15m])) > 50',
      summary: 'Botpress logs many errors',
      description: '{{ $value | humanize }} errors in the log within a quarter of an hour.',
      silencedBy: [...unavailable, 'BotErrors'],
      runbook: {
        meaning: 'Something fails that no other alert measures.',
        commands: ['bin/logs {env} {node} --since 30m --tail all | grep -i error | tail -n 50'],
        mend: 'The line that comes most often is the one to mend.',
      },
      test: {
        at: '20m',
        firing: { botpress_errors_logged_total: '0+5x30' },
        quiet: { botpress_errors_logged_total: '0+2x30' },
      },
    },
    {
      name: 'LogErrorBurst',
      group,
      severity: 'ticket',
      // Failed requests of nginx have alerts of their own.
      expr: 'sum by (service) (increase(log_lines_total{level="error",service!="nginx"}[15m])) > 100',
      summary: '{{ $labels.service }} logs many errors',
      description:
        '{{ $value | humanize }} error lines of {{ $labels.service }} within a quarter of an hour.',
      silencedBy: [...unavailable, 'ErrorsLogged', 'RedisDown'],
      runbook: {
        meaning: 'Something fails again and again; whether visitors notice, the other alerts say.',
        commands: [
          'bin/status {env}',
          'bin/logs {env} postgres --since 30m --tail all | grep -i -E "error|fatal" | tail -n 50',
        ],
        mend: 'With the service of the alert in place of postgres; or in Grafana, the dashboard "Logs" with this service and level error: the line that comes most often is the one to mend.',
      },
      test: {
        at: '20m',
        firing: { 'log_lines_total{service="postgres",level="error"}': '0+8x30' },
        quiet: {
          'log_lines_total{service="postgres",level="error"}': '0+5x30',
          'log_lines_total{service="nginx",level="error"}': '0+50x30',
          'log_lines_total{service="postgres",level="info"}': '0+500x30',
        },
      },
    },
  ];
}

function resources({ memoryUsage, owner, database, backupRole, redis }: AlertSettings): Alert[] {
  const group = 'resources';
  const limit = Math.floor(owner.connectionLimit * 0.85);
  const percent = round(memoryUsage * 100);
  const disk = '{mountpoint=~"/disk/.+"}';
  const file = '{mountpoint="/disk/docker"}';
  const above = round(Math.min(1, memoryUsage * 1.05) * 1000);
  const below = round(memoryUsage * 0.95 * 1000);
  const gigabyte = 1e9;
  const alerts: (Alert | false)[] = [
    {
      name: 'BotpressMemoryHigh',
      group,
      severity: 'page',
      for: '5m',
      expr: `botpress_container_memory_bytes / botpress_container_memory_limit_bytes > ${memoryUsage} and time() - botpress_container_checked_timestamp_seconds < 120`,
      summary: '{{ $labels.server }} runs out of memory',
      description: `{{ $value | humanizePercentage }} of the memory of {{ $labels.server }} is used; the limit is ${percent} %.`,
      runbook: {
        meaning: 'At the limit the kernel ends the server without a message.',
        commands: ['docker stats --no-stream', 'bin/logs {env} {node} --since 30m'],
        mend: 'Raise BOTPRESS_MEMORY in `.env.{env}`, then `bin/up {env}`. A model that was trained takes up to 850 MB.',
      },
      test: {
        at: '10m',
        firing: {
          'botpress_container_memory_bytes{server="botpress-blue"}': `${above}x15`,
          'botpress_container_memory_limit_bytes{server="botpress-blue"}': '1000x15',
          'botpress_container_checked_timestamp_seconds{server="botpress-blue"}': '0+60x15',
        },
        // What a stopped node left behind, and one below the limit.
        quiet: {
          'botpress_container_memory_bytes{server="botpress-blue"}': `${below}x15`,
          'botpress_container_memory_limit_bytes{server="botpress-blue"}': '1000x15',
          'botpress_container_checked_timestamp_seconds{server="botpress-blue"}': '0+60x15',
          'botpress_container_memory_bytes{server="botpress-green"}': `${above}x15`,
          'botpress_container_memory_limit_bytes{server="botpress-green"}': '1000x15',
          'botpress_container_checked_timestamp_seconds{server="botpress-green"}': '0x15',
        },
      },
    },
    {
      name: 'MachineMemoryHigh',
      group,
      severity: 'ticket',
      for: '10m',
      expr: `1 - node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes > ${memoryUsage}`,
      summary: 'The machine runs out of memory',
      description: `{{ $value | humanizePercentage }} of the memory of the machine is used; the limit is ${percent} %.`,
      runbook: {
        meaning: 'The kernel will end some process, and it chooses the largest: Botpress or PostgreSQL.',
        commands: ['free -m', 'docker stats --no-stream'],
        mend: 'The sum of all memory limits should not exceed the machine: a larger one, or lower limits in `.env.{env}`.',
      },
      test: {
        at: '15m',
        firing: {
          node_memory_MemAvailable_bytes: `${1000 - above}x20`,
          node_memory_MemTotal_bytes: '1000x20',
        },
        quiet: {
          node_memory_MemAvailable_bytes: `${1000 - below}x20`,
          node_memory_MemTotal_bytes: '1000x20',
        },
      },
    },
    {
      name: 'DiskFilling',
      group,
      severity: 'ticket',
      for: '30m',
      expr: `predict_linear(node_filesystem_avail_bytes${disk}[6h], ${2 * DAY}) < 0 and node_filesystem_avail_bytes${disk} / node_filesystem_size_bytes${disk} < 0.5`,
      summary: 'The disk will be full in two days',
      description: 'At the pace of the last six hours {{ $labels.mountpoint }} is full within two days.',
      silencedBy: ['DiskAlmostFull'],
      runbook: {
        meaning: 'Nothing yet. When it is full, PostgreSQL stops.',
        commands: [
          'df -h',
          'docker system df',
          `bin/compose {env} exec postgres psql -U postgres ${database} -c "SELECT relname, pg_size_pretty(pg_total_relation_size(oid)) FROM pg_class WHERE relkind = 'r' ORDER BY pg_total_relation_size(oid) DESC LIMIT 10"`,
        ],
        mend: 'See "Disk full" in [runbook.md](runbook.md). /disk/docker is where Docker keeps volumes and images, /disk/backups the folder of the backups.',
      },
      test: {
        at: '420m',
        step: '10m',
        firing: {
          [`node_filesystem_avail_bytes${file}`]: `${40 * gigabyte}-${gigabyte / 2}x43`,
          [`node_filesystem_size_bytes${file}`]: `${100 * gigabyte}x43`,
        },
        quiet: {
          [`node_filesystem_avail_bytes${file}`]: `${40 * gigabyte}-${gigabyte / 100}x43`,
          [`node_filesystem_size_bytes${file}`]: `${100 * gigabyte}x43`,
        },
      },
    },
    {
      name: 'DiskAlmostFull',
      group,
      severity: 'page',
      for: '5m',
      expr: `node_filesystem_avail_bytes${disk} / node_filesystem_size_bytes${disk} < 0.08`,
      summary: 'The disk is almost full',
      description: '{{ $value | humanizePercentage }} of {{ $labels.mountpoint }} are left.',
      runbook: {
        meaning: 'PostgreSQL stops when it cannot write, and everything with it.',
        commands: ['df -h', 'docker system df', 'docker image prune --force'],
        mend: 'See "Disk full" in [runbook.md](runbook.md).',
      },
      test: {
        at: '10m',
        firing: {
          [`node_filesystem_avail_bytes${file}`]: '7x15',
          [`node_filesystem_size_bytes${file}`]: '100x15',
        },
        quiet: {
          [`node_filesystem_avail_bytes${file}`]: '9x15',
          [`node_filesystem_size_bytes${file}`]: '100x15',
        },
      },
    },
    {
      name: 'ClockWrong',
      group,
      severity: 'ticket',
      for: '15m',
      expr: 'abs(node_timex_offset_seconds) > 0.5 or node_timex_sync_status == 0',
      summary: 'The clock of the machine is not kept',
      description:
        'The clock is off, or nothing synchronises it. Certificates, tokens and schedules depend on it.',
      runbook: {
        meaning: 'Sessions end early or never, signed links are refused, backups run at odd times.',
        commands: ['timedatectl', 'systemctl status systemd-timesyncd'],
        mend: '`timedatectl set-ntp true`, or install chrony. Some virtual machines keep time without telling: then silence this alert.',
      },
      test: {
        at: '20m',
        firing: { node_timex_offset_seconds: '-0.8x30', node_timex_sync_status: '1x30' },
        quiet: { node_timex_offset_seconds: '0.4x30', node_timex_sync_status: '1x30' },
      },
    },
    {
      name: 'DatabaseConnectionsHigh',
      group,
      severity: 'page',
      for: '5m',
      expr: `sum(pg_stat_activity_count{usename="${owner.name}"}) > ${limit}`,
      summary: 'Botpress runs out of database connections',
      description: `{{ $value }} of ${owner.connectionLimit} connections of the role ${owner.name} are in use.`,
      runbook: {
        meaning: 'At the limit Botpress cannot read or write: "too many connections" in its log.',
        commands: [
          'bin/compose {env} exec postgres psql -U postgres -c "SELECT usename, client_addr, state, count(*) FROM pg_stat_activity GROUP BY 1, 2, 3 ORDER BY 4 DESC"',
        ],
        mend: 'Somebody else uses the role, or there are more nodes than the budget in [architecture.md](architecture.md) knows.',
      },
      test: {
        at: '10m',
        firing: {
          [`pg_stat_activity_count{usename="${owner.name}",state="active"}`]: `${limit}x15`,
          [`pg_stat_activity_count{usename="${owner.name}",state="idle"}`]: '1x15',
        },
        quiet: {
          [`pg_stat_activity_count{usename="${owner.name}",state="active"}`]: `${limit}x15`,
          'pg_stat_activity_count{usename="botpress_monitor",state="idle"}': '4x15',
        },
      },
    },
    {
      name: 'PoolSaturated',
      group,
      severity: 'ticket',
      for: '5m',
      expr: 'botpress_pg_pool_connections{state="waiting"} > 0',
      summary: 'The operations service waits for database connections',
      description: '{{ $value }} queries wait for a connection.',
      silencedBy: ['PostgresDown'],
      runbook: {
        meaning: 'Its metrics come late and its health check may fail.',
        commands: ['bin/logs {env} operations --since 15m', 'bin/compose {env} restart operations'],
        mend: 'Mostly the database is slow: see ResponseTimeHigh.',
      },
      test: {
        at: '10m',
        firing: { 'botpress_pg_pool_connections{state="waiting"}': '2x15' },
        quiet: { 'botpress_pg_pool_connections{state="waiting"}': '2x3 0 2x4 0x6' },
      },
    },
    {
      name: 'DatabaseDeadlocks',
      group,
      severity: 'ticket',
      expr: `increase(pg_stat_database_deadlocks{datname="${database}"}[1h]) > 5`,
      summary: 'Transactions block each other',
      description: '{{ $value | humanize }} deadlocks within an hour; each has cost one request.',
      runbook: {
        meaning: 'Single messages fail.',
        commands: ['bin/logs {env} postgres --since 1h --tail all | grep -A 5 deadlock'],
        mend: 'The log names both statements. Two nodes that serve at the same time without edition pro are one reason.',
      },
      test: {
        at: '50m',
        firing: { [`pg_stat_database_deadlocks{datname="${database}"}`]: '0+1x60' },
        quiet: { [`pg_stat_database_deadlocks{datname="${database}"}`]: '0x20 1 2 3 3x40' },
      },
    },
    {
      name: 'DatabaseLongTransaction',
      group,
      severity: 'ticket',
      for: '5m',
      expr: `max by (usename) (pg_stat_activity_max_tx_duration{usename!="${backupRole}"}) > 1800`,
      summary: 'A transaction has been open for half an hour',
      description:
        'A transaction of {{ $labels.usename }} has been open for {{ $value | humanizeDuration }}: nothing is cleaned up meanwhile.',
      runbook: {
        meaning:
          'The database grows and gets slower. A migration may take so long and is then to be left alone.',
        commands: [
          'bin/compose {env} exec postgres psql -U postgres -c "SELECT pid, usename, state, now() - xact_start AS age, left(query, 60) FROM pg_stat_activity WHERE xact_start IS NOT NULL ORDER BY age DESC LIMIT 10"',
        ],
        mend: 'To end it: `SELECT pg_terminate_backend(pid)` in the same way.',
      },
      test: {
        at: '10m',
        firing: { [`pg_stat_activity_max_tx_duration{usename="${owner.name}"}`]: '1900+60x15' },
        quiet: {
          [`pg_stat_activity_max_tx_duration{usename="${owner.name}"}`]: '1500x15',
          [`pg_stat_activity_max_tx_duration{usename="${backupRole}"}`]: '3000x15',
        },
      },
    },
    redis && {
      name: 'RedisMemoryHigh',
      group,
      severity: 'page',
      for: '5m',
      expr: `redis_memory_used_bytes / (redis_memory_max_bytes > 0) > ${memoryUsage}`,
      summary: 'Redis runs out of memory',
      description: `{{ $value | humanizePercentage }} of the memory of Redis is used; the limit is ${percent} %.`,
      runbook: {
        meaning: 'At the limit Redis refuses writes: state lives there, so nothing is thrown away.',
        commands: [
          'bin/compose {env} exec redis /opt/redis/start.sh --health',
          'bin/logs {env} redis --since 1h',
        ],
        mend: 'Raise maxmemory in redis/redis.conf and REDIS_MEMORY in `.env.{env}` to twice as much, then `bin/up {env}`.',
      },
      test: {
        at: '10m',
        firing: { redis_memory_used_bytes: `${above}x15`, redis_memory_max_bytes: '1000x15' },
        quiet: { redis_memory_used_bytes: `${below}x15`, redis_memory_max_bytes: '1000x15' },
      },
    },
    redis && {
      name: 'RedisEvictions',
      group,
      severity: 'ticket',
      expr: 'increase(redis_evicted_keys_total[15m]) > 0',
      summary: 'Redis throws keys away',
      description: '{{ $value | humanize }} keys were thrown away within a quarter of an hour.',
      runbook: {
        meaning:
          'Locks and state of the cluster are lost. Its policy is noeviction, so somebody has changed it.',
        commands: ['grep maxmemory redis/redis.conf', 'bin/compose {env} restart redis'],
        mend: 'Put `maxmemory-policy noeviction` back.',
      },
      test: {
        at: '10m',
        firing: { redis_evicted_keys_total: '0x5 3x10' },
        quiet: { redis_evicted_keys_total: '7x15' },
      },
    },
  ];
  return alerts.filter((alert) => alert !== false);
}

function certificate(): Alert[] {
  const rows = [
    { name: 'CertificateExpiresIn21Days', days: 21, severity: 'ticket', after: [7, 1] },
    { name: 'CertificateExpiresIn7Days', days: 7, severity: 'ticket', after: [1] },
    { name: 'CertificateExpiresTomorrow', days: 1, severity: 'page', after: [] },
  ] as const;
  const nameOf = (days: number) => rows.find((row) => row.days === days)?.name ?? '';
  return rows.map(({ name, days, severity, after }) => ({
    name,
    group: 'certificate',
    severity,
    expr: `probe_ssl_earliest_cert_expiry{job="certificate"} - time() < ${days * DAY}`,
    summary: `The certificate ends in less than ${days === 1 ? 'a day' : `${days} days`}`,
    description: 'The certificate that nginx shows ends in {{ $value | humanizeDuration }}.',
    silencedBy: after.map(nameOf),
    runbook: {
      meaning: 'Nothing yet. When it has ended, browsers refuse the bot and channels stop calling.',
      commands: ['bin/check {env}', 'bin/up {env}'],
      mend: `See "Certificate" in [runbook.md](runbook.md): a certificate of Let's Encrypt is renewed a month before its end, so the log of lego says why it was not.`,
    },
    test: {
      at: '5m',
      firing: { 'probe_ssl_earliest_cert_expiry{job="certificate"}': `${days * DAY - 600}x10` },
      quiet: { 'probe_ssl_earliest_cert_expiry{job="certificate"}': `${days * DAY + 600}x10` },
    },
  }));
}

function backups({ late, drillLate }: { late: number; drillLate: number }): Alert[] {
  const group = 'backup';
  const target = '{target="local"}';
  const commands = ['bin/backup list {env}', 'bin/logs {env} backup --since 24h', 'bin/backup create {env}'];
  const drill = ['bin/logs {env} backup --since 24h', 'bin/backup drill {env}'];
  return [
    {
      name: 'BackupTooOld',
      group,
      severity: 'ticket',
      for: '15m',
      expr: `time() - botpress_backup_last_success_timestamp_seconds > ${late}`,
      summary: 'The backup on {{ $labels.target }} is too old',
      description: 'The newest good set on {{ $labels.target }} is {{ $value | humanizeDuration }} old.',
      runbook: {
        meaning: 'What would be lost grows by the hour.',
        commands,
        mend: 'The log says what failed: the target, its credentials, or room on the disk.',
      },
      test: {
        at: '30m',
        firing: { [`botpress_backup_last_success_timestamp_seconds${target}`]: `-${late + 3600}x40` },
        quiet: { [`botpress_backup_last_success_timestamp_seconds${target}`]: `-${late - 7200}x40` },
      },
    },
    {
      name: 'BackupMissing',
      group,
      severity: 'ticket',
      for: '2h',
      expr: 'absent(botpress_backup_last_success_timestamp_seconds)',
      summary: 'There is no backup',
      description: 'No good set of any target is known.',
      runbook: {
        meaning: 'Nothing could be brought back.',
        commands,
        mend: 'After a first start this is normal until the first run; `bin/backup create` makes one now.',
      },
      test: {
        at: '150m',
        step: '10m',
        firing: {},
        quiet: { [`botpress_backup_last_success_timestamp_seconds${target}`]: '0x16' },
      },
    },
    {
      name: 'BackupFailed',
      group,
      severity: 'ticket',
      expr: 'botpress_backup_failed > 0',
      summary: 'The last backup to {{ $labels.target }} failed',
      description: 'The last attempt on {{ $labels.target }} failed; older sets are still there.',
      runbook: {
        meaning: 'The next run tries again. The longer it fails, the more would be lost.',
        commands,
        mend: 'The log says what failed: the target, its credentials, or room on the disk.',
      },
      test: {
        at: '5m',
        firing: { [`botpress_backup_failed${target}`]: '1x10' },
        quiet: { [`botpress_backup_failed${target}`]: '1x2 0x8' },
      },
    },
    {
      name: 'BackupShrunk',
      group,
      severity: 'ticket',
      expr: 'botpress_backup_size_bytes < 0.5 * max_over_time(botpress_backup_size_bytes[7d])',
      summary: 'The backup on {{ $labels.target }} is much smaller',
      description: 'The newest set is less than half as large as the largest of the last week.',
      runbook: {
        meaning: 'Either much was deleted, or something is not backed up any more.',
        commands: ['bin/backup list {env}', 'bin/backup drill {env}'],
        mend: 'A drill compares the rows. After a purge or a smaller retention this is normal and ends within a week.',
      },
      test: {
        at: '15m',
        firing: { [`botpress_backup_size_bytes${target}`]: '1000x8 400x10' },
        quiet: { [`botpress_backup_size_bytes${target}`]: '1000x8 600x10' },
      },
    },
    {
      name: 'RestoreDrillFailed',
      group,
      severity: 'ticket',
      expr: 'botpress_backup_drill_failed > 0',
      summary: 'The backup on {{ $labels.target }} could not be restored',
      description: 'The last restore drill failed: the newest set may be worth nothing.',
      runbook: {
        meaning: 'A backup that cannot be restored is none.',
        commands: drill,
        mend: 'If it fails again, make a new set with `bin/backup create {env}` and drill that one.',
      },
      test: {
        at: '5m',
        firing: { [`botpress_backup_drill_failed${target}`]: '1x10' },
        quiet: { [`botpress_backup_drill_failed${target}`]: '1x2 0x8' },
      },
    },
    {
      name: 'RestoreDrillTooOld',
      group,
      severity: 'ticket',
      for: '15m',
      expr: `time() - botpress_backup_drill_last_timestamp_seconds > ${drillLate}`,
      summary: 'Restoring from {{ $labels.target }} was not tried for long',
      description: 'The last restore drill was {{ $value | humanizeDuration }} ago.',
      runbook: {
        meaning: 'Nobody knows whether the newest sets can be restored.',
        commands: drill,
        mend: 'A drill needs room for a second database; the log says what it lacked.',
      },
      test: {
        at: '30m',
        firing: { [`botpress_backup_drill_last_timestamp_seconds${target}`]: `-${drillLate + 3600}x40` },
        quiet: { [`botpress_backup_drill_last_timestamp_seconds${target}`]: `-${drillLate - 7200}x40` },
      },
    },
  ];
}

/** Of the write-ahead log; something of it is archived every five minutes, also where nobody writes. */
function archive({ gap }: { gap: number }): Alert[] {
  const group = 'backup';
  const late = gap + 6 * 3600;
  const commands = ['bin/backup window {env}', 'bin/logs {env} wal-archive --since 24h'];
  return [
    {
      name: 'ArchiveStopped',
      group,
      severity: 'ticket',
      for: '5m',
      expr: 'time() - botpress_backup_wal_archived_timestamp_seconds > 1800',
      summary: 'Changes are not archived any more',
      description: 'Write-ahead log last reached the archive {{ $value | humanizeDuration }} ago.',
      runbook: {
        meaning:
          'Visitors notice nothing. What changed since then cannot be brought back to a moment, and the log waits on the disk.',
        commands: [...commands, 'bin/up {env}'],
        mend: 'The log says what it lacks: room on the disk, or the passphrase that the archive was made with.',
      },
      test: {
        at: '60m',
        firing: { botpress_backup_wal_archived_timestamp_seconds: '0x70' },
        quiet: { botpress_backup_wal_archived_timestamp_seconds: '0x35 2100x35' },
      },
    },
    {
      name: 'ArchiveGap',
      group,
      severity: 'ticket',
      for: '30m',
      expr: 'botpress_backup_wal_gap_timestamp_seconds > 0',
      summary: 'The archive has a gap that does not end',
      description:
        'Write-ahead log was given up so that the disk does not fill, and no base backup followed.',
      runbook: {
        meaning: 'The database cannot go back to a moment after that.',
        commands: [...commands, 'bin/compose {env} restart wal-archive'],
        mend: 'A base backup is tried at once and then every 15 minutes; the log says why it fails. Most often the disk is full.',
      },
      test: {
        at: '40m',
        firing: { botpress_backup_wal_gap_timestamp_seconds: '60x50' },
        quiet: { botpress_backup_wal_gap_timestamp_seconds: '60x15 0x35' },
      },
    },
    {
      name: 'BaseBackupTooOld',
      group,
      severity: 'ticket',
      for: '15m',
      expr: `time() - botpress_backup_base_last_success_timestamp_seconds > ${late}`,
      summary: 'The newest base backup is too old',
      description: 'It was made {{ $value | humanizeDuration }} ago.',
      runbook: {
        meaning: 'A restore to a moment has to replay all that was written since, and takes longer each day.',
        commands,
        mend: 'The log says why base backups fail; they are tried again every 15 minutes.',
      },
      test: {
        at: '30m',
        firing: { botpress_backup_base_last_success_timestamp_seconds: `-${late + 3600}x40` },
        quiet: { botpress_backup_base_last_success_timestamp_seconds: `-${late - 7200}x40` },
      },
    },
    {
      name: 'MomentDrillFailed',
      group,
      severity: 'ticket',
      expr: 'botpress_backup_moment_drill_failed > 0',
      summary: 'No moment could be recovered from the archive',
      description: 'The last trial recovery failed: restores to a moment may fail as well.',
      runbook: {
        meaning: 'Visitors notice nothing. Sets can still be restored.',
        commands: [...commands, 'bin/backup drill {env} --target archive'],
        mend: 'If it fails again, the newest base backup or the log since then is damaged; the next base backup begins anew.',
      },
      test: {
        at: '5m',
        firing: { botpress_backup_moment_drill_failed: '1x10' },
        quiet: { botpress_backup_moment_drill_failed: '1x2 0x8' },
      },
    },
  ];
}

function monitoring(): Alert[] {
  const group = 'monitoring';
  const { delivered, dropped } = LOG_OUTPUT;
  return [
    {
      name: 'Watchdog',
      group,
      severity: 'none',
      expr: 'vector(1)',
      summary: 'The monitoring works',
      description:
        'Always fires. Whoever receives it has to raise the alarm when it stays away: then the machine, Prometheus or Alertmanager is dead.',
      runbook: {
        meaning:
          "That it fires is right. If your dead-man's switch calls, the monitoring itself, or the whole machine, is down.",
        commands: ['bin/status {env}', 'bin/up {env}', 'bin/alert-test {env}'],
        mend: 'The address of the switch is the secret `alert-watchdog-url`; see [monitoring.md](monitoring.md).',
      },
      test: { at: '1m', firing: {} },
    },
    {
      name: 'AlertsNotDelivered',
      group,
      severity: 'page',
      expr: 'sum by (integration) (increase(alertmanager_notifications_failed_total[15m])) > 0',
      summary: 'Alerts do not reach {{ $labels.integration }}',
      description: '{{ $value | humanize }} attempts failed within a quarter of an hour.',
      runbook: {
        meaning: 'You may read this because another receiver works.',
        commands: ['bin/logs {env} alertmanager --since 30m', 'bin/alert-test {env}'],
        mend: 'The log names the answer of the receiver: an address that was revoked, a wrong password, a closed port.',
      },
      test: {
        at: '10m',
        firing: {
          'alertmanager_notifications_failed_total{integration="slack",reason="clientError"}': '0x5 2x10',
        },
        quiet: {
          'alertmanager_notifications_failed_total{integration="slack",reason="clientError"}': '4x15',
        },
      },
    },
    {
      name: 'MonitoringConfigurationRefused',
      group,
      severity: 'ticket',
      for: '5m',
      expr: 'prometheus_config_last_reload_successful == 0 or alertmanager_config_last_reload_successful == 0',
      summary: '{{ $labels.job }} refuses its configuration',
      description: 'It goes on with the former one, and does not start any more with the new one.',
      runbook: {
        meaning: 'A change of monitoring/ is not in force.',
        commands: ['bin/logs {env} prometheus --since 30m', 'bin/logs {env} alertmanager --since 30m'],
        mend: 'The log names file and line. `docs/monitoring.md` says how to check a change before it is loaded.',
      },
      test: {
        at: '10m',
        firing: { 'prometheus_config_last_reload_successful{job="prometheus"}': '0x15' },
        quiet: {
          'prometheus_config_last_reload_successful{job="prometheus"}': '0 0 1x13',
          'alertmanager_config_last_reload_successful{job="alertmanager"}': '1x15',
        },
      },
    },
    {
      name: 'RuleFailures',
      group,
      severity: 'ticket',
      expr: 'sum(increase(prometheus_rule_evaluation_failures_total[15m])) > 0',
      summary: 'A rule cannot be computed',
      description: '{{ $value | humanize }} evaluations failed within a quarter of an hour.',
      runbook: {
        meaning: 'An alert would not fire.',
        commands: ['bin/logs {env} prometheus --since 30m'],
        mend: 'The log names the rule; two series that match where one is expected are the usual reason.',
      },
      test: {
        at: '10m',
        firing: { prometheus_rule_evaluation_failures_total: '0x5 2x10' },
        quiet: { prometheus_rule_evaluation_failures_total: '4x15' },
      },
    },
    {
      name: 'LogsNotDelivered',
      group,
      severity: 'ticket',
      for: '10m',
      expr: `sum(increase(${delivered}[10m])) == 0 and sum(increase(log_lines_total[10m])) > 0`,
      summary: 'Log lines do not reach Loki',
      description: 'The log agent has read {{ $value | humanize }} lines more than it could bring to Loki.',
      runbook: {
        meaning:
          'Lines wait in the volume of the agent, a gigabyte of them, and come when Loki is back. Grafana shows none since then.',
        commands: [
          'bin/status {env}',
          'bin/logs {env} loki --since 30m',
          'bin/logs {env} log-agent --since 30m',
          'bin/up {env}',
        ],
        mend: 'The log of the agent names the answer of Loki; a full disk is the first suspect.',
      },
      test: {
        at: '40m',
        firing: {
          [delivered]: '0+100x10 1000x40',
          'log_lines_total{service="nginx",level="info"}': '0+100x50',
        },
        quiet: {
          // Delivered late, and then nothing was there to be delivered.
          [delivered]: '0+100x10 1000x8 1800+100x10 2800x20',
          'log_lines_total{service="nginx",level="info"}': '0+100x28 2800x20',
        },
      },
    },
    {
      name: 'LogsDropped',
      group,
      severity: 'ticket',
      expr: `sum(increase(${dropped}[15m])) > 0`,
      summary: 'Log lines are lost',
      description: 'Loki has refused {{ $value | humanize }} lines within a quarter of an hour for good.',
      runbook: {
        meaning: 'These lines are only where `bin/logs` shows them.',
        commands: ['bin/logs {env} log-agent --since 30m', 'bin/logs {env} loki --since 30m'],
        mend: 'Loki refuses lines that are a week old, which is right after a first start, and what exceeds its limits in `monitoring/loki/loki.yml`.',
      },
      test: {
        at: '10m',
        firing: { [dropped]: '0x5 20x10' },
        quiet: { [dropped]: '20x15' },
      },
    },
  ];
}

/** Without the noise of binary fractions. */
function round(value: number): number {
  return Number(value.toFixed(6));
}

function secondsOf(window: string): number {
  const unit = { m: 60, h: 3600, d: DAY }[window.slice(-1)] ?? 1;
  return Number(window.slice(0, -1)) * unit;
}
