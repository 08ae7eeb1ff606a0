/**
 * One deployment, three outputs: what compose.yaml, the stack and the Kubernetes objects say must be the same. Everything is
 * computed from the rendered files, never from templates or the deployment.
 */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import {
  containersOf,
  podsOf,
  renderFiles,
  writtenObjects,
  type Container,
  type Files,
  type Mapping,
  type Pod,
} from './cluster.ts';
import { metricsOf } from '../monitoring/promql.ts';
import { matrix, on } from './matrix.ts';

/** What is compared, the same shape for all three. */
interface Service {
  image: string;
  user: string;
  command: string[];
  environment: Record<string, string>;
  memory: number;
  cpus: number;
  secrets: string[];
  health: string[] | undefined;
  readOnly: boolean;
  capabilities: string[];
}

type Services = Record<string, Service>;

/** Default of a variable: `${X:-4g}` → `4g`. */
const settled = (value: unknown): string =>
  String(value)
    .replace(/\$\{\w+:-([^}]*)\}/g, '$1')
    .replace(/\$\{\w+:\?[^}]*\}/g, '');

/** MiB of `4g`, `384m`, `384M`, `4096Mi`. */
function memoryOf(text: unknown): number {
  const [, number, unit] = /^(\d+)(g|G|m|M|Mi|Gi)$/.exec(settled(text)) ?? [];
  if (!number || !unit) throw new Error(`not an amount of memory: ${String(text)}`);
  return Number(number) * (unit.toLowerCase().startsWith('g') ? 1024 : 1);
}

const cpusOf = (text: unknown) => {
  const value = settled(text);
  return value.endsWith('m') ? Number(value.slice(0, -1)) / 1000 : Number(value);
};

const texts = (values: Mapping | undefined) =>
  Object.fromEntries(Object.entries(values ?? {}).map(([name, value]) => [name, settled(value)]));

interface ComposeService {
  image: string;
  user: string;
  entrypoint?: string[];
  command?: string[];
  environment?: Mapping;
  mem_limit: string;
  cpus: number | string;
  secrets?: (string | { source: string })[];
  healthcheck?: { test: string[] };
  read_only: boolean;
  cap_drop: string[];
  cap_add?: string[];
  deploy?: { resources: { limits: { memory: string; cpus: string } } };
  profiles?: string[];
}

function readCompose(files: Files, names: readonly string[]): Services {
  const services: Record<string, ComposeService> = {};
  for (const name of names) {
    const text = files.get(name);
    if (!text) continue;
    const { services: more = {} } = parse(text, { merge: true }) as {
      services?: Record<string, ComposeService>;
    };
    for (const [service, body] of Object.entries(more))
      services[service] = {
        ...services[service],
        ...body,
        environment: { ...services[service]?.environment, ...body.environment },
        secrets: [...(services[service]?.secrets ?? []), ...(body.secrets ?? [])],
        ...(body.deploy && {
          deploy: {
            ...services[service]?.deploy,
            ...body.deploy,
            resources: merged(services[service], body),
          },
        }),
      };
  }
  return Object.fromEntries(
    Object.entries(services).map(([name, body]) => [
      name,
      {
        image: settled(body.image),
        user: body.user,
        command: [...(body.entrypoint ?? []), ...(body.command ?? [])],
        environment: texts(body.environment),
        memory: memoryOf(body.mem_limit ?? body.deploy?.resources.limits.memory),
        cpus: cpusOf(body.cpus ?? body.deploy?.resources.limits.cpus),
        secrets: (body.secrets ?? [])
          .map((secret) => (typeof secret === 'string' ? secret : secret.source))
          .sort(),
        health: body.healthcheck?.test,
        readOnly: body.read_only,
        capabilities: (body.cap_drop ?? []).filter((capability) => capability !== 'NET_BIND_SERVICE'),
      },
    ]),
  );
}

function merged(before: ComposeService | undefined, after: ComposeService) {
  const limits = { ...before?.deploy?.resources.limits, ...after.deploy?.resources?.limits };
  return { limits } as { limits: { memory: string; cpus: string } };
}

function readKubernetes(files: Files, environment: string): Services {
  const settings = (
    parse(files.get(`kubernetes/overlays/${environment}/settings/kustomization.yaml`) ?? '') as {
      configMapGenerator: { name: string; literals: string[] }[];
    }
  ).configMapGenerator;
  const literals = (name: string) =>
    Object.fromEntries(
      (settings.find((map) => map.name === name)?.literals ?? []).map((line) => {
        const at = line.indexOf('=');
        return [line.slice(0, at), line.slice(at + 1)];
      }),
    );
  const read = (pod: Pod, container: Container): Service => ({
    image: container.image,
    user: `${pod.spec.securityContext?.runAsUser}:${String(pod.spec.securityContext?.runAsGroup)}`,
    command: [...(container.command ?? []), ...(container.args ?? [])],
    environment: Object.assign(
      {},
      ...(container.envFrom ?? []).map(({ configMapRef }) => literals(configMapRef?.name ?? '')),
      Object.fromEntries((container.env ?? []).map(({ name, value }) => [name, value ?? ''])),
    ) as Record<string, string>,
    memory: memoryOf(container.resources?.limits?.memory),
    cpus: cpusOf(container.resources?.limits?.cpu),
    secrets: (pod.spec.volumes ?? [])
      .flatMap(({ secret }) => {
        const { secretName, items } = (secret ?? {}) as { secretName?: string; items?: { key: string }[] };
        return secretName === 'botpress-secrets' ? (items ?? []).map(({ key }) => key) : [];
      })
      .sort(),
    health: container.readinessProbe?.exec?.command,
    readOnly: container.securityContext?.readOnlyRootFilesystem === true,
    capabilities: container.securityContext?.capabilities?.drop ?? [],
  });
  return Object.fromEntries(
    podsOf(writtenObjects(files)).flatMap((pod) =>
      containersOf(pod).map((container) => [
        pod.owner.startsWith('Job') ? `job ${container.name}` : container.name,
        read(pod, container),
      ]),
    ),
  );
}

/** What differs for a reason, service by service; everything else must be equal. */
const without = (service: Service | undefined, ...names: string[]) => ({
  ...service,
  environment: Object.fromEntries(
    Object.entries(service?.environment ?? {}).filter(([name]) => !names.includes(name)),
  ),
});

/** Names of servers, and what a cluster adds to a connection that leaves the machine. */
const CONNECTION = [
  'DATABASE_HOST',
  'DATABASE_PARAMETERS',
  'REDIS_HOST',
  'PGHOST',
  'PGSSLMODE',
  'PGSSLROOTCERT',
  'PGPORT',
  'PGDATABASE',
  'PGUSER',
];

describe.each(Object.entries(matrix))('%s', (_, changes) => {
  const environment = 'production';
  const compose = renderFiles({ ...changes, 'scaling.target': 'compose' });
  const swarm = renderFiles(on('swarm', changes));
  const kubernetes = renderFiles(on('kubernetes', changes));
  const one = readCompose(compose, ['compose.yaml', 'compose.backup.yaml', `compose.${environment}.yaml`]);
  const two = readCompose(swarm, [
    'swarm/stack.yaml',
    'swarm/jobs.yaml',
    `swarm/stack.${environment}.yaml`,
    `swarm/migrate.${environment}.yaml`,
  ]);
  const three = readKubernetes(kubernetes, environment);
  const node = one['botpress-blue'] ?? one.botpress!;
  const managed = changes['scaling.database'] === 'managed';

  it('writes the same files that the containers read', () => {
    const shared = (files: Files) =>
      [...files].filter(
        ([path]) =>
          /^(botpress|nginx|database|redis|backup)\//.test(path) &&
          !/kustomization|migrate\.sh|drain\.sh|content\.sh|parts\//.test(path) &&
          // Two colours, and so visitors who move between them, are of compose alone.
          !/snippets\/webchat\/|40-scripts\.sh/.test(path),
      );
    expect(shared(swarm)).toEqual(shared(compose));
    expect(shared(kubernetes)).toEqual(shared(compose));
  });

  it('has a page that names each file in which a setting of Botpress is added', () => {
    for (const files of [compose, swarm, kubernetes]) {
      const places = [...files]
        // The migration serves nobody.
        .filter(([path, text]) => /BP_CONFIG_SENDUSAGESTATS\b/.test(text) && !path.includes('/migrate.'))
        .map(([path]) => path.replace(/^(kubernetes\/overlays)\/[^/]+/, '$1/<environment>'));
      const page = files.get('docs/configuration.md') ?? '';
      const section = page.slice(page.indexOf('The converse API'), page.indexOf('## Language'));
      expect(
        section
          .match(/`(compose|swarm|kubernetes)[^`]*`/g)
          ?.map((name) => name.slice(1, -1))
          .sort(),
      ).toEqual([...new Set(places)].sort());
    }
  });

  it('runs the same node of Botpress', () => {
    const apart = [
      'SERVER_ID',
      'AUTO_MIGRATE',
      'EXTERNAL_URL',
      'BP_CONFIG_HTTPSERVER_CORS_ORIGIN',
      'BP_ADMIN_EMAIL',
      'ENVIRONMENT',
      ...CONNECTION,
    ];
    const expected = without(node, ...apart);
    expect(without(two.botpress, ...apart)).toEqual({
      ...expected,
      command: ['/opt/botpress-prod/drain.sh', ...node.command],
      // It ends whom it finds unhealthy.
      health: [...(node.health ?? []), '--patient'],
    });
    expect(without(three.botpress, ...apart)).toEqual({
      ...expected,
      health: ['/opt/botpress-prod/health.sh'],
    });
    expect(expected.health).toEqual(['CMD', '/opt/botpress-prod/health.sh']);
    for (const service of [two.botpress, three.botpress]) {
      expect(service?.environment.ENVIRONMENT).toBe(environment);
      expect(service?.environment.BP_ADMIN_EMAIL).toBe('ops@acme-bot.example.com');
      // Production has the standard ports everywhere.
      expect(service?.environment.EXTERNAL_URL).toBe(node.environment.EXTERNAL_URL);
      expect(service?.environment.BP_CONFIG_HTTPSERVER_CORS_ORIGIN).toBe(
        node.environment.BP_CONFIG_HTTPSERVER_CORS_ORIGIN,
      );
    }
  });

  it('migrates with one job that is otherwise the same node', () => {
    expect(
      Object.values(one).filter((service) => service.environment.AUTO_MIGRATE === 'true').length,
    ).toBeGreaterThan(0);
    for (const [services, job] of [
      [two, two.migrate],
      [three, three['job botpress-migrate']],
    ] as const) {
      const serving = services.botpress;
      expect(without({ ...job!, command: [], health: undefined }, 'SERVER_ID', 'MIGRATE_SECONDS')).toEqual(
        without({ ...serving!, command: [], health: undefined }, 'SERVER_ID'),
      );
      expect(job?.command).toEqual(['/opt/botpress-prod/migrate.sh']);
    }
  });

  it.each(['nginx', 'redis', 'database-purge', 'duckling', 'language-server', 'channels', 'backup'])(
    'runs the same %s',
    (name) => {
      const expected = one[name];
      const elsewhere = name === 'redis' && changes['scaling.redis'] === 'managed';
      // In compose a profile decides on each machine.
      const unasked = ['duckling', 'language-server'].includes(name) && changes.nlu !== true;
      const here = elsewhere || unasked ? undefined : expected;
      expect(Boolean(two[name])).toBe(Boolean(here));
      expect(Boolean(three[name])).toBe(Boolean(here));
      if (!here) return;
      const secretsOf = (service: Service | undefined) =>
        service?.secrets.filter((secret) => !secret.startsWith('tls-'));
      for (const service of [two[name], three[name]]) {
        expect(service?.image).toBe(here.image);
        expect(service?.user).toBe(here.user);
        expect([service?.memory, service?.cpus]).toEqual([here.memory, here.cpus]);
        expect([service?.readOnly, service?.capabilities]).toEqual([true, ['ALL']]);
      }
      expect(secretsOf(two[name])).toEqual(here.secrets);
      expect(two[name]?.health).toEqual(here.health);
      expect(two[name]?.command).toEqual(here.command);
      // An init container shares the volumes of its pod; nginx' own probes ask the same page.
      if (name !== 'channels') expect(secretsOf(three[name])).toEqual(here.secrets);
      if (name === 'redis') expect(three[name]?.health).toEqual(here.health?.slice(1));
      const apart = [
        'DOMAIN',
        'BACKUP_SCHEDULE',
        'BACKUP_DRILL_SCHEDULE',
        'RETENTION_DAYS',
        'ENVIRONMENT',
        ...CONNECTION,
      ];
      const plain = (service: Service | undefined) =>
        Object.fromEntries(
          Object.entries(service?.environment ?? {})
            // What .env.<environment> may say otherwise is a default in compose; elsewhere it comes from there.
            .map(([key, value]) => [key.replace(/^DEFAULT_/, 'BACKUP_'), value] as const)
            .filter(
              ([key]) =>
                !apart.includes(key) &&
                !/^(NGINX_|BACKUP_(S3|GCS|AZURE|SFTP)_|CLUSTER_DOMAIN|NAMESPACE)/.test(key),
            ),
        );
      expect(plain(two[name])).toEqual(plain(here));
      expect(plain(three[name])).toEqual(plain(here));
    },
  );

  it('runs the same PostgreSQL, or none', () => {
    if (managed) {
      expect(two.postgres).toBeUndefined();
      return;
    }
    const { environment: variables, ...expected } = one.postgres!;
    expect(two.postgres).toEqual({ ...expected, environment: variables });
    const cluster = writtenObjects(kubernetes).find(({ kind }) => kind === 'Cluster')?.spec as {
      resources: { limits: { memory: string; cpu: string } };
      imageName: string;
    };
    expect([memoryOf(cluster.resources.limits.memory), cpusOf(cluster.resources.limits.cpu)]).toEqual([
      expected.memory,
      expected.cpus,
    ]);
    // The operator's own image of the same release.
    expect(/:([\d.]+)-/.exec(cluster.imageName)?.[1]).toBe(/:([\d.]+)-/.exec(expected.image)?.[1]);
  });

  it('opens the same ports to visitors, and no other', () => {
    const ports = (
      parse(swarm.get(`swarm/stack.${environment}.yaml`) ?? '') as {
        services: { nginx: { ports: { target: number; published: string }[] } };
      }
    ).services.nginx.ports.map(({ target, published }) => [target, settled(published)]);
    const before = (
      parse(compose.get(`compose.${environment}.yaml`) ?? '', { merge: true }) as {
        services: { nginx: { ports: { target: number; published: string }[] } };
      }
    ).services.nginx.ports.map(({ target, published }) => [target, settled(published)]);
    expect(ports).toEqual(before);
    for (const path of ['swarm/stack.yaml', 'swarm/jobs.yaml'])
      expect(swarm.get(path)).not.toMatch(/^ +ports:/m);
    const kinds = writtenObjects(kubernetes).filter(({ kind }) => kind === 'Service');
    for (const { spec } of kinds) expect(spec?.type ?? 'ClusterIP').toBe('ClusterIP');
  });
});

it.each(Object.entries(matrix).filter(([, { monitoring }]) => monitoring !== false))(
  'alerts on Kubernetes by the very rules of compose: %s',
  (_, changes) => {
    const files = renderFiles(on('kubernetes', changes));
    const groupsOf = (path: string) =>
      (parse(files.get(path) ?? '') as { groups: { name: string; rules: Mapping[] }[] }).groups;
    const groups = ['recordings', 'alerts'].flatMap((name) =>
      groupsOf(`monitoring/prometheus/rules/${name}.yml`),
    );
    expect(groups.flatMap(({ rules }) => rules).length).toBeGreaterThan(40);
    const rules = writtenObjects(files).find(
      ({ kind, metadata }) => kind === 'PrometheusRule' && metadata.name === 'botpress-alerts',
    );
    expect(rules?.spec).toEqual({ groups });
  },
);

it.each(['15 3 * * *', '0 4 * * 1', '30 */6 * * *'])(
  'misses a backup and a drill on Kubernetes as long after %s as compose does',
  (schedule) => {
    const files = renderFiles(on('kubernetes', { 'backup.schedule': schedule }));
    const exprOf = (path: string, alert: string) => {
      const { groups, spec } = parse(files.get(path) ?? '') as {
        groups?: { rules: Mapping[] }[];
        spec?: { groups: { rules: Mapping[] }[] };
      };
      const rules = (groups ?? spec?.groups ?? []).flatMap(({ rules: each }) => each);
      return String(rules.find((rule) => rule.alert === alert)?.expr);
    };
    const ageOf = (expr: string) => Number(/> (\d+)$/.exec(expr)?.[1]);
    for (const [here, job, there] of [
      ['BotpressBackupMissing', 'backup', 'BackupTooOld'],
      ['BotpressDrillMissing', 'backup-drill', 'RestoreDrillTooOld'],
    ] as const) {
      const expr = exprOf('kubernetes/components/monitoring/rules.yaml', here);
      expect(ageOf(expr)).toBeGreaterThan(0);
      expect(ageOf(expr)).toBe(ageOf(exprOf('monitoring/prometheus/rules/alerts.yml', there)));
      // The moment of the last success is not there before the first one.
      expect(metricsOf(expr).sort()).toEqual([
        'kube_cronjob_created',
        'kube_cronjob_status_last_successful_time',
      ]);
      expect(expr.match(new RegExp(`cronjob="${job}"`, 'g'))).toHaveLength(2);
    }
  },
);

describe('a stack', () => {
  const files = renderFiles(on('swarm', { channels: ['web', 'slack'] }));
  const stack = parse(files.get('swarm/stack.yaml') ?? '', { merge: true }) as {
    services: Record<
      string,
      {
        deploy: { update_config: Mapping; endpoint_mode?: string; replicas?: unknown; placement?: Mapping };
        healthcheck?: { start_period: string; interval: string; retries: number };
        configs?: { source: string }[];
        secrets?: { source: string; mode: number }[];
      }
    >;
  };

  it('updates one after the other, the new one first where it can, and takes failures back', () => {
    for (const [name, { deploy }] of Object.entries(stack.services)) {
      expect([name, deploy.update_config.failure_action]).toEqual([name, 'rollback']);
      expect([name, deploy.update_config.parallelism]).toEqual([name, 1]);
    }
    expect(stack.services.botpress?.deploy.update_config.order).toBe('start-first');
    expect(stack.services.postgres?.deploy.update_config.order).toBe('stop-first');
    const recreate = parse(
      renderFiles(on('swarm', { 'scaling.deployment': 'recreate' })).get('swarm/stack.yaml') ?? '',
      { merge: true },
    ) as typeof stack;
    expect(recreate.services.botpress?.deploy.update_config.order).toBe('stop-first');
  });

  it('lets a node load for as long as health.sh does, and notices within 25 s one that is ill', () => {
    const seconds = (text: string | undefined) => Number(/^(\d+)s$/.exec(text ?? '')?.[1]);
    const { start_period: start, interval, retries } = stack.services.botpress?.healthcheck ?? {};
    const [, patience] =
      /WATCHDOG_LOADING_SECONDS:-(\d+)\}/.exec(files.get('botpress/health.sh') ?? '') ?? [];
    expect(seconds(start)).toBeGreaterThan(Number(patience));
    expect((seconds(interval) + 1) * (retries ?? 0)).toBeLessThanOrEqual(25);
    const [, monitor] = /UPDATE_MONITOR:-(\d+s)\}/.exec(files.get('swarm/stack.yaml') ?? '') ?? [];
    expect(seconds(monitor)).toBeGreaterThan(25);
  });

  it('takes back an update whose node does not get ready, and no other', () => {
    const folder = mkdtempSync(join(tmpdir(), 'take-back-'));
    try {
      for (const [path, text] of files) {
        if (!path.startsWith('bin/lib/')) continue;
        mkdirSync(dirname(join(folder, path)), { recursive: true });
        writeFileSync(join(folder, path), text);
      }
      writeFileSync(
        join(folder, 'docker'),
        `#!/bin/sh
case "$*" in
  'service inspect --format {{if .UpdateStatus}}'*' acme-bot-production_botpress') echo "$STATE" ;;
  *) echo "$*" >>'${folder}/calls' ;;
esac
`,
        { mode: 0o755 },
      );
      const takeBack = (state: string) => {
        rmSync(join(folder, 'calls'), { force: true });
        const { status, stderr } = spawnSync(
          'bash',
          [
            '--norc',
            '-Eeuo',
            'pipefail',
            '-c',
            '. "$ROOT/bin/lib/environment.sh"; select_environment production; . "$ROOT/bin/lib/swarm/stack.sh"; roll_back_update 7',
          ],
          { encoding: 'utf8', env: { ROOT: folder, STATE: state, PATH: `${folder}:${process.env.PATH}` } },
        );
        const calls = join(folder, 'calls');
        return [status, stderr, existsSync(calls) ? readFileSync(calls, 'utf8') : ''];
      };
      expect(takeBack('updating')).toEqual([
        0,
        expect.stringContaining('botpress did not get ready within 7 s'),
        'service rollback --detach acme-bot-production_botpress\n',
      ]);
      for (const state of ['', 'completed', 'rollback_completed', 'rollback_started'])
        expect(takeBack(state)).toEqual([0, '', '']);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  it('names every config and secret that it uses, and none that nobody uses', () => {
    const jobs = parse(files.get('swarm/jobs.yaml') ?? '', { merge: true }) as typeof stack;
    const used = [...Object.values(stack.services), ...Object.values(jobs.services)].flatMap(
      ({ configs = [] }) => configs.map(({ source }) => source),
    );
    const facts = files.get('bin/lib/swarm/facts.sh') ?? '';
    const listed = [...facts.matchAll(/^ {2}([\w.-]+)=(\S+)$/gm)].map(
      ([, name = '', file = '']) => [name, file] as const,
    );
    expect(listed.map(([name]) => name).sort()).toEqual([...new Set(used)].sort());
    for (const [, file] of listed)
      expect([file, files.has(file.replace('/ENVIRONMENT/', '/production/'))]).toEqual([file, true]);
  });
});

describe.each(['swarm', 'kubernetes'] as const)('what is said of production on %s', (target) => {
  const texts = (changes: Record<string, unknown>) =>
    [...renderFiles(on(target, changes))].filter(([path]) => /\.md$|\.example$/.test(path));
  /** Lines that start it with compose: `bin/up` without a name means the first environment. */
  const starting = (files: [string, string][], name: RegExp) =>
    files.flatMap(([path, text]) =>
      text
        .split('\n')
        .filter((line) => name.test(line))
        .map((line) => `${path}: ${line}`),
    );

  it('never tells to start it with compose too', () => {
    const files = texts({ channels: ['web', 'slack'], nlu: true, 'backup.targets': ['local'] });
    // The form of its variables is for whoever runs it with compose.
    expect(
      starting(files, /bin\/(up|deploy) production/).filter((line) => !line.startsWith('.env.production')),
    ).toEqual([]);
    // What rolls out there is not bin/deploy, which is not written.
    expect(starting(files, /bin\/deploy/)).toEqual([]);
    for (const name of ['README.md', 'docs/runbook.md', 'docs/channels.md', 'docs/alerts.md'])
      expect([name, files.find(([path]) => path === name)?.[1]]).toEqual([
        name,
        expect.stringMatching(new RegExp(`bin/${target}(-secrets| up) production`)),
      ]);
  });

  it('nor where it is the only environment', () => {
    const files = texts({ environments: ['production'] });
    expect(
      starting(files, /^\.\/bin\/up|bin\/up production/).filter((line) => !line.startsWith('.env')),
    ).toEqual([]);
  });

  it('points to places that are there', () => {
    const files = new Map(texts({ channels: ['web', 'slack'] }));
    for (const name of ['README.md', 'docs/channels.md', 'docs/alerts.md'])
      expect(files.get(name)).toMatch(/runbook\.md#where-production-runs\)/);
    expect(files.get('docs/runbook.md')).toMatch(/^## Where production runs$/m);
  });
});

describe.each(['swarm', 'kubernetes'] as const)('the commands of a deployment on %s', (target) => {
  const files = renderFiles(on(target, {}));
  const functionsOf = (path: string) =>
    [...(files.get(path) ?? '').matchAll(/^([\w-]+)\(\) [{(]$/gm)].map(([, name = '']) => name);

  /** Libraries that a script reads, and those that they read. */
  function librariesOf(path: string, known = new Set<string>()): Set<string> {
    for (const [, root, name = ''] of (files.get(path) ?? '').matchAll(
      /^ *\. "(?:(\$ROOT)|\$\{BASH_SOURCE\[0\]%\/\*\})\/([\w/-]+\.sh)"/gm,
    )) {
      const library = root ? name : join(dirname(path), name);
      if (known.has(library)) continue;
      known.add(library);
      librariesOf(library, known);
    }
    return known;
  }

  // One that is read while a command runs would put its function in the place of the command's own.
  it('lose none of their functions to a library of the same names', () => {
    const commands = [...files.keys()].filter((path) => /^bin\/[\w-]+$/.test(path));
    const lost = commands.flatMap((path) =>
      [...librariesOf(path)].flatMap((library) =>
        functionsOf(library)
          .filter((name) => functionsOf(path).includes(name))
          .map((name) => `${path} and ${library}: ${name}`),
      ),
    );
    expect(librariesOf('bin/restore').size).toBeGreaterThan(5);
    expect(functionsOf('bin/restore')).toContain('take_back');
    expect(lost).toEqual([]);
  });
});
