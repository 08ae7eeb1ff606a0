import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { buildPlan } from '../../../generators/plan.ts';
import { parseAnswers } from '../../../generators/gate.ts';
import { longestGap } from '../../../src/deployment/schedule.ts';
import { withAnswers } from '../answers/sample.ts';
import { metricsOf } from './promql.ts';

const everything = {
  edition: 'pro',
  'scaling.replicas': 2,
  nlu: true,
  monitoring: true,
  'alerts.slack': true,
  'alerts.email': ['ops@acme.example', 'night@acme.example'],
  'backup.targets': ['local'],
  'backup.pointInTime': true,
};
const least = { monitoring: true, channels: ['slack'], 'backup.targets': [], tls: 'self-signed' };

const plan = (changes: Record<string, unknown>) =>
  new Map(buildPlan(parseAnswers(withAnswers(changes))).files.map((file) => [file.path, file]));
const read = (files: ReturnType<typeof plan>, path: string) => {
  const file = files.get(path);
  if (!file) throw new Error(`${path} is not written`);
  return file.content;
};

interface Rule {
  alert: string;
  record?: string;
  expr: string;
  for?: string;
  labels: { severity: string };
  annotations: { summary: string; description: string; runbook_url: string };
}
const rulesOf = (files: ReturnType<typeof plan>, name: string) =>
  (
    parse(read(files, `monitoring/prometheus/rules/${name}.yml`)) as { groups: { rules: Rule[] }[] }
  ).groups.flatMap(({ rules }) => rules);
const alertsOf = (files: ReturnType<typeof plan>) => rulesOf(files, 'alerts');

interface Service {
  image?: string;
  profiles?: string[];
  user?: string;
  read_only?: boolean;
  cap_drop?: string[];
  cap_add?: string[];
  security_opt?: string[];
  mem_limit?: string;
  pids_limit?: number;
  networks?: string[];
  ports?: { host_ip: string }[];
  volumes?: (string | { type: string; source: string; read_only?: boolean })[];
  healthcheck?: object;
  logging?: object;
  environment?: Record<string, string>;
}
const composeOf = (files: ReturnType<typeof plan>) =>
  parse(read(files, 'compose.monitoring.yaml'), { merge: true }) as {
    services: Record<string, Service>;
    networks: Record<string, { internal?: boolean; driver_opts?: Record<string, string> }>;
  };

describe('the files', () => {
  it('are none where nobody wants monitoring', () => {
    const files = plan({ monitoring: false });
    expect([...files.keys()].filter((path) => /monitoring|alert/.test(path))).toEqual([]);
    expect(read(files, 'bin/lib/deployment.sh')).not.toMatch(/grafana|alert-/);
  });

  it('show the answered thresholds in the rules, and nowhere the defaults', () => {
    const rules = alertsOf(
      plan({
        ...everything,
        'alerts.errorRate': 0.031,
        'alerts.responseTimeMs': 2750,
        'alerts.memoryUsage': 0.77,
      }),
    );
    const exprOf = (name: string) => rules.find(({ alert }) => alert === name)?.expr;
    expect(exprOf('ErrorRateHigh')).toContain('> 0.031 ');
    expect(exprOf('ResponseTimeHigh')).toContain('> 2.75 ');
    expect(exprOf('BotpressMemoryHigh')).toContain('> 0.77 ');
    expect(exprOf('MachineMemoryHigh')).toMatch(/> 0\.77$/);
    expect(exprOf('RedisMemoryHigh')).toMatch(/> 0\.77$/);
  });
});

describe.each([
  ['everything', everything],
  ['the least', least],
])('with %s', (_, changes) => {
  const files = plan(changes);
  const alerts = alertsOf(files);

  it('every alert says how bad it is, what it is, and where to read on', () => {
    const sections = new Set(
      [...read(files, 'docs/alerts.md').matchAll(/^## (\w+)$/gm)].map(([, name = '']) => name),
    );
    expect(sections).toEqual(new Set(alerts.map(({ alert }) => alert)));
    for (const { alert, labels, annotations } of alerts) {
      expect(['page', 'ticket', 'none']).toContain(labels.severity);
      expect(annotations.summary).toMatch(/\S/);
      expect(annotations.description).toMatch(/\S/);
      expect(annotations.runbook_url).toBe(`docs/alerts.md#${alert.toLowerCase()}`);
    }
  });

  it('every alert has a test in which it fires and one in which it is quiet', () => {
    const cases = ['minutes', 'days'].flatMap(
      (name) =>
        (parse(read(files, `monitoring/prometheus/tests/${name}.yml`)) as { tests: { name: string }[] })
          .tests,
    );
    const names = new Set(cases.map(({ name }) => name));
    for (const { alert } of alerts) {
      expect(names).toContain(`${alert} fires`);
      // One fires always: that is its use.
      if (alert !== 'Watchdog') expect(names).toContain(`${alert} is quiet`);
    }
  });

  it('the runbook names commands that the repository has', () => {
    const text = read(files, 'docs/alerts.md');
    const commands = [...text.matchAll(/```sh\n([\s\S]*?)```/g)].flatMap(([, block = '']) =>
      block.split('\n'),
    );
    const own = commands.map((line) => /^bin\/\S+/.exec(line)?.[0]).filter((name) => name !== undefined);
    expect(own.length).toBeGreaterThan(alerts.length);
    for (const name of own) expect([...files.keys()]).toContain(name);
    expect(text).not.toMatch(/[{}]env|\{node\}/);
  });

  it('the commands of the runbook name services that exist', () => {
    const services = new Set(
      [...files.keys()]
        .filter((path) => /^compose\.[\w-]*\.?yaml$/.test(path))
        .flatMap((path) =>
          Object.keys((parse(read(files, path), { merge: true }) as { services: object }).services),
        ),
    );
    const named = [
      ...read(files, 'docs/alerts.md').matchAll(
        /^bin\/(?:logs|compose) production (?:exec |restart )?([a-z-]+)/gm,
      ),
    ].map(([, service]) => service);
    expect(named.length).toBeGreaterThan(20);
    for (const service of named) expect(services).toContain(service);
  });

  it('every expression is PromQL, and reads metrics of sources that are asked', () => {
    const asked = new Set(
      ['staging', 'production'].flatMap((name) =>
        (
          parse(read(files, `monitoring/prometheus/${name}.yml`), { merge: true }) as {
            scrape_configs: { job_name: string }[];
          }
        ).scrape_configs.map(({ job_name }) => job_name),
      ),
    );
    const dashboards = [...files.keys()].filter((path) => path.startsWith('monitoring/grafana/dashboards/'));
    const expressions = [
      ...alerts.map(({ expr }) => expr),
      ...rulesOf(files, 'recordings').map(({ expr }) => expr),
      ...dashboards.flatMap((path) =>
        (JSON.parse(read(files, path)) as { panels: { type: string; targets: { expr: string }[] }[] }).panels
          .filter(({ type }) => type !== 'logs')
          .flatMap(({ targets }) => targets.map(({ expr }) => expr)),
      ),
    ];
    const recorded = rulesOf(files, 'recordings').map(({ record }) => record);
    for (const expression of expressions) {
      for (const [, job = ''] of expression.matchAll(/job="(\w+)"/g)) expect(asked).toContain(job);
      for (const metric of metricsOf(expression)) {
        if (metric.startsWith('botpress:')) expect(recorded).toContain(metric);
        if (metric.startsWith('redis_')) expect(asked).toContain('redis');
      }
    }
  });

  it('each dashboard has panels that do not overlap, of the source that has what they show', () => {
    for (const path of [...files.keys()].filter((name) =>
      name.startsWith('monitoring/grafana/dashboards/'),
    )) {
      const { uid, panels } = JSON.parse(read(files, path)) as {
        uid: string;
        panels: {
          id: number;
          type: string;
          datasource: { uid: string };
          gridPos: Record<'x' | 'y' | 'w' | 'h', number>;
        }[];
      };
      expect(uid).toMatch(/^botpress-/);
      const taken = new Set<string>();
      for (const { type, datasource, gridPos } of panels) {
        expect(datasource.uid).toBe(type === 'logs' ? 'loki' : 'prometheus');
        expect(gridPos.x + gridPos.w).toBeLessThanOrEqual(24);
        for (let x = gridPos.x; x < gridPos.x + gridPos.w; x++)
          for (let y = gridPos.y; y < gridPos.y + gridPos.h; y++) {
            expect(taken).not.toContain(`${x}:${y}`);
            taken.add(`${x}:${y}`);
          }
      }
      expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length);
    }
  });

  it('services are hardened, published on the loopback address alone, and but one mount no folder of the host', () => {
    const { services, networks } = composeOf(files);
    const own = Object.entries(services).filter(([, { image }]) => image);
    // Started after everything that visitors need.
    const companions = [
      ...read(files, 'bin/lib/parts/monitoring.sh').matchAll(/^COMPANIONS\[\w+\]='([^']*)'/gm),
    ];
    expect(own.map(([name]) => name).sort()).toEqual(
      companions.flatMap(([, names = '']) => names.split(' ')).sort(),
    );
    for (const [name, service] of own) {
      expect(service).toMatchObject({
        profiles: ['monitoring'],
        read_only: true,
        cap_drop: expect.arrayContaining(['ALL']),
        security_opt: ['no-new-privileges:true'],
        mem_limit: expect.any(String),
        pids_limit: expect.any(Number),
        healthcheck: expect.any(Object),
        logging: { driver: 'json-file' },
      });
      expect(service.cap_add).toBeUndefined();
      // Docker's files are root's.
      expect(service.user).toMatch(name === 'log-agent' ? /^0:0$/ : /^[1-9]/);
      expect(service.image).toMatch(/^\$\{IMAGE_[A-Z_]+:-[^}]+:[v\d][^}]*\}$/);
      for (const port of service.ports ?? []) expect(port.host_ip).toBe('127.0.0.1');
      for (const volume of service.volumes ?? [])
        expect([name, volume]).toEqual([
          name,
          name === 'log-agent' && typeof volume === 'object'
            ? expect.objectContaining({
                type: 'bind',
                source: '${DOCKER_DATA:-/var/lib/docker}/containers',
                read_only: true,
                bind: { create_host_path: false },
              })
            : expect.not.stringMatching(/^\/|docker\.sock/),
        ]);
    }
    // What reads the lines of all has no way out.
    expect(services['log-agent']?.networks).toEqual(['monitoring']);
    expect(networks.monitoring?.internal).toBe(true);
    // The only way out is that of Alertmanager.
    expect(own.filter(([, { networks: of }]) => of?.includes('egress')).map(([name]) => name)).toEqual([
      'alertmanager',
    ]);
    expect(networks.console?.driver_opts).toEqual({
      'com.docker.network.bridge.enable_ip_masquerade': 'false',
    });
  });

  it('no password stands in a file, and Grafana has no default one', () => {
    const { services } = composeOf(files);
    expect(services.grafana?.environment?.GF_SECURITY_ADMIN_PASSWORD__FILE).toBe(
      '/run/secrets/grafana-admin-password',
    );
    for (const { environment } of Object.values(services))
      for (const [name, value] of Object.entries(environment ?? {}))
        if (/PASS|SECRET|TOKEN/.test(name)) expect(value).toMatch(/^\/run\/secrets\//);
    expect(read(files, 'monitoring/alertmanager/alertmanager.yml')).not.toMatch(/(api_url|password|url): /);
  });
});

describe('the ports in the documents', () => {
  it.each(['compose', 'swarm', 'kubernetes'])(
    'are those of the environment in its commands: %s',
    (target) => {
      const files = plan({ ...least, 'scaling.target': target });
      const text = read(files, 'docs/monitoring.md');
      const [, name = ''] = /^bin\/up (\S+)$/m.exec(text) ?? [];
      // What a Swarm or a cluster runs has no monitoring of compose.
      expect(name).toBe(target === 'compose' ? 'production' : 'staging');
      const variables = read(files, `.env.${name}.example`);
      for (const service of ['GRAFANA', 'PROMETHEUS', 'ALERTMANAGER']) {
        const [, port = ''] = new RegExp(`^${service}_PORT=(\\d+)$`, 'm').exec(variables) ?? [];
        expect(text).toContain(`-L ${port}:localhost:${port} `);
        expect(text).toContain(`http://localhost:${port}`);
      }
    },
  );
});

describe('the logs', () => {
  const files = plan(everything);

  it('say in every line whose it is, and are rotated', () => {
    const services = [...files.keys()]
      .filter((path) => /^compose(\.(operations|backup|monitoring))?\.yaml$/.test(path))
      .flatMap((path) =>
        Object.entries(
          (parse(read(files, path), { merge: true }) as { services: Record<string, Service> }).services,
        ).filter(([, { image }]) => image),
      );
    expect(services.length).toBeGreaterThan(15);
    for (const [name, { logging }] of services)
      expect([name, logging]).toEqual([
        name,
        {
          driver: 'json-file',
          options: {
            'max-size': '10m',
            'max-file': '5',
            labels: 'com.docker.compose.project,com.docker.compose.service',
          },
        },
      ]);
  });

  it('go to the store that Grafana asks, and are kept for two weeks', () => {
    const agent = read(files, 'monitoring/log-agent/syslog-ng.conf');
    const source = parse(read(files, 'monitoring/grafana/provisioning/datasources/loki.yml')) as {
      datasources: { uid: string; url: string }[];
    };
    expect(source.datasources).toEqual([expect.objectContaining({ uid: 'loki', url: 'http://loki:3100' })]);
    expect(agent).toContain('url("http://loki:3100/loki/api/v1/push")');
    const loki = parse(read(files, 'monitoring/loki/loki.yml')) as {
      server: { http_listen_port: number };
      compactor: object;
    };
    expect(loki.server.http_listen_port).toBe(3100);
    // Without both nothing is ever deleted.
    expect(loki.compactor).toMatchObject({ retention_enabled: true, delete_request_store: 'filesystem' });
    expect(read(files, 'compose.monitoring.yaml')).toContain("'-store.retention=${LOGS_RETENTION:-336h}'");
  });
});

describe('the figures of a container', () => {
  const script = read(plan(everything), 'monitoring/botpress/container-metrics.sh');

  /** What the script writes, for a control group made of files. */
  function figures(group: Record<string, string>): Record<string, number> {
    const folder = mkdtempSync(join(tmpdir(), 'container-metrics-'));
    try {
      mkdirSync(join(folder, 'group/memory'), { recursive: true });
      mkdirSync(join(folder, 'out'));
      for (const [name, text] of Object.entries(group)) writeFileSync(join(folder, 'group', name), text);
      writeFileSync(join(folder, 'script.sh'), script);
      execFileSync('bash', [join(folder, 'script.sh')], {
        env: {
          PATH: process.env.PATH,
          SERVER_ID: 'botpress-blue',
          METRICS_DIR: join(folder, 'out'),
          CGROUP_ROOT: join(folder, 'group'),
        },
      });
      const text = readFileSync(join(folder, 'out/botpress-blue.prom'), 'utf8');
      return Object.fromEntries(
        [...text.matchAll(/^botpress_container_(\w+)\{server="botpress-blue"\} (\d+)$/gm)].map(
          ([, name, value]) => [name, Number(value)],
        ),
      );
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  it('come from control groups of version 2', () => {
    expect(
      figures({
        'memory.current': '900\n',
        'memory.max': '1000\n',
        'memory.stat': 'anon 1\ninactive_file 200\n',
      }),
    ).toMatchObject({ memory_bytes: 700, memory_limit_bytes: 1000, start_time_seconds: expect.any(Number) });
  });

  it('come from control groups of version 1', () => {
    expect(
      figures({
        'memory/memory.usage_in_bytes': '900\n',
        'memory/memory.limit_in_bytes': '1000\n',
        'memory/memory.stat': 'inactive_file 1\ntotal_inactive_file 300\n',
      }),
    ).toMatchObject({ memory_bytes: 600, memory_limit_bytes: 1000 });
  });

  it.each([
    ['max', '2'],
    ['9223372036854771712', 'like version 1'],
  ])('have no limit where there is none: %s', (limit) => {
    const found = figures({
      'memory.current': '900',
      'memory.max': limit,
      'memory.stat': 'inactive_file 0\n',
    });
    expect(found.memory_bytes).toBe(900);
    expect(found).not.toHaveProperty('memory_limit_bytes');
  });
});

describe('the longest gap of a schedule', () => {
  const hour = 3600;
  const day = 24 * hour;
  it.each([
    ['0 3 * * *', day],
    ['*/15 * * * *', 900],
    ['0 */6 * * *', 6 * hour],
    ['0 8-18/5 * * *', 14 * hour],
    ['0 3 * * 0', 7 * day],
    ['0 3 * * 7', 7 * day],
    ['0 3 * * 1-5', 3 * day],
    ['0 3 1 * *', 31 * day],
    ['0 3 1,15 * *', 17 * day],
    // The 13th, or a Friday.
    ['0 0 13 * 5', 7 * day],
    ['0 0 29 2 *', 4 * 366 * day],
    ['0 0 31 2 *', Infinity],
  ])('of %s', (schedule, gap) => {
    expect(longestGap(schedule)).toBe(gap);
  });
});
