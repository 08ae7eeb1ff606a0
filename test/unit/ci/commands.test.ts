import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { execFile, execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { aloneShapes, renderAll, writeAll } from './rendered.ts';

const files = renderAll({});

function write(folder: string, path: string, text: string, mode = 0o755): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
  chmodSync(join(folder, path), mode);
}

/**
 * bin/release against a server on the same machine: ssh runs its last argument here, and the server's own commands end
 * with the codes that a test wants and note that they were called.
 */
describe('bin/release', () => {
  let scratch: string;
  let here: string;
  let server: string;
  let former: string;
  let commit: string;

  const git = (folder: string, ...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=Test', '-c', 'user.email=test@example.com', ...args], {
      cwd: folder,
      encoding: 'utf8',
    }).trim();
  const codes = (wanted: Record<string, string>) => {
    for (const [command, code] of Object.entries(wanted)) write(scratch, `codes/${command}`, code, 0o644);
  };
  const release = (...args: string[]) => {
    const { status, stderr } = spawnSync('bin/release', ['staging', '--smoke-from', 'server', ...args], {
      cwd: here,
      encoding: 'utf8',
      env: {
        PATH: `${join(scratch, 'path')}:${process.env['PATH']}`,
        HOME: scratch,
        DEPLOY_HOST: 'server.example',
        DEPLOY_PATH: server,
      },
    });
    const called = readFileSync(join(scratch, 'called'), 'utf8').trim().split('\n').filter(Boolean);
    return { code: status, stderr, called, has: git(server, 'rev-parse', 'HEAD') };
  };

  beforeAll(() => {
    here = writeAll(files);
    scratch = mkdtempSync(join(tmpdir(), 'botpress-prod-release-'));
    server = join(scratch, 'server');
    write(scratch, 'path/ssh', `#!/usr/bin/env bash\nexec bash -c "\${@: -1}"\n`);
    // Each call takes the next code of its list; without one it ends with 0.
    for (const command of ['deploy', 'rollback', 'smoke', 'push-content'])
      write(
        here,
        `bin/${command}`,
        `#!/usr/bin/env bash
printf '%s\\n' "${command} $*" >>'${scratch}/called'
file='${scratch}/codes/${command}'
read -r code rest <"$file" || true
printf '%s\\n' "$rest" >"$file"
exit "\${code:-0}"
`,
      );
    git(here, 'init', '--quiet', '--initial-branch', 'main');
    git(here, 'add', '--all');
    git(here, 'commit', '--quiet', '--message', 'First');
    git(scratch, 'clone', '--quiet', here, server);
    former = git(here, 'rev-parse', 'HEAD');
    git(here, 'commit', '--quiet', '--allow-empty', '--message', 'Second');
    commit = git(here, 'rev-parse', 'HEAD');
  });
  beforeEach(() => {
    git(server, 'checkout', '--quiet', '--detach', former);
    write(scratch, 'called', '', 0o644);
    codes({ deploy: '', rollback: '', smoke: '', 'push-content': '' });
  });
  afterAll(() => {
    for (const folder of [here, scratch]) rmSync(folder, { recursive: true, force: true });
  });

  const whole = ['push-content staging --check', 'deploy staging --wait', 'push-content staging'];
  const ask = 'smoke staging --patience 30';
  const back = ['push-content staging --undo', 'rollback staging --wait'];

  it('deploys, pushes content, asks as a visitor, and is done', () => {
    expect(release()).toEqual({ code: 0, stderr: '', called: [...whole, ask], has: commit });
  });

  it('leaves content alone where it is told to', () => {
    expect(release('--no-content').called).toEqual(['deploy staging --wait', ask]);
  });

  it.each([
    ['nothing was changed', '3', 3],
    ['another command is at work', '5', 3],
    ['what served before serves again', '1', 1],
    ['it was interrupted', '130', 1],
  ])('puts the former commit back when bin/deploy says that %s', (_, code, expected) => {
    codes({ deploy: code });
    expect(release()).toMatchObject({ code: expected, has: former, called: whole.slice(0, 2) });
  });

  it('calls for a person when nothing healthy serves', () => {
    codes({ deploy: '4' });
    const { code, stderr } = release();
    expect(code).toBe(4);
    expect(stderr).toContain('nothing healthy serves');
  });

  it.each([
    ['content was pushed in part', { 'push-content': '0 4' }, [...whole, ...back, ask]],
    // --undo would put back what an earlier release replaced.
    ['content cannot be pushed', { 'push-content': '0 1' }, [...whole, 'rollback staging --wait', ask]],
    ['a new bot is not there', { 'push-content': '0 3' }, [...whole, 'rollback staging --wait', ask]],
    ['visitors are not served', { smoke: '3' }, [...whole, ask, ...back, ask]],
  ])('goes back when %s', (_, wanted, called) => {
    codes(wanted);
    expect(release()).toMatchObject({ code: 1, has: former, called });
  });

  it.each([
    ['bin/rollback refuses, as after a change of version', { smoke: '3', rollback: '3' }],
    ['visitors are not served afterwards either', { smoke: '3 3' }],
  ])('calls for a person when %s', (_, wanted) => {
    codes(wanted);
    expect(release().code).toBe(4);
  });

  it('calls for a person when nobody knows how far the push came', () => {
    codes({ 'push-content': '0 255' });
    expect(release()).toMatchObject({ code: 4, called: whole });
  });

  it('goes back across versions only where that was allowed', () => {
    codes({ smoke: '3' });
    expect(release('--restore').called).toContain('rollback staging --wait --restore');
  });

  it('goes on where the commit on the server has no bin/push-content yet', () => {
    git(server, 'rm', '--quiet', 'bin/push-content');
    git(server, 'commit', '--quiet', '--message', 'Before the part was added');
    expect(release()).toMatchObject({
      code: 0,
      stderr: '',
      called: ['deploy staging --wait', 'push-content staging', ask],
      has: commit,
    });
  });

  it('says that the server cannot be reached when the connection breaks before anything is changed', () => {
    codes({ 'push-content': '255' });
    expect(release()).toMatchObject({
      code: 255,
      stderr: expect.stringContaining('cannot be reached'),
      has: former,
    });
  });

  it.each(['value', 'file'])(
    'gives ssh a key that came as a %s with the line breaks that ssh needs',
    (form) => {
      const key = '-----BEGIN KEY-----\nabc\n-----END KEY-----\n';
      const host = 'server.example ssh-ed25519 AAAA';
      for (const pasted of [key, key.trim(), key.replaceAll('\n', '\r\n')]) {
        write(scratch, 'key', pasted, 0o644);
        write(scratch, 'known', `${host}\r\n`, 0o644);
        const { status, stdout } = spawnSync(
          'bash',
          [
            '-c',
            `set -Eeuo pipefail; ROOT=$PWD; . bin/lib/remote.sh; select_environment staging; open_remote
           cat "$access/key"; cat "$access/known_hosts"; stat -c %a "$access/key"`,
          ],
          {
            cwd: here,
            encoding: 'utf8',
            env: {
              PATH: process.env['PATH'],
              DEPLOY_HOST: 'server.example',
              DEPLOY_SSH_KEY: form === 'file' ? join(scratch, 'key') : pasted,
              DEPLOY_KNOWN_HOSTS: form === 'file' ? join(scratch, 'known') : `${host}\r\n`,
            },
          },
        );
        expect({ status, stdout: stdout.replace(/\n+/g, '\n') }).toEqual({
          status: 0,
          stdout: `${key}${host}\n600\n`,
        });
      }
    },
  );

  it('begins nothing when content was changed on the server', () => {
    codes({ 'push-content': '3' });
    expect(release()).toMatchObject({ code: 3, has: former, called: ['push-content staging --check'] });
  });
});

/**
 * The same command beside a stack of others, against a server on the same machine: what deploys a commit there is a
 * script of that commit, and visitors are served when it left what they want.
 */
describe('bin/release beside a stack of others', () => {
  let scratch: string;
  let here: string;
  let server: string;
  let former: string;

  const git = (folder: string, ...args: string[]) =>
    execFileSync('git', ['-c', 'user.name=Test', '-c', 'user.email=test@example.com', ...args], {
      cwd: folder,
      encoding: 'utf8',
    }).trim();
  const commit = (script: string) => {
    write(here, 'deploy.sh', `${script}\n`);
    git(here, 'add', '--all');
    git(here, 'commit', '--quiet', '--message', 'Next');
    return git(here, 'rev-parse', 'HEAD');
  };
  const release = (settings: Record<string, string> = {}, ...args: string[]) => {
    const { status, stderr, stdout } = spawnSync('bin/release', ['staging', '--patience', '0', ...args], {
      cwd: here,
      encoding: 'utf8',
      env: {
        PATH: `${join(scratch, 'path')}:${process.env['PATH']}`,
        HOME: scratch,
        DEPLOY_PATH: server,
        ...settings,
      },
    });
    const serves = readFileSync(join(scratch, 'serves'), 'utf8').trim();
    return { code: status, stderr, stdout, serves, has: git(server, 'rev-parse', 'HEAD') };
  };

  beforeAll(() => {
    const shape = Object.values(aloneShapes).at(-1);
    here = writeAll(renderAll({ ...shape, 'stack.deploy': 'sh deploy.sh | cat' }));
    scratch = mkdtempSync(join(tmpdir(), 'botpress-prod-release-'));
    server = join(scratch, 'server');
    write(
      scratch,
      'path/ssh',
      `#!/usr/bin/env bash\nprintf '%s\\n' "$*" >>'${scratch}/asked'\nexec bash -c "\${@: -1}"\n`,
    );
    write(here, 'bin/smoke', `#!/bin/sh\necho "smoke $*"\ngrep -q good '${scratch}/serves' || exit 3\n`);
    write(here, '.gitignore', 'secrets\n', 0o644);
    git(here, 'init', '--quiet', '--initial-branch', 'main');
    former = commit(`echo good 1 >'${scratch}/serves'`);
    git(scratch, 'clone', '--quiet', here, server);
  });
  beforeEach(() => {
    git(server, 'checkout', '--quiet', '--detach', former);
    write(scratch, 'serves', 'good 1\n', 0o644);
    write(scratch, 'asked', '', 0o644);
  });
  afterAll(() => {
    for (const folder of [here, scratch]) rmSync(folder, { recursive: true, force: true });
  });

  it('deploys on the server of the environment, asks there as a visitor, and is done', () => {
    const next = commit(`echo good 2 >'${scratch}/serves'`);
    expect(release()).toMatchObject({
      code: 0,
      stderr: '',
      serves: 'good 2',
      has: next,
      stdout: expect.stringContaining('smoke staging --patience 0'),
    });
    const asked = readFileSync(join(scratch, 'asked'), 'utf8').trim().split('\n');
    for (const line of asked) expect(line).toContain('deploy@2001:db8::7');
  });

  it.each([
    ['what deploys it fails', 'exit 7', 'the deployment failed'],
    ['it ends as ssh does when a connection breaks', 'exit 255', 'the deployment failed'],
    ['visitors are not served', 'bad', 'visitors are not served'],
  ])('goes back when %s', (_, end, reason) => {
    commit(`echo bad >'${scratch}/serves'; ${end === 'bad' ? 'true' : end}`);
    expect(release()).toMatchObject({
      code: 1,
      serves: 'good 1',
      has: former,
      stderr: expect.stringContaining(`${reason}; staging has ${former} again`),
    });
  });

  it('calls for a person when going back does not help, and says how', () => {
    commit(`echo bad >'${scratch}/serves'; touch '${scratch}/broken'`);
    write(here, 'bin/smoke', '#!/bin/sh\nexit 3\n');
    const { code, stderr } = release();
    git(here, 'checkout', '--quiet', '--', 'bin/smoke');
    expect({ code, stderr }).toEqual({
      code: 4,
      stderr: expect.stringContaining(`git checkout --detach ${former}, then sh deploy.sh`),
    });
  });

  it('begins nothing where files were edited, where no clone is, and for a dry run', () => {
    const next = commit(`echo bad >'${scratch}/serves'`);
    write(server, 'deploy.sh', 'true\n');
    expect(release()).toMatchObject({
      code: 3,
      serves: 'good 1',
      stderr: expect.stringContaining('deploy.sh'),
    });
    git(server, 'checkout', '--quiet', '--', 'deploy.sh');
    expect(release({ DEPLOY_PATH: scratch })).toMatchObject({
      code: 3,
      stderr: expect.stringContaining('is no clone'),
    });
    expect(release({}, '--dry-run')).toMatchObject({
      code: 0,
      has: former,
      stdout: expect.stringContaining(`would bring ${next} to 2001:db8::7`),
    });
    expect(release({ DEPLOY_HOST: 'other.example' }, '--dry-run').stdout).toContain('to other.example');
    for (const args of [['nowhere'], ['--patience', 'x'], ['--odd']])
      expect(release({}, ...args)).toMatchObject({ code: 2 });
  });

  it('leaves it to a person when the connection breaks', () => {
    commit(`echo good 3 >'${scratch}/serves'`);
    const ssh = readFileSync(join(scratch, 'path/ssh'), 'utf8');
    write(scratch, 'path/ssh', ssh.replace('exec', '[[ ${@: -1} != *deploy.sh* ]] || exit 255\nexec'));
    const { code, stderr } = release();
    write(scratch, 'path/ssh', ssh);
    expect({ code, stderr }).toEqual({ code: 4, stderr: expect.stringContaining('connection broke') });
    write(scratch, 'path/ssh', '#!/bin/sh\nexit 255\n');
    expect(release().code).toBe(255);
    write(scratch, 'path/ssh', ssh);
  });

  it('runs a command on the server of the environment that is named', () => {
    const remote = (...args: string[]) => {
      const ssh = '#!/usr/bin/env bash\nprintf "%s\\n" "$*"\n';
      write(scratch, 'elsewhere/ssh', ssh);
      return spawnSync('bin/remote', args, {
        cwd: here,
        encoding: 'utf8',
        env: { PATH: `${join(scratch, 'elsewhere')}:${process.env['PATH']}`, HOME: scratch },
      }).stdout;
    };
    expect(remote('backup', 'drill', 'dev')).toContain(
      'deploy@dev.acme.example cd /opt/acme-bot && bin/backup drill dev',
    );
    expect(remote('backup', 'list', '')).toContain('deploy@192.0.2.7');
  });
});

/**
 * bin/push-content with a container whose content.sh keeps what the server holds in a file: Botpress' side of it is in
 * the system's tests.
 */
describe('bin/push-content', () => {
  let here: string;
  let path: string;

  const server = (text?: string) => {
    if (text !== undefined) write(path, 'server', `${text}\n`, 0o644);
    return readFileSync(join(path, 'server'), 'utf8').trim();
  };
  const wanted = (text: string) => write(path, 'wanted', `${text}\n`, 0o644);
  const fail = (...commands: string[]) => write(path, 'fails', commands.join('\n'), 0o644);
  const push = (...args: string[]) => {
    const { status, stderr } = spawnSync('bin/push-content', ['staging', ...args], {
      cwd: here,
      encoding: 'utf8',
      env: { PATH: `${path}:${process.env['PATH']}`, HOME: here },
    });
    return { code: status, stderr };
  };
  const done = { code: 0, stderr: '' };

  beforeEach(() => {
    here = writeAll(files);
    path = join(here, '../', `${basename(here)}-path`);
    // inspect answers about the node; content.sh runs after `exec -T NODE`.
    write(
      path,
      'docker',
      `#!/usr/bin/env bash
cd '${path}'
case "$*" in
  ps*) echo node ;;
  inspect*) echo 'botpress-blue|running|healthy|0|always|0|2030-01-01T00:00:00Z|botpress/server' ;;
  *content.sh*)
    touch fails
    case \${@: -1} in
      wanted) cat wanted ;;
      held) cat server ;;
      export) ! grep -q export fails && cat server ;;
      push) if grep -q push fails; then echo 'half of it' >server && exit 1; else cp wanted server; fi ;;
      restore) cat >server ;;
      train) ! grep -q train fails ;;
    esac
    ;;
esac
`,
    );
    wanted('first');
    server('first');
    expect(push()).toEqual(done);
    wanted('second');
    expect(push()).toEqual(done);
    expect(server()).toBe('second');
  });
  afterEach(() => {
    for (const folder of [here, path]) rmSync(folder, { recursive: true, force: true });
  });

  it('puts back what its last push replaced, once', () => {
    expect(push('--undo')).toEqual(done);
    expect(server()).toBe('first');
    expect(push('--undo')).toEqual(done);
    expect(server()).toBe('first');
  });

  it('does not put back what an earlier push replaced when the next one fails before it changes anything', () => {
    wanted('third');
    fail('export');
    expect(push()).toMatchObject({ code: 1, stderr: expect.stringContaining('nothing was changed') });
    expect(push('--undo')).toEqual(done);
    expect(server()).toBe('second');
  });

  it('loses nothing that was changed on the server since, unless it is told to', () => {
    server('work in the studio');
    expect(push('--undo')).toMatchObject({ code: 3, stderr: expect.stringContaining('--undo --force') });
    expect(server()).toBe('work in the studio');
    // That work taken over into the repository is still not what the push left.
    wanted('work in the studio');
    expect(push('--check')).toEqual(done);
    expect(push('--undo')).toMatchObject({ code: 3 });
    expect(push('--undo', '--force')).toEqual(done);
    expect(server()).toBe('first');
  });

  it('undoes a push that failed half way without a question', () => {
    wanted('third');
    fail('push');
    expect(push()).toMatchObject({ code: 4, stderr: expect.stringContaining('--undo') });
    expect(server()).toBe('half of it');
    expect(push('--undo')).toEqual(done);
    expect(server()).toBe('second');
  });

  it('ends with 4 when the training fails after a push, and with 1 when there was nothing to push', () => {
    fail('train');
    expect(push()).toMatchObject({ code: 1 });
    wanted('third');
    expect(push()).toMatchObject({ code: 4 });
    fail();
    expect(push('--undo')).toEqual(done);
    expect(server()).toBe('second');
  });
});

/** content.sh against a server that speaks as Botpress does: token in a cookie, its other half in the body. */
describe('the training of bots', () => {
  let folder: string;
  let server: Server;
  let states: string[];
  let asked: string[];

  beforeAll(async () => {
    folder = writeAll(files);
    write(folder, 'secrets/admin-password', 'a "quoted" \\ password\n', 0o600);
    const content = join(folder, 'server');
    write(content, 'bots/support/bot.config.json', '{"languages": ["en", "fr"]}', 0o644);
    write(content, 'bots/support/intents/order.json', '{}', 0o644);
    execFileSync('tar', ['-czf', join(folder, 'archive'), '-C', content, '.']);
    server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk) => (body += chunk));
      request.on('end', () => {
        const { method, url = '', headers } = request;
        if (url.includes('/login/')) {
          const right = JSON.parse(body).password === 'a "quoted" \\ password';
          response.writeHead(right ? 200 : 401, { 'set-cookie': 'jwtToken=a.b.c; HttpOnly' });
          return response.end('{"payload":{"csrf":"other-half","exp":1}}');
        }
        if (headers.cookie !== 'jwtToken=a.b.c' || headers['csrf-token'] !== 'other-half') {
          response.writeHead(401);
          return response.end();
        }
        if (url.endsWith('/bpfs_status')) return response.end('{"isAvailable":true}');
        if (url.endsWith('/export')) return response.end(readFileSync(join(folder, 'archive')));
        asked.push(`${method} ${url}`);
        if (method === 'POST') return response.end('{}');
        return response.end(JSON.stringify({ status: states.shift() ?? 'done', progress: 0.5 }));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  });
  beforeEach(() => {
    asked = [];
    states = [];
  });
  afterAll(() => {
    server.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const train = () =>
    promisify(execFile)(join(folder, 'botpress/content.sh'), ['train'], {
      env: {
        PATH: process.env['PATH'],
        BOTPRESS_PORT: String((server.address() as AddressInfo).port),
        SECRETS_DIR: join(folder, 'secrets'),
        BP_ADMIN_EMAIL: 'ops@acme.example',
      },
    }).then(
      ({ stdout }) => ({ code: 0, stdout, stderr: '' }),
      ({ code, stdout, stderr }) => ({ code, stdout, stderr }),
    );

  it('trains each language of a bot that has intents, and waits for the end', async () => {
    states = ['training'];
    const { code, stdout } = await train();
    expect({ code, stdout }).toEqual({ code: 0, stdout: 'trained support (en)\ntrained support (fr)\n' });
    expect(asked).toEqual([
      'POST /api/v1/bots/support/mod/nlu/train/en',
      'GET /api/v1/bots/support/mod/nlu/training/en',
      'GET /api/v1/bots/support/mod/nlu/training/en',
      'POST /api/v1/bots/support/mod/nlu/train/fr',
      'GET /api/v1/bots/support/mod/nlu/training/fr',
    ]);
  });

  it('fails when a training fails', async () => {
    states = ['errored'];
    expect(await train()).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('the training of support (en) failed'),
    });
  });

  it('says so when the password is not that of the server', async () => {
    write(folder, 'secrets/admin-password', 'another\n', 0o600);
    expect(await train()).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('refuses ops@acme.example'),
    });
  });
});

describe('every command', () => {
  const folder = writeAll(files);
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  const commands = ['lint', 'scan', 'trial', 'smoke', 'certificate', 'push-content', 'release', 'remote'];
  const run = (command: string, ...args: string[]) =>
    spawnSync(join(folder, 'bin', command), args, {
      cwd: folder,
      encoding: 'utf8',
      env: { PATH: process.env['PATH'] },
    });

  it.each(commands)('bin/%s explains itself and its exit codes', (command) => {
    const { status, stdout } = run(command, '--help');
    expect(status).toBe(0);
    expect(stdout).toMatch(new RegExp(`^Usage: bin/${command} `));
    expect(stdout).toMatch(/Ends with/);
  });

  it.each([
    ['lint', 'nothing'],
    ['lint', '--what'],
    ['scan', 'nothing'],
    ['scan', 'images', '--accept', '0'],
    ['scan', 'images', '--accept', '181'],
    ['scan', '--accept', '30'],
    ['trial', 'nowhere'],
    ['smoke', 'ftp://a.example'],
    ['certificate', '--days', 'x'],
    ['certificate', 'development'],
    ['push-content', '--what'],
    ['release'],
    ['release', 'staging', '--smoke-from', 'nowhere'],
    ['remote'],
    ['remote', '../up'],
  ])('bin/%s %s ends with 2', (command, ...args) => {
    const { status, stderr } = run(command, ...args);
    expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining(`bin/${command}: `) });
  });
});
