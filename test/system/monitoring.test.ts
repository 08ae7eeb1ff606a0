import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  appendFileSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { SMTPServer } from 'smtp-server';
import { parse } from 'yaml';
import { metricsOf } from '../unit/monitoring/promql.ts';
import {
  demand,
  demandDocker,
  docker,
  fetchFrom,
  findFreePort,
  startEngine,
  waitFor,
} from './engine/setup.ts';
import { Stack } from './stack.ts';

jest.setTimeout(420_000);

const name = `monitoring-test-${process.pid}`;
const container = (service: string) => `${stack.project}-${service}-1`;
const path = (...names: string[]) => join(stack.folder, ...names);

let stack: Stack;
let ports: { prometheus: number; alertmanager: number };
let visits: NodeJS.Timeout | undefined;
let ruleTests: Promise<void>;

/** What the receivers got: one text a message. */
const slack: string[] = [];
const mail: string[] = [];
let slackServer: Server;
let slackStatus = 200;
let mailServer: SMTPServer | undefined;
const MAIL_PASSWORD = 'pass "word" of the mail server';
const logins: string[] = [];

interface Sample {
  metric: Record<string, string>;
  value: [number, string];
}

/** Instant query. */
async function query(expression: string): Promise<Sample[]> {
  const { status, body } = await fetchFrom(
    `http://localhost:${ports.prometheus}/api/v1/query?query=${encodeURIComponent(expression)}`,
  );
  if (status !== 200) throw new Error(`${expression}: ${body}`);
  return (JSON.parse(body) as { data: { result: Sample[] } }).data.result;
}

const numberOf = async (expression: string) => Number((await query(expression))[0]?.value[1]);

function openSlack(): Promise<unknown> {
  slackServer = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      if (slackStatus === 200) slack.push(body);
      response.writeHead(slackStatus).end(slackStatus === 200 ? 'ok' : 'no_service');
    });
  });
  return new Promise<void>((resolve) => slackServer.listen(0, '0.0.0.0', resolve));
}

/** Like most: TLS by STARTTLS, and no mail without a login, which it takes over TLS alone. */
async function openMail(address: string): Promise<unknown> {
  const certificate = path('secrets/staging/mail-authority.pem');
  const key = path('mail-key.pem');
  await demand('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '1'],
    ...['-subj', '/CN=mail', '-addext', `subjectAltName=IP:${address}`, '-keyout', key, '-out', certificate],
  ]);
  const server = new SMTPServer({
    key: readFileSync(key),
    cert: readFileSync(certificate),
    disableReverseLookup: true,
    onAuth({ username, password }, { secure }, done) {
      logins.push(`${secure ? 'TLS' : 'plain'} ${username}`);
      if (secure && username === 'alerts' && password === MAIL_PASSWORD) done(null, { user: username });
      else done(new Error('not you'));
    },
    onData(stream, _, done) {
      let text = '';
      stream.on('data', (chunk: Buffer) => (text += chunk.toString()));
      stream.on('end', () => {
        // Lines that quoted-printable has cut.
        mail.push(text.replace(/=\r?\n/g, ''));
        done();
      });
    },
  });
  mailServer = server;
  return new Promise<void>((resolve) => server.listen(0, '0.0.0.0', resolve));
}

const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port;

/** As an operator edits a file; each place has to be there. */
function edit(file: string, replacements: [RegExp, string][]): void {
  let text = readFileSync(path(file), 'utf8');
  for (const [pattern, replacement] of replacements) {
    if (!pattern.test(text)) throw new Error(`${file} has nothing like ${pattern}`);
    text = text.replace(pattern, replacement);
  }
  writeFileSync(path(file), text);
}

async function writeCertificate(days: number): Promise<void> {
  const folder = path('secrets/staging/tls');
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  await demand('openssl', [
    ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
    ...[
      '-days',
      String(days),
      '-subj',
      `/CN=${stack.domain}`,
      '-addext',
      `subjectAltName=DNS:${stack.domain}`,
    ],
    ...['-keyout', join(folder, 'privkey.pem'), '-out', join(folder, 'fullchain.pem')],
  ]);
  await demand('chmod', ['644', join(folder, 'privkey.pem'), join(folder, 'fullchain.pem')]);
}

/** Runs the emitted tests of the emitted rules; rejects with what promtool says. */
async function testRules(): Promise<void> {
  const folder = path('monitoring-as-written');
  await demand('cp', ['-r', path('monitoring/prometheus'), folder]);
  for (const file of ['minutes', 'days'])
    await demandDocker([
      ...['run', '--rm', '--network', 'none', '--volume', `${folder}:/etc/prometheus:ro`],
      ...[
        '--entrypoint',
        'promtool',
        'prom/prometheus:v3.5.3',
        'test',
        'rules',
        `/etc/prometheus/tests/${file}.yml`,
      ],
    ]);
}

beforeAll(async () => {
  await startEngine();
  await openSlack();
  const [httpPort, httpsPort, grafana, prometheus, alertmanager] = await Promise.all([
    findFreePort(),
    findFreePort(),
    findFreePort(),
    findFreePort(),
    findFreePort(),
  ]);
  ports = { prometheus, alertmanager };
  const environment = { name: 'staging', domain: 'staging.bot.acme.example', httpPort, httpsPort };
  stack = await Stack.generate(
    {
      domain: 'bot.acme.example',
      environments: [environment],
      edition: 'pro',
      scaling: { replicas: 2, deployment: 'recreate' },
      tls: 'self-signed',
      backup: { targets: ['local'] },
      monitoring: true,
      gateway: { enabled: true },
      alerts: { slack: true, email: ['ops@acme.example'] },
    },
    environment,
    name,
  );
  ruleTests = testRules();
  // Judged by its own test.
  ruleTests.catch(() => undefined);
  await waitFor(() => existsSync(path('monitoring-as-written/tests/days.yml')), {
    timeout: 10_000,
    what: 'copy of the rules',
  });
  mkdirSync(path('secrets/staging'), { recursive: true });
  writeFileSync(path('secrets/staging/license-key'), 'a-licence-of-the-system-test\n', { mode: 0o644 });
  copyFileSync(path('.env.staging.example'), path('.env.staging'));
  edit('.env.staging', [[/^COMPOSE_PROFILES=.*$/m, 'COMPOSE_PROFILES=']]);
  const dockerData = await demandDocker(['info', '--format', '{{.DockerRootDir}}']);
  appendFileSync(
    path('.env.staging'),
    [
      `DOCKER_DATA=${dockerData}`,
      'BACKUP_START_DELAY=100000',
      'STATISTICS_INTERVAL_SECONDS=2',
      'CONVERSATION_INTERVAL_SECONDS=5',
      `GRAFANA_PORT=${grafana}`,
      `PROMETHEUS_PORT=${prometheus}`,
      `ALERTMANAGER_PORT=${alertmanager}`,
      '',
    ].join('\n'),
  );
  // The patience of a test: figures each two seconds, alerts after four.
  edit('monitoring/prometheus/staging.yml', [
    [/scrape_interval: 15s/, 'scrape_interval: 2s'],
    [/scrape_timeout: 10s/, 'scrape_timeout: 2s'],
    [/scrape_interval: 1m/, 'scrape_interval: 2s'],
    [/evaluation_interval: 15s/, 'evaluation_interval: 2s'],
    // It may take so long to notice that a server is gone.
    [/job_name: postgres$/m, 'job_name: postgres\n    scrape_interval: 8s\n    scrape_timeout: 8s'],
  ]);
  edit('monitoring/prometheus/rules/alerts.yml', [
    [/for: 1m$/gm, 'for: 4s'],
    [/for: 90s$/gm, 'for: 6s'],
    [/for: 2m$/gm, 'for: 15s'],
  ]);
  edit('monitoring/alertmanager/alertmanager.yml', [[/group_wait: 15s/, 'group_wait: 2s']]);
  await stack.demandBin('up');
  expect(statSync(path('secrets/staging/gateway')).mode & 0o777).toBe(0o755);

  const gateway = await demandDocker([
    ...['network', 'inspect', '--format', '{{(index .IPAM.Config 0).Gateway}}', `${stack.project}_egress`],
  ]);
  writeFileSync(
    path('secrets/staging/alert-slack-url'),
    `http://${gateway}:${portOf(slackServer)}/services/x`,
  );
  edit('.env.staging', [[/^COMPOSE_PROFILES=$/m, 'COMPOSE_PROFILES=monitoring']]);
  await openMail(gateway);
  // Its authority is no public one: docs/monitoring.md says what to do.
  writeFileSync(
    path('compose.mail.yaml'),
    'services:\n  alertmanager:\n    volumes:\n      - ./secrets/${ENVIRONMENT}/mail-authority.pem:/etc/ssl/certs/mail-authority.pem:ro\n',
  );
  writeFileSync(path('secrets/staging/alert-smtp-password'), `${MAIL_PASSWORD}\n`);
  appendFileSync(
    path('.env.staging'),
    `SMTP_SMARTHOST=${gateway}:${portOf(mailServer!.server)}\nSMTP_FROM=alerts@acme.example\nSMTP_USERNAME=alerts\nREPOSITORY_URL=https://git.acme.example/bot\n`,
  );
  // No package of Debian holds Grafana; its panels are asked for one by one below.
  const { stderr } = await stack.demandBin('up');
  expect(stderr).toContain('dashboards is not up: grafana; visitors are served all the same');
  visits = setInterval(() => void stack.fetch('/lite/support/').catch(() => undefined), 1000);
  await Promise.all([
    waitFor(async () => (await query('sum(probe_success{job="status"})'))[0]?.value[1] === '2', {
      timeout: 150_000,
      what: 'figures',
    }),
    demand(path('bin/backup'), ['create', 'staging'], { cwd: stack.folder }).then(() =>
      demand(path('bin/backup'), ['drill', 'staging'], { cwd: stack.folder }),
    ),
  ]);
});

afterAll(async () => {
  clearInterval(visits);
  slackServer?.close();
  slackServer?.closeAllConnections();
  mailServer?.close();
  await stack?.destroy();
});

describe('what is written', () => {
  const promtool = (...args: string[]) =>
    demandDocker(['exec', container('prometheus'), 'promtool', ...args]);

  it('passes promtool check config and check rules', async () => {
    expect(await promtool('check', 'config', '/etc/prometheus/staging.yml')).toMatch(/rules found/);
    await promtool(
      'check',
      'rules',
      '/etc/prometheus/rules/alerts.yml',
      '/etc/prometheus/rules/recordings.yml',
    );
  });

  it('passes promtool test rules: every alert fires when it shall, and is quiet near its limit', async () => {
    // Begun before the stack, and before the rules were made impatient.
    await ruleTests;
  });

  it('passes amtool check-config, and each severity takes its way', async () => {
    const amtool = (...args: string[]) =>
      demandDocker(['exec', container('alertmanager'), 'amtool', ...args]);
    const config = '--config.file=/tmp/alertmanager.yml';
    expect(await amtool('check-config', '/tmp/alertmanager.yml')).toContain('SUCCESS');
    for (const [receiver, ...labels] of [
      ['pages', 'severity=page', 'alertname=PostgresDown'],
      ['tickets', 'severity=ticket', 'alertname=BackupFailed'],
      ['watchdog', 'severity=none', 'alertname=Watchdog'],
      ['pages', 'severity=page', 'alertname=AlertTest'],
      ['tickets', 'alertname=WithoutSeverity'],
    ] as const)
      expect(
        await amtool('config', 'routes', 'test', config, `--verify.receivers=${receiver}`, ...labels),
      ).toBe(receiver);
    const { route } = parse(
      await demandDocker(['exec', container('alertmanager'), 'cat', '/tmp/alertmanager.yml']),
    ) as {
      route: { routes: { matchers: string[]; active_time_intervals?: string[] }[] };
    };
    expect(
      route.routes
        .filter(({ active_time_intervals }) => active_time_intervals)
        .map(({ matchers }) => matchers),
    ).toEqual([['severity="ticket"']]);
  });

  it('leaves out who is not set up, and refuses settings that are none', async () => {
    const start = (...env: string[]) =>
      docker([
        ...[
          'run',
          '--rm',
          '--network',
          'none',
          '--tmpfs',
          '/tmp:uid=65534',
          ...env.flatMap((entry) => ['--env', entry]),
        ],
        ...['--volume', `${path('monitoring/alertmanager')}:/etc/alertmanager:ro`, '--entrypoint', '/bin/sh'],
        ...['prom/alertmanager:v0.28.1', '/etc/alertmanager/start.sh', '--check'],
      ]);
    const none = await start();
    expect(none.code).toBe(0);
    expect(none.stderr).toMatch(/by slack[\s\S]*by watchdog[\s\S]*by email/);
    // A server without TLS and login.
    expect((await start('SMTP_SMARTHOST=mail:25', 'SMTP_REQUIRE_TLS=false')).code).toBe(0);
    for (const entry of ['SMTP_SMARTHOST=a b:25', 'SMTP_SMARTHOST=host', 'REPOSITORY_URL=ftp://x']) {
      const refused = await start('SMTP_SMARTHOST=mail:25', entry);
      expect(refused.code).toBe(2);
      expect(refused.stderr).toContain(`${entry} in .env.<environment> is not`);
    }
  });
});

describe('the figures', () => {
  /** Expressions of alerts, recordings and panels, and where each stands. */
  function expressions(): [string, string][] {
    const rules = ['alerts', 'recordings'].flatMap((file) =>
      (
        parse(readFileSync(path(`monitoring/prometheus/rules/${file}.yml`), 'utf8')) as {
          groups: { rules: { alert?: string; record?: string; expr: string }[] }[];
        }
      ).groups.flatMap(({ rules: list }) =>
        list.map(({ alert, record, expr }): [string, string] => [alert ?? record ?? '', expr]),
      ),
    );
    return [...rules, ...panels().map(({ title, expr }): [string, string] => [title, expr])];
  }

  function panels(): { title: string; expr: string }[] {
    const folder = path('monitoring/grafana/dashboards');
    return readdirSync(folder).flatMap((file) =>
      (
        JSON.parse(readFileSync(join(folder, file), 'utf8')) as {
          panels: { title: string; type: string; targets: { expr: string }[] }[];
        }
      ).panels
        // Log lines are Loki's.
        .filter(({ type }) => type !== 'logs')
        .flatMap(({ title, targets }) => targets.map(({ expr }) => ({ title: `${file}: ${title}`, expr }))),
    );
  }

  it('come from every target but Grafana', async () => {
    await waitFor(async () => (await query('up == 1')).length >= 10, { timeout: 20_000, what: 'targets' });
    expect((await query('up == 0')).map(({ metric }) => metric.job)).toEqual(['grafana']);
    // Each instance for itself.
    expect(await numberOf('count(up{job="gateway"} == 1)')).toBe(2);
  });

  it('hold every metric that a rule or a panel reads', async () => {
    const metrics = [...new Set(expressions().flatMap(([, expression]) => metricsOf(expression)))];
    expect(metrics.length).toBeGreaterThan(50);
    await waitFor(async () => (await query('botpress:errors:ratio_3d')).length > 0, {
      timeout: 20_000,
      what: 'recordings',
    });
    const missing: string[] = [];
    for (const metric of metrics) if ((await query(`count(${metric})`)).length === 0) missing.push(metric);
    expect(missing).toEqual([]);
  });

  it('fill every panel', async () => {
    const all = panels();
    expect(all.length).toBeGreaterThan(40);
    const fills = async ({ expr }: { expr: string }) =>
      (await query(expr)).some(({ value: [, number] }) => number !== 'NaN');
    // A rate needs two figures.
    const empty = await waitFor(
      async () => {
        const list = [];
        for (const panel of all) if (!(await fills(panel))) list.push(panel.title);
        return list.length === 0 ? list : Promise.reject(new Error(list.join('; ')));
      },
      { timeout: 20_000, what: 'figures in all panels', every: 2000 },
    );
    expect(empty).toEqual([]);
  });

  it('tell the memory of each node and its limit, as the engine knows them', async () => {
    for (const node of ['botpress', 'botpress-2']) {
      const limit = await demandDocker(['inspect', '--format', '{{.HostConfig.Memory}}', container(node)]);
      expect(await numberOf(`botpress_container_memory_limit_bytes{server="${node}"}`)).toBe(Number(limit));
      const used = await numberOf(`botpress_container_memory_bytes{server="${node}"}`);
      expect(used).toBeGreaterThan(20e6);
      expect(used).toBeLessThan(Number(limit));
    }
  });

  it('come from PostgreSQL and Redis by users that can do nothing else', async () => {
    const secret = stack.secret('redis-monitor-password');
    const redis = (...command: string[]) =>
      docker([
        ...[
          'exec',
          '--env',
          `REDISCLI_AUTH=${secret}`,
          container('redis'),
          'redis-cli',
          '--user',
          'monitor',
          ...command,
        ],
      ]);
    expect((await redis('INFO', 'memory')).stdout).toContain('used_memory');
    for (const command of [
      ['GET', 'x'],
      ['SET', 'x', '1'],
      ['KEYS', '*'],
      ['CONFIG', 'GET', '*'],
      ['ACL', 'LIST'],
    ])
      expect((await redis(...command)).stdout).toMatch(/NOPERM|no permissions/);
    const inspected = await demandDocker([
      'inspect',
      container('redis-exporter'),
      container('postgres-exporter'),
    ]);
    expect(inspected).not.toContain(secret);
    expect(inspected).not.toContain(stack.secret('botpress-monitor-password'));
  });
});

describe('the alerts', () => {
  const firing = async (alert: string) =>
    (await query(`ALERTS{alertname="${alert}",alertstate="firing"}`)).length > 0;

  /** Both receivers have a message with the text. */
  const arrives = (text: string) =>
    waitFor(() => slack.some((body) => body.includes(text)) && mail.some((body) => body.includes(text)), {
      timeout: 150_000,
      what: `message "${text}" at both receivers`,
      every: 500,
    });

  it('bin/alert-test sends one through to both receivers, and bin/check believes it', async () => {
    const { code, stdout, stderr } = await stack.bin('alert-test');
    expect({ code, stdout: stdout.split('\n').sort().join('\n').trim(), stderr }).toEqual({
      code: 0,
      stdout: 'email: delivered\nslack: delivered',
      stderr: '',
    });
    await arrives('Test of the alerts: nothing is wrong');
    // The password went over TLS, and never before it.
    expect(new Set(logins)).toEqual(new Set(['TLS alerts']));
    expect(slack.join()).toContain('https://git.acme.example/bot/docs/monitoring.md');
    const after = JSON.parse((await stack.bin('check', '--json')).stdout) as Checks;
    expect(after.checks.find(({ name: line }) => line === 'alerts')?.result).toBe('pass');
    // Grafana is not there, and the check says so.
    const monitoring = after.checks.find(({ name: line }) => line === 'monitoring');
    expect(monitoring?.findings.map(({ reason }) => reason)).toEqual(
      expect.arrayContaining(['grafana is absent', 'Prometheus does not reach grafana']),
    );
  });

  it('bin/alert-test names the receiver that refuses, and why', async () => {
    slackStatus = 404;
    try {
      const { code, stdout, stderr } = await stack.bin('alert-test', '--timeout', '6');
      expect(code).toBe(3);
      expect(stdout).toContain('email: delivered');
      expect(stdout).toContain('slack: not delivered');
      expect(stderr).toMatch(/404|no_service/);
    } finally {
      slackStatus = 200;
    }
  });

  it('tell that the certificate ends', async () => {
    expect(await firing('CertificateExpiresIn21Days')).toBe(false);
    await writeCertificate(1);
    await demandDocker(['exec', container('nginx'), 'nginx', '-s', 'reload']);
    await arrives('The certificate ends in less than a day');
    // The milder ones fire too, and are not sent.
    await waitFor(() => firing('CertificateExpiresIn7Days'), { timeout: 20_000, what: 'milder alert' });
    expect(slack.join()).not.toContain('less than 7 days');
  });

  it('tell that Botpress is down, once', async () => {
    await demandDocker(['stop', '--time', '1', container('botpress'), container('botpress-2')]);
    await arrives('No node of Botpress is well');
    await waitFor(() => firing('SiteDown'), { timeout: 20_000, what: 'the alert behind it' });
    expect(slack.join()).not.toContain('Visitors get no page');
  });

  it('tell that PostgreSQL is down', async () => {
    await demandDocker(['stop', '--time', '5', container('postgres')]);
    await arrives('PostgreSQL is down');
  });
});

interface Checks {
  checks: { name: string; result: string; findings: { reason: string }[] }[];
}
