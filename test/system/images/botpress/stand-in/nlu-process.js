/** The bundled NLU, started by the master: the language source comes from the module's option. */
import { createNluServer } from './nlu.js';
import { listenForMaster } from './side.js';

listenForMaster(await createNluServer(languageSource()));

function languageSource() {
  try {
    const [source] = JSON.parse(process.env.BP_MODULE_NLU_LANGUAGESOURCES ?? '[]');
    return { url: source?.endpoint ?? '', token: source?.authToken };
  } catch {
    return { url: '' };
  }
}
