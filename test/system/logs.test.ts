import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { demandDocker, docker, findFreePort, sleep, startEngine, waitFor } from './engine/setup.ts';
import { Stack } from './stack.ts';

jest.setTimeout(240_000);

const name = `logs-test-${process.pid}`;
let stack: Stack;
/** Options that compose gives the driver of every container. */
let logOptions: Record<string, string>;
let started = 0;

interface Line {
  labels: Record<string, string>;
  /** Nanoseconds. */
  time: string;
  line: string;
}

const container = (service: string) => `${stack.project}-${service}-1`;

/** What Loki has taken, of one service if it is named. */
async function lines(service?: string): Promise<Line[]> {
  const { code, stdout } = await docker(['exec', container('loki'), 'cat', '/loki/lines.jsonl']);
  if (code !== 0) return [];
  const all = stdout
    .split('\n')
    .filter(Boolean)
    .map((text) => JSON.parse(text) as Line);
  return service ? all.filter(({ labels }) => labels.service === service) : all;
}

const textsOf = async (service: string) => (await lines(service)).map(({ line }) => line);

interface Speaker {
  /** Value of the label that compose gives a service. */
  service: string;
  /** Of another project than the agent's. */
  project?: string;
  /** Options of the driver that differ. */
  options?: Record<string, string>;
}

/** Starts a container that runs a script of Node, as compose would start it. */
async function speak(script: string, { service, project = stack.project, options = {} }: Speaker) {
  const id = `${name}-${++started}`;
  await demandDocker([
    ...['run', '--detach', '--name', id, '--network', 'none'],
    ...['--label', `com.docker.compose.project=${project}`],
    ...['--label', `com.docker.compose.service=${service}`],
    ...['--log-driver', 'json-file'],
    ...Object.entries({ ...logOptions, ...options }).flatMap(([key, value]) => [
      '--log-opt',
      `${key}=${value}`,
    ]),
    ...['node:24.21.0-trixie-slim', 'node', '-e', script],
  ]);
  return id;
}

/** Prints numbered lines, so many each time, a tenth of a second apart. */
const counting = (count: number, each: number, pause = 100) =>
  `let next = 0; const timer = setInterval(() => {
     for (let index = 0; index < ${each} && next < ${count}; index++) console.log('number ' + next++ + ' ' + 'x'.repeat(60));
     if (next >= ${count}) clearInterval(timer);
   }, ${pause});`;

const numbers = (texts: string[]) => texts.map((text) => Number(/^number (\d+) /.exec(text)?.[1]));
const upTo = (count: number) => Array.from({ length: count }, (_, index) => index);

/** Waits until so many lines of the service have come, and a little longer for those that are too many. */
async function arrive(service: string, count: number): Promise<string[]> {
  await waitFor(async () => (await lines(service)).length >= count, {
    timeout: 60_000,
    what: `${count} lines of ${service}`,
    every: 1000,
  });
  await sleep(2000);
  return textsOf(service);
}

beforeAll(async () => {
  await startEngine();
  const [httpPort, httpsPort] = await Promise.all([findFreePort(), findFreePort()]);
  const environment = { name: 'staging', domain: 'staging.bot.acme.example', httpPort, httpsPort };
  stack = await Stack.generate(
    { domain: 'bot.acme.example', environments: [environment], tls: 'self-signed', monitoring: true },
    environment,
    name,
  );
  const folder = await demandDocker(['info', '--format', '{{.DockerRootDir}}']);
  appendFileSync(join(stack.folder, '.env.staging'), `\nDOCKER_DATA=${folder}\n`);
  const compose = parse(readFileSync(join(stack.folder, 'compose.yaml'), 'utf8')) as {
    'x-hardening': { logging: { options: Record<string, string> } };
  };
  logOptions = compose['x-hardening'].logging.options;
  // Loki has no health check of its own.
  await stack.demandBin('compose', 'up', '--detach', 'loki');
  await stack.demandBin('compose', 'up', '--detach', '--wait', 'log-agent');
});

afterAll(async () => {
  const others = await demandDocker(['ps', '--all', '--quiet', '--filter', `name=^${name}-[0-9]+$`]);
  if (others) await demandDocker(['rm', '--force', '--volumes', ...others.split('\n')]);
  await stack?.destroy();
});

describe('a line', () => {
  it('comes once, at the time Docker has for it, and those of other projects do not', async () => {
    const [id] = await Promise.all([
      speak(counting(300, 100), { service: 'duckling' }),
      speak(counting(300, 100), { service: 'stranger', project: 'somebody-elses' }),
    ]);
    const texts = await arrive('duckling', 300);
    expect(numbers(texts)).toEqual(upTo(300));
    expect(await lines('stranger')).toEqual([]);
    const times = (await demandDocker(['logs', '--timestamps', id]))
      .split('\n')
      .map((text) => /^(\S+)\.(\d+)Z number/.exec(text))
      .map((match) => `${Date.parse(`${match?.[1]}Z`) / 1000}${match?.[2]?.padEnd(9, '0')}`);
    expect((await lines('duckling')).map(({ time }) => time)).toEqual(times);
  });

  it('has its level, however its service tells it', async () => {
    const nginx = (status: number) => JSON.stringify({ time: 'now', request_id: 'a1', status, path: '/' });
    const botpress = (colour: number, text: string) =>
      `\x1b[90m11/23/2026 09:24:06.123\x1b[39m \x1b[${colour}m\x1b[1mServer\x1b[22m\x1b[39m ${text}`;
    const spoken: [service: string, level: string, line: string][] = [
      ['nginx', 'info', nginx(200)],
      ['nginx', 'warn', nginx(404)],
      ['nginx', 'error', nginx(502)],
      ['nginx', 'error', '2026/11/23 09:24:06 [error] 29#29: *1 connect() failed'],
      ['operations', 'error', '{"level":"error","time":"now","msg":"status 200"}'],
      ['operations', 'debug', '{"level":"debug","time":"now","msg":"an error that is none"}'],
      ['botpress-blue', 'info', botpress(32, 'an error that is none')],
      ['botpress-blue', 'warn', botpress(33, 'careful')],
      ['botpress-blue', 'error', botpress(31, 'broken')],
      ['botpress-blue', 'debug', botpress(34, 'details')],
      ['postgres', 'error', '2026-11-23 09:24:06.123 UTC [77] FATAL:  the database system is shutting down'],
      ['postgres', 'info', '2026-11-23 09:24:06.123 UTC [77] LOG:  checkpoint complete'],
      ['redis', 'warn', '1:M 23 Nov 2026 09:24:06.123 # Failed listening on port 6379'],
      ['redis', 'info', '1:M 23 Nov 2026 09:24:06.123 * Ready to accept connections tcp'],
      ['loki', 'warn', 'level=warn ts=now msg="slow"'],
      ['prometheus', 'info', 'time=now level=INFO msg="Server is ready"'],
    ];
    const services = [...new Set(spoken.map(([service]) => service))];
    await Promise.all(
      services.map((service) => {
        const own = spoken.filter(([of]) => of === service).map(([, , line]) => line);
        return speak(`for (const line of ${JSON.stringify(own)}) console.log(line)`, {
          service: `${service}-x`,
        });
      }),
    );
    const colourless = (text: string) => text.replace(/\x1b\[\d+m/g, '');
    for (const service of services) {
      const own = spoken.filter(([of]) => of === service);
      await arrive(`${service}-x`, own.length);
      expect((await lines(`${service}-x`)).map(({ labels, line }) => [labels, line])).toEqual(
        own.map(([, level, line]) => [
          { environment: 'staging', service: `${service}-x`, level },
          colourless(line),
        ]),
      );
    }
  });

  it('has its stack trace after it, each frame as an error', async () => {
    const trace = 'Error: no flow\n    at run (/botpress/flow.js:1:2)\n    at next (/botpress/a.js:3:4)';
    await speak(
      `console.log('before'); console.log(${JSON.stringify(trace)}); console.log('after "quoted" \\\\ \\u00e4');`,
      { service: 'tracing' },
    );
    await arrive('tracing', 5);
    expect((await lines('tracing')).map(({ labels, line }) => [labels.level, line])).toEqual([
      ['info', 'before'],
      ...trace.split('\n').map((line) => ['error', line]),
      ['info', 'after "quoted" \\ ä'],
    ]);
  });

  it('shows no secret', async () => {
    const secret = 'Zx9kQ2mV7bN4pL8rT1wY6uI3oA5sD0fG';
    const jwt = `eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.${secret}`;
    const spoken = [
      `authorization: Bearer ${secret} and more`,
      `{"headers":{"authorization":"Basic ${secret}"},"status":200}`,
      `{"user":"ann","password":"${secret}","ok":true,"token":null}`,
      `nested {\\"api_key\\":\\"${secret}\\"}`,
      `GET /api?token=${secret}&page=2`,
      `connecting to postgres://botpress:${secret}@postgres:5432/botpress`,
      `session ${jwt} has ended`,
      `slack xoxb-123456789012-${secret}`,
      `POST https://api.telegram.org/bot123456789:${secret}AAA/getMe`,
      `mail to ann.lee+bot@mail.example failed`,
      `Set-Cookie: ${secret}; Path=/`,
      `a token is a word, and a password too`,
    ];
    await speak(`for (const line of ${JSON.stringify(spoken)}) console.log(line)`, { service: 'secretive' });
    const texts = await arrive('secretive', spoken.length);
    expect(texts).toEqual([
      'authorization: Bearer *** and more',
      '{"headers":{"authorization":"Basic ***"},"status":200}',
      '{"user":"ann","password":"***","ok":true,"token":null}',
      'nested {\\"api_key\\":\\"***\\"}',
      'GET /api?token=***&page=2',
      'connecting to postgres://botpress:***@postgres:5432/botpress',
      'session *** has ended',
      'slack ***',
      'POST https://api.telegram.org/bot***/getMe',
      'mail to ***@mail.example failed',
      'Set-Cookie: ***; Path=/',
      'a token is a word, and a password too',
    ]);
  });
});

describe('no line is lost, and none comes twice', () => {
  it('while Loki is away, and the agent starts again meanwhile', async () => {
    await demandDocker(['stop', '--time', '2', container('loki')]);
    await speak(counting(3000, 200), { service: 'patient' });
    await sleep(3000);
    await demandDocker(['restart', container('log-agent')]);
    await sleep(3000);
    await demandDocker(['start', container('loki')]);
    expect(numbers(await arrive('patient', 3000))).toEqual(upTo(3000));
  });

  it('while Loki answers that it cannot', async () => {
    const taken = (await lines()).length;
    await demandDocker(['kill', '--signal', 'USR2', container('loki')]);
    await speak(counting(500, 100), { service: 'refused' });
    // More tries than the three after which the agent would give up by itself.
    await sleep(25_000);
    expect((await lines()).length).toBe(taken);
    await demandDocker(['kill', '--signal', 'USR2', container('loki')]);
    expect(numbers(await arrive('refused', 500))).toEqual(upTo(500));
  });

  it('on a machine with many containers', async () => {
    // Each has three folders, and the kernel gives a user 128 instances of inotify.
    for (let batch = 0; batch < 48; batch += 4)
      await Promise.all(
        Array.from({ length: 4 }, (_, index) =>
          speak(`console.log('number ${batch + index} of many')`, { service: 'many' }),
        ),
      );
    const texts = await arrive('many', 48);
    expect(numbers(texts).sort((a, b) => a - b)).toEqual(upTo(48));
  });

  it('while Docker rotates its files', async () => {
    // A file lasts for four seconds: much less than ten megabytes do.
    const id = await speak(counting(4000, 100, 400), {
      service: 'rotating',
      options: { 'max-size': '200k' },
    });
    expect(numbers(await arrive('rotating', 4000))).toEqual(upTo(4000));
    // Three files and more.
    const kept = (await demandDocker(['logs', id])).split('\n').length;
    expect(kept).toBeLessThanOrEqual(4000);
    const folder = await demandDocker(['inspect', '--format', '{{.LogPath}}', id]);
    expect(readFileSync(`${folder}.2`, 'utf8')).toContain('number');
  });

  it('when the agent is killed: what comes again is the same to the nanosecond, of which Loki keeps one', async () => {
    await speak(counting(3000, 150), { service: 'killed' });
    await sleep(1000);
    await demandDocker(['kill', container('log-agent')]);
    await demandDocker(['start', container('log-agent')]);
    await waitFor(async () => new Set((await lines('killed')).map(({ line }) => line)).size >= 3000, {
      timeout: 60_000,
      what: 'all lines',
      every: 1000,
    });
    const distinct = new Set((await lines('killed')).map(({ time, line }) => `${time} ${line}`));
    expect(distinct.size).toBe(3000);
  });
});
