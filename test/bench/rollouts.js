// Deployments in a row under load, as test/system/deploy.test.ts makes them, and what visitors notice of them.
//
//   npm run bench:rollouts                     prints the figures; fails when a message was lost, refused or doubled
//   npm run bench:rollouts -- --write          puts them into docs/performance.md as well
//   npm run bench:rollouts -- --rollouts 50    more than 20
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

const root = fileURLToPath(new URL('../..', import.meta.url));
const { values: options } = parseArgs({
  options: { write: { type: 'boolean' }, rollouts: { type: 'string', default: '20' } },
});

const scratch = mkdtempSync(join(tmpdir(), 'botpress-prod-bench-'));
const figures = join(scratch, 'figures.md');
const jest = join(root, 'node_modules/jest/bin/jest.js');
const { status } = spawnSync(
  process.execPath,
  [
    '--experimental-vm-modules',
    jest,
    '--selectProjects=system',
    '--testPathPatterns=test/system/deploy.test.ts',
    '--testNamePattern=in a row under load',
  ],
  {
    cwd: root,
    stdio: 'inherit',
    env: { ...process.env, ROLLOUTS: options.rollouts, ROLLOUT_FIGURES: figures },
  },
);
if (status === 0 && options.write) {
  const page = join(root, 'docs/performance.md');
  const text = readFileSync(figures, 'utf8').trim();
  writeFileSync(
    page,
    readFileSync(page, 'utf8').replace(
      /(<!-- rollouts -->\n)[^]*?(<!-- \/rollouts -->)/,
      (_match, begin, end) => `${begin}\n${text}\n\n${end}`,
    ),
  );
  spawnSync(process.execPath, [join(root, 'node_modules/prettier/bin/prettier.cjs'), '--write', page]);
}
rmSync(scratch, { recursive: true });
process.exitCode = status ?? 1;
