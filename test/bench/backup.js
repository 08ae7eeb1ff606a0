// Backups and restores of the output beside the scripts of the usual tutorial (pg_dump into a plain file, tar with gzip,
// psql to bring it back), on the same database and files, in one run, in real containers.
//
//   npm run bench:backup                     prints the table; fails when a figure is over its limit
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
    rounds: { type: 'string', default: '3' },
    megabytes: { type: 'string', default: '2048' },
  },
});
const megabytes = Number(options.megabytes);

/** Ours as a share of the tutorial's: half the time, half the size. */
const mostTime = 0.5;
const mostSize = 0.5;

const name = `backup-bench-${process.pid}`;
const project = `${name}-staging`;
const peer = `${name}-tutorial`;
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
const psql = (database, sql) =>
  run(
    'docker',
    ['exec', '-i', postgres, 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-U', 'postgres', '-d', database],
    sql,
  );
const inPeer = (script) => docker('exec', peer, 'bash', '-c', `set -Eeuo pipefail; ${script}`);
const secondsOf = (work) => {
  const begin = process.hrtime.bigint();
  const result = work();
  return { seconds: Number(process.hrtime.bigint() - begin) / 1e9, result };
};
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
  writeFileSync(answers, JSON.stringify({ environments: [environment], backup: { targets: ['local'] } }));
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
  writeFileSync(join(folder, '.env.staging'), `${example}\nBACKUP_START_DELAY=1000000\n`);
  bin('up', 'staging');
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
    ...['exec', `${project}-botpress-blue-1`, 'bash', '-c'],
    `cd /botpress/uploads; for n in $(seq ${count}); do head -c 1500000 /dev/urandom >"picture-$n.jpg"; done`,
  );
}

/** A container with the tutorial's programs, and the password of the database's owner as it wants it: in its environment. */
function startPeer() {
  const secret = (file) => readFileSync(join(folder, 'secrets/staging', file), 'utf8').trim();
  const owner = /DATABASE_OWNER=(\S+)/.exec(readFileSync(join(folder, 'bin/lib/deployment.sh'), 'utf8'))[1];
  const passwords = join(scratch, 'peer.env');
  writeFileSync(passwords, `PGPASSWORD=${secret(`${owner.replaceAll('_', '-')}-password`)}\n`, {
    mode: 0o600,
  });
  docker(
    ...['run', '--detach', '--init', '--name', peer, '--network', `${project}_data`, '--user', '0'],
    ...['--env-file', passwords, '--env', 'PGHOST=postgres', '--env', `PGUSER=${owner}`],
    ...['--volume', `${project}_uploads:/var/lib/botpress/data`, '--volume', '/var/backups/botpress'],
    ...['--entrypoint', 'sleep', image(), 'infinity'],
  );
  return owner;
}
const image = () => docker('inspect', '--format', '{{.Config.Image}}', `${project}-backup-1`);

const tutorial = {
  create(gzip) {
    const file = gzip ? '| gzip >"$d/db.sql.gz"' : '>"$d/db.sql"';
    return inPeer(
      `d=/var/backups/botpress; rm -f $d/*; pg_dump -d botpress ${file}; tar -czf $d/files.tar.gz /var/lib/botpress/data 2>/dev/null; du -cb $d/* | tail -n 1 | cut -f 1`,
    );
  },
  /** Into a database that was made empty before: into one in use, psql would stumble over every table. */
  restore(gzip) {
    docker('stop', `${project}-botpress-blue-1`);
    const source = gzip ? 'gzip -dc $d/db.sql.gz' : 'cat $d/db.sql';
    inPeer(
      `d=/var/backups/botpress; ${source} | psql -q -v ON_ERROR_STOP=1 -d botpress >/dev/null; tar -xzf $d/files.tar.gz -C /`,
    );
    docker('start', `${project}-botpress-blue-1`);
    waitForBot();
  },
};

function waitForBot() {
  for (let turn = 0; turn < 600; turn++) {
    const state = docker('inspect', '--format', '{{.State.Health.Status}}', `${project}-botpress-blue-1`);
    if (state === 'healthy') return;
    spawnSync('sleep', ['0.5']);
  }
  throw new Error('Botpress does not become healthy');
}

function emptyDatabase(owner) {
  docker('stop', `${project}-botpress-blue-1`);
  psql('postgres', 'DROP DATABASE botpress WITH (FORCE)');
  psql('postgres', `CREATE DATABASE botpress OWNER ${owner} TEMPLATE template0 ENCODING 'UTF8'`);
}

const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
const times = {};
const sizes = {};
function note(what, { seconds, result }) {
  report(`${what}: ${seconds.toFixed(1)} s ${result ?? ''}`);
  (times[what] ??= []).push(seconds);
  return result;
}
/** Everything written so far is on the disk: nobody pays for what another one left behind. */
const settle = () => {
  psql('postgres', 'CHECKPOINT');
  run('sync', []);
};

try {
  await start();
  const size = fill();
  upload();
  report(`database ${size} MB`);
  psql('botpress', 'VACUUM ANALYZE');
  const owner = startPeer();
  let id;
  for (let round = 0; round < Number(options.rounds); round++) {
    for (const gzip of [false, true]) {
      settle();
      const label = gzip ? 'tutorial with gzip' : 'tutorial';
      sizes[label] = Number(
        note(
          `create: ${label}`,
          secondsOf(() => tutorial.create(gzip)),
        ),
      );
    }
    settle();
    id = note(
      'create: ours',
      secondsOf(() => bin('backup', 'create', 'staging')),
    );
    sizes.ours = JSON.parse(bin('backup', 'show', id, 'staging')).parts.reduce(
      (sum, { bytes }) => sum + bytes,
      0,
    );
    settle();
    const restored = JSON.parse(
      note(
        'restore: ours',
        secondsOf(() => bin('restore', id, 'staging', '--yes', '--no-safety-set', '--json')),
      )
        .split('\n')
        .at(-1),
    );
    (times['downtime: ours'] ??= []).push(restored.downtimeSeconds);
    bin('restore', '--forget', 'staging', '--yes');
    // The tutorial's last set is the one with gzip: the plain one first, made anew.
    tutorial.create(false);
    emptyDatabase(owner);
    settle();
    note(
      'restore: tutorial',
      secondsOf(() => tutorial.restore(false)),
    );
    bin('secure-database', 'staging');
  }
} finally {
  if (!options.keep) {
    spawnSync('docker', ['rm', '--force', '--volumes', peer]);
    const list = (...args) => spawnSync('docker', args, { encoding: 'utf8' }).stdout.split('\n').filter(Boolean);
    const filter = `label=com.docker.compose.project=${project}`;
    for (const container of list('ps', '--all', '--quiet', '--filter', filter))
      spawnSync('docker', ['rm', '--force', '--volumes', container]);
    for (const kind of ['volume', 'network'])
      for (const item of list(kind, 'ls', '--quiet', '--filter', filter)) spawnSync('docker', [kind, 'rm', item]);
    rmSync(scratch, { recursive: true, force: true });
  }
}
console.log(times, sizes);
