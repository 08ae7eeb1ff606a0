import { DASHBOARDS } from '../../src/deployment/dashboards.ts';
import type { Artefact } from '../../src/rendering/artefact.ts';

const executable = 0o755;

const rows: readonly Artefact[] = [
  { template: 'compose.monitoring.yaml' },

  // Prometheus: what it asks, its rules, and the tests of the rules
  { template: 'monitoring/prometheus/_environment_.yml' },
  ...['rules/recordings', 'rules/alerts', 'tests/minutes', 'tests/days'].map((name) => ({
    template: `monitoring/prometheus/${name}.yml`,
    closed: true,
  })),
  { template: 'monitoring/blackbox.yml' },

  // Alertmanager
  { template: 'monitoring/alertmanager/alertmanager.yml' },
  { template: 'monitoring/alertmanager/notifications.tmpl' },
  { template: 'monitoring/alertmanager/start.sh', mode: executable },

  // Grafana
  { template: 'monitoring/grafana/provisioning/datasources/prometheus.yml' },
  { template: 'monitoring/grafana/provisioning/datasources/loki.yml' },
  { template: 'monitoring/grafana/provisioning/dashboards/files.yml' },
  ...DASHBOARDS.map((name) => ({ template: `monitoring/grafana/dashboards/${name}.json`, closed: true })),

  // Logs
  { template: 'monitoring/loki/loki.yml' },
  { template: 'monitoring/log-agent/syslog-ng.conf' },

  // Inside containers
  { template: 'monitoring/botpress/container-metrics.sh', mode: executable },
  {
    template: 'monitoring/redis/start-exporter.sh',
    mode: executable,
    when: ({ deployment }) => deployment.redis,
  },

  // Commands
  { template: 'bin/alert-test', mode: executable },
  { template: 'bin/lib/monitoring.sh' },
  { template: 'bin/lib/checks/monitoring.sh' },
  { template: 'bin/lib/checks/alerts.sh' },
  { template: 'bin/lib/parts/monitoring.sh' },

  { template: 'docs/monitoring.md' },
  { template: 'docs/alerts.md' },
];

/** Metrics, dashboards and alerts: nothing where the answers want none. */
export const monitoringArtefacts: readonly Artefact[] = rows.map((row) => ({
  ...row,
  when: (locals) => locals.deployment.monitoring.enabled && (row.when?.(locals) ?? true),
}));
