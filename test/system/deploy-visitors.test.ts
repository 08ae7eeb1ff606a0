import { afterAll, afterEach, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { appendFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { IMAGES } from '../../src/deployment/images.ts';
import { demandDocker, docker, sleep, startEngine, waitFor, type HttpResult } from './engine/setup.ts';
import { Visitor, type VisitorOptions } from './engine/visitor.ts';
import { makeNginxWithoutJavaScript, startStack, type Rollouts } from './rollout.ts';

const PLAIN_NGINX = 'botpress-prod-test/nginx-without-javascript:1';

jest.setTimeout(240_000);

let rollouts: Rollouts;

beforeAll(async () => {
  await startEngine();
  rollouts = await startStack('rollout-webchat', 19090, '12.31.10');
});
afterAll(async () => rollouts?.stack.destroy());

describe('a webchat message during a rollout', () => {
  const connect = (options: Partial<VisitorOptions> = {}) =>
    Visitor.connect({
      url: `https://${rollouts.stack.domain}:${rollouts.stack.httpsPort}`,
      bot: 'support',
      ca: rollouts.stack.certificate(),
      ...options,
    });

  /** Speaks when the socket has ended, again before the next one, and a third time on that one. */
  const speakAcrossTheCut = async (visitor: Visitor): Promise<void> => {
    await visitor.ask('hello');
    const said: Promise<HttpResult>[] = [];
    visitor.onDisconnect(() => said.push(...speakWithoutSocket(visitor)));
    await waitFor(() => said.length > 0, { timeout: 120_000, what: 'end of the socket', every: 5 });
    await expectSaidOnce(visitor, said);
  };

  const speakWithoutSocket = (visitor: Visitor) => [
    visitor.say('one'),
    sleep(100).then(() => visitor.say('two')),
  ];

  /** Says the last words as soon as there is a socket; all are answered once, in order. */
  const expectSaidOnce = async (visitor: Visitor, said: Promise<HttpResult>[]): Promise<void> => {
    await waitFor(() => visitor.isConnected, { timeout: 30_000, what: 'the next socket', every: 5 });
    const results = await Promise.all([...said, visitor.say('three')]);
    for (const { status, body } of results) expect([status, body]).toEqual([200, 'OK']);
    const answers = ['Hello from support', 'You said one', 'You said two', 'You said three'];
    await waitFor(() => answers.every((text) => visitor.answers.includes(text)), {
      timeout: 15_000,
      what: 'answers',
    });
    // What is doubled may come late.
    await sleep(1000);
    expect(visitor.answers.toSorted()).toEqual(answers.toSorted());
    expect(await wordsOf(visitor.id)).toEqual(['hello', 'one', 'two', 'three']);
    visitor.close();
  };

  /** What the database says that a visitor has said, in order. */
  const wordsOf = async (visitor: string): Promise<string[]> => {
    const query = `SELECT payload->>'text' FROM msg_messages JOIN web_user_map ON "authorId" = "userId"
      WHERE "visitorId" = '${visitor}' ORDER BY "sentOn"`;
    const { stdout } = await rollouts.stack.demandBin(
      'compose',
      ...['exec', '-T', 'postgres', 'psql', '-XAtq', '-U', 'postgres', '-d', 'botpress', '-c', query],
    );
    return stdout.split('\n').filter(Boolean);
  };

  it('takes what is said between the end of a socket and the next one, in order', async () => {
    const visitors = [await connect(), await connect({ transports: ['polling'] })];
    const run = rollouts.start();
    await Promise.all([...visitors.map(speakAcrossTheCut), run.ended]);
    expect(await run.ended).toBe(0);
    await rollouts.expectAtRest();
  });

  /** At rest, with the switch of a move: each refused message waits as it does while a rollout moves its visitor. */
  describe('a message that waits for its visitor', () => {
    const path = '/api/v1/bots/support/mod/channel-web/messages';
    const payload = { type: 'text', text: 'who speaks?' };
    const browser = { cookie: `botpress_visitor=${'0123456789abcdef'.repeat(2)}` };
    const post = (
      body: string | Buffer | object,
      { headers = browser as Record<string, string>, timeout = 30_000 } = {},
    ) =>
      rollouts.stack.fetch(path, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...headers },
        body,
        timeout,
      });
    const move = () => writeFileSync(rollouts.stateFile('nginx/moving'), '');
    const rest = () => rmSync(rollouts.stateFile('nginx/moving'), { force: true });
    afterEach(rest);

    it('is said once, in its turn', async () => {
      const visitor = await connect({ transports: ['websocket'], reconnects: false });
      await visitor.ask('hello');
      move();
      visitor.cutConnection();
      // A drain cuts on the side of the server, which then knows it. Here it has to hear of it first: until then it takes
      // what is said, and answers into the socket that is gone.
      const body = { webSessionId: visitor.socketId, conversationId: 'nobody', payload };
      await waitFor(async () => (await post(body, { headers: {} })).body.includes('session id is invalid'), {
        timeout: 10_000,
        what: 'knowledge of the cut',
        every: 20,
      });
      const said = speakWithoutSocket(visitor);
      await sleep(300);
      visitor.connectAgain();
      await expectSaidOnce(visitor, said);
    });

    it('passes every other answer on as it is, at once', async () => {
      const visitor = await connect();
      await visitor.ask('hello');
      const socket = visitor.socketId;
      const bodies: (string | object)[] = [
        '',
        'not JSON',
        '[]',
        'null',
        '{"webSessionId":',
        { payload },
        { webSessionId: null, payload },
        { webSessionId: { toString: 1 }, payload },
        { webSessionId: [socket], payload },
        { webSessionId: '../../$&', payload },
        { webSessionId: 'nobody', nested: { webSessionId: 'nobody' }, payload },
        { webSessionId: 'nobody', payload: { type: 'text', text: 'x'.repeat(70_000) } },
        { webSessionId: socket, payload: { type: 'text', text: '' } },
        { webSessionId: socket, payload: { type: 'nonsense' } },
        { webSessionId: socket, conversationId: 'nobody', payload },
        'x'.repeat(11 * 1024 * 1024),
      ];
      const ask = async () => {
        const replies = [];
        for (const body of bodies) {
          // Less than what is held waits for.
          const { status, body: text, headers } = await post(body, { timeout: 10_000 });
          replies.push([status, text, headers['content-type'], headers['cache-control']]);
        }
        return replies;
      };
      const before = await ask();
      move();
      expect(await ask()).toEqual(before);
      // Nor is anybody without the cookie.
      expect(await post({ webSessionId: 'nobody', payload }, { headers: {}, timeout: 10_000 })).toMatchObject(
        { status: 400 },
      );
      expect(await wordsOf(visitor.id)).toEqual(['hello']);
      visitor.close();
    });

    it('is nobody else’s: another browser cannot speak for a visitor who comes over', async () => {
      const visitor = await connect();
      await visitor.ask('hello');
      const { conversationId } = visitor.received[0] ?? {};
      move();
      visitor.cutConnection();
      const [bare, reply] = await Promise.all([
        post({ webSessionId: 'nobody', payload }),
        post({ webSessionId: 'nobody', conversationId, payload }),
      ]);
      expect([bare, reply].map(({ status, body }) => [status, (JSON.parse(body) as Error).message])).toEqual(
        [bare, reply].map(() => [400, 'session id is invalid']),
      );
      expect(await wordsOf(visitor.id)).toEqual(['hello']);
      visitor.close();
    });
  });
});

it('freezes administration while two servers run, and nothing else', async () => {
  const login = () =>
    rollouts.stack.fetch('/api/v1/auth/login/basic/default', {
      body: { email: 'nobody@acme.example', password: 'wrong' },
    });
  expect((await login()).status).not.toBe(503);
  const run = rollouts.start();
  await run.reach('start');
  const refused = await login();
  expect([refused.status, refused.headers['retry-after']]).toEqual([503, '5']);
  expect((await rollouts.stack.fetch('/admin/')).status).not.toBe(503);
  expect(await run.ended).toBe(0);
  expect((await login()).status).not.toBe(503);
});

it('goes back within the version with the containers of before', async () => {
  const stopped = async () =>
    (await rollouts.stack.inspect()).find(
      ({ Config, State }) =>
        Config.Labels['com.docker.compose.service']?.startsWith('botpress-') && State.Status === 'exited',
    )?.Id;
  const before = await stopped();
  expect(before).toBeDefined();
  await rollouts.stack.demandBin('rollback');
  const running = (await rollouts.stack.inspect()).find(({ Id }) => Id === before);
  expect(running?.State.Status).toBe('running');
  await rollouts.expectAtRest();
});

it('needs no JavaScript in nginx: one without it serves and deploys like any other', async () => {
  await makeNginxWithoutJavaScript(PLAIN_NGINX);
  try {
    appendFileSync(join(rollouts.stack.folder, '.env.staging'), `IMAGE_NGINX=${PLAIN_NGINX}\n`);
    await rollouts.stack.demandBin('up');
    const { stdout } = await rollouts.stack.demandBin('compose', 'logs', '--no-log-prefix', 'nginx');
    expect(stdout).toContain('this nginx has no JavaScript');
    await rollouts.stack.demandBin('deploy');
    await rollouts.expectAtRest();
  } finally {
    appendFileSync(join(rollouts.stack.folder, '.env.staging'), `IMAGE_NGINX=${IMAGES.nginx.reference}\n`);
    await rollouts.stack.demandBin('up');
    await docker(['image', 'rm', PLAIN_NGINX]);
  }
});

describe('the team', () => {
  let receiver = '';

  beforeAll(async () => {
    receiver = await demandDocker([
      ...['run', '--detach', '--network', `${rollouts.stack.project}_egress`, '--network-alias', 'slack'],
      ...['--entrypoint', 'sh', IMAGES.nginx.reference, '-c'],
      "printf 'pid /tmp/p; events {} http { access_log /dev/stdout; server { listen 8080; return 200; } }' >/tmp/c && exec nginx -c /tmp/c -g 'daemon off;'",
    ]);
  });
  afterAll(() => docker(['rm', '--force', receiver.trim()]));

  const checkTeam = async () => {
    const { checks } = JSON.parse((await rollouts.stack.bin('check', '--json')).stdout) as {
      checks: { name: string; result: string }[];
    };
    return checks.find(({ name }) => name === 'team')?.result;
  };
  const webhook = () => join(rollouts.stack.folder, 'secrets/staging/alert-slack-url');

  it('is told of a rollout in Slack, without the address in any argument or output', async () => {
    expect(await checkTeam()).toBe('not applicable');
    writeFileSync(webhook(), 'http://slack:8080/services/T0/B0/secret-part\n');
    const { stdout, stderr } = await rollouts.stack.demandBin('deploy');
    expect(stdout + stderr).not.toContain('secret-part');
    expect(await demandDocker(['logs', receiver.trim()])).toContain('POST /services/T0/B0/secret-part');
    expect(await checkTeam()).toBe('pass');
  });

  it('not being told stops no rollout, but the checklist', async () => {
    writeFileSync(webhook(), 'http://nowhere.invalid/services/T0/B0/secret-part\n');
    const { stderr } = await rollouts.stack.demandBin('deploy');
    expect(stderr).toContain('the team could not be told');
    expect(await checkTeam()).toBe('fail');
  });
});
