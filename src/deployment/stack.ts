import type { Answers } from './answers.ts';
import type { Database } from './database.ts';

/** A stack that this generator did not write, as the parts that are used alone beside it see it. */
export interface Stack {
  /** Name of its compose project. */
  project: string;
  /** Its networks: how the part's own compose file calls them, and what docker calls them. */
  networks: { key: string; name: string }[];
  /** Compose service of Botpress. */
  botpress: string;
  /** URL, within the networks, that answers 200 when Botpress serves. */
  health: string;
}

/** A volume or folder with files of the bots; its name is that of its part of a backup. */
export interface Folder {
  name: string;
  /** What a compose file writes before the colon. */
  source: string;
  /** Docker's name of a volume that somebody else made. */
  volume?: string;
}

/** Parts of a set, and files beside them, that no folder may be called after. */
export const RESERVED_FOLDERS: readonly string[] = ['database', 'globals', 'configuration', 'manifest'];

export function deriveStack({ alone, stack }: Answers): Stack | undefined {
  if (alone.length === 0) return undefined;
  const { project, networks, botpress, health } = stack;
  return {
    project,
    networks: networks.map((name, index) => ({ key: `stack-${index + 1}`, name })),
    botpress,
    health,
  };
}

/** Where the bots' files are: the volumes of the generator's own stack, or what the answers say of another one. */
export function deriveFolders({ alone, stack }: Answers): Folder[] {
  if (alone.length === 0)
    return ['uploads', 'app-data'].map((name) => ({
      name,
      source: name,
    }));
  return stack.files.map((source) => {
    const name = nameFolder(source, stack.project);
    return /^[./]/.test(source) ? { name, source } : { name, source: `files-${name}`, volume: source };
  });
}

/** `./data/media` → `media`, `acme_botpress_data` of the project acme → `botpress_data`. */
function nameFolder(source: string, project: string): string {
  const last = /^[./]/.test(source) ? (source.split('/').findLast(Boolean) ?? '') : source;
  const own = last.startsWith(`${project}_`) ? last.slice(project.length + 1) : last;
  return own
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]/g, '-')
    .replace(/^[-_]+/, '');
}

/** Parts of a database's address that has passed the gate. */
export function readAddress(address: string): { user: string; host: string; port: number; name: string } {
  const { username: user, hostname: host, port, pathname } = new URL(address);
  return { user, host, port: Number(port || 5432), name: pathname.slice(1) };
}

/** The database of somebody else's stack: one role does everything, as Botpress' own does there. */
export function adoptDatabase(database: Database, { alone, stack }: Answers): Database {
  if (alone.length === 0) return database;
  const { user, host, port, name } = readAddress(stack.database);
  const adopted = { name: user, secret: `${user.replaceAll('_', '-')}-password` };
  const { owner, backup, ...others } = database.roles;
  return {
    ...database,
    name,
    host,
    port,
    roles: { ...others, owner: { ...owner, ...adopted }, backup: { ...backup, ...adopted } },
  };
}
