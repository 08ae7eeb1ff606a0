/** The command line of `bp`: no command serves; the other roles of the image are commands. */
import { knobs } from './knobs.js';

const [command = 'serve', ...args] = process.argv.slice(2);

/** @type {Record<string, () => Promise<unknown>>} */
const commands = {
  serve: async () => (await import('./master.js')).serve(),
  lang: async () => (await import('./language-server.js')).serveLanguages(args),
  nlu: async () => (await import('./nlu.js')).serveNlu(args),
  pull: async () => (await import('./versioning.js')).pull(args),
  push: async () => (await import('./versioning.js')).push(args),
  extract: async () => console.log('Modules are extracted'),
  version: async () => console.log(knobs.version),
  '--version': async () => console.log(knobs.version),
};

if (command.startsWith('-') && command !== '--version') {
  await commands.serve();
} else if (commands[command]) {
  await commands[command]();
} else {
  console.log(`Unknown command "${command}"; known: ${Object.keys(commands).join(', ')}`);
}
