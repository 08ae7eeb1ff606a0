import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Once before all system tests: the workers inherit DOCKER_HOST. Plain JavaScript, as jest loads it untransformed. */
export default function globalSetup() {
  const prepare = fileURLToPath(new URL('./prepare.sh', import.meta.url));
  const printed = execFileSync(prepare, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
  process.env.DOCKER_HOST = /DOCKER_HOST=(\S+)/.exec(printed)[1];
}
