/** What nobody may see, and where it would be seen. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Lines of the files below a folder that nobody may see: passwords, and the content of private keys. */
export function secretLines(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter(
      (entry) => entry.isFile() && !/\.pub\.pem$|recipients|known-hosts|fullchain|authority/.test(entry.name),
    )
    .flatMap((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8').split(/[\n"]|\\n/))
    .map((line) => line.replace(/^[A-Z_]+=/, ''))
    .filter((line) => /^[\w+/=-]{40,}$/.test(line) && !line.includes('PRIVATE KEY'));
}

/** Arguments that are watched until `end`, which returns what was seen. */
export interface ArgumentWatch {
  end: () => Promise<string[]>;
}

/**
 * Arguments of every process of this machine: the kernel tells of each program that starts, however soon it ends, and every
 * 40 ms all are looked at once more, for some rewrite their arguments.
 */
export async function watchArguments(): Promise<ArgumentWatch> {
  const seen = new Set<string>();
  // Before all others, so that a program is looked at while it is there; a line at a time.
  const started = spawn('nice', ['--adjustment=-20', 'forkstat', '-l', '-e', 'exec'], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let told = '';
  started.stdout.setEncoding('utf8').on('data', (text: string) => (told += text));
  const ended = once(started, 'close');
  // It prints the head of its table once it listens.
  await Promise.race([
    once(started.stdout, 'data'),
    ended.then(() => {
      throw new Error('forkstat cannot watch this machine');
    }),
  ]);
  const look = setInterval(() => {
    for (const pid of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)))
      try {
        seen.add(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '));
      } catch {
        // It has ended meanwhile.
      }
  }, 40);
  return {
    end: async () => {
      clearInterval(look);
      started.kill('SIGINT');
      await ended;
      // Behind time, event, process, owners and terminal; a second line belongs to arguments of more lines.
      return [...seen, ...told.split('\n').map((line) => line.replace(/^\d\S+ +exec +\d+ +/, ''))];
    },
  };
}
