import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { createHash, randomBytes } from 'node:crypto';
import { demandDocker, docker, sleep, startEngine, waitFor } from './engine/setup.ts';
import { flood } from './flood.ts';
import { almostMessages, drip, hostileRequests, malformedRequests, send, wire } from './hostile.ts';
import { Stack } from './stack.ts';

jest.setTimeout(300_000);

const staging = {
  name: 'staging',
  domain: 'staging.bot.acme.example',
  httpPort: 18780,
  httpsPort: 18943,
  tls: 'self-signed',
};

/** Seconds between two looks of the service, and the longest a look may take, as the output has them. */
const INTERVAL = 5;
const LIMIT = 2;
const PER_MINUTE = 2_500;
/** Requests of the flood. */
const FLOOD = 100_000;

interface Report {
  status: 'ok' | 'error';
  checks: Record<string, { status: string; latencyMs: number; error?: string }>;
}

describe('the operations service of a cluster', () => {
  let stack: Stack;
  let key: string;

  const containers = async (service: string) =>
    (await stack.inspect()).filter(
      ({ Config }) => Config.Labels['com.docker.compose.service'] === service,
    ) as (Awaited<ReturnType<Stack['inspect']>>[number] & {
      NetworkSettings: { Networks: Record<string, { IPAddress: string }> };
    })[];
  const only = async (service: string) => {
    const [container] = await containers(service);
    if (!container) throw new Error(`no container of ${service}`);
    return container;
  };
  const network = (name: string) => `${stack.project}_${name}`;
  /** Address of a container that this machine reaches: the bridge of a network belongs to it. */
  const addressOf = async (service: string, index = 0) => {
    const container = (await containers(service))[index];
    return container?.NetworkSettings.Networks[network('app')]?.IPAddress ?? 'none';
  };
  /** Asks the internal listener; a second is plenty for what is kept ready. */
  const ask = async (path: string, service = 'operations', index = 0) =>
    fetch(`http://${await addressOf(service, index)}:9464${path}`, { signal: AbortSignal.timeout(1_000) });
  const report = async () => (await (await ask('/health')).json()) as Report;
  const metrics = async () => (await ask('/metrics')).text();
  const metric = async (line: string) => {
    const found = (await metrics()).split('\n').find((one) => one.startsWith(`${line} `));
    return found === undefined ? undefined : Number(found.slice(line.length + 1));
  };
  /** Reports until one is as wanted; none of them may be late. */
  const see = (what: string, wanted: (report: Report) => boolean, seconds: number) =>
    waitFor(
      async () => {
        const seen = await report();
        return wanted(seen) && seen;
      },
      { timeout: seconds * 1_000, what },
    );
  const allWell = () => see('health of everything', ({ status }) => status === 'ok', 90);
  const converse = (
    headers: Record<string, string>,
    body: string | object = { type: 'text', text: 'hello' },
  ) => stack.fetch('/api/v1/bots/support/converse/somebody', { headers, body });

  beforeAll(async () => {
    await startEngine();
    stack = await Stack.generate(
      {
        domain: 'bot.acme.example',
        environments: [staging],
        edition: 'pro',
        scaling: { replicas: 2, deployment: 'recreate' },
        backup: { targets: [] },
        gateway: { enabled: true, requestsPerMinute: PER_MINUTE },
      },
      staging,
      `operations-${process.pid}`,
    );
    mkdirSync(join(stack.folder, 'secrets/staging'), { recursive: true });
    writeFileSync(join(stack.folder, 'secrets/staging/license-key'), 'k3y-of-a-licence-for-tests\n');
    key = (await stack.demandBin('gateway-key', 'add', 'shop')).stdout.trim();
    await stack.demandBin('up');
    await allWell();
  });
  afterAll(async () => stack?.destroy());

  it('runs hardened and is healthy by its own check', async () => {
    for (const { Config, HostConfig } of [await only('operations'), ...(await containers('gateway'))]) {
      expect(Config.User).not.toMatch(/^0?(:|$)/);
      expect(HostConfig).toMatchObject({ ReadonlyRootfs: true, Privileged: false, CapAdd: null });
      expect(HostConfig.CapDrop).toContain('ALL');
      expect(Config.Env.join('\n')).not.toContain(stack.secret('botpress-monitor-password'));
    }
    expect(await stack.health('operations')).toBe('healthy');
    expect(await stack.health('gateway')).toBe('healthy');
    expect(await containers('gateway')).toHaveLength(2);
  });

  it('tells the world whether all is well, and nothing more', async () => {
    const answer = await stack.fetch('/health');
    expect([answer.status, JSON.parse(answer.body.toString())]).toEqual([200, { status: 'ok' }]);
    expect((await stack.fetch('/metrics')).status).toBe(404);
    expect((await stack.fetch('/bot-errors', { method: 'POST', body: {} })).status).toBe(404);
    expect(Object.keys((await report()).checks).sort()).toEqual([
      'botpress',
      'database',
      'messaging',
      'redis',
    ]);
  });

  it('shows every metric that dashboards and alerts rely on', async () => {
    const text = await waitFor(
      async () => {
        const text = await metrics();
        return text.includes('botpress_migration_level{') && text;
      },
      { timeout: 60_000, what: 'statistics' },
    );
    for (const line of [
      'botpress_up{component="botpress"} 1',
      'botpress_up{component="database"} 1',
      'botpress_up{component="redis"} 1',
      'botpress_up{component="messaging"} 1',
      'botpress_migration_level{version="12.31.10"} 1',
      'botpress_migration_pending 0',
      'botpress_bot_errors_total{bot="support"} 0',
    ])
      expect(text.split('\n')).toContain(line);
    for (const name of [
      'probe_duration_seconds{component="database"}',
      'messages_total{direction="incoming"}',
      'messages_total{direction="outgoing"}',
      'conversations_active',
      'errors_logged_total',
      'event_queue_age_seconds',
      'training_sessions{state="training"}',
      'pg_pool_connections{state="total"}',
      'pg_pool_connections{state="idle"}',
      'pg_pool_connections{state="waiting"}',
      'cache_requests_total{level="memory",result="hit"}',
      'http_requests_total{class="webchat",status="200"}',
      'http_request_duration_seconds_bucket{le="5",class="converse"}',
      'process_resident_memory_bytes',
      'nodejs_eventloop_lag_seconds',
    ])
      expect(text).toMatch(new RegExp(`^botpress_${name.replaceAll(/[{}"]/g, '\\$&')} \\d`, 'm'));
  });

  it('counts each request that nginx answers, once', async () => {
    const count = () =>
      metric('botpress_http_requests_total{class="other",status="404"}').then((n) => n ?? 0);
    // What the tests before asked is read within a second or two.
    await sleep(3_000);
    const before = await count();
    for (let index = 0; index < 25; index++) await stack.fetch(`/nothing-here?secret=${index}`);
    await waitFor(async () => (await count()) >= before + 25, { timeout: 10_000, what: 'counted requests' });
    await sleep(3_000);
    expect(await count()).toBe(before + 25);
  });

  it('counts messages and conversations out of the database', async () => {
    const messages = () => metric('botpress_messages_total{direction="incoming"}').then((n) => n ?? 0);
    const before = await messages();
    for (let index = 0; index < 3; index++)
      expect((await converse({ authorization: `Bearer ${key}` })).status).toBe(200);
    await waitFor(async () => (await messages()) >= before + 3, {
      timeout: 60_000,
      what: 'counted messages',
    });
    expect(await metric('botpress_conversations_active')).toBeGreaterThan(0);
    expect(await metric('botpress_conversation_probe_success{bot="support"}')).toBe(1);
  });

  describe.each([
    ['database', 'postgres', ['data']],
    ['redis', 'redis', ['data']],
    ['botpress', 'botpress', ['app', 'data', 'egress']],
  ] as const)('when %s fails', (component, service, networks) => {
    const ids = async () => {
      const services = service === 'botpress' ? ['botpress', 'botpress-2'] : [service];
      return Promise.all(services.map(async (name) => ({ name, id: (await only(name)).Id })));
    };
    const isDown = ({ checks }: Report) => checks[component]?.status === 'error';

    type Node = { name: string; id: string };
    const faults: [string, (one: Node) => string[][], (one: Node) => string[][]][] = [
      ['killed', ({ id }) => [['kill', id]], ({ id }) => [['start', id]]],
      ['frozen', ({ id }) => [['pause', id]], ({ id }) => [['unpause', id]]],
      [
        'cut off',
        ({ id }) => networks.map((name) => ['network', 'disconnect', network(name), id]),
        ({ name, id }) => networks.map((one) => ['network', 'connect', '--alias', name, network(one), id]),
      ],
    ];
    it.each(faults)('%s: says so within its limit, never hangs, and heals', async (_, harm, mend) => {
      const nodes = await ids();
      for (const command of nodes.flatMap(harm)) await demandDocker(command);
      try {
        // One look may just have begun, and the next one takes its whole limit.
        const seen = await see(`word of ${component}`, isDown, 2 * (INTERVAL + LIMIT) + 3);
        expect(seen.checks[component]?.error).toMatch(/\w/);
        expect(seen.checks[component]?.latencyMs).toBeLessThan(LIMIT * 1_000 + 1_500);
        expect((await stack.fetch('/health')).status).toBe(503);
        expect(await metric(`botpress_up{component="${component}"}`)).toBe(0);
      } finally {
        for (const command of nodes.flatMap(mend)) await demandDocker(command);
      }
      await allWell();
    });
  });

  it('asks the database once an interval, whoever asks for the health how often', async () => {
    const postgres = (await only('postgres')).Id;
    const superuser = (sql: string) =>
      demandDocker(['exec', '--user', 'postgres', postgres, 'psql', '-qAt', '-c', sql]);
    await superuser("ALTER ROLE botpress_monitor SET log_statement = 'all'");
    const operations = (await only('operations')).Id;
    // Its connections have to be new ones to be logged.
    await demandDocker(['restart', operations]);
    await allWell();
    const logged = async () => {
      const { stdout, stderr } = await docker(['logs', postgres]);
      return `${stdout}${stderr}`.match(/SELECT 1 AS health/g)?.length ?? 0;
    };
    const host = await addressOf('operations');
    const before = await logged();
    // For ten seconds, at the listener for the world and at the one inside.
    const { statuses, seconds } = await flood({
      targets: [8080, 9464].map((port) => ({ host, port })),
      total: 10_000,
      perSecond: 1_000,
      request: () => wire('/health', {}, '', 'GET'),
    });
    const cost = (await logged()) - before;
    expect(statuses.filter((status) => status === 200)).toHaveLength(10_000);
    expect(cost).toBeGreaterThan(0);
    expect(cost).toBeLessThanOrEqual(Math.floor(seconds / INTERVAL) + 1);
    await superuser('ALTER ROLE botpress_monitor RESET log_statement');
  });

  it('tells bin/check and bin/deploy what is down, and neither needs it', async () => {
    const findings = async () => {
      const { checks } = JSON.parse((await stack.bin('check', '--json')).stdout) as {
        checks: { name: string; findings: { reason: string }[] }[];
      };
      const line = checks.find(({ name }) => name === 'health-checks');
      return line?.findings.map(({ reason }) => reason).join('\n');
    };
    expect(await findings()).toMatch(/services are well, and all of their parts answer$/);
    const ids = [await only('redis'), await only('operations')].map(({ Id }) => Id) as [string, string];
    await demandDocker(['stop', ids[0]]);
    try {
      await see(
        'word of redis',
        ({ checks }) => checks.redis?.status === 'error',
        2 * (INTERVAL + LIMIT) + 3,
      );
      expect(await findings()).toMatch(/^redis has been down since \d{4}-.* UTC: \w/m);
      const told = await stack.bin('deploy');
      expect([told.code, told.stderr]).toEqual([
        3,
        expect.stringMatching(/redis is down before anything is changed: \w[^]*Redis of staging is not up/),
      ]);
      await demandDocker(['stop', ids[1]]);
      const untold = await stack.bin('deploy');
      expect([untold.code, untold.stderr]).toEqual([
        3,
        expect.stringContaining('Redis of staging is not up'),
      ]);
      expect(untold.stderr).not.toContain('before anything is changed');
    } finally {
      await demandDocker(['start', ...ids]);
    }
    await allWell();
  });

  it('leaves nginx alone when it is gone, and counts afterwards what it missed', async () => {
    const count = () =>
      metric('botpress_http_requests_total{class="other",status="404"}').then((n) => n ?? 0);
    const { Id } = await only('operations');
    await demandDocker(['stop', Id]);
    await demandDocker(['restart', (await only('nginx')).Id]);
    await waitFor(async () => (await stack.health('nginx')) === 'healthy', {
      timeout: 60_000,
      what: 'nginx',
    });
    for (let index = 0; index < 10; index++) expect((await stack.fetch('/nothing-here')).status).toBe(404);
    expect((await stack.fetch('/health')).status).toBeGreaterThanOrEqual(502);
    await demandDocker(['start', Id]);
    await waitFor(async () => (await count()) === 10, { timeout: 30_000, what: 'counted requests' });
    await allWell();
  });

  describe('the gateway', () => {
    const authorized = () => ({ authorization: `Bearer ${key}` });

    it('lets nobody in without a key', async () => {
      expect((await converse({})).status).toBe(401);
      expect((await converse({ 'x-api-key': 'wrong' })).status).toBe(401);
      // A bot that the answers do not name has no open way either.
      const other = await stack.fetch('/api/v1/bots/other/converse/somebody', {
        body: { type: 'text', text: 'hello' },
      });
      expect(other.status).toBe(401);
    });

    /** Has Redis forget a count. */
    const forget = async (name: string) =>
      demandDocker([
        ...['exec', '--env', `REDISCLI_AUTH=${stack.secret('redis-password')}`, (await only('redis')).Id],
        ...['redis-cli', 'DEL', name],
      ]);
    /** Both instances, as this machine reaches them. */
    const instances = async () => {
      const hosts = await Promise.all([addressOf('gateway', 0), addressOf('gateway', 1)]);
      expect(new Set(hosts).size).toBe(2);
      return hosts.map((host) => ({ host, port: 8080 }));
    };
    /** As long as this stays the same, they neither ended nor were ended. */
    const lives = async () =>
      demandDocker([
        ...['inspect', '--format', '{{.Id}} {{.State.StartedAt}} {{.RestartCount}} {{.State.OOMKilled}}'],
        ...(await containers('gateway')).map(({ Id }) => Id),
      ]);
    const authorization = () => ({ ...authorized(), 'content-type': 'application/json' });
    const path = '/api/v1/bots/support/converse/somebody';

    it('lets nothing of a flood of nonsense through, ends who is slow, and goes on', async () => {
      const targets = await instances();
      const before = await lives();
      // Each has less than its limit, also with what is sent again.
      const keys = Array.from({ length: FLOOD / 1_000 }, () => randomBytes(32).toString('base64url'));
      const file = join(stack.folder, 'secrets/staging/gateway/keys');
      const known = readFileSync(file, 'utf8');
      const hashes = keys.map(
        (one, index) => `flood-${index} ${createHash('sha256').update(one).digest('hex')}\n`,
      );
      writeFileSync(file, known + hashes.join(''));
      const requests = keys.map(hostileRequests);
      const pick = (index: number) => {
        const list = requests[index % keys.length]!;
        return list[Math.floor(index / keys.length) % list.length]!;
      };
      for (const { host, port } of targets)
        await waitFor(async () => (await send(host, port, requests.at(-1)![0]!.wire)) === 400, {
          timeout: 10_000,
          what: 'keys of the flood',
        });

      const head = `POST ${path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer ${keys[0]}\r\ncontent-type: application/json\r\n`;
      const slow = targets.flatMap(({ host, port }) => [
        ...Array.from({ length: 25 }, () => drip(host, port, head, 'x-slow: 1\r\n')),
        ...Array.from({ length: 25 }, () =>
          drip(host, port, `${head}content-length: 9000\r\n\r\n{"type":"`, 'a'),
        ),
      ]);
      const { statuses } = await flood({
        targets,
        total: FLOOD,
        request: (index) => pick(index).wire,
      });
      const wrong = new Set(
        statuses.flatMap((status, index) => {
          const { what, statuses: right } = pick(index);
          return right.includes(status) ? [] : [`${what}: ${status}`];
        }),
      );
      expect([...wrong]).toEqual([]);
      for (const { text, milliseconds } of await Promise.all(slow)) {
        expect(text).toMatch(/^HTTP\/1\.1 408 /);
        // Its limit is ten.
        expect(milliseconds).toBeLessThan(20_000);
      }

      for (const { host, port } of targets) {
        for (const bytes of malformedRequests(key)) {
          const status = await send(host, port, bytes, 300);
          const isRefused = [undefined, 400, 401, 413, 414, 429, 431].includes(status);
          expect([isRefused, status, bytes.toString('latin1').slice(0, 200)]).toEqual([
            true,
            status,
            expect.any(String),
          ]);
        }
        expect(await send(host, port, wire(path, authorization()))).toBe(200);
      }
      writeFileSync(file, known);
      expect(await lives()).toBe(before);
    });

    it('takes no almost-message for a message, and no bytes for a reason to end', async () => {
      const targets = await instances();
      const before = await lives();
      await fc.assert(
        fc.asyncProperty(almostMessages, fc.constantFrom(...targets), async (value, { host, port }) => {
          expect(await send(host, port, wire(path, authorization(), JSON.stringify(value)))).toBe(400);
        }),
        { numRuns: 500 },
      );
      await fc.assert(
        fc.asyncProperty(
          fc.uint8Array({ maxLength: 2_000 }),
          fc.constantFrom('', 'POST ', `POST ${path} HTTP/1.1\r\n`, `POST ${path} HTTP/1.1\r\nhost: a\r\n`),
          fc.constantFrom(...targets),
          async (bytes, start, { host, port }) => {
            const status = await send(host, port, Buffer.concat([Buffer.from(start), bytes]), 0);
            expect([undefined, 400, 401, 404, 408, 429, 431]).toContain(status);
          },
        ),
        { numRuns: 500 },
      );
      expect(await lives()).toBe(before);
      const answer = await converse(authorized());
      expect([answer.status, answer.body.toString()]).toEqual([
        200,
        expect.stringContaining('"responses":[{'),
      ]);
    });

    it('keeps its limit exactly, over both instances', async () => {
      // A minute is a minute: from here on the window is a new one.
      await forget('gateway:requests:shop');
      const { statuses } = await flood({
        targets: await instances(),
        total: 2 * PER_MINUTE,
        // Not valid, so the bots stay out of it; each one counts all the same.
        request: (index) => wire(`${path}-${index}`, authorization(), '{"type":"postback"}'),
      });
      expect(statuses.filter((status) => status === 400)).toHaveLength(PER_MINUTE);
      expect(statuses.filter((status) => status === 429)).toHaveLength(PER_MINUTE);
    });

    it('keeps what the webchat asks for, and nginx does without it', async () => {
      const path = '/api/v1/bots/support/mod/channel-web/botInfo';
      const first = await stack.fetch(path);
      expect(first.status).toBe(200);
      expect(first.headers['cache-control']).toContain('max-age=60');
      expect((await stack.fetch(path)).body.toString()).toBe(first.body.toString());
      const hits = await Promise.all(
        [0, 1].map(async (index) => (await ask('/metrics', 'gateway', index)).text()),
      );
      expect(hits.join('\n')).toMatch(/cache_requests_total\{level="(?:memory|redis)",result="hit"\} [1-9]/);
      const ids = (await containers('gateway')).map(({ Id }) => Id);
      await demandDocker(['stop', ...ids]);
      try {
        expect((await stack.fetch(path)).body.toString()).toBe(first.body.toString());
        expect((await converse(authorized())).status).toBeGreaterThanOrEqual(502);
      } finally {
        await demandDocker(['start', ...ids]);
      }
    });

    it('takes a key back without a restart', async () => {
      await waitFor(async () => (await converse({ 'x-api-key': 'wrong' })).status === 401, {
        timeout: 90_000,
        what: 'room for wrong keys',
      });
      await stack.demandBin('gateway-key', 'remove', 'shop');
      expect((await stack.demandBin('gateway-key', 'list')).stdout).toBe('');
      await waitFor(async () => (await converse(authorized())).status === 401, {
        timeout: 10_000,
        what: 'a refusal',
      });
    });
  });

  it('counts what the hook of Botpress reports', async () => {
    const { Id } = await only('operations');
    const hook = `
      const { readFileSync } = require('node:fs');
      const axios = { post: async (url, body, { timeout }) => {
        const answer = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body), signal: AbortSignal.timeout(timeout) });
        if (!answer.ok) throw new Error(String(answer.status));
      } };
      const source = readFileSync(0, 'utf8');
      const events = [{ level: 'error', message: 'boom' }, { level: 'warn', message: 'hm' }, { level: 'error', message: 'boom' }];
      new Function('bp', 'botId', 'events', 'require', source)({}, 'support', events, () => axios);
    `;
    const file = join(stack.folder, 'botpress/data/global/hooks/on_bot_error/operations.js');
    await demandDocker(['exec', '--interactive', Id, 'node', '-e', hook], {
      input: readFileSync(file, 'utf8'),
    });
    await waitFor(async () => (await metric('botpress_bot_errors_total{bot="support"}')) === 2, {
      timeout: 10_000,
      what: 'counted errors',
    });
  });
});
