import { createHash, randomBytes } from 'node:crypto';
import { chmodSync, copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import {
  demand,
  demandDocker,
  docker,
  findFreePort,
  run,
  startEngine,
  waitFor,
  type RunResult,
} from './engine/setup.ts';
import { Stack } from './stack.ts';

jest.setTimeout(180_000);

const backupImage = 'botpress-prod-backup:17.10-1';
const name = `backup-test-${process.pid}`;
const store = `${name}-store`;
const sftp = `${name}-sftp`;

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

/** Everything in the database as text, in an order that does not depend on where rows lie; without what each boot logs. */
async function fingerprint(): Promise<string> {
  const tables = (
    await sql(
      "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname <> 'srv_logs' AND relnamespace = 'public'::regnamespace ORDER BY 1",
    )
  ).split('\n');
  const query = tables
    .map(
      (table) =>
        `SELECT '${table}', md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE "C"), '')) FROM public."${table}" AS t`,
    )
    .join(' UNION ALL ');
  return sql(`${query} ORDER BY 1`);
}

/** Names, types, modes, times and contents of the uploaded files. */
const uploads = () =>
  demandDocker([
    ...['exec', container('backup'), 'bash', '-c'],
    "cd /data/uploads && find . -mindepth 1 -path './.before-*' -prune -o -path './.restore-*' -prune -o -mindepth 1 -printf '%y %m %s %T@ ' -exec printf %q {} \\; -printf '\\n' | LC_ALL=C sort; find . -path './.before-*' -prune -o -path './.restore-*' -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum | sha256sum",
  ]);

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

const isUp = async () => (await stack.health('botpress-blue')) === 'healthy';

beforeAll(async () => {
  await startEngine();
  const [httpPort, httpsPort] = [await findFreePort(), await findFreePort()];
  const environment = { name: 'staging', domain: 'localhost', httpPort, httpsPort };
  stack = await Stack.generate(
    { environments: [environment], backup: { targets: ['local', 's3', 'sftp'] } },
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
      'BACKUP_SFTP_HOST=sftp',
      'BACKUP_SFTP_PORT=2022',
      'RCLONE_RETRIES=1',
      'RCLONE_LOW_LEVEL_RETRIES=1',
      'RCLONE_CONTIMEOUT=3s',
      '',
    ].join('\n'),
    { flag: 'a' },
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
  await demandDocker([
    'run',
    '--detach',
    '--name',
    store,
    '--network',
    network,
    '--network-alias',
    'store',
    'botpress-prod-test/object-store:1',
  ]);
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
  rmSync(ssh, { recursive: true });

  // Random rows in the tables of Botpress, one content of 20 MB among them, and files whose names try everything.
  await sql(`
    INSERT INTO msg_clients SELECT gen_random_uuid() FROM generate_series(1, 5);
    INSERT INTO msg_users SELECT gen_random_uuid(), (SELECT id FROM msg_clients LIMIT 1), jsonb_build_object('n', n, 't', E'\\u00e9\\n\\\\') FROM generate_series(1, 500) AS n;
    INSERT INTO srv_ghost_files SELECT 'data/' || n, decode(repeat(md5(n::text || random()), 1 + n * 20), 'hex'), false, now() FROM generate_series(1, 200) AS n;
    INSERT INTO srv_ghost_files SELECT 'data/large', decode(string_agg(md5(random()::text), ''), 'hex'), false, now() FROM generate_series(1, 1250000);
    INSERT INTO srv_kvs SELECT 'key-' || n, repeat(chr(1 + n % 1000), n), 'bot', NULL, now() FROM generate_series(1, 300) AS n;
  `);
  const files = [
    'plain',
    'with space',
    '-rf',
    'two\nlines',
    'quote\'"',
    '$(touch x)',
    'é漢字',
    '*',
    '.hidden',
    'a\\b',
  ];
  await demandDocker([
    ...['exec', container('botpress-blue'), 'bash', '-c'],
    'cd /botpress/uploads; mkdir -p "deep dir/er"; for name; do head -c $((RANDOM * 3)) /dev/urandom >"./$name"; done; printf x >"deep dir/er/$(printf "\\\\377")"; ln -s plain link; : >empty; chmod 600 plain',
    'bash',
    ...files,
  ]);
}, 300_000);

afterAll(async () => {
  await docker(['rm', '--force', '--volumes', store, sftp]);
  await stack?.destroy();
});

describe('a set', () => {
  it('goes to every target and comes back byte for byte, from each of them', async () => {
    const [before, files] = [await fingerprint(), await uploads()];
    expect(files).toContain('deep');
    const id = await create();
    expect((await list()).find((entry) => entry.id === id)).toMatchObject({
      good: true,
      targets: { local: 'good', s3: 'good', sftp: 'good' },
    });
    for (const target of ['s3', 'sftp']) {
      await sql("DELETE FROM msg_users; UPDATE srv_kvs SET value = 'changed'");
      await demandDocker([
        'exec',
        container('botpress-blue'),
        'bash',
        '-c',
        'rm -rf /botpress/uploads/*; echo new >/botpress/uploads/new',
      ]);
      const { code, stdout, stderr } = await restore(id, '--target', target, '--no-safety-set', '--json');
      expect([code, stderr]).toEqual([0, expect.anything()]);
      expect(JSON.parse(stdout.trim().split('\n').at(-1) ?? '')).toMatchObject({
        result: 'restored',
        id,
        target,
        recoverySeconds: expect.any(Number),
      });
      expect(await fingerprint()).toBe(before);
      expect(await uploads()).toBe(files);
    }
    expect(await isUp()).toBe(true);
    expect((await bin('secure-database', 'staging', '--check')).stdout).toContain('as it should be');
  });

  it('can be taken back after a restore', async () => {
    await sql("UPDATE srv_kvs SET value = 'newer'");
    const newer = await fingerprint();
    expect((await restore('latest')).code).toBe(0);
    expect(await fingerprint()).not.toBe(newer);
    expect((await bin('restore', '--undo', 'staging', '--yes')).code).toBe(0);
    expect(await fingerprint()).toBe(newer);
    expect(await isUp()).toBe(true);
  });

  it('is restored for trial from each target, and the metrics say so', async () => {
    const { code, stdout } = await backup('drill', 'staging', '--json');
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual(
      ['local', 's3', 'sftp'].map((target) => expect.objectContaining({ target, passed: true, tables: 45 })),
    );
    const metrics = await inside('cat /var/lib/backup-metrics/backup.prom');
    for (const target of ['local', 's3', 'sftp']) {
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
    const seen = JSON.stringify(await stack.inspect()) + (await demandDocker(['logs', container('backup')]));
    for (const secret of ['botpress-backup-password', 'backup/s3.env', 'backup/identity.txt'])
      for (const line of stack
        .secret(secret)
        .split('\n')
        .filter((text) => /AGE-SECRET|^[\w-]{43}$|SECRET_ACCESS/.test(text)))
        expect(seen).not.toContain(line.replace(/^.*=/, '') === 'S3RVER' ? 'SECRET_ACCESS_KEY' : line);
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
    expect({ targets, failed }).toEqual({ targets: ['local', 'sftp'], failed: ['s3'] });
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
  });

  it('another one at work has one', async () => {
    const holder = docker(['exec', container('backup'), 'bash', '-c', 'flock /var/lib/backup/lock sleep 4']);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    expect((await backup('create', 'staging')).code).toBe(5);
    expect((await restore('latest')).code).toBe(5);
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
        '/small:uid=999,gid=999,size=20m',
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
    expect([code, stderr]).toEqual([7, expect.stringMatching(/space/)]);
  });
});

describe('killed', () => {
  it('while it makes a set, it leaves none that is listed, and the next one works', async () => {
    const good = await sets();
    for (const delay of [0.4, 1.1, 2]) {
      const running = docker([
        'exec',
        container('backup'),
        '/opt/backup/backup.sh',
        'create',
        '--target',
        'local',
      ]);
      await inside(
        `sleep ${delay}; for pid in $(grep -lsa 'backup.sh.creat[e]' /proc/[0-9]*/cmdline | cut -d/ -f3); do kill -9 $pid || true; done; sleep 0.2`,
      );
      await running;
    }
    for (const id of (await sets()).filter((entry) => !good.includes(entry)))
      expect((await backup('verify', id, 'staging', '--target', 'local')).code).toBe(0);
    expect(await create('--target', 'local')).toBe(await latest());
  });

  it.each(['before-swap', 'after-database', 'after-files'])(
    '%s, a restore is taken back by the next command',
    async (moment) => {
      const id = await latest();
      await sql(`UPDATE srv_kvs SET value = '${moment}'`);
      await demandDocker([
        'exec',
        container('botpress-blue'),
        'bash',
        '-c',
        `echo ${moment} >/botpress/uploads/${moment}`,
      ]);
      const [before, files] = [await fingerprint(), await uploads()];
      const killed = await run(
        join(stack.folder, 'bin/restore'),
        [id, 'staging', '--yes', '--no-safety-set'],
        {
          cwd: stack.folder,
          env: { RESTORE_CRASH_AT: moment },
        },
      );
      expect(killed.code).toBe(137);
      const undone = await bin('restore', '--undo', 'staging', '--yes');
      expect([undone.code, undone.stderr]).toEqual([0, expect.anything()]);
      expect(await fingerprint()).toBe(before);
      expect(await uploads()).toBe(files);
      expect(await isUp()).toBe(true);
    },
  );

  it('a set on which Botpress does not become healthy is taken back, with a code of its own', async () => {
    const before = await fingerprint();
    const result = await restore(await latest(), '--no-safety-set', '--timeout', '0');
    expect([result.code, result.stderr]).toEqual([12, expect.stringContaining('as it was before')]);
    expect(await fingerprint()).toBe(before);
  });
});

it('deletes only what is past its retention, inside its own folder', async () => {
  const id = await latest();
  // Ten days before it, two sets a day, signed as their maker would have; and neighbours that are none of ours.
  await inside(`cd /backups/* && mkdir -p ../other/${id} notes && touch ../other/${id}/keep notes/keep && for day in 01 02 03 04 05; do for hour in 01 13; do
    new="202601\${day}T\${hour}0000Z-00000\${hour: -1}"; cp -r ${id} $new; cd $new; jq --arg id $new '.id = $id' manifest.json >m && mv m manifest.json
    openssl pkeyutl -sign -inkey /etc/backup/signing.pem -rawin -in manifest.json -out manifest.sig; cd ..; done; done`);
  const planned = await backup('prune', 'staging', '--target', 'local', '--dry-run', '--json');
  const { deleted } = JSON.parse(planned.stdout) as { deleted: { id: string }[] };
  const doomed = deleted.map((entry) => entry.id).filter((entry) => entry.startsWith('2026010'));
  expect(doomed).toEqual(['01', '02', '03', '04', '05'].map((day) => `202601${day}T010000Z-000001`));
  expect((await backup('prune', 'staging', '--target', 'local')).code).toBe(0);
  const left = await inside('cd /backups && ls */');
  for (const entry of doomed) expect(left).not.toContain(entry);
  expect(left).toContain('notes');
  expect(left).toContain('20260105T130000Z-000003');
  expect(await inside(`ls /backups/other/${id}`)).toBe('keep');
});

it('builds its image from the Dockerfile of the output', () => {
  const hash = (file: string) => createHash('sha256').update(readFileSync(file)).digest('hex');
  expect(hash(join(import.meta.dirname, 'images/backup/Dockerfile'))).toBe(
    hash(join(stack.folder, 'backup/Dockerfile')),
  );
});
