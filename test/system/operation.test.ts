import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { IMAGES } from '../../src/deployment/images.ts';
import { run, startEngine, waitFor } from './engine/setup.ts';
import { Stack } from './stack.ts';

jest.setTimeout(240_000);

const production = {
  name: 'production',
  domain: 'bot.acme.example',
  httpPort: 18280,
  httpsPort: 18643,
};

/** Providers of channels as the test plays them: every credential is good, except Slack's. */
const PROVIDERS = `pid /tmp/nginx.pid;
events {}
http { server { listen 8080; location /slack { return 401; } location / { return 200; } } }
`;

/** A part of the test's own: compose takes it in by its name. */
const PART = `services:
  botpress:
    environment:
      STANDIN_PROVIDERS_URL: http://providers:8080
      # So that the test sees the watchdog at work.
      WATCHDOG_SECONDS: '8'
  providers:
    image: ${IMAGES.nginx.reference}
    volumes: ['./providers.conf:/etc/nginx/nginx.conf:ro']
    networks: [egress]
`;

describe('a stack in operation', () => {
  let stack: Stack;
  const credentials = () => join(stack.folder, 'secrets/production/channels-support.env');
  const setCredentials = (lines: Record<string, string>) => {
    const text = readFileSync(credentials(), 'utf8').replace(
      /^([A-Z_]+)=.*$/gm,
      (_, name: string) => `${name}=${lines[name] ?? ''}`,
    );
    writeFileSync(credentials(), text);
  };
  const webhook = async (channel: string) =>
    (await stack.fetch(`/api/v1/messaging/webhooks/v1/support/${channel}`, { method: 'POST' })).status;
  const healthy = () =>
    waitFor(async () => (await stack.health('botpress')) === 'healthy', {
      timeout: 90_000,
      what: 'healthy Botpress',
    });
  const answers = async () =>
    (await stack.fetch('/api/v1/bots/support/converse/somebody', { body: { type: 'text', text: 'hello' } }))
      .status === 200;

  beforeAll(async () => {
    await startEngine();
    stack = await Stack.generate(
      {
        domain: production.domain,
        environments: [production],
        scaling: { deployment: 'recreate' },
        backup: { targets: [] },
        monitoring: false,
        channels: ['web', 'slack', 'telegram', 'twilio'],
      },
      production,
      'operation-test',
    );
    writeFileSync(join(stack.folder, 'compose.test.yaml'), PART);
    writeFileSync(join(stack.folder, 'providers.conf'), PROVIDERS);
    await stack.demandBin('up');
  });
  afterAll(async () => stack?.destroy());

  it('serves visitors though the image of a part cannot be had, and says what is missing', async () => {
    const compose = join(stack.folder, 'compose.gadget.yaml');
    const part = join(stack.folder, 'bin/lib/parts/gadget.sh');
    writeFileSync(
      compose,
      'services:\n  gadget:\n    image: nowhere.invalid/gadget:1\n    networks: [app]\n',
    );
    mkdirSync(dirname(part), { recursive: true });
    writeFileSync(part, "COMPANIONS[gadget]='gadget'\n");
    const up = await stack.bin('up');
    expect([up.code, up.stderr]).toEqual([0, expect.stringContaining('gadget is not up: gadget')]);
    expect(up.stdout).toContain('production is up');
    expect(await answers()).toBe(true);
    expect((await stack.bin('status')).code).toBe(3);
    rmSync(compose);
    rmSync(part);
    expect((await stack.bin('status')).code).toBe(0);
  });

  it('starts with every channel off while there are no credentials', async () => {
    for (const channel of ['slack', 'telegram/probe', 'twilio'])
      expect([channel, await webhook(channel)]).toEqual([channel, 404]);
    expect(await answers()).toBe(true);
  });

  it('switches on the channel whose credentials are complete, and names what an incomplete one lacks', async () => {
    setCredentials({ TELEGRAM_BOT_TOKEN: '123456:abc-DEF', TWILIO_ACCOUNT_SID: 'AC0123456789' });
    const { stdout, stderr } = await stack.demandBin('up');
    expect(stdout + stderr).toContain('TWILIO_AUTH_TOKEN');
    expect(stdout + stderr).not.toContain('abc-DEF');
    expect(await webhook('telegram/probe')).toBe(401);
    expect(await webhook('twilio')).toBe(404);
    const check = await stack.bin('check');
    expect([check.code, check.stdout.includes('TWILIO_AUTH_TOKEN')]).toEqual([3, true]);
  });

  it('makes the cause plain when one wrong credential silences every channel', async () => {
    setCredentials({
      TELEGRAM_BOT_TOKEN: '123456:abc-DEF',
      SLACK_BOT_TOKEN: 'xoxb-wrong',
      SLACK_SIGNING_SECRET: 'wrong',
    });
    await stack.bin('up');
    const { code, stdout } = await stack.bin('check', '--json');
    expect(code).toBe(3);
    expect(stdout).toMatch(/slack/i);
    expect(stdout).not.toContain('xoxb-wrong');
    setCredentials({ TELEGRAM_BOT_TOKEN: '123456:abc-DEF' });
    await stack.demandBin('up');
    expect(await webhook('telegram/probe')).toBe(401);
    expect((await stack.bin('check')).code).toBe(0);
  });

  it.each(['botpress-password', 'app-secret', 'botpress-backup-password'])('rotates %s', async (name) => {
    const before = stack.secret(name);
    const { stdout, stderr } = await stack.demandBin('rotate', name);
    const after = stack.secret(name);
    expect(after).not.toBe(before);
    expect(after).toHaveLength(43);
    for (const secret of [before, after]) expect(stdout + stderr).not.toContain(secret);
    await healthy();
    expect(await answers()).toBe(true);
  });

  it('starts by itself when PostgreSQL comes up later than Botpress', async () => {
    await stack.demandBin('compose', 'stop', 'botpress', 'postgres');
    await stack.demandBin('compose', 'up', '--detach', '--no-deps', 'botpress');
    await waitFor(
      async () =>
        (await stack.demandBin('compose', 'logs', 'botpress')).stdout.includes('waiting for PostgreSQL'),
      {
        timeout: 30_000,
        what: 'a message that PostgreSQL is awaited',
      },
    );
    await stack.demandBin('compose', 'start', 'postgres');
    await healthy();
    expect(await answers()).toBe(true);
  });

  it('starts afresh when messaging was killed, which Botpress itself never repairs', async () => {
    await stack.demandBin(
      'compose',
      'exec',
      '-T',
      'botpress',
      'bash',
      '-c',
      // The image has no pkill.
      'for f in /proc/[0-9]*/cmdline; do if tr "\\0" " " <"$f" | grep -q "[m]essaging"; then p=${f#/proc/}; kill -KILL "${p%/cmdline}" || true; fi; done',
    );
    await waitFor(async () => (await stack.health('botpress')) !== 'healthy', {
      timeout: 60_000,
      what: 'Botpress that is not healthy',
    });
    await healthy();
    expect(await answers()).toBe(true);
  });

  it('refuses an environment it does not know', async () => {
    const codes = await Promise.all(
      ['up', 'down', 'status', 'logs', 'check'].map(
        async (command) =>
          (await run(join(stack.folder, 'bin', command), ['mars'], { cwd: stack.folder })).code,
      ),
    );
    expect(new Set(codes)).toEqual(new Set([2]));
  });
});
