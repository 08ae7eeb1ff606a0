import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Answers } from '../../../src/deployment/answers.ts';
import type { Kind, Plan, PlannedFile } from '../../../src/rendering/plan.ts';
import type { Status } from '../../../src/repository/changes.ts';
import { apply, openRepository, prepare } from '../../../src/repository/repository.ts';

/** Memory-backed where the machine has it: the tests write tens of thousands of files. */
const place = existsSync('/dev/shm') ? '/dev/shm' : tmpdir();

/** A folder that does not exist yet, in a parent of its own that `remove` takes away. */
export function makeWorkspace() {
  const parent = mkdtempSync(join(place, 'repository-test-'));
  return { parent, dir: join(parent, 'bot'), remove: () => rmSync(parent, { recursive: true, force: true }) };
}

export function fileOf(path: string, content: string, more: Partial<PlannedFile> = {}): PlannedFile {
  return { path, kind: 'managed', mode: 0o644, template: `app/${path}.ejs`, content, ...more };
}

export function ofKind(kind: Kind, path: string, content: string, mode = 0o600): PlannedFile {
  return fileOf(path, content, { kind, mode });
}

export function planOf(files: PlannedFile[], answers: object = { name: 'acme-bot' }): Plan {
  const sorted = [...files].sort((a, b) => (a.path < b.path ? -1 : 1));
  return { generator: '1.0.0', answers: { alone: [], ...answers } as unknown as Answers, files: sorted };
}

/** One run of the generator; returns the status of each file. */
export function generate(dir: string, plan: Plan, options: { restore?: string[]; force?: boolean } = {}) {
  const repository = openRepository(dir);
  const changes = prepare(repository, plan, options);
  apply(repository, changes, options);
  return statusesOf(changes.files);
}

/** What `prepare` says without writing anything. */
export function look(dir: string, plan: Plan) {
  return prepare(openRepository(dir), plan).files;
}

export function statusesOf(files: { path: string; status: Status }[]): Record<string, Status> {
  return Object.fromEntries(files.map(({ path, status }) => [path, status]));
}

export function write(dir: string, path: string, content: string | Buffer): void {
  mkdirSync(dirname(join(dir, path)), { recursive: true });
  writeFileSync(join(dir, path), content);
}

export function read(dir: string, path: string): string {
  return readFileSync(join(dir, path), 'utf8');
}

/** Every file below a folder with permissions and bytes; folders that are empty count too. */
export function photograph(dir: string): Record<string, string> {
  const found: Record<string, string> = {};
  const visit = (folder: string, prefix: string) => {
    for (const entry of readdirSync(folder, { withFileTypes: true })) {
      const path = join(folder, entry.name);
      const name = prefix + entry.name;
      if (entry.isDirectory()) {
        found[`${name}/`] = modeOf(path);
        visit(path, `${name}/`);
      } else {
        found[name] = `${modeOf(path)} ${entry.isFile() ? readFileSync(path, 'latin1') : 'not a file'}`;
      }
    }
  };
  if (existsSync(dir)) visit(dir, '');
  return found;
}

export function modeOf(path: string): string {
  return (statSync(path).mode & 0o777).toString(8);
}
