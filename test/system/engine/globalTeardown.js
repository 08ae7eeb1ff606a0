import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** A developer's engine stays for the next run; a CI machine is left without a daemon. */
export default function globalTeardown() {
  if (process.env.CI !== 'true') return;
  execFileSync(fileURLToPath(new URL('./engine.sh', import.meta.url)), ['stop'], { stdio: 'inherit' });
}
