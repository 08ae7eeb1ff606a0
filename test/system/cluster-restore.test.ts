import { appendFileSync, chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, jest } from '@jest/globals';
import { parse } from 'yaml';
import { fillTables, fillUploads, fingerprintOf, uploadsOf } from './content.ts';
import { demand, demandDocker, docker, findFreePort, run, startEngine } from './engine/setup.ts';
import { secretLines, watchArguments } from './secrecy.ts';
import { Stack } from './stack.ts';

jest.setTimeout(180_000);

const name = `cluster-test-${process.pid}`;
const tools = `${name}-tools`;
let stack: Stack;
let path: string;

const container = (service: string) => `${stack.project}-${service}-1`;
const inside = (service: string, ...args: string[]) => demandDocker(['exec', container(service), ...args]);
const query = ['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-U', 'postgres', '-d', 'botpress', '-c'];
const sql = (statement: string) => inside('postgres', ...query, statement);
const rows = () => fingerprintOf(sql);
const files = () => uploadsOf((script) => inside('backup', 'bash', '-c', script));
const bin = (command: string, ...args: string[]) =>
  run(join(stack.folder, 'bin', command), args, {
    cwd: stack.folder,
    env: { PATH: path },
    timeout: 150_000,
  });

/**
 * There is no cluster here: in its place stands the environment of compose. The pod of the job is a container of the same
 * image with the files, secrets and variables that kustomize built for it, which reaches PostgreSQL over the network;
 * scaling stops and starts the node.
 */
const kubectl = (real: string) => `#!/bin/bash
set -Eeuo pipefail
args=()
while (($# > 0)); do
  case $1 in
    --namespace) shift ;;
    *) args+=("$1") ;;
  esac
  shift
done
set -- "\${args[@]}"
case "$*" in
  kustomize*) exec ${real} "$@" ;;
  version | 'apply '*) [[ $1 == version ]] || cat >/dev/null ;;
  'get cluster'*) printf True ;;
  'get deployment botpress '*image*) printf botpress/server:12.31.10 ;;
  'get job secure-database '*) docker exec "$NODE_postgres" /opt/database/secure.sh >/dev/null && printf 'Complete ' ;;
  'delete job backup-tools '*) docker rm --force "$TOOLS" ;;
  'delete job '*) ;;
  'wait pod --for=condition=Ready '*) docker run --detach --name "$TOOLS" --network "$NETWORK" --env-file "$SETTINGS" $MOUNTS \\
    --user 999:999 --read-only --cap-drop ALL --tmpfs /tmp:uid=999,gid=999,mode=0700 --tmpfs /var/lib/restore:uid=999,gid=999 \\
    --tmpfs /var/lib/postgresql/data:uid=999,gid=999 --tmpfs /var/lib/backup-metrics:uid=999,gid=999 --init --entrypoint /opt/tools/tools.sh "$IMAGE" ;;
  'exec --stdin job/backup-tools -- '*) exec docker exec -i "$TOOLS" "\${@:5}" ;;
  'exec job/backup-tools -- '*) exec docker exec "$TOOLS" "\${@:4}" ;;
  'scale deployment/botpress --replicas=0') docker stop "$NODE_botpress" ;;
  'scale deployment/botpress --replicas=1') docker start "$NODE_botpress" ;;
  'wait pod --for=delete '*) ;;
  'rollout status deployment/botpress '*)
    all=$* begin=$SECONDS
    limit=\${all##*--timeout=}
    until [[ $(docker inspect --format '{{.State.Health.Status}}' "$NODE_botpress") == healthy ]]; do
      ((SECONDS - begin < \${limit%s})) || exit 1
      sleep 1
    done ;;
  *)
    printf 'unknown to the test: %s\\n' "$*" >&2
    exit 1 ;;
esac
`;

beforeAll(async () => {
  await startEngine();
  const environment = {
    name: 'staging',
    domain: 'localhost',
    httpPort: await findFreePort(),
    httpsPort: await findFreePort(),
  };
  stack = await Stack.generate(
    { environments: [environment], scaling: { target: 'kubernetes' }, monitoring: false },
    environment,
    name,
  );
  appendFileSync(join(stack.folder, '.env.staging'), 'BACKUP_START_DELAY=100000\n');
  writeFileSync(
    join(stack.folder, 'compose.test.yaml'),
    JSON.stringify({
      services: Object.fromEntries(
        ['botpress-blue', 'postgres', 'nginx'].map((service) => [
          service,
          { healthcheck: { interval: '1s' } },
        ]),
      ),
    }),
  );
  // As the operator's servers do, this one lets the superuser in over the network.
  const rules = join(stack.folder, 'database/pg_hba.conf');
  writeFileSync(
    rules,
    readFileSync(rules, 'utf8').replace(
      /^host +all +all +all/m,
      'host all postgres samenet scram-sha-256\n$&',
    ),
  );
  await stack.demandBin('up');
  await fillTables(sql);
  await fillUploads(container('botpress-blue'));

  const place = join(stack.folder, '../cluster');
  mkdirSync(join(place, 'bin'), { recursive: true });
  const real = (await demand('bash', ['-c', 'command -v kubectl'])).stdout.trim();
  writeFileSync(join(place, 'bin/kubectl'), kubectl(real));
  chmodSync(join(place, 'bin/kubectl'), 0o755);
  const settings = (
    parse(
      readFileSync(join(stack.folder, 'kubernetes/overlays/staging/settings/kustomization.yaml'), 'utf8'),
    ) as {
      configMapGenerator: { name: string; literals: string[] }[];
    }
  ).configMapGenerator.find((map) => map.name === 'backup-settings')?.literals;
  // Here no TLS and no operator is between the pod and the server.
  writeFileSync(
    join(place, 'settings'),
    [...(settings ?? []).filter((line) => !/^PG(SSL|HOST)/.test(line)), 'PGHOST=postgres', ''].join('\n'),
  );
  const mounts = {
    [`${stack.folder}/backup`]: '/opt/backup:ro',
    [`${stack.folder}/kubernetes/backup-tools`]: '/opt/tools:ro',
    [`${stack.folder}/secrets/staging/backup`]: '/etc/backup:ro',
    ...Object.fromEntries(
      ['postgres-password', 'botpress-backup-password'].map((secret) => [
        `${stack.folder}/secrets/staging/${secret}`,
        `/run/secrets/${secret}:ro`,
      ]),
    ),
    [`${stack.folder}/backups/staging`]: '/backups',
    [`${stack.project}_uploads`]: '/data/uploads',
    [`${stack.project}_backup-work`]: '/var/lib/backup',
  };
  Object.assign(process.env, {
    TOOLS: tools,
    NETWORK: `${stack.project}_data`,
    SETTINGS: join(place, 'settings'),
    MOUNTS: Object.entries(mounts)
      .map(([from, to]) => `--volume ${from}:${to}`)
      .join(' '),
    IMAGE: 'botpress-prod-backup:17.10-1',
    NODE_postgres: container('postgres'),
    NODE_botpress: container('botpress-blue'),
  });
  path = `${join(place, 'bin')}:${process.env.PATH}`;
}, 240_000);

afterAll(async () => {
  await docker(['rm', '--force', tools]);
  await stack?.destroy();
});

it('restores a set of compose in a cluster by the same steps, and shows no key', async () => {
  const { code, stdout, stderr } = await bin('backup', 'create', 'staging');
  expect([code, code === 0 ? '' : stderr]).toEqual([0, '']);
  const id = stdout.trim();
  const [before, uploads] = [await rows(), await files()];
  await sql("DELETE FROM msg_users; UPDATE srv_kvs SET value = 'changed'");
  await inside('botpress-blue', 'bash', '-c', 'rm -rf /botpress/uploads/*; echo new >/botpress/uploads/new');
  const [changed, changedFiles] = [await rows(), await files()];

  const watch = await watchArguments();
  const restored = await bin('restore', id, 'staging', '--cluster', '--yes', '--json');
  const seen = [...(await watch.end()), restored.stdout, restored.stderr].join('\n');
  expect([restored.code, restored.code === 0 ? '' : restored.stderr]).toEqual([0, '']);
  expect(JSON.parse(restored.stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({
    result: 'restored',
    id,
    safetySet: expect.stringMatching(/^\d{8}T/),
  });
  expect([await rows(), await files()]).toEqual([before, uploads]);
  expect(await stack.health('botpress-blue')).toBe('healthy');
  expect(seen).toContain('pg_restore --username postgres');
  for (const secret of secretLines(join(stack.folder, 'secrets/staging'))) expect(seen).not.toContain(secret);

  const listed = await bin('backup', 'list', 'staging', '--cluster', '--json');
  expect([listed.code, listed.stdout]).toEqual([0, expect.stringContaining(id)]);
  const undone = await bin('restore', '--undo', 'staging', '--cluster', '--yes');
  expect([undone.code, undone.code === 0 ? '' : undone.stderr]).toEqual([0, '']);
  expect([await rows(), await files()]).toEqual([changed, changedFiles]);
  expect((await docker(['inspect', tools])).code).toBe(1);
});
