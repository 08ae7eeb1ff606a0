import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { artefacts } from '../../../generators/table.ts';
import type { Answers } from '../../../src/deployment/answers.ts';
import { deriveDeployment } from '../../../src/deployment/deployment.ts';
import { renderArtefacts } from '../../../src/rendering/artefact.ts';
import { defaultAnswers } from '../answers/sample.ts';

const scratch = mkdtempSync(join(tmpdir(), 'rollout-'));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

/** Writes what a rollout's scripts need of a repository. */
function repositoryOf(name: string, change: Partial<Answers> = {}): string {
  const root = join(scratch, name);
  const deployment = deriveDeployment({ ...defaultAnswers(), ...change } as Answers);
  const files = (['app', 'deploy'] as const).flatMap((part) =>
    renderArtefacts(part, artefacts[part] ?? [], deployment),
  );
  for (const { path, content, mode } of files) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
    chmodSync(join(root, path), mode);
  }
  const environment = deployment.firstEnvironment.name;
  mkdirSync(join(root, 'state', environment, 'nginx'), { recursive: true });
  return root;
}

/** Runs lines of bash with all that bin/deploy sources, in the first environment. */
function bash(root: string, lines: string, env: Record<string, string> = {}) {
  const script = `set -Eeuo pipefail; ROOT=${root}; . "$ROOT/bin/lib/rollout/rollout.sh"; select_environment; json=false\n${lines}`;
  const { status, stdout, stderr } = spawnSync('bash', ['-c', script], {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return { status, stdout: stdout.trim(), stderr };
}

describe('images and versions', () => {
  let root: string;
  beforeAll(() => {
    root = repositoryOf('images');
  });

  it.each([
    ['botpress/server:12.31.10', '12.31.10'],
    ['botpress/server:v12_31_9', '12.31.9'],
    ['registry.acme.example:5000/botpress:12.31.10-2', '12.31.10'],
    ['registry.acme.example:5000/botpress', ''],
    ['botpress/server:latest', ''],
  ])('%s is %s', (image, version) => {
    expect(bash(root, `version_of_image ${image}`).stdout).toBe(version);
  });

  it.each([
    ['botpress/server:12.31.10', '12.31.11', 'botpress/server:12.31.11'],
    ['registry.acme.example:5000/botpress', '12.31.11', 'registry.acme.example:5000/botpress:12.31.11'],
    ['registry.acme.example:5000/botpress:12.31.10', 'other:1.2.3', 'other:1.2.3'],
  ])('from %s to %s is %s', (current, target, expected) => {
    expect(bash(root, `image() { echo ${current}; }; wanted_image ${target}`).stdout).toBe(expected);
  });

  it.each(['; rm -rf /', '$(id)', '--help me', '12', 'staus', 'a:b c'])(
    'refuses %s as a target',
    (target) => {
      const { status, stderr } = bash(root, 'demand_target "$TARGET"', { TARGET: target });
      expect(status).toBe(2);
      expect(stderr).toContain('neither a version');
    },
  );
});

describe('the way of a deployment', () => {
  const wayOf = (root: string, from: string, to: string, before = '') =>
    bash(
      root,
      `${before}
plan=([from_version]=${from} [to_version]=${to} [to_image]=botpress/server:x [from_colour]=blue [to_colour]=green)
choose_way; printf '%s\\n' "\${plan[way]}"`,
    );
  const scaling = (replicas: number, deployment: 'blue-green' | 'recreate') => ({
    edition: replicas > 1 ? ('pro' as const) : ('community' as const),
    scaling: {
      target: 'compose' as const,
      replicas,
      deployment,
      ingress: 'ingress' as const,
      database: 'cluster' as const,
      redis: 'cluster' as const,
    },
  });

  it.each([
    ['colours', scaling(1, 'blue-green'), '12.31.10', '12.31.10', 'overlap'],
    ['colours-new', scaling(1, 'blue-green'), '12.31.9', '12.31.10', 'maintenance'],
    ['colours-unknown', scaling(1, 'blue-green'), '12.31.9', "''", 'maintenance'],
    ['pro', scaling(2, 'blue-green'), '12.31.10', '12.31.10', 'overlap'],
    ['pro-new', scaling(2, 'blue-green'), '12.31.9', '12.31.10', 'maintenance'],
    ['recreate', scaling(1, 'recreate'), '12.31.10', '12.31.10', 'maintenance'],
    ['recreate-pro', scaling(2, 'recreate'), '12.31.10', '12.31.10', 'rolling'],
  ])('%s: %j, %s to %s goes by %s', (name, change, from, to, way) => {
    expect(wayOf(repositoryOf(`way-${name}`, change), from, to).stdout).toBe(way);
  });

  it('knows that 12.31.10 is newer than 12.31.9, and refuses the way back', () => {
    const { status, stderr } = wayOf(repositoryOf('older'), '12.31.10', '12.31.9');
    expect([status, stderr.includes('bin/rollback')]).toEqual([3, true]);
  });

  it('lets one server at a time talk to Telegram', () => {
    const root = repositoryOf('telegram', { ...scaling(1, 'blue-green'), channels: ['web', 'telegram'] });
    const folder = bash(root, 'printf "%s" "$secrets_dir"').stdout;
    const bot = defaultAnswers().bots[0] ?? '';
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, `channels-${bot}.env`), 'TELEGRAM_BOT_TOKEN=\n');
    expect(wayOf(root, '12.31.10', '12.31.10').stdout).toBe('overlap');
    writeFileSync(join(folder, `channels-${bot}.env`), 'TELEGRAM_BOT_TOKEN=12345:abcdef\n');
    expect(wayOf(root, '12.31.10', '12.31.10').stdout).toBe('maintenance');
  });
});

describe('the record', () => {
  const write = (root: string, reason: string) =>
    bash(
      root,
      'began=$(date +%s); plan=([way]=overlap [reason]="$REASON" [from_version]=1.2.3); write_record done',
      {
        REASON: reason,
      },
    );

  it('is JSON whatever the reason holds, and shows which line was changed', () => {
    const root = repositoryOf('record');
    const file = bash(root, 'record_file').stdout;
    const reasons = ['plain', 'quotes " and \\ and \n newline', 'größer → später'];
    for (const reason of reasons) expect(write(root, reason).status).toBe(0);
    const text = readFileSync(file, 'utf8');
    const lines = text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as { reason: string; previous: string; hash: string });
    expect(lines.map(({ reason }) => reason)).toEqual(reasons);
    expect(lines.map(({ previous }) => previous)).toEqual([
      '0'.repeat(64),
      ...lines.slice(0, -1).map(({ hash }) => hash),
    ]);
    expect(bash(root, 'broken_record').stdout).toBe('');
    const [first = '', second = '', third = ''] = text.trim().split('\n');
    for (const [changed, line] of [
      [[first.replace('plain', 'plane'), second, third], '1'],
      [[first, third], '2'],
      [[first, second, third.replace('1.2.3', '1.2.4')], '3'],
      [[first, second, third, third], '4'],
    ] as const) {
      writeFileSync(file, `${changed.join('\n')}\n`);
      expect(bash(root, 'broken_record').stdout).toBe(line);
    }
  });

  it('goes on after a line that a crash cut', () => {
    const root = repositoryOf('cut');
    const file = bash(root, 'record_file').stdout;
    write(root, 'one');
    writeFileSync(file, readFileSync(file, 'utf8').slice(0, -20));
    write(root, 'two');
    expect(JSON.parse(execFileSync('tail', ['-n', '1', file], { encoding: 'utf8' }))).toMatchObject({
      reason: 'two',
    });
    expect(bash(root, 'broken_record').stdout).toBe('1');
  });
});

describe('the backup before a deployment', () => {
  it.each([
    ['made', 0, 0],
    ['on some targets only', 6, 0],
    ['not made', 1, 3],
  ])('%s', (name, code, expected) => {
    const root = repositoryOf(`backup-${code}`);
    const file = join(root, 'bin/backup');
    writeFileSync(file, `#!/bin/sh\nprintf '%s ' "$@" >"${root}/called"\nexit ${code}\n`, { mode: 0o755 });
    const { status, stderr } = bash(root, 'back_up');
    expect([name, status]).toEqual([name, expected]);
    expect(stderr.includes('--no-backup')).toBe(expected === 3);
    const environment = bash(root, 'printf "%s" "$environment"').stdout;
    expect(readFileSync(join(root, 'called'), 'utf8')).toBe(
      `create ${environment} --reason deployment --wait 600 `,
    );
  });

  it('is left out, and said so, where the part is not there', () => {
    const { status, stdout } = bash(repositoryOf('backup-none'), 'back_up');
    expect([status, stdout]).toEqual([
      0,
      'no backup is made first: the part backup is not in this repository',
    ]);
  });
});

describe('what the watcher of a deployment sees before it', () => {
  it.each([
    [
      'is told',
      "echo 'redis|1700000000|connect ECONNREFUSED'; echo 'language|1700000000|it is not ready'",
      /redis is down before anything is changed: connect ECONNREFUSED\n.*language is down .*: it is not ready\n$/,
    ],
    ['is not told where there is nothing', ':', /^$/],
    ['is not told where nobody knows', 'return 1', /^$/],
  ])('%s, and refuses nothing', (_, says, told) => {
    const { status, stdout, stderr } = bash(
      repositoryOf('watched'),
      `deep_health() { ${says}; }\ntell_what_is_down\necho went on`,
    );
    expect([status, stdout, stderr]).toEqual([0, 'went on', expect.stringMatching(told)]);
  });

  it('is nothing where no part watches', () => {
    expect(bash(repositoryOf('unwatched'), 'tell_what_is_down').stderr).toBe('');
  });
});

describe('the image in .env', () => {
  it('is replaced, whatever else stands there, and stays closed to others', () => {
    const root = repositoryOf('env');
    const file = bash(root, 'printf "%s" "$variables_file"').stdout;
    writeFileSync(
      file,
      '# IMAGE_BOTPRESS=old\nA=1\nIMAGE_BOTPRESS=a:1.0.0\nexport IMAGE_BOTPRESS=b:1.0.0\nB=2',
    );
    expect(bash(root, 'keep_image c:1.2.3').status).toBe(0);
    expect(readFileSync(file, 'utf8')).toBe('# IMAGE_BOTPRESS=old\nA=1\nB=2\nIMAGE_BOTPRESS=c:1.2.3\n');
    expect(statSync(file).mode & 0o777).toBe(0o600);
  });
});

/**
 * bin/deploy and bin/rollback over containers that are files with a state in each: everything that decides is as emitted,
 * what asks the engine, nginx and the database is not.
 */
describe('a run that ends early', () => {
  const engine = `
state_of() { cat "$state_dir/containers/$1"; }
states_of() { local node; for node in "$@"; do printf '%s %s\\n' "$node" "$(state_of "$node")"; done; }
all_fit() { all_healthy "$@"; }
be() { local state=$1 node; shift; for node in "$@"; do printf '%s\\n' "$state" >"$state_dir/containers/$node"; done; }
start_nodes() { be healthy "$@"; }
start_former_nodes() { be healthy "$@"; }
stop_nodes() { be stopped "$@"; }
containers() { printf 'container-of-%s\\n' "$1"; }
image_of_node() { printf 'bp:12.31.10\\n'; }
image_id_of_node() { printf 'sha256:c\\n'; }
stored_version() { printf '12.31.10\\n'; }
for stub in gate_nodes reload_nginx nginx_names announce check_before take_lock drain sleep restore_database; do eval "$stub() { :; }"; done
dump_database() { plan[dump]=state/the.dump; }
`;
  const script = (root: string, lines: string) =>
    `set -Eeuo pipefail; ROOT=${root}; . "$ROOT/bin/lib/rollout/rollout.sh"; select_environment; json=false gate_seconds=60\n${engine}\n${lines}`;
  /** What a run of a plan needs, and then does. */
  const run = (way: string, to = '12.31.10-2') => `begin false false
plan=([way]=${way} [reason]=x [source]=compose [from_colour]=blue [to_colour]=green [from_image]=bp:12.31.10 [to_image]=bp:${to} [from_version]=12.31.10 [to_version]=\${to_version-12.31.10} [from_container]=container-of-botpress-blue)
go false false`;

  function prepare(name: string) {
    const root = repositoryOf(name);
    const environment = bash(root, 'printf "%s" "$environment"').stdout;
    const folder = join(root, 'state', environment);
    const variables = bash(root, 'printf "%s" "$variables_file"').stdout;
    mkdirSync(join(folder, 'containers'));
    copyFileSync(join(root, 'nginx/active-upstream.conf'), join(folder, 'nginx/active-upstream.conf'));
    writeFileSync(join(folder, 'containers/botpress-blue'), 'healthy\n');
    writeFileSync(join(folder, 'containers/botpress-green'), 'stopped\n');
    writeFileSync(variables, 'IMAGE_BOTPRESS=bp:12.31.10\n');
    const read = (path: string) => readFileSync(join(folder, path), 'utf8').trim();
    const state = () => ({
      serves: bash(root, 'serving_colour').stdout,
      blue: read('containers/botpress-blue'),
      green: read('containers/botpress-green'),
      image: readFileSync(variables, 'utf8').trim(),
      result: (JSON.parse(read('deployments.jsonl').split('\n').at(-1) ?? '') as { result: string }).result,
      // Neither frozen, draining nor closed any more, and nothing left for the next run to repair.
      left: ['nginx/frozen', 'nginx/maintenance', 'nginx/draining', 'nginx/moving', 'rollout'].filter(
        (path) => existsSync(join(folder, path)),
      ),
    });
    return { root, folder, state };
  }
  const ended = { left: [] as string[] };
  const former = {
    ...ended,
    serves: 'blue',
    blue: 'healthy',
    green: 'stopped',
    image: 'IMAGE_BOTPRESS=bp:12.31.10',
  };

  it.each([
    ['overlap', 'interrupted', 'stdout'],
    ['overlap', 'interrupted', 'both'],
    ['maintenance', 'interrupted', 'stdout'],
    ['maintenance', 'interrupted', 'both'],
    ['maintenance', 'left to itself', 'both'],
  ])('undoes %s that is %s when nobody reads %s any more', async (way, how, what) => {
    const { root, folder, state } = prepare(`pipe-${way}-${how}-${what}`.replaceAll(' ', '-'));
    const child = spawn('bash', [
      '-c',
      script(
        root,
        `start_nodes() {
           be healthy "$@"
           until [[ -e $state_dir/nobody-reads ]]; do command sleep 0.1; done
           ${how === 'interrupted' ? 'kill -INT $$' : 'say this is lost; say this as well'}
         }
         ${run(way)}`,
      ),
    ]);
    const finished = new Promise<number | null>((resolve) => child.on('close', resolve));
    await new Promise<void>((resolve) => {
      let said = '';
      child.stdout.on('data', (chunk: Buffer) => {
        said += chunk.toString();
        if (/^ {2}starting/m.test(said)) resolve();
      });
    });
    const streams = what === 'both' ? [child.stdout, child.stderr] : [child.stdout];
    await Promise.all(
      streams.map((stream) => new Promise((resolve) => stream.once('close', resolve).destroy())),
    );
    child.stderr.resume();
    writeFileSync(join(folder, 'nobody-reads'), '');
    const code = await finished;
    expect({ code, ...state() }).toEqual({ code: 130, result: 'interrupted', ...former });
  });

  const finished = {
    ...ended,
    serves: 'green',
    blue: 'stopped',
    green: 'healthy',
    image: 'IMAGE_BOTPRESS=bp:12.31.10-2',
  };

  it.each([
    ['the old colour is stopped', 'overlap', 'stop_nodes() { be stopped "$@"; kill -INT $$; }'],
    ['the old colour has died', 'overlap', 'drain() { be unhealthy botpress-blue; kill -INT $$; }'],
    [
      'the old colour dies and the drain fails',
      'overlap',
      'drain() { be unhealthy botpress-blue; drain() { :; }; return 1; }',
    ],
    [
      'the new node is let in',
      'maintenance',
      'turn_off() { turn_off() { rm -f "$state_dir/nginx/$1"; }; kill -INT $$; }',
    ],
  ])('finishes a run that ends when %s (%s)', (_, way, fault) => {
    const { root, folder, state } = prepare(`finish-${way}-${fault.length}`);
    const { status, stdout, stderr } = spawnSync('bash', ['-c', script(root, `${fault}\n${run(way)}`)], {
      encoding: 'utf8',
    });
    expect({ code: status, ...state() }).toEqual({ code: 0, result: 'done', ...finished });
    expect(stdout).toContain('12.31.10 serves');
    expect(stderr).not.toContain('nothing was changed');
    expect(readFileSync(join(folder, 'last-deployment'), 'utf8')).toContain('from_image=bp:12.31.10\n');
  });

  it('says that nothing healthy serves when neither colour is fit', () => {
    const { root, state } = prepare('neither');
    const fault = 'drain() { be unhealthy botpress-blue botpress-green; return 1; }';
    const { status } = spawnSync('bash', ['-c', script(root, `${fault}\n${run('overlap')}`)]);
    expect({ code: status, ...state() }).toMatchObject({ code: 4, result: 'failed', image: former.image });
  });

  /** Kills a run, and gives what a run of bin/rollback after it would bring back. */
  function rollBackAfter(name: string, fault: string, way: string, before = '') {
    const { root, folder } = prepare(name);
    writeFileSync(join(root, 'state/the.dump'), 'dump');
    // The deployment before the one that is killed.
    writeFileSync(
      join(folder, 'last-deployment'),
      'from_image=bp:ancient\nfrom_version=12.31.10\nto_version=12.31.10\n',
    );
    const killed = spawnSync('bash', ['-c', script(root, `${fault}\n${way}`)]);
    expect([killed.signal, existsSync(join(folder, 'rollout'))]).toEqual(['SIGKILL', true]);
    return spawnSync(
      'bash',
      [
        '-c',
        script(
          root,
          `${before}\nbegin false false; plan_rollback true; printf '%s %s\\n' "\${plan[to_image]}" "\${plan[restore]-}"`,
        ),
      ],
      { encoding: 'utf8' },
    )
      .stdout.trim()
      .split('\n')
      .at(-1);
  }

  it('goes back from a run that was killed and finished by the next one', () => {
    const fault = 'stop_nodes() { be stopped "$@"; kill -KILL $$; }';
    expect(rollBackAfter('killed-finished', fault, run('overlap'))).toBe('bp:12.31.10');
  });

  it('does not go back from a run that was killed and undone by the next one', () => {
    const fault = 'start_nodes() { be healthy "$@"; kill -KILL $$; }';
    expect(rollBackAfter('killed-undone', fault, run('overlap'))).toBe('bp:ancient');
  });

  it.each([
    ['was about to open', 'open_to() { kill -KILL $$; }'],
    ['had opened', 'keep_image() { kill -KILL $$; }'],
  ])('goes back with the dump from a change of version that was killed when it %s', (what, fault) => {
    const way = `to_version=12.31.11; ${run('maintenance', '12.31.11')}`;
    const version = "stored_version() { printf '12.31.11\\n'; }";
    expect(rollBackAfter(`killed-${what.replaceAll(' ', '-')}`, fault, way, version)).toBe(
      'bp:12.31.10 state/the.dump',
    );
  });
});

describe('the gate', () => {
  /** Answers of Botpress by node and bot; what is not listed does not exist there. */
  const gate = (root: string, answers: string, serving = 'healthy') =>
    bash(
      root,
      `state_of() { case $1 in botpress-*) echo ${serving} ;; *) echo healthy ;; esac; }
for stub in check_machine check_state_disk secret_problems fetch_image compose_with_image compose know_own_configuration; do eval "$stub() { :; }"; done
reach_from_nginx() { :; }
node_request() {
  local bot=\${3#/api/v1/bots/}
  case $1/\${bot%%/*} in
    ${answers}
    *) printf 'HTTP/1.1 404 Not Found\\r\\n\\r\\nBot not found' ;;
  esac
}
speaks() { printf 'HTTP/1.1 200 OK\\r\\n\\r\\n{"responses":[{"type":"text"}]}'; }
is_silent() { printf 'HTTP/1.1 200 OK\\r\\n\\r\\n{"responses":[]}'; }
BOTS=(support sales) plan=([way]=overlap)
check_before false
gate_nodes botpress-green && echo passed`,
    );

  it('asks every bot that answers before', () => {
    const root = repositoryOf('gate-all');
    expect(gate(root, '*) speaks ;;')).toMatchObject({ stdout: 'passed', stderr: '' });
    for (const fault of [
      '*green/sales) is_silent',
      '*green/sales) false',
      '*green/sales) printf "HTTP/1.1 404 x"',
    ]) {
      const { status, stdout, stderr } = gate(root, `${fault} ;; *) speaks ;;`);
      expect([status, stdout, stderr]).toEqual([
        1,
        '',
        expect.stringContaining('sales says nothing on botpress-green'),
      ]);
    }
  });

  it('names a bot that is not on the server yet, and goes on without it', () => {
    const { status, stdout, stderr } = gate(repositoryOf('gate-new'), '*/support) speaks ;;');
    expect([status, stdout]).toEqual([0, 'passed']);
    expect(stderr).toMatch(
      /sales says nothing on botpress-blue, which serves \(status 404\)[\s\S]*administration/,
    );
    expect(stderr).not.toContain('support');
  });

  it('asks every bot where nothing serves, and where nobody knows', () => {
    const root = repositoryOf('gate-first');
    for (const [answers, serving] of [
      ['*/support) speaks ;;', 'absent'],
      ['*/support) speaks ;; *blue/sales) false ;;', 'healthy'],
    ] as const)
      expect(gate(root, answers, serving)).toMatchObject({
        status: 1,
        stderr: expect.stringContaining('sales says nothing on botpress-green (status 404)'),
      });
  });
});
