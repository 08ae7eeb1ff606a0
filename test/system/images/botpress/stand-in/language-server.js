/** The language server (`bp lang`): serves what lies in --langDir. */
import { readdir } from 'node:fs/promises';
import { createServer } from 'node:http';
import { parseFlags } from './flags.js';
import { knobs, sleep } from './knobs.js';
import { createLogger } from './log.js';
import { sendJson } from './side.js';

const log = createLogger('LANG Server');

/** @param {string[]} args `--langDir DIR --port 3100 --dim 100 --domain bp --offline --authToken TOKEN` */
export async function serveLanguages(args) {
  const flags = parseFlags(args);
  const dimensions = Number(flags.dim ?? 100);
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
  let languages = [];
  let ready = false;
  const server = createServer((request, response) => {
    if (
      flags.authToken &&
      request.headers.authorization?.toLowerCase() !== `bearer ${flags.authToken}`.toLowerCase()
    ) {
      return sendJson(response, 401, { success: false });
    }
    const path = request.url.split('?')[0];
    const names = languages.map((lang) => ({ lang, loaded: true }));
    if (path === '/info') {
      return sendJson(response, 200, {
        version: '1.2.0',
        ready,
        dimensions: ready ? dimensions : null,
        domain: flags.domain ?? 'bp',
        readOnly: !flags.adminToken,
        languages: names,
      });
    }
    if (path === '/languages') return sendJson(response, 200, { installed: names, available: [] });
    return sendJson(response, 404, { success: false });
  });
  server.listen(Number(flags.port ?? 3100), () =>
    log.info(`Language Server is ready at port ${flags.port ?? 3100}`),
  );
  await sleep(knobs.listenAfterMs);
  languages = await findLanguages(flags.langDir ?? '.', dimensions);
  if (languages.length === 0) log.warn(`No language found in ${flags.langDir ?? '.'}`);
  ready = true;
}

/** Files are named DOMAIN.LANGUAGE.DIMENSIONS.bin. */
async function findLanguages(folder, dimensions) {
  const names = await readdir(folder).catch(() => []);
  const found = names.map((name) => new RegExp(`^[^.]+\\.([a-z]{2})\\.${dimensions}\\.bin$`).exec(name)?.[1]);
  return [...new Set(found.filter(Boolean))];
}
