import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, posix } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import {
  mayConnect,
  podFaults,
  podsOf,
  policiesOf,
  renderFiles,
  schemaFaults,
  selects,
  unknownFields,
  writtenObjects,
  type Container,
  type Files,
  type KubernetesObject,
  type Mapping,
  type PodSpec,
} from './cluster.ts';
import { matrix, on } from './matrix.ts';

const compose = renderFiles({});

it('is not written where everything runs on one machine', () => {
  expect([...compose.keys()].filter((path) => /kubernetes|kustomization|swarm|scaling/.test(path))).toEqual(
    [],
  );
});

/** Paths that a kustomization names, relative to the repository. */
function listed(path: string, files: Files): string[] {
  const list = parse(files.get(path) ?? '') as Mapping;
  const generated = ((list.configMapGenerator ?? []) as { files?: string[] }[]).flatMap(
    ({ files: names }) => names ?? [],
  );
  return [
    ...((list.resources ?? []) as string[]),
    ...((list.components ?? []) as string[]),
    ...generated.map((name) => name.slice(name.indexOf('=') + 1)),
  ].map((name) => posix.join(posix.dirname(path), name));
}

describe.each(Object.entries(matrix))('%s', (_, changes) => {
  const files = renderFiles(on('kubernetes', changes));
  const objects = writtenObjects(files);
  const find = (kind: string, name: string) =>
    objects.find((object) => object.kind === kind && object.metadata.name === name);
  const botpress = find('Deployment', 'botpress')?.spec as Mapping;
  const pod = podsOf(objects).find(({ owner }) => owner === 'Deployment botpress')!;
  const server = pod.spec.containers[0] as Container;
  const pro = changes.edition === 'pro';

  it('is valid by the schemas of the API versions that it names', async () => {
    expect(await schemaFaults(objects)).toEqual([]);
  });

  it('has no field that those do not know', () => {
    expect(unknownFields(objects)).toEqual([]);
  });

  it('runs every pod restricted, limited, pinned and probed', () => {
    expect(podsOf(objects).length).toBeGreaterThan(4);
    expect(podFaults(objects)).toEqual([]);
    expect(find('Namespace', 'acme-bot')?.metadata.labels).toMatchObject({
      'pod-security.kubernetes.io/enforce': 'restricted',
    });
  });

  it('lists each file once, and each file that is listed exists', () => {
    const lists = [...files.keys()].filter((path) => path.endsWith('kustomization.yaml'));
    const all = lists.flatMap((path) => listed(path, files));
    const folders = new Set(lists.map((path) => posix.dirname(path)));
    for (const path of all) expect([path, files.has(path) || folders.has(path)]).toEqual([path, true]);
    const written = [...files.keys()].filter(
      (path) => path.startsWith('kubernetes/') && !lists.includes(path),
    );
    for (const path of written) expect([path, all.filter((each) => each === path).length]).toEqual([path, 1]);
  });

  it('hands every file of the first content, of nginx and of the database to its containers', () => {
    const handed = ['botpress', 'nginx', 'database', 'backup', 'redis']
      .map((folder) => `${folder}/kustomization.yaml`)
      .filter((path) => files.has(path))
      .flatMap((path) => listed(path, files));
    // The operations service, and so the hook that reports to it, runs with compose.
    const elsewhere =
      /^botpress\/data\/global\/hooks\/on_bot_error\/operations\.js$|^nginx\/(active-upstream\.conf|snippets\/(tls|upstream|proxy-headers)\.conf|lego\/|start\.d\/|\w+\/(server|real-ip)\.conf|[\w-]+\/parts\/)|^database\/(postgresql|pg_hba)\.conf|^database\/init\/|^backup\/Dockerfile|kustomization\.yaml$/;
    const mounted = [...files.keys()].filter(
      (path) =>
        /^(botpress|nginx|database)\//.test(path) ||
        (path.startsWith('redis/') && find('StatefulSet', 'redis')) ||
        (path.startsWith('backup/') && files.has('compose.backup.yaml')),
    );
    expect(handed.sort()).toEqual(mounted.filter((path) => !elsewhere.test(path)).sort());
  });

  it('lets a node serve only while /status says so, and ends it only when its process is stuck', () => {
    expect(server.readinessProbe?.exec?.command).toEqual(['/opt/botpress-prod/health.sh']);
    expect(server.startupProbe?.exec?.command).toEqual(['/opt/botpress-prod/health.sh']);
    // The watchdog of health.sh has an hour of patience with a server that loads.
    expect(
      (server.startupProbe?.periodSeconds ?? 0) * (server.startupProbe?.failureThreshold ?? 0),
    ).toBeGreaterThan(3600);
    expect(server.livenessProbe?.exec).toBeUndefined();
    expect(server.livenessProbe?.tcpSocket).toBeDefined();
    const sleep = Number(server.lifecycle?.preStop?.exec?.command[1]);
    // nginx: 5 s until it asks for the nodes again; Botpress: two flushes of 5 s.
    expect(sleep).toBeGreaterThanOrEqual(15);
    expect(pod.spec.terminationGracePeriodSeconds).toBeGreaterThanOrEqual(sleep + 10);
  });

  it('never migrates with the nodes that serve', () => {
    for (const [path, text] of files)
      if (path.startsWith('kubernetes/'))
        expect([path, text.includes('AUTO_MIGRATE')]).toEqual([path, false]);
    expect(files.get('botpress/migrate.sh')).toContain('export AUTO_MIGRATE=true');
    const job = find('Job', 'botpress-migrate')?.spec as { parallelism?: number; backoffLimit: number };
    expect(job.parallelism ?? 1).toBe(1);
    expect(job.backoffLimit).toBe(0);
  });

  it('keeps the edition to its number of nodes', () => {
    const strategy = botpress.strategy as { type: string; rollingUpdate?: Mapping };
    const recreate = changes['scaling.deployment'] === 'recreate';
    if (pro) {
      expect(strategy.type).toBe('RollingUpdate');
      expect(find('PodDisruptionBudget', 'botpress')?.spec?.maxUnavailable).toBe(1);
      expect(pod.spec.topologySpreadConstraints?.map(({ topologyKey }) => topologyKey)).toEqual([
        'kubernetes.io/hostname',
        'topology.kubernetes.io/zone',
      ]);
    } else {
      expect(botpress.replicas).toBe(1);
      expect(find('HorizontalPodAutoscaler', 'botpress')).toBeUndefined();
      // With one node it would forbid to empty a machine.
      expect(find('PodDisruptionBudget', 'botpress')).toBeUndefined();
      expect(strategy).toEqual(
        recreate
          ? { type: 'Recreate' }
          : { type: 'RollingUpdate', rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      );
    }
  });

  it('ends the language server before its successor wants the volume', () => {
    const server = find('Deployment', 'language-server');
    expect(Boolean(server)).toBe(changes.nlu === true);
    if (server) expect(server.spec?.strategy).toEqual({ type: 'Recreate' });
  });

  it('scales no further than the connections of the database reach', () => {
    const scaler = find('HorizontalPodAutoscaler', 'botpress')?.spec as
      { minReplicas: number; maxReplicas: number } | undefined;
    const most = Math.max(scaler?.maxReplicas ?? 0, Number(botpress.replicas ?? 0));
    const surge = Number(
      (botpress.strategy as { rollingUpdate?: { maxSurge?: number } }).rollingUpdate?.maxSurge ?? 0,
    );
    const [, limit] =
      /ALTER ROLE botpress WITH [^;]*CONNECTION LIMIT (\d+)/.exec(
        files.get('database/sql/roles.sql') ?? '',
      ) ?? [];
    const each = 4 * 5 + 5;
    expect(most).toBeGreaterThan(0);
    expect((most + surge) * each).toBeLessThanOrEqual(Number(limit));
    if (scaler) {
      expect(scaler.minReplicas).toBeLessThan(scaler.maxReplicas);
      expect(botpress.replicas).toBeUndefined();
    }
  });

  it('never runs two of a kind of a job that comes back', () => {
    const jobs = objects.filter(({ kind }) => kind === 'CronJob');
    expect(jobs.map(({ metadata }) => metadata.name).sort()).toEqual(
      files.has('compose.backup.yaml') ? ['backup', 'backup-drill', 'database-purge'] : ['database-purge'],
    );
    for (const { spec } of jobs) expect(spec?.concurrencyPolicy).toBe('Forbid');
  });

  it('opens each connection that is needed, and no other', () => {
    const labels = (owner: string) => podsOf(objects).find((each) => each.owner === owner)?.labels;
    const name = (value: string) => ({ 'app.kubernetes.io/name': value });
    const postgres = { 'cnpg.io/cluster': 'postgres' };
    const nginx = labels('Deployment nginx')!;
    const node = labels('Deployment botpress')!;
    expect(mayConnect(objects, nginx, node, 3000)).toBe(true);
    expect(mayConnect(objects, node, nginx, 8080)).toBe(false);
    expect(mayConnect(objects, node, node, 3000)).toBe(false);
    expect(mayConnect(objects, name('stranger'), node, 3000)).toBe(false);
    expect(mayConnect(objects, name('stranger'), nginx, 8080)).toBe(false);
    expect(mayConnect(objects, nginx, postgres, 5432)).toBe(false);
    expect(mayConnect(objects, name('stranger'), postgres, 5432)).toBe(false);
    if (find('Cluster', 'postgres')) {
      const clients = [
        'Deployment botpress',
        'CronJob database-purge',
        'Job botpress-migrate',
        'Job secure-database',
        ...(files.has('compose.backup.yaml') ? ['Job backup-tools'] : []),
      ];
      for (const owner of clients)
        expect([owner, mayConnect(objects, labels(owner)!, postgres, 5432)]).toEqual([owner, true]);
      expect(mayConnect(objects, postgres, postgres, 5432)).toBe(true);
    }
    const backup = labels('CronJob backup');
    if (backup) {
      expect(mayConnect(objects, backup, node, 3000)).toBe(false);
      if (find('Cluster', 'postgres')) {
        expect(mayConnect(objects, backup, postgres, 5432)).toBe(true);
        // A drill does not ask production.
        expect(mayConnect(objects, labels('CronJob backup-drill')!, postgres, 5432)).toBe(false);
      }
    }
    if (find('StatefulSet', 'redis')) {
      expect(mayConnect(objects, node, name('redis'), 6379)).toBe(true);
      expect(mayConnect(objects, nginx, name('redis'), 6379)).toBe(false);
    }
    if (find('Deployment', 'duckling')) {
      expect(mayConnect(objects, node, name('duckling'), 8000)).toBe(true);
      expect(mayConnect(objects, node, name('language-server'), 3100)).toBe(true);
      expect(mayConnect(objects, name('stranger'), name('duckling'), 8000)).toBe(false);
    }
  });

  it.each(['ingress', 'gateway'])('lets the proof of a domain in where it lets visitors in: %s', (way) => {
    const overlays = [...files.keys()].flatMap(
      (path) => /^(.*\/overlays\/\w+)\/settings\//.exec(path)?.[1] ?? [],
    );
    expect(overlays.length).toBeGreaterThan(0);
    for (const overlay of overlays) {
      const paths = listed(`${overlay}/${way}/kustomization.yaml`, files);
      const taken = writtenObjects(new Map([...files].filter(([path]) => paths.includes(path))));
      const fetched = JSON.stringify(taken).includes('cert-manager.io/cluster-issuer');
      const policies = policiesOf(taken);
      const visitors = policies.find(({ selector }) =>
        selects(selector, { 'app.kubernetes.io/name': 'nginx' }),
      );
      const proof = policies.filter(({ selector }) =>
        selects(selector, { 'acme.cert-manager.io/http01-solver': 'true' }),
      );
      // The same peers at another port, and in this direction alone.
      expect(proof.map(({ types, ingress }) => ({ types, ingress }))).toEqual(
        fetched
          ? [
              {
                types: ['Ingress'],
                ingress: [{ from: visitors?.ingress[0]?.from, ports: [{ protocol: 'TCP', port: 8089 }] }],
              },
            ]
          : [],
      );
    }
  });

  it('begins with nobody reaching anybody, and names a peer in every exception', () => {
    const policies = policiesOf(objects);
    expect(policies.find((policy) => policy.name === 'default')).toMatchObject({
      selector: {},
      types: ['Ingress', 'Egress'],
      ingress: [],
      egress: [],
    });
    for (const { name: policy, ingress, egress } of policies)
      for (const [rules, side] of [
        [ingress, 'from'],
        [egress, 'to'],
      ] as const)
        for (const rule of rules) {
          expect([policy, (rule[side] ?? []).length > 0]).toEqual([policy, true]);
          expect([policy, (rule.ports ?? []).length > 0]).toEqual([policy, true]);
          for (const { podSelector, ipBlock } of rule[side] ?? [])
            expect([
              policy,
              Boolean(podSelector?.matchLabels ?? podSelector?.matchExpressions ?? ipBlock?.cidr),
            ]).toEqual([policy, true]);
        }
    // Only DNS is for everybody.
    expect(
      policies
        .filter(({ selector }) => Object.keys(selector).length === 0)
        .map((each) => each.name)
        .sort(),
    ).toEqual(['default', 'dns']);
  });
});

describe('PostgreSQL of the operator', () => {
  const files = renderFiles(on('kubernetes', {}));
  const cluster = writtenObjects(files).find(({ kind }) => kind === 'Cluster')!;
  const spec = cluster.spec as {
    instances: number;
    imageName: string;
    storage: { size: string };
    superuserSecret: { name: string };
    bootstrap: { initdb: { database: string; owner: string; secret: { name: string } } };
    postgresql: { parameters: Record<string, unknown>; pg_hba: string[] };
  };

  it('has what CloudNativePG requires', () => {
    expect(cluster.apiVersion).toBe('postgresql.cnpg.io/v1');
    expect(spec.instances).toBe(3);
    expect(spec.storage.size).toMatch(/^\d+Gi$/);
    expect(spec.imageName).toMatch(/:17\.\d+-/);
    expect(spec.bootstrap.initdb).toMatchObject({ database: 'botpress', owner: 'botpress' });
    // The operator takes text only.
    for (const value of Object.values(spec.postgresql.parameters)) expect(typeof value).toBe('string');
  });

  it('is set as the PostgreSQL of compose, where the operator does not decide', () => {
    const byOperator = [
      'listen_addresses',
      'hba_file',
      'ssl',
      'log_destination',
      'logging_collector',
      'log_line_prefix',
    ];
    const settings = [
      ...(files.get('database/postgresql.conf') ?? '').matchAll(/^(\w+) = (?:'([^']*)'|(\S+))/gm),
    ]
      .map(([, name = '', quoted, plain]) => [name, quoted ?? plain] as const)
      .filter(([name]) => !byOperator.includes(name));
    expect(settings.length).toBeGreaterThan(30);
    // A standby must have as many as its primary, and replication takes some.
    expect({ ...spec.postgresql.parameters, max_worker_processes: '4' }).toEqual(
      Object.fromEntries(settings),
    );
  });

  it('lets in over TLS, each role into its database, and nobody else', () => {
    const lines = spec.postgresql.pg_hba;
    expect(lines.at(-1)).toBe('host all all all reject');
    expect(lines.slice(0, -1).every((line) => line.startsWith('hostssl '))).toBe(true);
    const roles = [...(files.get('database/pg_hba.conf') ?? '').matchAll(/^host\s+botpress\s+(\w+)/gm)].map(
      ([, role]) => role,
    );
    expect(
      lines.filter((line) => line.startsWith('hostssl botpress ')).map((line) => line.split(' ')[2]),
    ).toEqual(roles);
  });
});

it('fills the volume of the language server with a pod that the namespace takes, and ends it', async () => {
  const files = renderFiles(on('kubernetes', { nlu: true }));
  const [, text = ''] =
    /### Files of the language server\n[\s\S]*?```sh\n([\s\S]*?)```/.exec(
      files.get('docs/scaling.md') ?? '',
    ) ?? [];
  const [, object = ''] = /<<'END'\n([\s\S]*?)\nEND\n/.exec(text) ?? [];
  const pod = parse(object) as KubernetesObject;
  expect(await schemaFaults([pod])).toEqual([]);
  expect(unknownFields([pod])).toEqual([]);
  const objects = writtenObjects(files);
  const server = podsOf(objects).find(({ owner }) => owner === 'Deployment language-server')!;
  const { spec } = pod as unknown as { spec: PodSpec };
  const [container] = spec.containers;
  // As restricted as the pods of the overlay, and the same user, whose files the server reads.
  expect(container?.securityContext).toEqual(server.spec.containers[0]?.securityContext);
  expect(container?.image).toBe(server.spec.containers[0]?.image);
  expect({ ...spec.securityContext, fsGroupChangePolicy: 'OnRootMismatch' }).toEqual(
    server.spec.securityContext,
  );
  const claims = (each: PodSpec) =>
    (each.volumes ?? []).flatMap(
      ({ persistentVolumeClaim: claim }) => (claim as { claimName: string })?.claimName ?? [],
    );
  expect(claims(spec)).toEqual(claims(server.spec));
  // It writes where the server only reads.
  expect(container?.volumeMounts).toEqual([{ name: 'languages', mountPath: '/languages' }]);
  const commands = text.replace(object, '').split('\n');
  const at = (part: string) => commands.findIndex((line) => line.includes(part));
  const order = ['--replicas=0', 'apply', '| kubectl', 'delete pod languages', '--replicas=1'].map(at);
  expect(order).toEqual([...order].sort((a, b) => a - b));
  expect(order).not.toContain(-1);
});

describe('bin/kubernetes up', () => {
  it.each(['image', 'replicas'])('stops no node where the cluster does not tell the %s in force', (field) => {
    const folder = mkdtempSync(join(tmpdir(), 'kubernetes-up-'));
    try {
      for (const [path, text] of renderFiles(on('kubernetes', {}))) {
        if (!/^(bin|kubernetes)\//.test(path)) continue;
        mkdirSync(dirname(join(folder, path)), { recursive: true });
        writeFileSync(join(folder, path), text.replaceAll('.example.com', '.acme.test'), { mode: 0o755 });
      }
      const commands = join(folder, 'commands');
      mkdirSync(commands);
      writeFileSync(
        join(commands, 'kubectl'),
        `#!/bin/sh
echo "$*" >>'${folder}/calls'
case "$*" in
  *' get deployment botpress '*${field}*) echo 'Unable to connect to the server' >&2; exit 1 ;;
  *' get deployment botpress '*image*) echo botpress/server:12.31.10 ;;
  *' get deployment botpress '*replicas*) echo 1 ;;
  'kustomize '*) echo 'image: botpress/server:12.31.10' ;;
esac
`,
        { mode: 0o755 },
      );
      const { status, stderr } = spawnSync(join(folder, 'bin/kubernetes'), ['up', 'production', '--yes'], {
        encoding: 'utf8',
        env: { PATH: `${commands}:${process.env.PATH}` },
      });
      const calls = readFileSync(join(folder, 'calls'), 'utf8');
      expect([status, stderr]).toEqual([1, expect.stringContaining('the cluster does not say')]);
      expect(calls).toContain('get deployment botpress');
      expect(calls).not.toMatch(/ (scale|apply|delete) /);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe('a job that a command runs', () => {
  const files = renderFiles(on('kubernetes', {}));

  /** What run_job does when kubectl fails at a call like `failing`, asked the way that commands ask it. */
  function runJob(failing: string) {
    const folder = mkdtempSync(join(tmpdir(), 'run-job-'));
    try {
      for (const [path, text] of files) {
        if (!path.startsWith('bin/lib/')) continue;
        mkdirSync(dirname(join(folder, path)), { recursive: true });
        writeFileSync(join(folder, path), text);
      }
      writeFileSync(
        join(folder, 'kubectl'),
        `#!/bin/sh
echo "$*" >>'${folder}/calls'
case "$*" in
  ${failing}) echo 'error: refused by the test' >&2; exit 1 ;;
  'kustomize '*) echo 'kind: Job' ;;
  *' apply '*) [ "$(cat)" = 'kind: Job' ] ;;
  *' get job '*) echo 'SuccessCriteriaMet Complete ' ;;
esac
`,
        { mode: 0o755 },
      );
      const script =
        '. "$ROOT/bin/lib/kubernetes/cluster.sh"; select_environment production; context= timeout=20; run_job migration botpress-migrate || { echo gave up; exit 7; }';
      const { status, stdout, stderr } = spawnSync('bash', ['--norc', '-Eeuo', 'pipefail', '-c', script], {
        encoding: 'utf8',
        env: { ROOT: folder, PATH: `${folder}:${process.env.PATH}` },
      });
      const polled = / get job /.test(readFileSync(join(folder, 'calls'), 'utf8'));
      return { status, stdout, stderr, polled };
    } finally {
      rmSync(folder, { recursive: true });
    }
  }

  it('is waited for', () => {
    expect(runJob('nothing')).toEqual({ status: 0, stdout: '', stderr: '', polled: true });
  });

  it.each(["'kustomize '*", "*' apply '*", "*' delete job '*"])(
    'is not waited for where kubectl refused it: %s',
    (failing) => {
      expect(runJob(failing)).toEqual({
        status: 7,
        stdout: 'gave up\n',
        stderr: 'error: refused by the test\n',
        polled: false,
      });
    },
  );
});

it('asks nothing of nginx that differs from compose but where TLS ends', () => {
  const files = renderFiles(on('kubernetes', {}));
  const headers = (path: string) =>
    (files.get(path) ?? '').split('\n').filter((line) => line.startsWith('proxy_set_header'));
  expect(
    headers('kubernetes/base/nginx/proxy-headers.conf').map((line) =>
      line.replace('$visitor_scheme', '$scheme'),
    ),
  ).toEqual(headers('nginx/snippets/proxy-headers.conf'));
});
