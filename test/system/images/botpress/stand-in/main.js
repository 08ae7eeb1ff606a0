/** The command line of `bp`: no command serves; the other roles of the image are commands. */
import { readFileSync } from 'node:fs';

loadEnvFile('.env');
const { knobs } = await import('./knobs.js');

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

/** A .env file beside the binary fills in what the environment does not set. */
function loadEnvFile(file) {
  let text;
  try {
    text = readFileSync(file, 'utf8');
  } catch {
    return;
  }
  for (const line of text.split('\n')) {
    const match = /^\s*([\w.-]+)\s*=\s*(.*?)\s*$/.exec(line);
    if (match) process.env[match[1]] ??= match[2].replace(/^(['"])(.*)\1$/, '$2');
  }
}
