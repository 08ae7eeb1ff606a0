import { createServer } from 'node:net';

/**
 * The first free port from `start` on: the real server moves on when a port is taken.
 * @param {number} start @returns {Promise<number>}
 */
export async function findPort(start) {
  for (let port = start; port < start + 100; port += 1) {
    const free = await new Promise((resolve) => {
      const probe = createServer();
      probe.once('error', () => resolve(false));
      probe.listen(port, () => probe.close(() => resolve(true)));
    });
    if (free) return port;
  }
  throw new Error(`no free port from ${start} on`);
}
