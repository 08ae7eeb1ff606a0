/**
 * The master process: starts the web worker, messaging, studio and NLU, and ends (or does not) the way the real
 * one does. Its exit code says nothing: 0 for nearly everything.
 */
import { fork } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { fileURLToPath } from 'node:url';
import { isYes, knobs } from './knobs.js';
import { createLogger } from './log.js';
import { findPort } from './ports.js';

const log = createLogger('Cluster');
const script = (name) => fileURLToPath(new URL(name, import.meta.url));

/** Told instead of a port when a side process will not come back. */
const GONE = 0;

export async function serve() {
  const maxReboots = isYes(process.env.BP_DISABLE_AUTO_RESTART)
    ? 0
    : Number(process.env.BP_MAX_SERVER_REBOOT ?? 2);
  const shared = {
    STANDIN_INTERNAL_KEY: randomUUID(),
    SERVER_ID: process.env.SERVER_ID ?? randomUUID().slice(0, 10),
  };
  /** Where the side processes listen, as the worker must know. */
  const ports = {};
  let worker;
  let reboots = 0;

  const tellPorts = () => worker?.connected && worker.send({ type: 'ports', ports });

  /** A side process: restarted after a crash up to the limit, never after a plain end, SIGTERM or SIGKILL. */
  async function startSide(name, firstPort, restarts = 0) {
    const port = await findPort(firstPort);
    const child = fork(script(`./${name}.js`), [], {
      env: { ...process.env, ...shared, STANDIN_PORT: String(port) },
    });
    child.on('message', (message) => {
      if (message.type !== 'listening') return;
      ports[name] = port;
      tellPorts();
    });
    child.on('exit', (code, signal) => {
      delete ports[name];
      tellPorts();
      if (child.wanted === false) return;
      const isOver = code === 0 || signal === 'SIGKILL' || signal === 'SIGTERM';
      if (!isOver && restarts < maxReboots) return void startSide(name, firstPort, restarts + 1);
      if (!isOver) log.error(`${name} stopped too often, going on without it`);
      ports[name] = GONE;
      tellPorts();
    });
    return child;
  }

  const side = {};
  async function startDependants() {
    side.studio = await startSide('studio', 4000);
    const external = process.env.BP_MODULE_NLU_NLUSERVER_AUTOSTART;
    if (external === undefined || isYes(external)) side['nlu-process'] = await startSide('nlu-process', 3200);
  }

  async function startMessaging() {
    if (process.env.MESSAGING_ENDPOINT) return;
    await startSide('messaging', 3100);
  }

  function startWorker() {
    let registered = false;
    worker = fork(script('./worker.js'), [], { env: { ...process.env, ...shared } });
    worker.on('message', (message) => {
      if (message.type === 'registered') registered = true;
      if (message.type === 'reboot') reboots = 0;
    });
    tellPorts();
    worker.on('exit', async (code, signal) => {
      if (code === 0 || signal === 'SIGKILL' || !registered) process.exit(0);
      if (reboots >= maxReboots) {
        log.error(
          `Exceeded the maximum number of automatic server reboots (${maxReboots}). See the "BP_MAX_SERVER_REBOOT" environment variable.`,
        );
        return;
      }
      reboots += 1;
      // The real master forgets its messaging process: each reboot adds one more on the next port.
      for (const child of Object.values(side)) {
        child.wanted = false;
        child.kill('SIGKILL');
      }
      startWorker();
      await startMessaging();
      await startDependants();
    });
  }

  // Gone at once: what is in flight is cut. The side processes end with the container's process space.
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGUSR2']) {
    process.on(signal, () => {
      worker?.kill('SIGKILL');
      process.exit(0);
    });
  }
  // Keeps a master alive that has no worker any more.
  setInterval(() => {}, 60_000);

  log.info(`Botpress ${knobs.version} (stand-in), server id ${shared.SERVER_ID}`);
  startWorker();
  await startMessaging();
  await startDependants();
}
