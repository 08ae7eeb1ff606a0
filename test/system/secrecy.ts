/** What nobody may see, and where it would be seen. */
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

/** Arguments of every process of this machine, looked at 25 times a second until `end`, which returns what was seen. */
export function watchArguments(): { end: () => string[] } {
  const seen = new Set<string>();
  const watch = setInterval(() => {
    for (const pid of readdirSync('/proc').filter((entry) => /^\d+$/.test(entry)))
      try {
        seen.add(readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' '));
      } catch {
        // It has ended meanwhile.
      }
  }, 40);
  return {
    end: () => {
      clearInterval(watch);
      return [...seen];
    },
  };
}
