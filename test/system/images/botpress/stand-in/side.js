/** What the side processes (messaging, studio, NLU) have in common. */

/**
 * Listens on the port that the master chose and says so. A side process outlives its master, as the real ones do,
 * until the container's process space ends.
 * @param {import('node:http').Server} server
 */
export function listenForMaster(server) {
  process.on('disconnect', () => {});
  server.listen(Number(process.env.STANDIN_PORT), '127.0.0.1', () => process.send?.({ type: 'listening' }));
}

/** @param {import('node:http').IncomingMessage} request @returns {Promise<Buffer>} */
export async function readBody(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** @param {import('node:http').ServerResponse} response @param {number} status @param {unknown} body */
export function sendJson(response, status, body) {
  response.writeHead(status, { 'Content-Type': 'application/json; charset=utf-8' }).end(JSON.stringify(body));
}
