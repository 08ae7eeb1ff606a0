import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import {
  danglingReferences,
  parseObjects,
  podFaults,
  podsOf,
  schemaFaults,
  unknownFields,
  type KubernetesObject,
} from '../unit/scale/cluster.ts';
import { matrix, on } from '../unit/scale/matrix.ts';
import { withAnswers } from '../unit/answers/sample.ts';
import { demand, demandDocker, docker } from './engine/setup.ts';

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
      expect(podFaults([...jobs, ...secure])).toEqual([]);
      // Accounts and settings of the jobs are those of the overlay; what they mount is their own.
      const account = objects.filter(({ kind }) => kind === 'ServiceAccount');
      for (const set of [jobs, secure])
        expect(danglingReferences([...set, ...(set.length > 0 ? account : [])], secrets)).toEqual([]);
      all.push(...objects, ...jobs, ...secure);
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
