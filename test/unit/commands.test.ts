import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { spawn, spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { deriveDeployment } from '../../src/deployment/deployment.ts';
import { renderArtefacts } from '../../src/rendering/artefact.ts';
import { buildPlan } from '../../generators/plan.ts';
import { parseAnswers } from '../../generators/gate.ts';
import { answersWith, withAnswers } from './answers/sample.ts';

jest.setTimeout(60_000);

const commands = ['check', 'compose', 'down', 'logs', 'rotate', 'secure-database', 'status', 'up'];
const libraries = readdirSync(join(import.meta.dirname, '../../templates/app/bin/lib'), { recursive: true })
  .map(String)
  .filter((name) => name.endsWith('.sh.ejs'))
  .map((name) => `bin/lib/${name.replace(/\.ejs$/, '')}`);

const templates = [
  'compose.yaml',
  'compose._environment_.yaml',
  '.env._environment_.example',
  'nginx/active-upstream.conf',
  'botpress/channels.sh',
  'botpress/channels/_bot_/_channel_.json',
  ...commands.map((name) => `bin/${name}`),
  ...libraries,
].map((template) => ({ template }));

const settings = {
  domain: 'bot.acme.example',
  contact: 'ops@acme.example',
  edition: 'pro',
  environments: [
    { name: 'development', httpPort: 39381 },
    'staging',
    { name: 'production', tls: 'provided', bind: '127.0.0.1' },
  ],
  channels: ['web', 'messenger', 'slack', 'telegram'],
  tls: 'self-signed',
  'database.retentionDays': 0,
  'backup.targets': [],
  ci: 'none',
  monitoring: false,
};
const answers = answersWith(settings);

/**
 * Stands in for the engine: notes each call and the environment that matters, and has whatever was started healthy.
 * DOCKER_COMPOSE_VERSION, DOCKER_DOWN, DOCKER_SECURE and DOCKER_REFUSED (a channel) set its faults,
 * DOCKER_HANGS too: services whose start does not come to an end. DOCKER_STACK=service|container and
 * DOCKER_COMPOSE_RUNS have something run already.
 */
const docker = String.raw`#!/usr/bin/env bash
printf '%s\n' "ENVIRONMENT=$ENVIRONMENT $*" >>"$DOCKER_CALLS"

# As the routes of the messaging server answer to nobody in particular.
answer_webhook() {
  local request code=401
  request=$(tr -d '\r')
  printf '%s\n' "$request" >>"$DOCKER_CALLS.requests"
  case $request in
    'POST '*"/${'$'}{DOCKER_REFUSED:-none}"\ HTTP/*) code=404 ;;
    'POST '*/telegram\ HTTP/*) code=404 ;;
    'POST '*/messenger\ HTTP/*X-Hub-Signature:*) code=403 ;;
    'POST '*/messenger\ HTTP/*) code=500 ;;
  esac
  printf 'HTTP/1.1 %s x\r\n\r\n' "$code"
}

case "$*" in
  info*DockerRootDir*) echo /nowhere ;;
  info*SecurityOptions*) echo "[name=seccomp,profile=builtin ${'$'}{DOCKER_OPTION:-name=cgroupns}]" ;;
  info*ControlAvailable*) echo true ;;
  info*) [[ -z $DOCKER_DOWN ]] ;;
  'compose version --short') echo "${'$'}{DOCKER_COMPOSE_VERSION:-2.40.3}" ;;
  *'config --services') printf '%s\n' postgres nginx volume-owner ;;
  *" up --detach ${'$'}{DOCKER_HANGS:-nothing}") echo $$ >"$DOCKER_CALLS.hanging"; exec sleep 300 ;;
  *' up --detach '*) printf '%s\n' "${'$'}{@: -1}" >/dev/null; : >"$DOCKER_STARTED" ;;
  *' exec -T postgres sha256sum '*)
    for file in "$@"; do
      [[ $file != /run/secrets/* ]] || printf '%s  %s\n' "$(sha256sum <"$DOCKER_SEEN/${'$'}{file##*/}" | cut -d ' ' -f 1)" "$file"
    done
    ;;
  *' restart postgres') ln -f "${'$'}{DOCKER_SEEN%/seen}"/secrets/botpress-password "$DOCKER_SEEN/" ;;
  *secure.sh*) echo 'database: as it should be'; exit "${'$'}{DOCKER_SECURE:-0}" ;;
  *' exec -T botpress-blue '*/dev/tcp/*) answer_webhook ;;
  ps*publish=*) ;;
  ps*stack.namespace=*) [[ $DOCKER_STACK != container ]] || echo 0123456789ab ;;
  'service inspect '*) [[ $DOCKER_STACK == service ]] ;;
  ps*) [[ ! -e $DOCKER_STARTED && -z $DOCKER_COMPOSE_RUNS ]] || echo 0123456789ab ;;
  'inspect --format {{index'*RestartCount*)
    for service in nginx postgres volume-owner botpress-blue botpress-green; do
      echo "$service|running|healthy|0|unless-stopped|0|2999-01-01T00:00:00.5Z|image"
    done
    ;;
  inspect*StartedAt*Mounts*)
    [[ -z $DOCKER_SEEN ]] || echo 'postgres|2999-01-01T00:00:00.5Z|/var/lib/postgresql/data /run/secrets/botpress-password '
    echo 'botpress-blue|2999-01-01T00:00:00.5Z|/run/secrets/app-secret '
    ;;
  inspect*StartedAt*) echo 2999-01-01T00:00:00.5Z ;;
  'network inspect'*) exit 1 ;;
  'run '*)
    if [[ $* == *'openssl req'* ]]; then
      printf '%s\n' '-----BEGIN CERTIFICATE-----' MADE '-----END CERTIFICATE-----' '-----BEGIN PRIVATE KEY-----' KEY '-----END PRIVATE KEY-----'
    else
      echo 'days=300 key=yes host=yes signed=self'
    fi
    ;;
esac
`;

let root: string;
let outside: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'commands-'));
  outside = mkdtempSync(join(tmpdir(), 'docker-'));
  for (const { path, content } of renderArtefacts('app', templates, deriveDeployment(answers))) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
    if (/^bin\/[^.]+$/.test(path)) chmodSync(join(root, path), 0o755);
  }
  writeFileSync(join(outside, 'docker'), docker, { mode: 0o755 });
});

afterEach(() => {
  for (const folder of [root, outside]) rmSync(folder, { recursive: true, force: true });
});

function run(command: string, args: string[] = [], environment: Record<string, string> = {}) {
  const { status, stdout, stderr } = spawnSync(join(root, 'bin', command), args, {
    encoding: 'utf8',
    cwd: tmpdir(),
    input: '',
    timeout: 30_000,
    env: { ...environmentOf(), ...environment },
  });
  return { code: status, out: stdout, err: stderr };
}

const environmentOf = () => ({
  PATH: `${outside}:${process.env['PATH']}`,
  DOCKER_CALLS: join(outside, 'calls'),
  DOCKER_STARTED: join(outside, 'started'),
});

const calls = () =>
  existsSync(join(outside, 'calls')) ? readFileSync(join(outside, 'calls'), 'utf8').trim().split('\n') : [];
const at = (...path: string[]) => join(root, ...path);
const mode = (...path: string[]) => (statSync(at(...path)).mode & 0o777).toString(8);

/** Every file below a folder with its content. */
function tree(folder: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => {
        const path = join(entry.parentPath, entry.name);
        return [path.slice(folder.length + 1), readFileSync(path, 'utf8')];
      }),
  );
}

describe.each(commands)('bin/%s', (command) => {
  it('explains itself and its exit codes', () => {
    for (const flag of ['--help', '-h']) {
      const { code, out, err } = run(command, [flag]);
      expect({ code, err }).toEqual({ code: 0, err: '' });
      expect(out).toContain(`Usage: bin/${command}`);
      expect(out).toMatch(/^Ends with /m);
      expect(out).toContain('development staging production');
    }
  });

  it('refuses an unknown environment with the list of those there are', () => {
    const words = { compose: ['nowhere', 'ps'], rotate: ['nowhere', 'app-secret'] }[command] ?? ['nowhere'];
    const { code, out, err } = run(command, words);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toBe(
      `bin/${command}: unknown environment nowhere\n  → choose one of: development staging production\n`,
    );
    expect(calls()).toEqual([]);
  });

  it('refuses an unknown option', () => {
    const words = { compose: ['--unknown'] }[command] ?? ['--unknown'];
    const { code, err } = run(command, words);
    expect(code).toBe(2);
    expect(err).toContain(`see bin/${command} --help`);
    expect(calls()).toEqual([]);
  });
});

describe('bin/compose', () => {
  it('puts the files together: the stack, its parts, the environment; and nothing of another environment', () => {
    writeFileSync(at('compose.backup.yaml'), 'services: {}\n');
    writeFileSync(at('compose.former.yaml'), 'services: {}\n');
    writeFileSync(at('.env.former'), '');
    // The shell's own variable would choose another environment's secrets.
    expect(run('compose', ['staging', 'ps', '--all'], { ENVIRONMENT: 'production' }).code).toBe(0);
    expect(calls()).toEqual([
      `ENVIRONMENT=staging compose --project-name acme-bot-staging --project-directory ${root}` +
        ` --file ${root}/compose.yaml --file ${root}/compose.backup.yaml --file ${root}/compose.staging.yaml` +
        ` --env-file ${root}/.env.staging.example ps --all`,
    ]);
  });

  it('takes the variables of this machine where there are some', () => {
    writeFileSync(at('.env.staging'), 'ENVIRONMENT=staging\n');
    run('compose', ['staging', 'ps']);
    expect(calls()[0]).toContain(` --env-file ${root}/.env.staging ps`);
  });
});

describe('bin/up', () => {
  beforeEach(() => {
    mkdirSync(at('secrets/development'), { recursive: true, mode: 0o700 });
    writeFileSync(at('secrets/development/license-key'), 'licence');
  });

  it('makes what a fresh clone lacks, and shows no secret anywhere', () => {
    const { code, out, err } = run('up');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(mode('.env.development')).toBe('600');
    expect(mode('secrets')).toBe('700');
    expect(mode('secrets/development')).toBe('700');
    // Plain HTTP: it is mounted all the same, and Docker would make it as root.
    expect(mode('secrets/development/tls')).toBe('755');
    const secrets = tree(at('secrets/development'));
    const random = Object.entries(secrets).filter(([name]) => /-password$|^app-secret$/.test(name));
    expect(random.map(([name]) => name).sort()).toEqual(
      deriveDeployment(answers)
        .randomSecrets.map(({ name }) => name)
        .sort(),
    );
    expect(new Set(random.map(([, value]) => value)).size).toBe(random.length);
    const shown = out + calls().join('\n');
    for (const [name, value] of random) {
      expect(value).toMatch(/^[A-Za-z0-9_-]{43}$/);
      expect(mode('secrets/development', name)).toBe('644');
      expect(shown).not.toContain(value);
    }
    expect(secrets['channels-support.env']).toMatch(/^SLACK_BOT_TOKEN=$/m);
    expect(readFileSync(at('state/development/nginx/active-upstream.conf'), 'utf8')).toBe(
      readFileSync(at('nginx/active-upstream.conf'), 'utf8'),
    );
    expect(mode('state/development/nginx/active-upstream.conf')).toBe('644');
    expect(out).toContain('development is up: http://localhost:39381');
    expect(out).toContain('password in secrets/development/admin-password');
    expect(out).toContain('bot support: slack is off: no credentials in channels-support.env');
    // The idle colour stays down.
    expect(calls().find((call) => call.includes('up --detach postgres nginx'))).toMatch(
      /up --detach postgres nginx volume-owner botpress-blue$/,
    );
  });

  it('opens what containers mount to their users after a clone under umask 077, and nothing else', () => {
    const close = (folder: string) => {
      chmodSync(folder, 0o700);
      for (const entry of readdirSync(folder, { withFileTypes: true })) {
        const path = join(folder, entry.name);
        if (entry.isDirectory()) close(path);
        else if (entry.isFile()) chmodSync(path, statSync(path).mode & 0o700);
      }
    };
    mkdirSync(at('mine'));
    writeFileSync(at('compose.mine.yaml'), "services: { mine: { volumes: ['./mine:/mine:ro'] } }\n");
    mkdirSync(at('nginx/development'));
    writeFileSync(at('nginx/development/server.conf'), '#\n');
    chmodSync(at('botpress/channels.sh'), 0o755);
    close(root);
    const { code, out } = run('up');
    expect(code).toBe(0);
    expect(out).toContain('opened to the users of the containers');
    const modes = (...paths: string[]) => Object.fromEntries(paths.map((path) => [path, mode(path)]));
    const opened = {
      botpress: '755',
      'botpress/channels': '755',
      'botpress/channels/support': '755',
      'botpress/channels/support/slack.json': '644',
      'botpress/channels.sh': '755',
      'nginx/development': '755',
      'nginx/development/server.conf': '644',
    };
    const closed = {
      mine: '700',
      nginx: '700',
      secrets: '700',
      'secrets/development': '700',
      '.env.development': '600',
      'bin/up': '700',
      'compose.yaml': '600',
    };
    expect(modes(...Object.keys(opened))).toEqual(opened);
    expect(modes(...Object.keys(closed))).toEqual(closed);
    expect(run('up').out).not.toContain('opened to the users');
  });

  it('says whose files they are when it may not open them', () => {
    chmodSync(at('botpress'), 0o700);
    writeFileSync(join(outside, 'chmod'), '#!/bin/sh\nexit 1\n', { mode: 0o755 });
    const { code, err } = run('up');
    expect(code).toBe(1);
    expect(err).toContain(`containers cannot read ${at('botpress')}, and it belongs to somebody else`);
    expect(err).toMatch(/chmod -R go\+rX .*botpress/);
    expect(calls().some((call) => call.includes('up --detach'))).toBe(false);
  });

  it('leaves everything as it is when it runs again', () => {
    run('up');
    appendFileSync(at('.env.development'), 'MINE=1\n');
    writeFileSync(at('secrets/development/app-secret'), 'chosen-by-hand');
    const before = tree(root);
    expect(run('up').code).toBe(0);
    expect(tree(root)).toEqual({ ...before, 'state/development/lock.owner': expect.any(String) });
  });

  it('starts the colour that serves after a rollout', () => {
    mkdirSync(at('state/development/nginx'), { recursive: true });
    writeFileSync(
      at('state/development/nginx/active-upstream.conf'),
      readFileSync(at('nginx/active-upstream.conf'), 'utf8').replace('default blue;', 'default green;'),
    );
    expect(run('up').code).toBe(0);
    const [start] = calls().filter((call) => call.includes('up --detach postgres nginx'));
    expect(start).toContain(' botpress-green');
    expect(start).not.toContain(' botpress-blue');
  });

  it('changes nothing with --dry-run', () => {
    const before = tree(root);
    const { code, out } = run('up', ['--dry-run']);
    expect(code).toBe(0);
    expect(out).toContain('make secrets/development/app-secret');
    expect(out).toContain('start botpress-blue');
    expect(tree(root)).toEqual(before);
    expect(calls().some((call) => / (up|run|exec|create) /.test(call))).toBe(false);
  });

  it('makes a self-signed certificate where the environment has one', () => {
    mkdirSync(at('secrets/staging'), { recursive: true });
    writeFileSync(at('secrets/staging/license-key'), 'licence');
    const { code, out } = run('up', ['staging']);
    expect(code).toBe(0);
    expect(out).toContain('The certificate is self-signed');
    expect(readFileSync(at('secrets/staging/tls/fullchain.pem'), 'utf8')).toBe(
      '-----BEGIN CERTIFICATE-----\nMADE\n-----END CERTIFICATE-----\n',
    );
    expect(readFileSync(at('secrets/staging/tls/privkey.pem'), 'utf8')).toBe(
      '-----BEGIN PRIVATE KEY-----\nKEY\n-----END PRIVATE KEY-----\n',
    );
    expect([mode('secrets/staging/tls'), mode('secrets/staging/tls/privkey.pem')]).toEqual(['755', '644']);
    expect(calls().join('\n')).toMatch(
      /run --rm --interactive --network none --log-driver none [^]*openssl req[^]* openssl staging\.bot\.acme\.example staging\.bot\.acme\.example$/m,
    );
  });

  it('names the files where a certificate has to be provided', () => {
    const { code, err } = run('up', ['production']);
    expect(code).toBe(1);
    expect(err).toContain('there is no certificate for bot.acme.example');
    expect(err).toContain('into secrets/production/tls/fullchain.pem');
    expect(err).toContain('into secrets/production/tls/privkey.pem');
    expect(calls().some((call) => call.includes('up --detach'))).toBe(false);
  });

  it.each([
    ['', 'secrets/development/license-key is empty'],
    ['changeme', 'secrets/development/license-key is a placeholder'],
  ])('does not start with a licence key of %j', (value, reason) => {
    writeFileSync(at('secrets/development/license-key'), value);
    const { code, err } = run('up');
    expect(code).toBe(1);
    expect(err).toContain(reason);
    expect(calls().some((call) => call.includes('up --detach'))).toBe(false);
  });

  const switchOnChannels = () =>
    writeFileSync(
      at('secrets/development/channels-support.env'),
      ['APP_ID', 'APP_SECRET', 'VERIFY_TOKEN', 'PAGE_ID', 'ACCESS_TOKEN']
        .map((name) => `MESSENGER_${name}=given`)
        .concat(
          'SLACK_BOT_TOKEN=given',
          'SLACK_SIGNING_SECRET=given',
          'TELEGRAM_BOT_TOKEN=12345:hidden-token',
        )
        .join('\n'),
    );

  it('asks the webhook of each channel where it is, and never with its credentials', () => {
    switchOnChannels();
    const { code, out, err } = run('up');
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toContain('/api/v1/messaging/webhooks/v1/support/messenger');
    expect(out).not.toContain('/support/telegram');
    const { out: report } = run('check', ['--json']);
    for (const channel of ['messenger', 'slack', 'telegram'])
      expect(report).toContain(`${channel} of support answers`);
    expect(out + report + readFileSync(join(outside, 'calls.requests'), 'utf8')).not.toContain(
      'hidden-token',
    );
  });

  it('starts what visitors do not need although a channel was refused, and ends with 1', () => {
    switchOnChannels();
    mkdirSync(at('bin/lib/parts'), { recursive: true });
    writeFileSync(at('bin/lib/parts/gadget.sh'), "COMPANIONS[gadget]='volume-owner'\n");
    const { code, err } = run('up', [], { DOCKER_REFUSED: 'slack' });
    expect(code).toBe(1);
    expect(err).toContain('the channels of the bot support are not: slack was refused');
    expect(calls().filter((call) => call.endsWith('up --detach volume-owner'))).toHaveLength(1);
  });

  it.each([
    ['what a start cannot do without', 'postgres', 1],
    ['a companion', 'volume-owner', 0],
  ])('leaves no compose behind that waits for %s, and no lock', (_name, service, expected) => {
    mkdirSync(at('bin/lib/parts'), { recursive: true });
    writeFileSync(at('bin/lib/parts/gadget.sh'), "COMPANIONS[gadget]='volume-owner'\n");
    const { code, err } = run('up', ['--timeout', '2'], { DOCKER_HANGS: service });
    expect({ code, err }).toEqual({ code: expected, err: expect.stringContaining('bin/up development') });
    const hanging = Number(readFileSync(join(outside, 'calls.hanging'), 'utf8'));
    expect(() => process.kill(hanging, 0)).toThrow('ESRCH');
    expect(run('up', [], { LOCK_WAIT: '0' })).toMatchObject({ code: 0, err: '' });
  });

  it('lets go of the lock when it is killed, though its compose goes on', async () => {
    const up = spawn(at('bin/up'), [], {
      stdio: 'ignore',
      env: { ...environmentOf(), DOCKER_HANGS: 'postgres' },
    });
    const ended = new Promise((resolve) => up.on('exit', resolve));
    const file = join(outside, 'calls.hanging');
    while (!existsSync(file) || readFileSync(file, 'utf8') === '') await sleep(50);
    up.kill('SIGKILL');
    await ended;
    try {
      // What it ran at that moment, like sleep 1, may hold it a little longer.
      expect(run('up', [], { LOCK_WAIT: '20' }).code).toBe(0);
    } finally {
      process.kill(Number(readFileSync(file, 'utf8')));
    }
  });

  it('names the compose release it needs', () => {
    const { code, err } = run('up', [], { DOCKER_COMPOSE_VERSION: '2.9.1' });
    expect(code).toBe(1);
    expect(err).toContain('docker compose is 2.9.1');
    expect(err).toContain('2.24.0 or newer');
    expect(existsSync(at('.env.development'))).toBe(false);
  });

  it('says that the engine does not answer', () => {
    const { code, err } = run('up', [], { DOCKER_DOWN: '1' });
    expect(code).toBe(1);
    expect(err).toContain('the Docker engine does not answer');
  });

  it('says that a port is taken, before anything is started', async () => {
    const server = createServer();
    const port = await new Promise<number>((resolve) =>
      server.listen(0, '127.0.0.1', () => resolve((server.address() as AddressInfo).port)),
    );
    writeFileSync(
      at('.env.development'),
      `${readFileSync(at('.env.development.example'), 'utf8')}\nHTTP_PORT=${port}\n`,
    );
    const { code, err } = run('up');
    server.close();
    expect(code).toBe(1);
    expect(err).toContain(`port ${port} of this machine is taken`);
    expect(calls().some((call) => call.includes('up --detach'))).toBe(false);
  });
});

describe('bin/down', () => {
  it('keeps the data unless it is told twice', () => {
    expect(run('down', ['staging']).code).toBe(0);
    expect(calls().at(-1)).toMatch(/--profile \* down --remove-orphans$/);
    const before = calls().length;
    const { code, err } = run('down', ['staging', '--volumes']);
    expect(code).toBe(2);
    expect(err).toContain('--volumes deletes the data of staging: add --yes');
    expect(calls()).toHaveLength(before);
    expect(run('down', ['staging', '--volumes', '--yes']).code).toBe(0);
    expect(calls().at(-1)).toMatch(/down --remove-orphans --volumes$/);
  });
});

describe('bin/rotate', () => {
  it('lists the secrets without their values', () => {
    mkdirSync(at('secrets/development'), { recursive: true });
    writeFileSync(at('secrets/development/app-secret'), 'hidden-value');
    const { code, out } = run('rotate', ['--list']);
    expect(code).toBe(0);
    expect(out).toMatch(/^app-secret +\d{4}-\d\d-\d\d +random /m);
    expect(out).toMatch(/^license-key +missing +yours /m);
    expect(out).not.toContain('hidden-value');
  });

  it('refuses what is not random, and says how it is changed', () => {
    const { code, err } = run('rotate', ['staging', 'channels-support.env']);
    expect(code).toBe(2);
    expect(err).toContain('change secrets/staging/channels-support.env, then run bin/up staging');
    expect(run('rotate', ['nonsense']).code).toBe(2);
  });

  it('takes the former value back when the database refuses', () => {
    mkdirSync(at('secrets/development'), { recursive: true });
    writeFileSync(at('secrets/development/botpress-password'), 'former');
    writeFileSync(join(outside, 'started'), '');
    const { code, err } = run('rotate', ['botpress-password'], { DOCKER_SECURE: '1' });
    expect(code).toBe(1);
    expect(err).toContain('botpress-password is taken back');
    expect(readFileSync(at('secrets/development/botpress-password'), 'utf8')).toBe('former');
  });

  it('changes a secret in its file, so that running containers see it', () => {
    mkdirSync(at('secrets/development'), { recursive: true });
    const file = at('secrets/development/app-secret');
    writeFileSync(file, 'former');
    writeFileSync(join(outside, 'started'), '');
    const { ino } = statSync(file);
    const { code, out } = run('rotate', ['app-secret']);
    expect(code).toBe(0);
    expect(statSync(file).ino).toBe(ino);
    const value = readFileSync(file, 'utf8');
    expect(value).toMatch(/^[A-Za-z0-9_-]{43}$/);
    expect(out + calls().join('\n')).not.toContain(value);
    expect(calls().some((call) => call.endsWith('restart botpress-blue'))).toBe(true);
  });
});

describe('a secret whose file was replaced by another', () => {
  const file = () => at('secrets/development/botpress-password');
  const see = () => ({ DOCKER_SEEN: join(outside, 'seen') });
  const restarts = () => calls().filter((call) => call.endsWith(' restart postgres'));

  beforeEach(() => {
    mkdirSync(at('secrets/development'), { recursive: true, mode: 0o700 });
    writeFileSync(at('secrets/development/license-key'), 'licence');
    expect(run('up').code).toBe(0);
    // A mount is the file that was there at the start, as a hard link is.
    mkdirSync(join(outside, 'seen'));
    symlinkSync(at('secrets/development'), join(outside, 'secrets'));
    linkSync(file(), join(outside, 'seen/botpress-password'));
  });
  const replace = () => {
    writeFileSync(`${file()}.new`, 'replaced-by-an-editor');
    renameSync(`${file()}.new`, file());
  };

  it('is seen by PostgreSQL before bin/up sets the passwords', () => {
    writeFileSync(file(), 'written-in-place');
    expect(run('up', [], see()).code).toBe(0);
    expect(restarts()).toEqual([]);
    replace();
    rmSync(join(outside, 'calls'));
    const { code, out, err } = run('up', [], see());
    expect({ code, err }).toEqual({ code: 0, err: '' });
    expect(out).toContain('postgres is restarted: the file of one of its secrets was replaced');
    expect(restarts()).toHaveLength(1);
    const order = calls().map((call) => call.replace(/.* (restart|exec -T) postgres(?: (\S+))?.*/, '$1 $2'));
    expect(order.indexOf('restart ')).toBeLessThan(order.indexOf('exec -T /opt/database/secure.sh'));
    expect(out + calls().join('\n')).not.toContain('replaced-by-an-editor');
    expect(run('up', [], see()).out).not.toContain('was replaced');
  });

  it('is seen before bin/secure-database works, which only tells of it with --check', () => {
    replace();
    expect(run('secure-database', ['--check'], see())).toMatchObject({
      code: 3,
      out: expect.stringContaining('former file'),
    });
    expect(run('check', ['--json'], see()).out).toContain(
      'PostgreSQL sees a former file of one of its secrets',
    );
    expect(restarts()).toEqual([]);
    expect(run('secure-database', [], see()).code).toBe(0);
    expect(restarts()).toHaveLength(1);
    expect(run('secure-database', ['--check'], see()).code).toBe(0);
  });

  it('can be rotated', () => {
    replace();
    expect(run('rotate', ['botpress-password'], see())).toMatchObject({ code: 0, err: '' });
    expect(restarts()).toHaveLength(1);
    expect(readFileSync(join(outside, 'seen/botpress-password'), 'utf8')).toBe(readFileSync(file(), 'utf8'));
  });
});

describe('bin/check', () => {
  const checklist = [
    'Environment variables configured',
    'Database connection tested',
    'Redis connection established',
    'SSL certificates installed',
    'Firewall rules configured',
    'Monitoring tools set up',
    'Backup strategy implemented',
    'Health checks working',
    'Load balancer configured',
    'CDN set up for static assets',
    'Alert system tested',
    'Rollback plan documented',
    'Team notified of deployment',
  ];
  interface Check {
    name: string;
    title: string;
    result: string;
    findings: { reason: string; mend: string }[];
  }
  const check = (...args: string[]) => {
    const { code, out, err } = run('check', [...args, '--json']);
    expect(err).toBe('');
    const report = JSON.parse(out) as { environment: string; passed: boolean; checks: Check[] };
    const line = (name: string) => report.checks.find((entry) => entry.name === name) as Check;
    return { code, report, line };
  };

  it('goes through the checklist line by line, and every failure says how it is mended', () => {
    const { code, report } = check();
    expect(code).toBe(3);
    expect(report).toMatchObject({ environment: 'development', passed: false });
    expect(report.checks.slice(0, 13).map(({ title }) => title)).toEqual(checklist);
    for (const { result, findings } of report.checks) {
      expect(['pass', 'fail', 'not applicable']).toContain(result);
      expect(findings.length).toBeGreaterThan(0);
      for (const { reason } of findings) expect(reason).not.toBe('');
      if (result === 'fail') expect(findings[0]?.mend).not.toBe('');
    }
  });

  it('shows the same to people, without colours when nobody looks', () => {
    const { code, out } = run('check');
    expect(code).toBe(3);
    expect(out).not.toContain('\u001b');
    for (const title of checklist) expect(out).toMatch(new RegExp(`^(pass|FAIL|n/a )  ${title}$`, 'm'));
  });

  it('lets a part bring its own probe', () => {
    expect(check().line('backups')).toMatchObject({
      result: 'not applicable',
      findings: [{ reason: 'the part backup is not in this repository' }],
    });
    writeFileSync(at('bin/lib/checks/backups.sh'), 'check_backups() { passed \'a backup of "today"\'; }\n');
    expect(check().line('backups')).toMatchObject({
      result: 'pass',
      findings: [{ reason: 'a backup of "today"' }],
    });
  });

  it('finds what is missing or a placeholder among variables and secrets, and never shows a secret', () => {
    mkdirSync(at('secrets/development'), { recursive: true });
    writeFileSync(at('secrets/development/app-secret'), 'changeme');
    writeFileSync(at('secrets/development/admin-password'), 'the-real-one');
    writeFileSync(at('.env.development'), 'ENVIRONMENT=development\nADMIN_EMAIL=changeme\n');
    const { report, line } = check();
    const reasons = line('environment-variables').findings.map(({ reason }) => reason);
    expect(reasons).toContain('ADMIN_EMAIL in .env.development is a placeholder');
    expect(reasons).toContain('.env.development lacks RETENTION_DAYS, which .env.development.example has');
    expect(reasons).toContain('secrets/development/app-secret is a placeholder');
    expect(reasons).toContain('secrets/development/license-key is missing');
    expect(JSON.stringify(report)).not.toContain('the-real-one');
  });

  it('finds secrets in git', () => {
    const git = (...args: string[]) => spawnSync('git', ['-C', root, ...args], { encoding: 'utf8' });
    mkdirSync(at('secrets/development'), { recursive: true });
    writeFileSync(at('secrets/development/app-secret'), 'x');
    writeFileSync(at('secrets/.gitignore'), '');
    git('init', '-q');
    git('add', '--force', 'secrets', '.env.development.example');
    const { result, findings } = check().line('secrets');
    expect(result).toBe('fail');
    const reasons = findings.map(({ reason }) => reason);
    expect(reasons).toContain('in git: secrets/development/app-secret');
    expect(reasons).toContain('git does not ignore secrets/');
  });

  it('fails where Docker runs rootless and private addresses may open the administration', () => {
    const firewall = (option: string) => {
      const { out } = run('check', ['--json'], { DOCKER_OPTION: option });
      const { checks } = JSON.parse(out) as { checks: Check[] };
      return JSON.stringify(checks.find(({ title }) => title === 'Firewall rules configured'));
    };
    expect(firewall('name=rootless')).toMatch(/"fail".*rootless.*10\.0\.0\.0\/8.*access\.admin/);
    expect(firewall('name=cgroupns')).not.toContain('rootless');
    const deployment = deriveDeployment({
      ...answers,
      access: {
        ...answers.access,
        admin: ['192.0.2.0/24', '172.18.0.0/16', '2001:db8::/32', '0.0.0.0/0', '11.0.0.0/8'],
      },
    });
    expect(deployment.access.adminFromPrivate).toEqual(['172.18.0.0/16', '0.0.0.0/0']);
  });

  it('looks for the way back in the runbook', () => {
    expect(check().line('rollback').result).toBe('fail');
    mkdirSync(at('docs'));
    writeFileSync(at('docs/runbook.md'), '# Runbook\n\n## Rollback\n');
    expect(check().line('rollback')).toMatchObject({ result: 'pass' });
  });
});

describe('beside a stack of a Swarm', () => {
  beforeEach(() => {
    for (const { path, content } of buildPlan(
      parseAnswers(withAnswers({ ...settings, 'scaling.target': 'swarm' })),
    ).files.filter((file) => !file.path.startsWith('secrets/'))) {
      mkdirSync(dirname(join(root, path)), { recursive: true });
      writeFileSync(join(root, path), content);
      if (/^bin\/[^.]+$/.test(path)) chmodSync(join(root, path), 0o755);
    }
    mkdirSync(at('secrets/development'), { recursive: true, mode: 0o700 });
    writeFileSync(at('secrets/development/license-key'), 'licence');
  });

  it.each([
    ['up', []],
    ['up', ['--dry-run']],
    ['compose', ['development', 'up', '--detach']],
    ['compose', ['development', '--profile', 'nlu', 'restart', 'postgres']],
  ])('bin/%s %j starts nothing, whether services or containers of the stack are seen', (command, args) => {
    for (const DOCKER_STACK of ['service', 'container']) {
      const { code, err } = run(command, args, { DOCKER_STACK });
      expect(code).toBe(1);
      expect(err).toContain('development runs here as a stack of the Swarm');
      expect(err).toContain('bin/swarm up development');
    }
    expect(calls().filter((call) => / compose /.test(call) && !call.includes('compose version'))).toEqual([]);
    expect(existsSync(at('secrets/development/app-secret'))).toBe(false);
  });

  it('what starts nothing works beside it, and all of it without one', () => {
    expect(run('compose', ['development', 'ps'], { DOCKER_STACK: 'service' }).code).toBe(0);
    expect(
      run('compose', ['development', 'exec', 'nginx', 'run', 'up'], { DOCKER_STACK: 'service' }).code,
    ).toBe(0);
    expect(run('compose', ['development', 'up', '--detach', 'postgres']).code).toBe(0);
    const { code, err } = run('up');
    expect({ code, err }).toEqual({ code: 0, err: '' });
  });

  it('nor does bin/swarm start a stack beside compose', () => {
    const { code, err } = run('swarm', ['up'], { DOCKER_COMPOSE_RUNS: 'yes' });
    expect(code).toBe(1);
    expect(err).toContain('development runs here with compose');
    expect(calls().filter((call) => /deploy|label-add/.test(call))).toEqual([]);
  });
});

describe('bin/status', () => {
  it('says that the services are missing, and ends with 3', () => {
    const { code, out } = run('status');
    expect(code).toBe(3);
    expect(out).toMatch(/postgres +absent/);
  });

  it('is one JSON object for programs', () => {
    writeFileSync(join(outside, 'started'), '');
    const { code, out } = run('status', ['--json']);
    expect(code).toBe(0);
    expect(JSON.parse(out)).toMatchObject({
      environment: 'development',
      healthy: true,
      serving: 'blue',
      services: expect.arrayContaining([expect.objectContaining({ service: 'postgres', state: 'healthy' })]),
    });
  });
});
