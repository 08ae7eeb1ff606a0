import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import {
  danglingReferences,
  parseObjects,
  podFaults,
  podsOf,
  schemaFaults,
  unknownFields,
  type KubernetesObject,
} from '../unit/scale/cluster.ts';
import { parse } from 'yaml';
import { matrix, on } from '../unit/scale/matrix.ts';
import { withAnswers } from '../unit/answers/sample.ts';
import { demand, demandDocker, docker, run } from './engine/setup.ts';

jest.setTimeout(180_000);

const command = join(import.meta.dirname, '../../dist/src/cli.js');
const scratch = mkdtempSync(join(tmpdir(), 'botpress-prod-kubernetes-'));

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

async function build(folder: string): Promise<KubernetesObject[]> {
  return parseObjects((await demand('kubectl', ['kustomize', folder])).stdout);
}

/** Secrets that come from elsewhere: bin/kubernetes-secrets, and the operator of PostgreSQL. */
const secrets = [
  'botpress-secrets',
  'botpress-backup',
  'postgres-ca',
  'postgres-owner',
  'postgres-superuser',
  'tls',
];

describe.each(Object.entries(matrix))('%s', (name, changes) => {
  const folder = join(scratch, name.replaceAll(/\W+/g, '-'));
  const overlays = (
    (changes.environments as string[] | undefined) ?? ['development', 'staging', 'production']
  ).map((environment) => join(folder, 'kubernetes/overlays', environment));

  beforeAll(async () => {
    const answers = `${folder}.json`;
    writeFileSync(answers, JSON.stringify(withAnswers(on('kubernetes', changes))));
    await demand(process.execPath, [command, folder, '--yes', '--answers', answers]);
  });

  it('is built by kustomize into valid, restricted objects without loose ends, for every environment', async () => {
    const all: KubernetesObject[] = [];
    for (const overlay of overlays) {
      const environment = overlay.split('/').at(-1) ?? '';
      const objects = await build(overlay);
      expect(podFaults(objects)).toEqual([]);
      expect(danglingReferences(objects, secrets)).toEqual([]);
      const namespaces = objects.map(({ kind, metadata }) =>
        kind === 'Namespace' ? metadata.name : metadata.namespace,
      );
      expect([...new Set(namespaces)]).toEqual([`acme-bot-${environment}`]);
      const jobs = await build(join(overlay, 'migration'));
      const secure =
        changes['scaling.database'] === 'managed' ? [] : await build(join(overlay, 'secure-database'));
      const tools = existsSync(join(overlay, 'backup-tools'))
        ? await build(join(overlay, 'backup-tools'))
        : [];
      expect(tools.length > 0).toBe(objects.some(({ metadata }) => metadata.name === 'backup-drill'));
      expect(podFaults([...jobs, ...secure, ...tools])).toEqual([]);
      // Accounts and settings of the jobs are those of the overlay; what they mount is their own.
      const account = objects.filter(({ kind }) => kind === 'ServiceAccount');
      for (const set of [jobs, secure])
        expect(danglingReferences([...set, ...(set.length > 0 ? account : [])], secrets)).toEqual([]);
      // Its claims are those of the overlay.
      const claims = objects.filter(({ kind }) => kind === 'PersistentVolumeClaim');
      expect(danglingReferences(tools.length > 0 ? [...tools, ...account, ...claims] : [], secrets)).toEqual(
        [],
      );
      all.push(...objects, ...jobs, ...secure, ...tools);
    }
    expect(await schemaFaults(all)).toEqual([]);
    expect(unknownFields(all)).toEqual([]);
  });

  it('can take secrets from a store and the other way in', async () => {
    const [overlay = ''] = overlays;
    const file = join(overlay, 'kustomization.yaml');
    const text = readFileSync(file, 'utf8');
    const other = changes['scaling.ingress'] === 'gateway' ? 'ingress' : 'gateway';
    writeFileSync(
      file,
      text
        .replace('# - external-secrets', '- external-secrets')
        .replace('# - ../../components/alerts', '- ../../components/alerts')
        .replace(/^ {2}- (ingress|gateway)$/m, `  - ${other}`),
    );
    const objects = await build(overlay);
    writeFileSync(file, text);
    expect(await schemaFaults(objects)).toEqual([]);
    expect(unknownFields(objects)).toEqual([]);
    const made = objects.filter(({ kind }) => kind === 'ExternalSecret').map(({ metadata }) => metadata.name);
    const [beforehand] = [secrets.filter((secret) => !['postgres-ca'].includes(secret))];
    const used = podsOf(objects).flatMap(({ spec }) =>
      (spec.volumes ?? []).flatMap(
        (volume) => (volume.secret as { secretName: string } | undefined)?.secretName ?? [],
      ),
    );
    for (const secret of used.filter((each) => beforehand.includes(each))) expect(made).toContain(secret);
    expect(
      objects.filter(({ kind }) => kind === 'PrometheusRule').map(({ metadata }) => metadata.name),
    ).toEqual(changes.monitoring === false ? [] : ['botpress', 'botpress-alerts']);
    expect(objects.some(({ kind }) => kind === (other === 'gateway' ? 'HTTPRoute' : 'Ingress'))).toBe(true);
  });

  it('has a configuration that nginx takes', async () => {
    const objects = await build(overlays.at(-1) ?? '');
    const data = (start: string) =>
      objects.find(({ kind, metadata }) => kind === 'ConfigMap' && metadata.name.startsWith(start))?.data ??
      {};
    const pod = podsOf(objects).find(({ owner }) => owner === 'Deployment nginx');
    const image = pod?.spec.containers[0]?.image ?? '';
    const container = (
      await demandDocker([
        'create',
        '--network',
        'none',
        '--entrypoint',
        'sh',
        '--env',
        'NGINX_ENTRYPOINT_LOCAL_RESOLVERS=1',
        '--env',
        'NGINX_ENVSUBST_OUTPUT_DIR=/tmp',
        '--env',
        'NAMESPACE=acme-bot-production',
        '--env',
        'CLUSTER_DOMAIN=cluster.local',
        image,
        '-c',
        '/docker-entrypoint.sh nginx -T 2>&1',
      ])
    ).trim();
    const tree = join(scratch, 'nginx');
    rmSync(tree, { recursive: true, force: true });
    const put = async (entries: Record<string, string>, place: string) => {
      for (const [file, text] of Object.entries(entries)) {
        const path = join(scratch, 'entry');
        writeFileSync(path, text, { mode: 0o644 });
        await demandDocker(['cp', path, `${container}:${place}/${file}`]);
      }
    };
    for (const folder of ['snippets', 'environment', 'pages', 'templates']) {
      const empty = join(scratch, 'empty', folder);
      await demand('mkdir', ['-p', empty]);
      await demandDocker(['cp', empty, `${container}:/etc/nginx/`]);
    }
    const { 'upstream.conf.template': template = '', ...cluster } = data('nginx-cluster');
    await put(data('nginx-main'), '/etc/nginx');
    await put({ ...data('nginx-snippets'), ...cluster }, '/etc/nginx/snippets');
    await put(data('nginx-environment'), '/etc/nginx/environment');
    await put({ 'upstream.conf.template': template }, '/etc/nginx/templates');
    const { code, stdout } = await docker(['start', '--attach', container]);
    await demandDocker(['rm', '--force', container]);
    expect([code, stdout.slice(-500)]).toEqual([0, expect.stringContaining('')]);
    expect(stdout).toContain('syntax is ok');
    expect(stdout).toContain('server botpress.acme-bot-production.svc.cluster.local:3000 resolve');
    expect(stdout).toMatch(/resolver (?!\$)\S+.* valid=5s/);
  });
});

it('says that a backup or a drill is missing, also where there never was one', async () => {
  const folder = join(scratch, 'rules');
  const answers = `${folder}.json`;
  writeFileSync(answers, JSON.stringify(withAnswers(on('kubernetes', { 'backup.schedule': '0 4 * * 1' }))));
  await demand(process.execPath, [command, folder, '--yes', '--answers', answers]);
  const { spec } = parse(
    readFileSync(join(folder, 'kubernetes/components/monitoring/rules.yaml'), 'utf8'),
  ) as { spec: object };
  const week = 7 * 86_400;
  const late = { BotpressBackupMissing: week + 2 * 3600, BotpressDrillMissing: week + 2 * 86_400 };
  const jobs = { BotpressBackupMissing: 'backup', BotpressDrillMissing: 'backup-drill' };
  /** The job was made so many seconds ago, and was last done so many seconds ago, or never. */
  const judge = (alert: keyof typeof jobs, made: number, done: number | undefined, fires: boolean) => {
    const labels = `namespace="acme-bot-production", cronjob="${jobs[alert]}"`;
    return {
      interval: '1m',
      input_series: [
        { series: `kube_cronjob_created{${labels}}`, values: `-${made}x5` },
        ...(done === undefined
          ? []
          : [{ series: `kube_cronjob_status_last_successful_time{${labels}}`, values: `-${done}x5` }]),
      ],
      promql_expr_test: [
        {
          expr: `count(ALERTS{alertname="${alert}", alertstate="firing"})`,
          eval_time: '1m',
          exp_samples: fires ? [{ value: 1 }] : [],
        },
      ],
    };
  };
  const rules = join(scratch, 'promtool');
  mkdirSync(rules);
  writeFileSync(join(rules, 'rules.json'), JSON.stringify(spec));
  writeFileSync(
    join(rules, 'tests.json'),
    JSON.stringify({
      rule_files: ['rules.json'],
      evaluation_interval: '1m',
      tests: (Object.keys(jobs) as (keyof typeof jobs)[]).flatMap((alert) => [
        judge(alert, late[alert] + 300, undefined, true),
        judge(alert, late[alert] - 300, undefined, false),
        judge(alert, 9 * week, late[alert] + 300, true),
        // A weekly one is not late for most of its week.
        judge(alert, 9 * week, late[alert] - 300, false),
      ]),
    }),
  );
  chmodSync(scratch, 0o755);
  await demandDocker([
    ...['run', '--rm', '--network', 'none', '--volume', `${rules}:/rules:ro`, '--workdir', '/rules'],
    ...['--entrypoint', 'promtool', 'prom/prometheus:v3.5.3', 'test', 'rules', '/rules/tests.json'],
  ]);
});

/** Every script of a repository. */
function scriptsOf(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => path.endsWith('.sh') || readFileSync(path, 'utf8').startsWith('#!'));
}

it.each(['kubernetes', 'swarm'] as const)(
  'writes shell for %s that passes shellcheck and shfmt',
  async (target) => {
    const folder = join(scratch, `shell-${target}`);
    const answers = `${folder}.json`;
    writeFileSync(
      answers,
      JSON.stringify(
        withAnswers(on(target, { channels: ['web', 'slack'], edition: 'pro', 'scaling.replicas': 2 })),
      ),
    );
    await demand(process.execPath, [command, folder, '--yes', '--answers', answers]);
    const scripts = scriptsOf(folder);
    expect(scripts.some((path) => path.endsWith(`bin/${target}`))).toBe(true);
    await demand('shellcheck', ['--external-sources', ...scripts], { cwd: folder });
    expect((await demand('shfmt', ['-d', '-i', '2', '-ci', '-bn', ...scripts], { cwd: folder })).stdout).toBe(
      '',
    );
    for (const name of target === 'swarm' ? ['swarm'] : ['kubernetes', 'kubernetes-secrets']) {
      const { code, stdout } = await run(join(folder, 'bin', name), ['--help'], { cwd: folder });
      expect([code, stdout]).toEqual([0, expect.stringContaining(`Usage: bin/${name}`)]);
      expect((await run(join(folder, 'bin', name), ['--nonsense'], { cwd: folder })).code).toBe(2);
    }
  },
);

describe('bin/kubernetes-secrets', () => {
  const folder = join(scratch, 'secrets');
  const tools = join(scratch, 'tools');
  const record = join(scratch, 'record');

  beforeAll(async () => {
    const answers = `${folder}.json`;
    const changes = { environments: ['development'], 'backup.targets': [], channels: ['web', 'slack'] };
    writeFileSync(answers, JSON.stringify(withAnswers(on('kubernetes', changes))));
    await demand(process.execPath, [command, folder, '--yes', '--answers', answers]);
    // There is no cluster: what would go to one is written down. The objects are made by the real kubectl.
    const real = (await demand('bash', ['-c', 'command -v kubectl'])).stdout.trim();
    mkdirSync(tools);
    writeFileSync(
      join(tools, 'kubectl'),
      `#!/bin/sh
[ "$1" != create ] || exec ${real} "$@"
printf '%s\\n' "$*" >>${record}.calls
case "$*" in *' apply '*) printf -- '---\\n' >>${record}.yaml; cat >>${record}.yaml ;; esac
`,
    );
    chmodSync(join(tools, 'kubectl'), 0o755);
  });

  it('brings every secret into the cluster, and shows none', async () => {
    const path = `${tools}:${process.env.PATH ?? ''}`;
    const { code, stdout, stderr } = await run(join(folder, 'bin/kubernetes-secrets'), ['development'], {
      cwd: folder,
      env: { PATH: path },
    });
    expect([code, code === 0 ? '' : stderr]).toEqual([0, '']);
    const made = parseObjects(readFileSync(`${record}.yaml`, 'utf8')).filter(Boolean);
    expect(made.map(({ metadata }) => metadata.name)).toEqual([
      'botpress-secrets',
      'postgres-owner',
      'postgres-superuser',
    ]);
    const decode = (text = '') => Buffer.from(text, 'base64').toString();
    const read = (name: string) => readFileSync(join(folder, 'secrets/development', name), 'utf8');
    for (const [name, value] of Object.entries(made[0]?.data ?? {}))
      expect([name, decode(value)]).toEqual([name, read(name)]);
    expect(Object.keys(made[0]?.data ?? {})).toContain('channels-support.env');
    // A line end would be part of the password.
    expect(decode(made[1]?.data?.password)).toBe(read('botpress-password').trim());
    expect(decode(made[2]?.data?.username)).toBe('postgres');
    const shown = [
      stdout,
      stderr,
      readFileSync(`${record}.calls`, 'utf8'),
      JSON.stringify(made.map(({ metadata }) => metadata)),
    ].join();
    for (const name of ['app-secret', 'admin-password', 'postgres-password', 'botpress-password'])
      expect([name, shown.includes(read(name).trim())]).toEqual([name, false]);
  });
});
