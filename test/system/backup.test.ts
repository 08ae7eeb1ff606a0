import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import {
  chmodSync,
  copyFileSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { fillTables, fillUploads, fingerprintOf, uploadsOf } from './content.ts';
import {
  demand,
  demandDocker,
  docker,
  findFreePort,
  run,
  sleep,
  startEngine,
  waitFor,
  type RunResult,
} from './engine/setup.ts';
import { secretLines, watchArguments } from './secrecy.ts';
import { Stack } from './stack.ts';

jest.setTimeout(240_000);

const backupImage = 'botpress-prod-backup:17.10-1';
const name = `backup-test-${process.pid}`;
const store = `${name}-store`;
const sftp = `${name}-sftp`;
const azure = `${name}-azure`;
const gcs = `${name}-gcs`;
const allTargets = ['local', 's3', 'gcs', 'azure', 'sftp'];

let stack: Stack;
let keys: string;

/** bin/backup or bin/restore with its arguments as they are. */
const bin = (command: string, ...args: string[]): Promise<RunResult> =>
  run(join(stack.folder, 'bin', command), args, { cwd: stack.folder, timeout: 150_000 });
const backup = (command: string, ...args: string[]) => bin('backup', command, ...args);
const restore = (...args: string[]) => bin('restore', ...args, 'staging', '--yes');
const container = (service: string) => `${stack.project}-${service}-1`;

/** In the container of the backups, as its user. */
const inside = (script: string, ...env: string[]) =>
  demandDocker([
    'exec',
    ...env.flatMap((entry) => ['--env', entry]),
    container('backup'),
    'bash',
    '-c',
    script,
  ]);
const sql = (statement: string) =>
  demandDocker([
    ...[
      'exec',
      container('postgres'),
      'psql',
      '-XqAt',
      '-v',
      'ON_ERROR_STOP=1',
      '-U',
      'postgres',
      '-d',
      'botpress',
    ],
    ...['-c', statement],
  ]);

const fingerprint = () => fingerprintOf(sql);
const uploads = () => uploadsOf(inside);

const list = async () => JSON.parse((await backup('list', 'staging', '--json')).stdout) as Entry[];
interface Entry {
  id: string;
  good: boolean;
  targets: Record<string, string>;
}
const sets = async () => (await list()).filter(({ good }) => good).map(({ id }) => id);
const latest = async () => (await sets())[0] ?? '';

async function create(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await backup('create', 'staging', ...args);
  if (code !== 0) throw new Error(`create ended with ${code}: ${stderr}`);
  return stdout.trim();
}

const isUp = async () =>
  (await docker(['exec', container('botpress-blue'), '/opt/botpress-prod/health.sh', '--look'])).code === 0;

beforeAll(async () => {
  await startEngine();
  const [httpPort, httpsPort] = [await findFreePort(), await findFreePort()];
  const environment = { name: 'staging', domain: 'localhost', httpPort, httpsPort };
  stack = await Stack.generate(
    { environments: [environment], backup: { targets: allTargets }, monitoring: false },
    environment,
    name,
  );
  keys = join(stack.folder, 'secrets/staging/backup');
  copyFileSync(join(stack.folder, '.env.staging.example'), join(stack.folder, '.env.staging'));
  writeFileSync(
    join(stack.folder, '.env.staging'),
    [
      'BACKUP_START_DELAY=100000',
      'BACKUP_S3_ENDPOINT=http://store:9000',
      'BACKUP_S3_BUCKET=sets',
      'BACKUP_GCS_BUCKET=sets',
      'BACKUP_GCS_ENDPOINT=http://gcs:4443/storage/v1/',
      'BACKUP_AZURE_ACCOUNT=backups',
      'BACKUP_AZURE_CONTAINER=sets',
      'BACKUP_AZURE_ENDPOINT=blob.test',
      'RCLONE_CA_CERT=/etc/backup/authority.pem',
      'BACKUP_SFTP_HOST=sftp',
      'BACKUP_SFTP_PORT=2022',
      'RCLONE_RETRIES=1',
      'RCLONE_LOW_LEVEL_RETRIES=1',
      'RCLONE_CONTIMEOUT=3s',
      '',
    ].join('\n'),
    { flag: 'a' },
  );
  // Looked at each second, and a server that loads nothing: most of this file would be waiting for boots.
  writeFileSync(
    join(stack.folder, 'compose.test.yaml'),
    JSON.stringify({
      services: {
        'botpress-blue': {
          healthcheck: { interval: '1s' },
          environment: { STANDIN_LISTEN_MS: '200', STANDIN_READY_MS: '400', STANDIN_MESSAGING_MS: '100' },
        },
        postgres: { healthcheck: { interval: '1s' } },
        nginx: { healthcheck: { interval: '1s' } },
      },
    }),
  );
  await stack.demandBin('up');

  const ssh = mkdtempSync(join(tmpdir(), 'backup-test-ssh-'));
  for (const key of ['user', 'host'])
    await demand('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(ssh, key)]);
  const [type, key] = readFileSync(join(ssh, 'host.pub'), 'utf8').split(' ');
  writeFileSync(join(keys, 'sftp-known-hosts'), `[sftp]:2022 ${type} ${key}\n`);
  writeFileSync(join(keys, 'sftp-key'), readFileSync(join(ssh, 'user')));
  writeFileSync(join(keys, 's3.env'), 'ACCESS_KEY_ID=S3RVER\nSECRET_ACCESS_KEY=S3RVER\n');
  for (const file of ['host', 'user.pub']) chmodSync(join(ssh, file), 0o644);
  const network = `${stack.project}_egress`;
  const accountKey = randomBytes(32).toString('base64');
  writeFileSync(join(keys, 'azure.env'), `ACCOUNT_KEY=${accountKey}\n`);
  const { privateKey, publicKey } = generateKeyPairSync('rsa', {
    modulusLength: 2048,
    privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
    publicKeyEncoding: { type: 'spki', format: 'pem' },
  });
  writeFileSync(
    join(keys, 'gcs.json'),
    JSON.stringify({
      type: 'service_account',
      client_email: 'backups@acme.example',
      private_key_id: '1',
      private_key: privateKey,
      token_uri: 'http://gcs:4443/token',
    }),
  );
  const serve = (container: string, alias: string, image: string, ...env: string[]) =>
    demandDocker([
      ...['run', '--detach', '--name', container, '--network', network, '--network-alias', alias],
      ...env.flatMap((entry) => ['--env', entry]),
      image,
    ]);
  await serve(store, 'store', 'botpress-prod-test/object-store:1');
  await serve(gcs, 'gcs', 'botpress-prod-test/google-storage:1', `ACCOUNT_KEY=${publicKey}`);
  await demandDocker([
    'create',
    '--name',
    sftp,
    '--network',
    network,
    '--network-alias',
    'sftp',
    '--user',
    '0',
    backupImage,
    'bash',
    '-c',
    'chmod 600 /host; mkdir -p /srv/sets; exec rclone serve sftp /srv/sets --addr :2022 --key /host --authorized-keys /user.pub',
  ]);
  for (const file of ['host', 'user.pub']) await demandDocker(['cp', join(ssh, file), `${sftp}:/${file}`]);
  await demandDocker(['start', sftp]);
  await demand('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2'],
    ...['-keyout', join(ssh, 'tls.key'), '-out', join(ssh, 'tls.pem')],
    ...['-subj', '/CN=backups.blob.test', '-addext', 'subjectAltName=DNS:backups.blob.test'],
  ]);
  writeFileSync(join(keys, 'authority.pem'), readFileSync(join(ssh, 'tls.pem')));
  await demandDocker([
    ...['create', '--name', azure, '--network', network, '--network-alias', 'backups.blob.test'],
    ...['--env', `AZURITE_ACCOUNTS=backups:${accountKey}`, 'botpress-prod-test/azurite:1'],
  ]);
  for (const file of ['tls.key', 'tls.pem']) await demandDocker(['cp', join(ssh, file), `${azure}:/${file}`]);
  await demandDocker(['start', azure]);
  rmSync(ssh, { recursive: true });
  await waitFor(
    () =>
      inside(
        'export HOME=/tmp; rclone mkdir --azureblob-account backups --azureblob-key "$KEY" --azureblob-endpoint blob.test --ca-cert /etc/backup/authority.pem :azureblob:sets && echo made',
        `KEY=${accountKey}`,
      ),
    { timeout: 30_000, what: 'container of Azure', every: 500 },
  );

  await fillTables(sql);
  await fillUploads(container('botpress-blue'));
  await placeShims();
}, 600_000);

afterAll(async () => {
  await docker(['rm', '--force', '--volumes', store, sftp, azure, gcs]);
  await stack?.destroy();
});

describe('a set', () => {
  it('goes to every target, comes back byte for byte, and can be taken back', async () => {
    const [before, files] = [await fingerprint(), await uploads()];
    expect(files).toContain('deep');
    const id = await create();
    expect((await list()).find((entry) => entry.id === id)).toMatchObject({
      good: true,
      targets: Object.fromEntries(allTargets.map((target) => [target, 'good'])),
    });
    await sql("DELETE FROM msg_users; UPDATE srv_kvs SET value = 'changed'");
    await demandDocker([
      'exec',
      container('botpress-blue'),
      'bash',
      '-c',
      'rm -rf /botpress/uploads/*; echo new >/botpress/uploads/new',
    ]);
    const [changed, changedFiles] = [await fingerprint(), await uploads()];

    const { code, stdout, stderr } = await restore(id, '--target', 'sftp', '--json');
    expect([code, stderr]).toEqual([0, expect.anything()]);
    expect(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({
      result: 'restored',
      id,
      target: 'sftp',
      recoverySeconds: expect.any(Number),
      safetySet: expect.stringMatching(/^\d{8}T/),
    });
    expect(await fingerprint()).toBe(before);
    expect(await uploads()).toBe(files);
    expect(await isUp()).toBe(true);
    expect((await bin('secure-database', 'staging', '--check')).stdout).toContain('as it should be');

    expect((await bin('restore', '--undo', 'staging', '--yes')).code).toBe(0);
    expect(await fingerprint()).toBe(changed);
    expect(await uploads()).toBe(changedFiles);
    expect(await isUp()).toBe(true);
  });

  it('is restored for trial from each target, and the metrics say so', async () => {
    const { code, stdout } = await backup('drill', 'staging', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual(
      allTargets.map((target) => expect.objectContaining({ target, passed: true, tables: 45 })),
    );
    const metrics = await inside('cat /var/lib/backup-metrics/backup.prom');
    // What a textfile collector reads: nothing but comments and samples.
    for (const line of metrics.split('\n'))
      expect(line).toMatch(
        /^# (HELP|TYPE) botpress_backup_\w+ \S|^botpress_backup_\w+(\{target="\w+"\})? \d+$/,
      );
    for (const target of allTargets) {
      expect(metrics).toContain(`botpress_backup_drill_failed{target="${target}"} 0`);
      expect(metrics).toMatch(
        new RegExp(`botpress_backup_last_success_timestamp_seconds\\{target="${target}"\\} \\d{10}`),
      );
    }
  });

  it('holds no secret and is not readable on the targets', async () => {
    const id = await latest();
    const opened = await inside(
      `cd /backups/*/${id} && age -d -i /etc/backup/identity.txt configuration.tar.zst.age | zstd -dc | tar -t; age -d -i /etc/backup/identity.txt globals.sql.zst.age | zstd -dc`,
    );
    expect(opened).toContain('./compose.yaml');
    expect(opened).toContain('CREATE ROLE botpress');
    expect(opened).not.toMatch(/secrets\/staging|\.env\.staging$|PASSWORD|identity\.txt/m);
    expect(await inside(`cd /backups/*/${id} && for part in *.age; do head -c 21 "$part"; done`)).toBe(
      'age-encryption.org/v1'.repeat(5),
    );
  });

  it('is made and read without a secret in arguments, logs, settings of containers or what is said', async () => {
    const token = randomBytes(12).toString('hex');
    writeFileSync(join(keys, 'ping-url'), `http://store:9000/${token}\n`);
    const watch = await watchArguments();
    const made = await backup('create', 'staging', '--json');
    const fetched = await restore('latest', '--dry-run');
    const seen = await watch.end();
    rmSync(join(keys, 'ping-url'));
    expect([made.code, fetched.code]).toEqual([0, 0]);
    for (const program of ['rclone', 'age --encrypt', 'pg_dump', 'psql'])
      expect(seen.some((line) => line.startsWith(program) || line.includes(`/${program}`))).toBe(true);
    for (const { Name } of await stack.inspect()) {
      const { stdout, stderr } = await docker(['logs', Name.slice(1)]);
      if (/backup|restore|postgres/.test(Name)) seen.push(stdout, stderr);
    }
    seen.push(
      made.stdout,
      made.stderr,
      fetched.stdout,
      fetched.stderr,
      JSON.stringify(await stack.inspect()),
    );
    const everything = seen.join('\n');
    const secrets = secretLines(join(stack.folder, 'secrets/staging'));
    expect(secrets.length).toBeGreaterThan(30);
    for (const secret of [...secrets, token]) expect(everything).not.toContain(secret);
  });

  it('goes where the files of the environment say, whatever the shell of the operator says', async () => {
    const { code, stdout } = await run(join(stack.folder, 'bin/compose'), ['staging', 'config', 'backup'], {
      env: {
        BACKUP_TARGETS: 's3',
        BACKUP_S3_BUCKET: 'elsewhere',
        BACKUP_KEEP_AT_LEAST: '0',
        ENVIRONMENT: 'x',
      },
    });
    expect([code, stdout]).toEqual([0, expect.stringContaining('BACKUP_S3_BUCKET: sets')]);
    expect(stdout).not.toMatch(/elsewhere|BACKUP_TARGETS: s3|AT_LEAST: "0"/);
  });
});

describe('a set that is not whole', () => {
  let id: string;
  let before: string;

  /** A copy of the good set under another name on the target local, changed by a script that runs in its folder. */
  async function spoil(script: string): Promise<string> {
    const spoilt = `${id.slice(0, 17)}${randomBytes(3).toString('hex')}`;
    await inside(`cd /backups/* && cp -r ${id} ${spoilt} && cd ${spoilt} && ${script}`);
    return spoilt;
  }
  const remove = (spoilt: string) => inside(`rm -r /backups/*/${spoilt}`);

  beforeAll(async () => {
    id = await create('--target', 'local');
    before = await fingerprint();
  });

  /** Signs the manifest of a changed set as its maker would have: only then the later checks are reached. */
  const sign =
    'cp /etc/backup/signing.pem /tmp/s.pem; openssl pkeyutl -sign -inkey /tmp/s.pem -rawin -in manifest.json -out manifest.sig; rm /tmp/s.pem';
  const rename = 'sed -i "s/\\"id\\": \\"[^\\"]*\\"/\\"id\\": \\"$(basename "$PWD")\\"/" manifest.json';

  it.each([
    ['truncated', `truncate -s -1 database.dump.age; ${rename}; ${sign}`, 3, 'damaged'],
    ['lacking a part', `rm uploads.tar.zst.age; ${rename}; ${sign}`, 3, 'damaged'],
    ['without a manifest', 'rm manifest.json', 3, 'incomplete'],
    ['with a changed manifest', 'sed -i s/manual/schedule/ manifest.json', 3, 'not signed'],
    ['under another name', 'true', 3, 'not signed'],
  ])('%s is refused and not listed as good', async (_, script, code, reason) => {
    const spoilt = await spoil(script);
    expect(await sets()).not.toContain(spoilt);
    const result = await restore(spoilt, '--target', 'local');
    expect([result.code, result.stderr]).toEqual([code, expect.stringContaining(reason)]);
    await remove(spoilt);
  });

  it.each([
    [
      'with one byte changed',
      `printf x | dd of=database.dump.age bs=1 seek=500 conv=notrunc status=none`,
      3,
      'SHA-256',
    ],
    [
      'of a newer Botpress',
      `jq '.migrations.server = "12.99.0"' manifest.json >m && mv m manifest.json`,
      11,
      'update Botpress first',
    ],
    [
      'of a newer PostgreSQL',
      `jq '.versions.postgres = "99.1"' manifest.json >m && mv m manifest.json`,
      11,
      'update PostgreSQL first',
    ],
    [
      'of a newer generator',
      `jq '.format = 99' manifest.json >m && mv m manifest.json`,
      11,
      'newer version of these scripts',
    ],
    [
      'encrypted to another key',
      `age-keygen -o /tmp/k 2>/dev/null; for f in *.age; do age -d -i /etc/backup/identity.txt "$f" | age -r "$(age-keygen -y /tmp/k)" >/tmp/o; cat /tmp/o >"$f"; sum=$(sha256sum <"$f"); jq --arg f "$f" --arg s "\${sum%% *}" --argjson b "$(stat -c %s "$f")" '(.parts[] | select(.file == $f)) |= (. + {sha256: $s, bytes: $b})' manifest.json >m && mv m manifest.json; done; rm /tmp/k /tmp/o`,
      10,
      'encrypted to other keys',
    ],
  ])('%s is refused before anything is touched', async (what, script, code, reason) => {
    // One byte changed keeps the manifest as it was signed: only its name has to fit.
    const spoilt = await spoil(`${script}; ${rename}; ${sign}`);
    const result = await restore(spoilt, '--target', 'local');
    expect([what, result.code, result.stderr]).toEqual([what, code, expect.stringContaining(reason)]);
    await remove(spoilt);
  });

  it.each([
    ['20200101T000000Z-000000', 4, 'there is no set'],
    ['../../etc', 2, 'is not the name of a set'],
    ['20200101T000000Z-000000/../x', 2, 'is not the name of a set'],
  ])('called %s is refused', async (wanted, code, reason) => {
    const result = await restore(wanted);
    expect([result.code, result.stderr]).toEqual([code, expect.stringContaining(reason)]);
    expect((await backup('verify', wanted, 'staging')).code).toBe(code);
  });

  it('has left the data in force alone, and Botpress running', async () => {
    expect(await fingerprint()).toBe(before);
    expect(await isUp()).toBe(true);
  });
});

describe('when something else is wrong', () => {
  it('a target that is down has a code of its own, and the others are served', async () => {
    await demandDocker(['stop', '--time', '1', store]);
    const { code, stdout, stderr } = await backup('create', 'staging', '--json');
    expect([code, stderr]).toEqual([6, expect.stringContaining('s3:')]);
    const { id, targets, failed } = JSON.parse(stdout) as { id: string; targets: string[]; failed: string[] };
    expect({ targets, failed }).toEqual({ targets: ['local', 'gcs', 'azure', 'sftp'], failed: ['s3'] });
    expect(await inside('cat /var/lib/backup-metrics/backup.prom')).toMatch(
      /backup_last_exit_code 6[\s\S]*backup_failed\{target="s3"\} 1/,
    );
    expect((await backup('verify', id, 'staging', '--target', 'sftp')).code).toBe(0);
    await demandDocker(['start', store]);
    await waitFor(
      async () => (await inside('timeout 2 bash -c "exec 3<>/dev/tcp/store/9000" && echo up')) === 'up',
      {
        timeout: 20_000,
        what: 'object store',
      },
    );
  });

  it('a target that comes back between two tries is served', async () => {
    await demandDocker(['stop', '--time', '1', store]);
    const making = docker([
      ...['exec', '--env', 'RCLONE_RETRIES=12', '--env', 'RCLONE_RETRIES_SLEEP=1s'],
      ...[container('backup'), '/opt/backup/backup.sh', 'create', '--target', 's3'],
    ]);
    await sleep(2500);
    await demandDocker(['start', store]);
    const { code, stdout, stderr } = await making;
    expect([code, stderr]).toEqual([0, expect.stringContaining('is on s3, read back and compared')]);
    expect((await list()).find(({ id }) => id === stdout.trim())?.targets).toEqual({ s3: 'good' });
  });

  it('the schedule tries again what failed, on the target that failed alone, and restores the first set for trial', async () => {
    await demandDocker(['stop', '--time', '1', store]);
    const schedule = docker([
      'exec',
      ...['BACKUP_WORK', 'BACKUP_METRICS'].flatMap((entry) => ['--env', `${entry}=/var/lib/backup/patience`]),
      ...[
        'DEPLOYMENT=patience',
        'BACKUP_TARGETS=local,s3',
        'BACKUP_START_DELAY=0',
        'BACKUP_RETRY_AFTER=1',
      ].flatMap((entry) => ['--env', entry]),
      ...[
        container('backup'),
        'bash',
        '-c',
        'mkdir -p /var/lib/backup/patience; exec /opt/backup/backup.sh schedule',
      ],
    ]);
    const state = async () =>
      JSON.parse((await inside('cat /var/lib/backup/patience/state.json')) || '{}') as {
        targets?: Record<string, { failed: number; sets?: number; drillAt?: number; drillFailed?: number }>;
      };
    await waitFor(async () => (await state()).targets?.s3?.failed === 1, {
      timeout: 40_000,
      what: 'failure',
    });
    await demandDocker(['start', store]);
    await waitFor(async () => (await state()).targets?.s3?.sets === 1, { timeout: 60_000, what: 'next try' });
    expect((await state()).targets).toMatchObject({ local: { failed: 0, sets: 1 }, s3: { failed: 0 } });
    // The first set is restored for trial at once.
    await waitFor(async () => (await state()).targets?.s3?.drillAt !== undefined, {
      timeout: 120_000,
      what: 'first trial restore',
    });
    expect((await state()).targets?.s3?.drillFailed).toBe(0);
    await inside(
      "for pid in $(grep -lsa 'backup.sh.schedul[e]' /proc/[0-9]*/cmdline | cut -d/ -f3 | sort -n); do tr '\\0' '\\n' </proc/$pid/environ 2>/dev/null | grep -q ^DEPLOYMENT=patience && kill $pid && break; done; rm -r /backups/patience-*",
    );
    expect((await schedule).code).toBe(0);
  });

  it('limits the bandwidth as the setting says, and refuses one that is none', async () => {
    const { code, stderr } = await docker([
      ...['exec', '--env', 'BACKUP_BANDWIDTH=40M', '--env', 'RCLONE_VERBOSE=1'],
      ...['--env', 'RCLONE_LOG_FILE=/var/lib/backup/rclone.log', container('backup')],
      ...['/opt/backup/backup.sh', 'list', '--target', 'sftp'],
    ]);
    expect([code, stderr]).toEqual([0, expect.anything()]);
    expect(await inside('cat /var/lib/backup/rclone.log; rm /var/lib/backup/rclone.log')).toMatch(
      /bandwidth limiter at 40Mi/i,
    );
    const wrong = await docker([
      ...['exec', '--env', 'BACKUP_BANDWIDTH=fast', container('backup')],
      ...['/opt/backup/backup.sh', 'list', '--target', 'sftp'],
    ]);
    expect([wrong.code, wrong.stderr]).toEqual([2, expect.stringContaining('fast')]);
  });

  it('credentials that a target refuses have one', async () => {
    const right = readFileSync(join(keys, 's3.env'), 'utf8');
    writeFileSync(join(keys, 's3.env'), 'ACCESS_KEY_ID=WRONG\nSECRET_ACCESS_KEY=S3RVER\n');
    const { code, stderr } = await backup('create', 'staging', '--target', 's3');
    writeFileSync(join(keys, 's3.env'), right);
    expect([code, stderr]).toEqual([8, expect.stringContaining('s3:')]);
  });

  it('a wrong password of the database has one', async () => {
    await sql("ALTER ROLE botpress_backup PASSWORD 'other'");
    const { code, stderr } = await backup('create', 'staging');
    await bin('secure-database', 'staging');
    expect([code, stderr]).toEqual([8, expect.stringContaining('password authentication failed')]);
    expect(await inside('cat /var/lib/backup-metrics/backup.prom')).toContain(
      'botpress_backup_last_exit_code 8',
    );
  });

  it('another one at work has one', async () => {
    const holder = docker([
      ...['exec', container('backup'), 'bash', '-c'],
      'flock /var/lib/backup/lock bash -c "touch /var/lib/backup/holds; while [[ -e /var/lib/backup/holds ]]; do sleep 0.2; done"',
    ]);
    await waitFor(() => inside('[[ -e /var/lib/backup/holds ]] && echo held'), {
      timeout: 10_000,
      what: 'lock',
    });
    expect((await backup('create', 'staging')).code).toBe(5);
    expect((await restore('latest')).code).toBe(5);
    await inside('rm /var/lib/backup/holds');
    await holder;
  });

  it('a full disk has one', async () => {
    const image = await demandDocker(['inspect', '--format', '{{.Image}}', container('backup')]);
    const { code, stderr } = await docker([
      ...[
        'run',
        '--rm',
        '--volumes-from',
        container('backup'),
        '--network',
        `${stack.project}_data`,
        '--user',
        '999:999',
      ],
      ...[
        '--tmpfs',
        '/small:uid=999,gid=999,size=8m',
        '--env',
        'BACKUP_WORK=/small',
        '--env',
        'BACKUP_METRICS=/small',
        '--env',
        'BACKUP_TARGETS=local',
      ],
      ...[
        'DEPLOYMENT=x',
        'ENVIRONMENT=y',
        'PGHOST=postgres',
        'PGDATABASE=botpress',
        'PGUSER=botpress_backup',
        'BACKUP_KEEP_DAILY=1',
        'BACKUP_KEEP_WEEKLY=1',
        'BACKUP_KEEP_MONTHLY=1',
        'BACKUP_KEEP_AT_LEAST=3',
      ].flatMap((entry) => ['--env', entry]),
      ...['--entrypoint', '/opt/backup/backup.sh', image, 'create'],
    ]);
    expect([code, stderr]).toEqual([7, expect.stringContaining('are free for the work of the backup')]);
  });

  it('a full disk of the target local has one, and the others get the set all the same', async () => {
    const image = await demandDocker(['inspect', '--format', '{{.Image}}', container('backup')]);
    const settings = (await inside('env'))
      .split('\n')
      .filter((line) => /^(BACKUP|DEFAULT|RCLONE|PG)/.test(line));
    const { code, stdout, stderr } = await docker([
      ...[
        'run',
        '--rm',
        '--volumes-from',
        container('backup'),
        '--network',
        `container:${container('backup')}`,
      ],
      ...['--user', '999:999', '--tmpfs', '/small:uid=999,gid=999,size=64m'],
      ...['--tmpfs', '/backups/full-disk:uid=999,gid=999,size=1m'],
      ...[
        ...settings,
        'BACKUP_WORK=/small',
        'BACKUP_METRICS=/small',
        'BACKUP_TARGETS=local,s3',
        'DEPLOYMENT=full',
        'ENVIRONMENT=disk',
      ].flatMap((entry) => ['--env', entry]),
      ...['--entrypoint', '/opt/backup/backup.sh', image, 'create', '--json'],
    ]);
    expect([code, stderr]).toEqual([7, expect.stringMatching(/No space left on device[^]*not on local/)]);
    expect(JSON.parse(stdout)).toMatchObject({ targets: ['s3'], failed: ['local'] });
    expect(stderr).toContain('is on s3, read back and compared');
    await inside('rmdir /backups/full-disk');
  });
});

/**
 * In front of the programs that a command inside the container runs: each call is counted, and from the KILL_AT-th on
 * everything that belongs to backup.sh is killed before the program begins.
 */
const SHIM = `#!/bin/bash
name=\${0##*/}
export PATH=\${PATH#*:}
[[ $* != *version && ($name != openssl || " $* " == *" -sign "*) ]] || exec "$name" "$@"
printf x >>/var/lib/backup/shim.count
if (($(stat -c %s /var/lib/backup/shim.count) >= KILL_AT)); then
  parent=$PPID doomed=()
  while ((parent > 1)); do
    ! tr '\\0' ' ' </proc/$parent/cmdline | grep -q 'backup.sh [cp]r' || doomed+=("$parent")
    parent=$(awk '/^PPid/ { print $2 }' /proc/$parent/status)
  done
  echo "$name $1" >>/var/lib/backup/shim.kills
  kill -9 "\${doomed[@]}"
  exit 137
fi
exec "$name" "$@"
`;

/** Runs a command, killed at its first call of a program, then at its second, until it comes to its end. */
const KILL_EVERYWHERE = `rm -f /var/lib/backup/shim.kills
for ((n = 1; n < 80; n++)); do
  rm -f /var/lib/backup/shim.count
  ! PATH=/var/lib/backup/shim:$PATH KILL_AT=$n /opt/backup/backup.sh "$@" >/dev/null 2>&1 || break
done
cat /var/lib/backup/shim.kills
`;

async function placeShims(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'backup-test-shim-'));
  for (const program of ['pg_dump', 'pg_dumpall', 'tar', 'openssl', 'rclone'])
    writeFileSync(join(folder, program), SHIM);
  writeFileSync(join(folder, 'everywhere'), KILL_EVERYWHERE);
  for (const file of readdirSync(folder)) chmodSync(join(folder, file), 0o755);
  chmodSync(folder, 0o755);
  await demand('bash', [
    '-c',
    'tar -C "$1" -c . | docker exec -i "$2" bash -c "mkdir -p /var/lib/backup/shim && tar -C /var/lib/backup/shim -x"',
    'bash',
    folder,
    container('backup'),
  ]);
  rmSync(folder, { recursive: true });
}

/** At which call each of the runs was killed. */
const killEverywhere = async (...command: string[]) =>
  (await demandDocker(['exec', container('backup'), 'bash', '/var/lib/backup/shim/everywhere', ...command]))
    .split('\n')
    .filter(Boolean);

/**
 * In front of docker, for bin/restore: at the call that contains KILL_AT the command and all its shells are killed, before
 * the call or after it. With KILL_INSIDE the process of that name in the container KILL_IN is killed instead.
 */
const DOCKER_SHIM = `#!/bin/bash
export PATH=\${PATH#*:}
[[ " $* " == *"$KILL_AT"* && ! -e $KILL_MARK ]] || exec docker "$@"
touch "$KILL_MARK"
if [[ -n $KILL_INSIDE ]]; then
  exec 3< <(docker exec "$KILL_IN" bash -c 'echo ready; for ((n = 0; n < 400; n++)); do
    for place in /proc/[0-9]*; do
      tr "\\0" " " <$place/cmdline 2>/dev/null | grep -q "$1" && [[ \${place##*/} != $$ ]] && kill -9 \${place##*/} && exit
    done; done' bash "$KILL_INSIDE" 2>/dev/null)
  read -r -u 3
  exec docker "$@"
fi
[[ $KILL_WHEN == before ]] || docker "$@"
parent=$PPID doomed=()
while ((parent > 1)); do
  ! tr '\\0' ' ' </proc/$parent/cmdline | grep -q 'bin/restor[e]' || doomed+=("$parent")
  parent=$(awk '/^PPid/ { print $2 }' /proc/$parent/status)
done
kill "-$KILL_SIGNAL" "\${doomed[@]}"
`;

interface Kill {
  at: string;
  signal?: 'HUP';
  when?: 'before' | 'after';
  inside?: string;
  in?: string;
}

async function restoreKilled(kill: Kill, ...args: string[]): Promise<RunResult> {
  const folder = mkdtempSync(join(tmpdir(), 'backup-test-docker-'));
  writeFileSync(join(folder, 'docker'), DOCKER_SHIM, { mode: 0o755 });
  const result = await run(join(stack.folder, 'bin/restore'), [...args, 'staging', '--yes'], {
    cwd: stack.folder,
    timeout: 100_000,
    env: {
      PATH: `${folder}:${process.env.PATH}`,
      KILL_AT: kill.at,
      KILL_WHEN: kill.when ?? 'before',
      KILL_SIGNAL: kill.signal ?? 'KILL',
      KILL_INSIDE: kill.inside ?? '',
      KILL_IN: kill.in ?? '',
      KILL_MARK: join(folder, 'mark'),
    },
  });
  const reached = readdirSync(folder).includes('mark');
  rmSync(folder, { recursive: true });
  if (!reached) throw new Error(`there was no call with ${kill.at}: ${result.code} ${result.stderr}`);
  return result;
}

describe('killed', () => {
  it('at any step of making a set or of its retention, it leaves none that is taken for good, and a re-run works', async () => {
    const kills = await killEverywhere('create', '--target', 'local');
    expect(kills.length).toBeGreaterThan(15);
    for (const step of ['pg_dump', 'pg_dumpall', 'tar', 'openssl', 'rclone copy', 'rclone purge'])
      expect(kills.some((kill) => kill.startsWith(step))).toBe(true);
    const states = (await list()).map(({ id, targets }) => ({ id, state: targets.local }));
    const isIncomplete = ({ state }: { state: string | undefined }) => state === 'incomplete';
    // Each run takes away what the one before it did not finish. What was killed half deleted stays for a day.
    const halfDeleted = kills.filter((kill) => kill.startsWith('rclone purge')).length;
    expect(states.filter(isIncomplete).length).toBeLessThanOrEqual(halfDeleted + 1);
    expect(kills.length - halfDeleted).toBeGreaterThan(8);
    for (const { id } of states.filter(({ state }) => state === 'good'))
      expect((await backup('verify', id, 'staging', '--target', 'local')).code).toBe(0);
    expect(await create('--target', 'local')).toBe(await latest());
    const left = (await list()).map(({ targets }) => ({ state: targets.local })).filter(isIncomplete);
    expect(left.length).toBeLessThanOrEqual(halfDeleted);
  }, 600_000);

  describe('a restore', () => {
    let id: string;
    let before: string;
    let files: string;
    const expectUntouched = async () => {
      expect(await fingerprint()).toBe(before);
      expect(await uploads()).toBe(files);
    };

    beforeAll(async () => {
      id = await latest();
      await sql("UPDATE srv_kvs SET value = 'newer than the set'");
      await demandDocker([
        ...['exec', container('botpress-blue'), 'bash', '-c'],
        'echo newer >/botpress/uploads/newer; rm -f /botpress/uploads/plain',
      ]);
      [before, files] = [await fingerprint(), await uploads()];
    });

    it.each<Kill>([
      { at: 'backup.sh fetch' },
      { at: 'CREATE DATABASE' },
      { at: ' pg_restore ' },
      { at: 'backup.sh unpack', when: 'after' },
      { at: 'backup.sh compare' },
    ])('before $at leaves everything in force as it was', async (kill) => {
      expect((await restoreKilled(kill, id, '--no-safety-set')).code).toBe(137);
      await expectUntouched();
      expect(await isUp()).toBe(true);
    });

    it.each<Kill>([
      { at: 'backup.sh fetch', inside: 'backup.sh fetc[h]', in: 'restore-tools' },
      { at: ' pg_restore ', inside: '^pg_restor[e]\\|bin/pg_restor[e]', in: 'postgres-1' },
      { at: 'backup.sh unpack', inside: 'backup.sh unpac[k]', in: 'restore-tools' },
    ])('$at inside its container ends it, and nothing in force was changed', async (kill) => {
      const { code, stderr } = await restoreKilled(
        { ...kill, in: `${stack.project}-${kill.in}` },
        id,
        '--no-safety-set',
      );
      expect([code, stderr]).toEqual([
        1,
        expect.stringMatching(/nothing in force was changed|was interrupted/),
      ]);
      await expectUntouched();
      expect(await isUp()).toBe(true);
    });

    // The undo is killed too, where it would start Botpress: what is in force must be right by then.
    it.each<Kill>([
      { at: ' stop botpress', when: 'after' },
      { at: 'ALLOW_CONNECTIONS false', when: 'after' },
      { at: 'RENAME TO', when: 'before' },
      { at: 'RENAME TO', when: 'after' },
      { at: 'ALLOW_CONNECTIONS true', when: 'after' },
      { at: 'backup.sh swap', when: 'after' },
      { at: ' start ', when: 'before' },
    ])('$when $at of the swap is taken back', async (kill) => {
      expect((await restoreKilled(kill, id, '--no-safety-set')).code).toBe(137);
      expect((await restoreKilled({ at: ' start ' }, '--undo')).code).toBe(137);
      await expectUntouched();
    });

    it('whose terminal is gone goes back to what was before', async () => {
      const hangUp = { at: ' start ', signal: 'HUP' } as const;
      const { code, stderr } = await restoreKilled(hangUp, id, '--no-safety-set');
      expect([code, stderr]).toEqual([12, expect.stringContaining('staging is as it was before')]);
      await expectUntouched();
      expect(await isUp()).toBe(true);
    });

    it('whose output nobody reads any more goes back to what was before', async () => {
      const { code } = await run(
        'bash',
        [
          '-c',
          `set -o pipefail; bin/restore "$1" staging --no-safety-set --yes 2>&1 |
            until grep --quiet --no-messages swapped state/staging/restore; do sleep 0.05; done`,
          'bash',
          id,
        ],
        { cwd: stack.folder, timeout: 100_000 },
      );
      expect(code).toBe(12);
      await expectUntouched();
      expect(await isUp()).toBe(true);
    });

    it('that was interrupted is not touched by a dry run', async () => {
      const noted = join(stack.folder, 'state/staging/restore');
      writeFileSync(noted, `${id} swapped\n`);
      const started = async () =>
        demandDocker(['inspect', '--format', '{{.State.StartedAt}}', container('botpress-blue')]);
      const before = await started();
      const { code, stderr } = await restore(id, '--dry-run', '--target', 'local');
      expect([code, stderr]).toEqual([0, expect.stringContaining('was interrupted')]);
      expect([await started(), readFileSync(noted, 'utf8')]).toEqual([before, `${id} swapped\n`]);
      rmSync(noted);
    });

    it('and its undo at several steps is taken back all the same; the next one works', async () => {
      expect((await restoreKilled({ at: ' start ' }, id, '--no-safety-set')).code).toBe(137);
      for (const kill of [
        { at: 'RENAME TO', when: 'before' },
        { at: 'RENAME TO', when: 'after' },
        { at: 'backup.sh unswap', when: 'before' },
        { at: 'backup.sh unswap', when: 'after' },
        { at: ' start ', when: 'before' },
      ] as const)
        expect((await restoreKilled(kill, '--undo')).code).toBe(137);
      await expectUntouched();
      const { code, stderr } = await restore(id, '--no-safety-set');
      expect([code, stderr]).toEqual([0, expect.anything()]);
      expect(await fingerprint()).not.toBe(before);
      expect(await isUp()).toBe(true);
    });
  });

  it('by a signal, a backup does not count as one that went well', async () => {
    expect(
      await inside(`rm -rf /var/lib/backup/sets; BACKUP_LOCK_HELD=yes /opt/backup/backup.sh create --target local >/dev/null 2>&1 & job=$!
        until [[ -d /var/lib/backup/sets ]]; do sleep 0.02; done; kill $job; wait $job; echo $?; jq .lastCode /var/lib/backup/state.json`),
    ).toBe('143\n143');
  });

  it('a set on which Botpress does not become healthy is taken back, with a code of its own', async () => {
    const before = await fingerprint();
    const result = await restore(await latest(), '--no-safety-set', '--timeout', '0');
    expect([result.code, result.stderr]).toEqual([12, expect.stringContaining('as it was before')]);
    expect(await fingerprint()).toBe(before);
  });
});

describe('a restore', () => {
  const settings = () => join(stack.folder, '.env.staging');
  let id: string;
  let files: string;

  it('brings back what its own safety set puts past the retention, and drops no database of somebody else', async () => {
    id = await create('--target', 'local');
    files = await uploads();
    await demandDocker([
      ...['exec', container('botpress-blue'), 'bash', '-c'],
      'rm -rf /botpress/uploads/*; echo newest >/botpress/uploads/newest',
    ]);
    await create('--target', 'local');
    await sql('CREATE DATABASE botpress_before_upgrade');
    const before = readFileSync(settings(), 'utf8');
    writeFileSync(
      settings(),
      ['DAILY', 'WEEKLY', 'MONTHLY', 'AT_LEAST'].map((kind) => `BACKUP_KEEP_${kind}=1\n`).join(''),
      { flag: 'a' },
    );
    const { code, stderr } = await restore(id, '--target', 'local');
    writeFileSync(settings(), before);
    expect([code, code === 0 ? '' : stderr]).toEqual([0, '']);
    expect(await uploads()).toBe(files);
    expect(await sets()).toContain(id);
    await sql('DROP DATABASE botpress_before_upgrade');
  });

  it('stays whole where PostgreSQL refuses to take it back, and can be taken back later', async () => {
    const rows = await fingerprint();
    // A name that is taken.
    const taken = `botpress_restore_${id.toLowerCase().replace('-', '_')}`;
    await sql(`CREATE DATABASE ${taken}`);
    const undo = () => bin('restore', '--undo', 'staging', '--yes');
    const { code, stderr } = await undo();
    expect([code, stderr]).toEqual([1, expect.stringContaining('could not be taken back')]);
    expect(await uploads()).toBe(files);
    // Nobody is let into the database in force meanwhile.
    await demandDocker([
      ...['exec', container('postgres'), 'psql', '-XqU', 'postgres', '-c', `DROP DATABASE ${taken}`],
    ]);
    expect((await undo()).code).toBe(0);
    expect(await uploads()).toContain('newest');
    expect(await fingerprint()).toBe(rows);
    expect(await isUp()).toBe(true);
  });
});

it('waits for a table that is locked, whatever limit its role has', async () => {
  await sql("ALTER ROLE botpress_backup IN DATABASE botpress SET statement_timeout = '1s'");
  const locked = sql('BEGIN; LOCK TABLE msg_kvs IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(4); COMMIT');
  await waitFor(
    async () =>
      (await sql("SELECT count(*) FROM pg_locks WHERE relation = 'msg_kvs'::regclass AND granted")) === '1',
    { timeout: 10_000, what: 'lock', every: 100 },
  );
  const id = await create('--target', 'local');
  await locked;
  await sql('ALTER ROLE botpress_backup IN DATABASE botpress RESET statement_timeout');
  const { stdout } = await backup('show', id, 'staging');
  expect(Object.keys((JSON.parse(stdout) as { rows: object }).rows)).toHaveLength(45);
});

it('says that a bucket is not there', async () => {
  const { code, stderr } = await docker([
    ...['exec', '--env', 'BACKUP_S3_BUCKET=absent', container('backup')],
    ...['/opt/backup/backup.sh', 'create', '--target', 's3'],
  ]);
  expect([code, stderr]).toEqual([6, expect.stringContaining('s3: there is no absent')]);
});

it('prepares a folder that belongs to the backups already, though a share refuses it to root', async () => {
  const { code, stderr } = await bin(
    ...['compose', 'staging', 'run', '--rm', '-T', '--no-deps', '--entrypoint', 'bash', 'backup-owner', '-c'],
    'chown() { [[ $* != */backups* ]] && command chown "$@"; }; export -f chown; exec /opt/backup/backup.sh prepare',
  );
  expect([code, stderr]).toEqual([0, expect.anything()]);
});

it('deletes only what is past its retention, inside its own folder', async () => {
  const id = (await list()).find(({ targets }) => targets.local === 'good')!.id;
  // Ten days before it, two sets a day, signed as their maker would have; and neighbours that are none of ours.
  await inside(`cd /backups/* && mkdir -p ../other/${id} notes && touch ../other/${id}/keep notes/keep && for day in 01 02 03 04 05; do for hour in 01 13; do
    new="202601\${day}T\${hour}0000Z-00000\${hour: -1}"; cp -r ${id} $new; cd $new; jq --arg id $new '.id = $id' manifest.json >m && mv m manifest.json
    openssl pkeyutl -sign -inkey /etc/backup/signing.pem -rawin -in manifest.json -out manifest.sig; cd ..; done; done`);
  const planned = await backup('prune', 'staging', '--target', 'local', '--dry-run', '--json');
  const { deleted } = JSON.parse(planned.stdout) as { deleted: { id: string }[] };
  const doomed = deleted.map((entry) => entry.id).filter((entry) => entry.startsWith('2026010'));
  expect(doomed).toEqual(['01', '02', '03', '04', '05'].map((day) => `202601${day}T010000Z-000001`));
  // Killed at each of its steps, then not killed.
  expect((await killEverywhere('prune', '--target', 'local')).length).toBeGreaterThan(3);
  for (const { id: kept, targets } of (await list()).filter((entry) => entry.good))
    if (targets.local === 'good')
      expect((await backup('verify', kept, 'staging', '--target', 'local')).code).toBe(0);
  expect((await backup('prune', 'staging', '--target', 'local')).code).toBe(0);
  const left = await inside('cd /backups && ls */');
  for (const entry of doomed) expect(left).not.toContain(entry);
  expect(left).toContain('notes');
  expect(left).toContain('20260105T130000Z-000003');
  expect(await inside(`ls /backups/other/${id}`)).toBe('keep');
});

it('keeps on a new machine the sets of the one that was lost', async () => {
  const signing = readdirSync(keys).filter((file) => /^(signing|former)/.test(file));
  const held = signing.map((file) => [join(keys, file), readFileSync(join(keys, file))] as const);
  const before = (await list()).filter(({ targets }) => targets.local === 'good').map(({ id }) => id);
  for (const [file] of held) rmSync(file);
  await demand(
    join(stack.folder, 'bin/compose'),
    ['staging', 'run', '--rm', '-T', '--no-deps', 'backup-owner'],
    { cwd: stack.folder },
  );
  const id = await create('--target', 'local');
  const left = new Map((await list()).map((entry) => [entry.id, entry.targets.local]));
  expect(left.get(id)).toBe('good');
  expect(before.length).toBeGreaterThan(5);
  for (const old of before) expect([old, left.get(old)]).toEqual([old, 'untrusted']);
  for (const file of readdirSync(keys).filter((file) => /^(signing|former)/.test(file)))
    rmSync(join(keys, file));
  for (const [file, content] of held) writeFileSync(file, content);
  await inside(`rm -r /backups/*/${id}`);
});

it('builds its image from the Dockerfile of the output', () => {
  const hash = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');
  expect(hash(join(import.meta.dirname, 'images/backup/Dockerfile'))).toBe(
    hash(join(stack.folder, 'backup/Dockerfile')),
  );
});
