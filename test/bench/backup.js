// Backups and restores of the output beside the pair of scripts that tutorials have, on the same database and files, in one
// run, in real containers: pg_dump into a plain file, tar with gzip, `aws s3 cp` of both; `docker-compose down`, psql, tar and
// `docker-compose up -d` to bring them back. Botpress runs there as its image starts it.
//
//   npm run bench:backup                     prints the table; fails when something is worse than its limit
//   npm run bench:backup -- --write          puts it into docs/performance.md as well
//   npm run bench:backup -- --megabytes 200  a smaller database, for a first look
//   npm run bench:backup -- --rounds 1       fewer rounds
//   npm run bench:backup -- --keep           leaves the stack up
//
// Needs what the system tests need: root on Debian 12.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { values: options } = parseArgs({
  options: {
    write: { type: 'boolean' },
    keep: { type: 'boolean' },
    rounds: { type: 'string', default: '2' },
    megabytes: { type: 'string', default: '2048' },
  },
});
const megabytes = Number(options.megabytes);

const name = `backup-bench-${process.pid}`;
const project = `${name}-staging`;
const peer = `${name}-scripts`;
/** Image of the scripts: PostgreSQL's programs and the provider's client. */
const peerImage = 'botpress-prod-test/scripts:1';
const store = `${name}-store`;
const scratch = mkdtempSync(join(tmpdir(), 'backup-bench-'));
const folder = join(scratch, name);

function run(file, args, input = '') {
  const result = spawnSync(file, args, { encoding: 'utf8', cwd: root, input, maxBuffer: 1e9 });
  if (result.error) throw result.error;
  if (result.status !== 0)
    throw new Error(
      `${[file, ...args].join(' ').slice(0, 300)} ended with ${result.status}:\n${result.stdout.slice(-2000)}${result.stderr.slice(-2000)}`,
    );
  return result.stdout.trim();
}
const docker = (...args) => run('docker', args);
const bin = (command, ...args) => run(join(folder, 'bin', command), args);
const postgres = `${project}-postgres-1`;
const bot = `${project}-botpress-blue-1`;
const psql = (database, sql) =>
  run(
    'docker',
    ['exec', '-i', postgres, 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-U', 'postgres', '-d', database],
    sql,
  );
const inPeer = (script) => docker('exec', peer, 'bash', '-c', `set -Eeuo pipefail; ${script}`);
const report = (text) => process.stderr.write(`${text}\n`);

function findFreePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

async function start() {
  const prepared = run(join(root, 'test/system/engine/prepare.sh'), []);
  process.env.DOCKER_HOST = /DOCKER_HOST=(\S+)/.exec(prepared)[1];
  const answers = join(scratch, 'answers.json');
  const environment = {
    name: 'staging',
    domain: 'localhost',
    httpPort: await findFreePort(),
    httpsPort: await findFreePort(),
  };
  writeFileSync(
    answers,
    JSON.stringify({ environments: [environment], backup: { targets: ['local', 's3'] } }),
  );
  run(process.execPath, [
    join(root, 'dist/src/cli.js'),
    folder,
    '--yes',
    '--name',
    name,
    '--answers',
    answers,
  ]);
  const example = readFileSync(join(folder, '.env.staging.example'), 'utf8');
  writeFileSync(
    join(folder, '.env.staging'),
    `${example}\nBACKUP_START_DELAY=1000000\nBACKUP_S3_ENDPOINT=http://store:9000\nBACKUP_S3_BUCKET=sets\n`,
  );
  bin('up', 'staging');
  writeFileSync(
    join(folder, 'secrets/staging/backup/s3.env'),
    'ACCESS_KEY_ID=S3RVER\nSECRET_ACCESS_KEY=S3RVER\n',
  );
  docker(
    ...['run', '--detach', '--name', store, '--network', `${project}_data`, '--network-alias', 'store'],
    'botpress-prod-test/object-store:1',
  );
}

/**
 * A database as a busy bot leaves it: a quarter media that cannot be compressed, the rest messages and events, whose text
 * comes from a pool of sentences of 3000 words.
 */
function fill() {
  const media = Math.round(megabytes / 4 / 2);
  psql(
    'botpress',
    `SET synchronous_commit = off;
    INSERT INTO srv_ghost_files SELECT 'data/media/' || n, pg_read_binary_file('/dev/urandom', 0, 2097152), false, now() FROM generate_series(1, ${media}) AS n;
    INSERT INTO msg_clients VALUES (gen_random_uuid());
    INSERT INTO msg_users SELECT gen_random_uuid(), (SELECT id FROM msg_clients LIMIT 1), '{}' FROM generate_series(1, 20000);
    INSERT INTO msg_conversations SELECT gen_random_uuid(), "clientId", id, now() FROM msg_users;
  `,
  );
  // In portions, until the size is reached.
  for (let portion = 0; ; portion++) {
    const size = Number(psql('botpress', "SELECT pg_database_size('botpress') / 1048576"));
    if (size >= megabytes) return size;
    psql(
      'botpress',
      `SET synchronous_commit = off;
      CREATE TEMPORARY TABLE sentence AS
        SELECT s AS number, string_agg(substr(md5(floor(3000 * power((hashint4(s * 31 + w) & 2147483647) / 2147483648.0, 3))::text), 1, 2 + (hashint4(s + w) & 7)), ' ') AS text
        FROM generate_series(0, 9999) AS s, LATERAL generate_series(1, 5 + s % 20) AS w GROUP BY s;
      CREATE UNIQUE INDEX ON sentence (number);
      CREATE TEMPORARY TABLE c AS SELECT row_number() OVER () - 1 AS number, id, "userId" FROM msg_conversations;
      CREATE UNIQUE INDEX ON c (number);
      ANALYZE sentence, c;
      INSERT INTO msg_messages SELECT gen_random_uuid(), c.id, c."userId", now() - n * interval '7 seconds',
        jsonb_build_object('type', 'text', 'text', s.text, 'typing', true, 'metadata', jsonb_build_object('index', n, 'channel', 'web'))
        FROM generate_series(1, 40000) AS n JOIN sentence AS s ON s.number = (hashint4(n + ${portion} * 1000003) & 2147483647) % 10000 JOIN c ON c.number = n % 20000;
      INSERT INTO events (id, "messageId", "botId", channel, "threadId", target, "sessionId", type, direction, "incomingEventId", success, event, "createdOn")
        SELECT gen_random_uuid(), gen_random_uuid(), 'support', 'web', c.id, c."userId", 'support::web::' || c."userId", 'text', CASE WHEN n % 2 = 0 THEN 'incoming' ELSE 'outgoing' END, gen_random_uuid(), true,
        json_build_object('type', 'text', 'channel', 'web', 'direction', 'incoming', 'payload', json_build_object('type', 'text', 'text', s.text, 'timezone', 2, 'language', 'en'),
          'target', c."userId", 'botId', 'support', 'createdOn', now(), 'threadId', c.id, 'id', n + ${portion} * 40000, 'preview', s.text, 'flags', json_build_object(),
          'state', json_build_object('__stacktrace', json_build_array(), 'user', json_build_object('timezone', 2, 'language', 'en'), 'context', json_build_object('currentFlow', 'main.flow.json', 'currentNode', 'entry', 'hasJumped', false, 'jumpPoints', json_build_array()),
            'session', json_build_object('lastMessages', json_build_array(json_build_object('eventId', gen_random_uuid(), 'incomingPreview', s.text, 'replyPreview', s.text)))),
          'nlu', json_build_object('entities', json_build_array(), 'language', 'en', 'ambiguous', false, 'intent', json_build_object('name', 'none', 'confidence', random(), 'context', 'global'), 'intents', json_build_array(), 'errored', false, 'includedContexts', json_build_array('global'), 'ms', 12)), now() - n * interval '7 seconds'
        FROM generate_series(1, 40000) AS n JOIN sentence AS s ON s.number = (hashint4(n + ${portion} * 1000033) & 2147483647) % 10000 JOIN c ON c.number = n % 20000;`,
    );
  }
}

/** Uploaded pictures, which nothing makes smaller. */
function upload() {
  const count = Math.round(megabytes / 16);
  docker(
    ...['exec', bot, 'bash', '-c'],
    `cd /botpress/uploads; for n in $(seq ${count}); do head -c 1500000 /dev/urandom >"picture-$n.jpg"; done`,
  );
}

/** A container with the programs of the scripts, and passwords as they want them: in its environment. */
function startPeer() {
  const secret = (file) => readFileSync(join(folder, 'secrets/staging', file), 'utf8').trim();
  const owner = /DATABASE_OWNER=(\S+)/.exec(readFileSync(join(folder, 'bin/lib/deployment.sh'), 'utf8'))[1];
  const password = secret(`${owner.replaceAll('_', '-')}-password`);
  const variables = join(scratch, 'peer.env');
  const lines = {
    PGPASSWORD: password,
    PGHOST: 'postgres',
    PGUSER: owner,
    PGDATABASE: 'botpress',
    HOME: '/root',
    AWS_ENDPOINT_URL: 'http://store:9000',
    AWS_ACCESS_KEY_ID: 'S3RVER',
    AWS_SECRET_ACCESS_KEY: 'S3RVER',
    AWS_DEFAULT_REGION: 'us-east-1',
    // The object store does not know the checksums that newer clients append.
    AWS_REQUEST_CHECKSUM_CALCULATION: 'when_required',
  };
  const text = Object.entries(lines).map(([key, value]) => `${key}=${value}\n`);
  writeFileSync(variables, text.join(''), { mode: 0o600 });
  docker(
    ...['run', '--detach', '--init', '--name', peer, '--network', `${project}_data`, '--user', '0'],
    ...['--env-file', variables, '--volume', `${project}_uploads:/var/lib/botpress/data`],
    ...['--volume', '/var/backups/botpress', '--entrypoint', 'sleep', peerImage, 'infinity'],
  );
  writeFileSync(
    peerCompose,
    JSON.stringify({
      name: peer,
      services: {
        botpress: {
          image: docker('inspect', '--format', '{{.Config.Image}}', bot),
          restart: 'unless-stopped',
          environment: {
            DATABASE_URL: `postgres://${owner}:${encodeURIComponent(password)}@postgres:5432/botpress`,
            BPFS_STORAGE: 'database',
            BP_PRODUCTION: 'true',
            EXTERNAL_URL: 'http://localhost:3000',
          },
        },
      },
      networks: { default: { external: true, name: `${project}_data` } },
    }),
    { mode: 0o600 },
  );
  return owner;
}
const peerCompose = join(scratch, 'docker-compose.json');
const compose = (...args) => docker('compose', '--progress', 'quiet', '--file', peerCompose, ...args);
const peerBot = `${peer}-botpress-1`;

function buildPeer() {
  const base = JSON.parse(readFileSync(join(root, 'test/system/images/images.json'), 'utf8')).find(
    ({ name: image }) => image.startsWith('postgres:'),
  ).name;
  run(
    'docker',
    ['build', '--quiet', '--network', 'host', '--tag', peerImage, '-'],
    `FROM ${base}\nUSER 0\nRUN apt-get update --quiet=2 && apt-get install --quiet=2 --yes awscli\n`,
  );
}

const scripts = {
  /** @returns {number} bytes of what was made */
  create(gzip) {
    const file = gzip ? '| gzip >$d/db.sql.gz' : '>$d/db.sql';
    return Number(
      inPeer(
        `d=/var/backups/botpress; rm -f $d/*; pg_dump ${file}; tar -czf $d/files.tar.gz /var/lib/botpress/data 2>/dev/null; du -cb $d/* | tail -n 1 | cut -f 1`,
      ),
    );
  },
  upload() {
    inPeer('for f in /var/backups/botpress/*; do aws s3 cp --no-progress $f s3://sets/scripts/; done');
  },
  /** Into a database that was made empty before: in one that is in use, psql would stumble over every table. */
  restore() {
    inPeer(
      'd=/var/backups/botpress; psql -q -v ON_ERROR_STOP=1 <$d/db.sql >/dev/null; tar -xzf $d/files.tar.gz -C /',
    );
    compose('up', '--detach');
    waitForBot(peerBot);
  },
};

/** Until it is healthy, asked directly: nobody waits for Docker's next look. */
function waitForBot(container) {
  const script = `exec 3<>/dev/tcp/127.0.0.1/3000; printf 'GET /status HTTP/1.0\\r\\n\\r\\n' >&3; cat <&3`;
  for (let turn = 0; turn < 600; turn++) {
    const { stdout } = spawnSync('docker', ['exec', container, 'timeout', '4', 'bash', '-c', script], {
      encoding: 'utf8',
    });
    if (/"database":"up"/.test(stdout) && /"messaging":"up"/.test(stdout)) return;
    spawnSync('sleep', ['0.2']);
  }
  throw new Error('Botpress does not become healthy');
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor((values.length - 1) / 2)];
const times = {};
const sizes = {};
/** Median seconds of things that are done one after the other. */
const total = (...what) => what.reduce((sum, each) => sum + median(times[each]), 0);
/** Runs something on a quiet disk and notes its seconds: nobody pays for what another one left behind. */
function measure(what, work) {
  psql('postgres', 'CHECKPOINT');
  run('sync', []);
  const begin = process.hrtime.bigint();
  const result = work();
  const seconds = Number(process.hrtime.bigint() - begin) / 1e9;
  (times[what] ??= []).push(seconds);
  report(`${what}: ${seconds.toFixed(1)} s`);
  return result;
}

function measureRound(owner) {
  sizes.gzip = measure('gzip create', () => scripts.create(true));
  sizes.plain = measure('plain create', () => scripts.create(false));
  measure('plain upload', scripts.upload);
  bin('backup', 'create', 'staging', '--target', 'local');
  const id = measure('our create', () => bin('backup', 'create', 'staging', '--target', 'local'));
  sizes.our = JSON.parse(bin('backup', 'show', id, 'staging')).parts.reduce(
    (sum, { bytes }) => sum + bytes,
    0,
  );
  measure('our create and upload', () => bin('backup', 'create', 'staging'));

  const restored = measure('our restore', () =>
    bin('restore', id, 'staging', '--target', 'local', '--yes', '--no-safety-set', '--json'),
  );
  (times['our downtime'] ??= []).push(JSON.parse(restored.split('\n').at(-1)).downtimeSeconds);
  bin('restore', '--forget', 'staging', '--yes');
  docker('stop', bot);
  compose('up', '--detach');
  waitForBot(peerBot);
  measure('plain stop', () => compose('down'));
  psql('postgres', 'DROP DATABASE botpress WITH (FORCE)');
  psql('postgres', `CREATE DATABASE botpress OWNER ${owner} TEMPLATE template0 ENCODING 'UTF8'`);
  measure('plain restore', scripts.restore);
  compose('down');
  bin('secure-database', 'staging');
  docker('start', bot);
  waitForBot(bot);
}

function tabulate(databaseMegabytes) {
  const row = (what, plain, gzip, ours) =>
    `| ${what} | ${plain.toFixed(0)} | ${gzip?.toFixed(0) ?? ''} | ${ours.toFixed(0)} | ${(plain / ours).toFixed(1)} × |`;
  const megabytesOf = (bytes) => bytes / 1e6;
  const restored = total('plain stop', 'plain restore');
  return [
    `| database of ${databaseMegabytes} MB and uploads | scripts | scripts, dump through gzip | this | scripts / this |`,
    '| --- | --- | --- | --- | --- |',
    row('a set on this machine, s', total('plain create'), total('gzip create'), total('our create')),
    row(
      'a set on this machine and in an object store, s',
      total('plain create', 'plain upload'),
      undefined,
      total('our create and upload'),
    ),
    row('size of the set, MB', megabytesOf(sizes.plain), megabytesOf(sizes.gzip), megabytesOf(sizes.our)),
    row('restore until Botpress is healthy, s', restored, undefined, total('our restore')),
    row('of which Botpress is down, s', restored, undefined, total('our downtime')),
  ].join('\n');
}

let table;
try {
  await start();
  const size = fill();
  upload();
  psql('botpress', 'VACUUM ANALYZE');
  buildPeer();
  const owner = startPeer();
  for (let round = 0; round < Number(options.rounds); round++) measureRound(owner);
  table = tabulate(size);
} finally {
  if (!options.keep) cleanUp();
}

function cleanUp() {
  spawnSync('docker', ['rm', '--force', '--volumes', peer, peerBot, store]);
  const list = (...args) =>
    spawnSync('docker', args, { encoding: 'utf8' }).stdout.split('\n').filter(Boolean);
  const filter = `label=com.docker.compose.project=${project}`;
  for (const container of list('ps', '--all', '--quiet', '--filter', filter))
    spawnSync('docker', ['rm', '--force', '--volumes', container]);
  for (const kind of ['volume', 'network'])
    for (const item of list(kind, 'ls', '--quiet', '--filter', filter))
      spawnSync('docker', [kind, 'rm', item]);
  rmSync(scratch, { recursive: true, force: true });
}

process.stdout.write(`${table}\n`);
if (options.write) {
  const page = join(root, 'docs/performance.md');
  const text = readFileSync(page, 'utf8');
  writeFileSync(
    page,
    text.replace(
      /(<!-- backup -->\n)[^]*?(<!-- \/backup -->)/,
      (_, begin, end) => `${begin}\n${table}\n\n${end}`,
    ),
  );
}
/** What shall be half of the scripts' at most: seconds and bytes. */
const limits = {
  'making a set': [total('plain create', 'plain upload'), total('our create and upload')],
  'bringing it back': [total('plain stop', 'plain restore'), total('our restore')],
  'the time without Botpress': [total('plain stop', 'plain restore'), total('our downtime')],
  'the set': [sizes.plain, sizes.our],
};
for (const [what, [plain, our]] of Object.entries(limits)) {
  if (our <= plain / 2) continue;
  report(`${what}: ${(our / plain).toFixed(2)} of the scripts', the limit is 0.5`);
  process.exitCode = 1;
}
