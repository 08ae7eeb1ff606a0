#!/usr/bin/env node
import manifest from '../package.json' with { type: 'json' };

const words = process.argv.slice(2);
// Answered before anything else is loaded: it then takes about as long as Node itself.
if (words.includes('--version') && !words.includes('--')) {
  process.stdout.write(`${manifest.version}\n`);
} else {
  // A reader that goes away, such as head, is no fault.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    process.exit();
  });
  const { runCommand } = await import('./cli/command.ts');
  process.exitCode = await runCommand(words);
}
