import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { once } from 'node:events';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect } from 'node:tls';
import { demand, demandDocker, fetchFrom, startEngine, waitFor } from './engine/setup.ts';
import { Visitor } from './engine/visitor.ts';
import { Stack } from './stack.ts';

jest.setTimeout(240_000);

const all = ['web', 'messenger', 'slack', 'telegram', 'twilio', 'teams', 'smooch', 'vonage'];

interface Case {
  title: string;
  answers: object;
  environment: { name: string; domain: string; httpPort: number; httpsPort: number };
  /** Services that must be healthy. */
  services: string[];
  /** Whether the test's own address is on the allow-list. */
  isAdmitted: boolean;
  prepare?: (stack: Stack) => Promise<void>;
}

const staging = { name: 'staging', domain: 'staging.bot.acme.example', httpPort: 18080, httpsPort: 18443 };
const production = { name: 'production', domain: 'bot.acme.example', httpPort: 18180, httpsPort: 18543 };

const cases: Case[] = [
  {
    title: 'community default',
    answers: { domain: 'bot.acme.example', environments: ['development', staging, 'production'] },
    environment: staging,
    services: ['nginx', 'botpress-blue', 'postgres', 'database-purge', 'backup', 'operations'],
    isAdmitted: true,
  },
  {
    title: 'community, recreate, provided certificate, all channels',
    answers: {
      domain: 'bot.acme.example',
      environments: [production],
      scaling: { deployment: 'recreate' },
      tls: 'provided',
      channels: all,
      access: { admin: ['203.0.113.7/32'] },
      database: { rowLevelSecurity: true },
      monitoring: false,
    },
    environment: production,
    services: ['nginx', 'botpress', 'postgres', 'database-purge'],
    isAdmitted: false,
    prepare: provideCertificate,
  },
  {
    title: 'pro with 2 replicas',
    answers: {
      domain: 'bot.acme.example',
      edition: 'pro',
      environments: [production],
      scaling: { replicas: 2 },
      access: { admin: ['203.0.113.7/32'] },
      monitoring: false,
      backup: { targets: [] },
    },
    environment: production,
    services: ['nginx', 'botpress-blue', 'botpress-blue-2', 'postgres', 'redis', 'database-purge'],
    isAdmitted: false,
    prepare: async (stack) => {
      const file = join(stack.folder, 'secrets', stack.environment, 'license-key');
      writeFileSync(file, 'a-licence-of-the-system-test\n', { mode: 0o644 });
    },
  },
];

/** What a user with a certificate of his own does before the first start. */
async function provideCertificate(stack: Stack): Promise<void> {
  const folder = join(stack.folder, 'secrets', stack.environment, 'tls');
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  await demand('openssl', [
    'req',
    '-x509',
    '-newkey',
    'rsa:2048',
    '-nodes',
    '-days',
    '30',
    '-subj',
    `/CN=${stack.domain}`,
    '-addext',
    `subjectAltName=DNS:${stack.domain}`,
    '-keyout',
    join(folder, 'privkey.pem'),
    '-out',
    join(folder, 'fullchain.pem'),
  ]);
  await demand('chmod', ['644', join(folder, 'privkey.pem'), join(folder, 'fullchain.pem')]);
}

beforeAll(startEngine);

describe.each(cases)('$title', ({ answers, environment, services, isAdmitted, prepare }) => {
  let stack: Stack;

  beforeAll(async () => {
    stack = await Stack.generate(answers, environment);
    await prepare?.(stack);
    await stack.demandBin('up');
  });

  afterAll(async () => stack?.destroy());

  it('has every service healthy after bin/up', async () => {
    for (const service of services)
      expect([service, await stack.health(service)]).toEqual([service, 'healthy']);
    const jobs = (await stack.inspect()).filter(({ State }) => !State.Health);
    for (const { Name, State } of jobs)
      expect([Name, State.Status, State.ExitCode]).toEqual([Name, 'exited', 0]);
  });

  it('answers a visitor over a websocket through nginx and TLS', async () => {
    const visitor = await Visitor.connect({
      url: `https://${stack.domain}:${stack.httpsPort}`,
      bot: 'support',
      ca: stack.certificate(),
      transports: ['websocket'],
    });
    try {
      expect(await visitor.ask('hello')).not.toBe('');
    } finally {
      visitor.close();
    }
  });

  it('answers a conversation by HTTP', async () => {
    const { status, body } = await stack.fetch('/api/v1/bots/support/converse/somebody', {
      body: { type: 'text', text: 'hello' },
    });
    expect(status).toBe(200);
    expect(JSON.parse(body).responses[0].text).not.toBe('');
  });

  it('shows the webchat page and no inside', async () => {
    expect((await stack.fetch('/lite/support/')).status).toBe(200);
    for (const path of [
      '/status',
      '/version',
      '/api/v1/messaging/status',
      '/api/internal/x',
      '/.env',
      '/metrics',
    ])
      expect([path, (await stack.fetch(path)).status]).toEqual([path, 404]);
  });

  it('opens administration to the allow-list alone', async () => {
    for (const path of ['/admin/', '/studio/support/', '/api/v1/admin/workspaces'])
      expect([path, (await stack.fetch(path)).status === 403]).toEqual([path, !isAdmitted]);
  });

  it('refuses a body of 30 MB with 413', async () => {
    const body = join(stack.folder, 'state/body');
    await demand('truncate', ['-s', '30M', body]);
    const { stdout } = await demand('curl', [
      '--silent',
      '--output',
      '/dev/null',
      '--write-out',
      '%{http_code}',
      '--insecure',
      '--resolve',
      `${stack.domain}:${stack.httpsPort}:127.0.0.1`,
      '--data-binary',
      `@${body}`,
      `https://${stack.domain}:${stack.httpsPort}/api/v1/bots/support/converse/somebody`,
    ]);
    expect(stdout).toBe('413');
  });

  it('takes four uploads at a time, and what is said meanwhile', async () => {
    const uploads = await Promise.all(
      Array.from({ length: 6 }, async () => {
        const socket = connect({
          port: stack.httpsPort,
          host: '127.0.0.1',
          servername: stack.domain,
          rejectUnauthorized: false,
        });
        await once(socket, 'secureConnect');
        socket.write(
          `POST /api/v1/bots/support/mod/channel-web/messages/files HTTP/1.1\r\nHost: ${stack.domain}\r\n` +
            'Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 25000000\r\n\r\n--x',
        );
        return socket;
      }),
    );
    const refused = await new Promise<string[]>((resolve) => {
      const heads: string[] = [];
      for (const socket of uploads)
        socket.once('data', (data: Buffer) => {
          if (heads.push(data.toString().slice(0, 12)) === 2) resolve(heads);
        });
    });
    const { status } = await stack.fetch('/api/v1/bots/support/converse/meanwhile', {
      body: { type: 'text', text: 'hello' },
    });
    for (const socket of uploads) socket.destroy();
    expect([refused, status]).toEqual([['HTTP/1.1 429', 'HTTP/1.1 429'], 200]);
  });

  it('sends plain HTTP to HTTPS and refuses hosts it does not know', async () => {
    const { headers, status } = await fetchFrom(`http://${stack.domain}:${stack.httpPort}/`);
    expect(status).toBe(308);
    expect(headers.location).toMatch(`https://${stack.domain}:${stack.httpsPort}/`);
    await expect(fetchFrom(`http://elsewhere.example:${stack.httpPort}/`)).rejects.toThrow();
    await expect(
      fetchFrom(`https://elsewhere.example:${stack.httpsPort}/`, { ca: stack.certificate() }),
    ).rejects.toThrow();
  });

  it('becomes unhealthy without PostgreSQL and heals by itself when it is back', async () => {
    const [service = ''] = services.filter((name) => name.startsWith('botpress'));
    await stack.demandBin('compose', 'stop', 'postgres');
    await waitFor(async () => (await stack.health(service)) === 'unhealthy', {
      timeout: 60_000,
      what: 'unhealthy Botpress',
    });
    await stack.demandBin('compose', 'start', 'postgres');
    await waitFor(async () => (await stack.health(service)) === 'healthy', {
      timeout: 60_000,
      what: 'healthy Botpress',
    });
    const { status } = await stack.fetch('/api/v1/bots/support/converse/after-the-outage', {
      body: { type: 'text', text: 'still there?' },
    });
    expect(status).toBe(200);
  });

  it('shows no secret in docker inspect, in arguments or in the logs', async () => {
    const secrets = [
      'postgres-password',
      'botpress-password',
      'botpress-backup-password',
      'app-secret',
      'admin-password',
    ].map((name) => stack.secret(name));
    const containers = await stack.inspect();
    const inspected = JSON.stringify(containers);
    const outputs = await Promise.all(
      containers.map(async ({ Id, State }) => [
        (await demand('docker', ['logs', Id])).stdout + (await demand('docker', ['logs', Id])).stderr,
        State.Status === 'running' ? await demandDocker(['top', Id]) : '',
      ]),
    );
    for (const secret of secrets) {
      expect(secret).toHaveLength(43);
      expect(inspected.includes(secret)).toBe(false);
      expect(outputs.flat().some((text) => text.includes(secret))).toBe(false);
    }
  });

  it('hardens every container', async () => {
    // Jobs that hand out volumes and end; everything else runs without a capability.
    const added: Record<string, string[]> = {
      'volume-owner': ['CHOWN'],
      'backup-owner': ['CHOWN', 'DAC_OVERRIDE', 'FOWNER'],
    };
    for (const { Config, HostConfig } of await stack.inspect()) {
      const service = Config.Labels['com.docker.compose.service'] ?? '';
      expect({
        service,
        added: (HostConfig.CapAdd ?? []).map((name) => name.replace('CAP_', '')),
        dropped: HostConfig.CapDrop?.map((name) => name.replace('CAP_', '')).includes('ALL'),
        readOnly: HostConfig.ReadonlyRootfs,
        privileged: HostConfig.Privileged,
        noNewPrivileges: HostConfig.SecurityOpt?.includes('no-new-privileges:true'),
        limited: HostConfig.Memory > 0 && HostConfig.NanoCpus > 0 && (HostConfig.PidsLimit ?? 0) > 0,
        rotated:
          HostConfig.LogConfig.Config['max-size'] !== undefined &&
          HostConfig.LogConfig.Config['max-file'] !== undefined,
        root: /^(0|root)?(:|$)/.test(Config.User) && !(service in added),
        socket: (HostConfig.Binds ?? []).some((bind) => bind.includes('docker.sock')),
        published: service === 'nginx' || Object.keys(HostConfig.PortBindings ?? {}).length === 0,
      }).toEqual({
        service,
        added: added[service] ?? [],
        dropped: true,
        readOnly: true,
        privileged: false,
        noNewPrivileges: true,
        limited: true,
        rotated: true,
        root: false,
        socket: false,
        published: true,
      });
    }
  });

  it('passes its own checklist', async () => {
    const { code, stdout } = await stack.bin('check', '--json');
    const { checks } = JSON.parse(stdout) as {
      checks: { name: string; result: string; reasons?: string[] }[];
    };
    expect(checks.filter(({ result }) => result === 'fail')).toEqual([]);
    expect(code).toBe(0);
  });

  it('does nothing when it is started again', async () => {
    const before = (await stack.inspect()).map(({ Id }) => Id).sort();
    await stack.demandBin('up');
    expect((await stack.inspect()).map(({ Id }) => Id).sort()).toEqual(before);
  });

  it('counts log-in attempts and answers 429', async () => {
    const path = '/api/v1/auth/login/basic/default';
    const login = () => stack.fetch(path, { body: { email: 'ops@acme.example', password: 'guess' } });
    const statuses = [];
    for (let attempt = 0; attempt < 12; attempt++) statuses.push((await login()).status);
    // Whoever is not on the allow-list is refused before any attempt is counted.
    if (isAdmitted) expect(statuses.at(-1)).toBe(429);
    else expect(new Set(statuses)).toEqual(new Set([403]));
  });

  it('stops and forgets nothing', async () => {
    await stack.demandBin('down');
    expect(await stack.inspect()).toEqual([]);
    const volumes = await demandDocker([
      'volume',
      'ls',
      '--quiet',
      '--filter',
      `label=com.docker.compose.project=${stack.project}`,
    ]);
    expect(volumes).toContain(`${stack.project}_postgres`);
  });
});
