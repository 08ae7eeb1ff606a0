/** The NLU server: no authentication; asks the language server for its languages at its start, and never again. */
import { createServer } from 'node:http';
import { parseFlags } from './flags.js';
import { knobs, sleep } from './knobs.js';
import { createLogger } from './log.js';
import { sendJson } from './side.js';

const log = createLogger('NLU');
const TRIES = 5;
const TRY_EVERY_MS = 2000;
/** Version bundled in 12.31.10. */
const NLU_VERSION = '1.0.2';

/** @param {string[]} args `bp nlu --languageURL … --port …` */
export async function serveNlu(args) {
  const flags = parseFlags(args);
  const server = await createNluServer({ url: flags.languageURL ?? '', token: flags.languageAuthToken });
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, () => process.exit(0));
  server.listen(Number(flags.port ?? 3200), flags.host, () =>
    log.info(`NLU Server is ready at port ${flags.port ?? 3200}`),
  );
}

/**
 * @param {{ url: string, token?: string }} source empty url = no languages
 * @returns {Promise<import('node:http').Server>}
 */
export async function createNluServer(source) {
  const languages = source.url ? await askLanguages(source) : [];
  if (languages.length === 0)
    log.warn('No language source is reachable: no language is available until a restart');
  return createServer((request, response) => {
    const path = request.url.split('?')[0];
    if (path === '/info' || path === '/v1/info') {
      if (knobs.nluDown) return sendJson(response, 500, { success: false });
      const health = {
        isEnabled: true,
        validProvidersCount: languages.length > 0 ? 1 : 0,
        validLanguages: languages,
      };
      return sendJson(response, 200, {
        success: true,
        info: { version: NLU_VERSION, health, languages, specs: { nluVersion: NLU_VERSION } },
      });
    }
    return sendJson(response, 404, { success: false, error: { message: 'Not found' } });
  });
}

async function askLanguages({ url, token }) {
  for (let attempt = 1; attempt <= TRIES; attempt += 1) {
    try {
      const headers = token ? { authorization: `bearer ${token}` } : {};
      const answer = await fetch(new URL('info', url.endsWith('/') ? url : `${url}/`), {
        headers,
        signal: AbortSignal.timeout(2000),
      });
      const info = await answer.json();
      if (answer.ok && info.ready) return (info.languages ?? []).map((one) => one.lang ?? one);
    } catch {
      // Not there yet.
    }
    if (attempt < TRIES) await sleep(TRY_EVERY_MS);
  }
  return [];
}
