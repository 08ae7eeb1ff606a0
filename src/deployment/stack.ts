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
  /** Its compose file. */
  file: string;
  /** The repository has a `.gitlab-ci.yml` of its own, which includes the jobs. */
  ownPipeline: boolean;
  /** Branch whose commits are deployed. */
  branch: string;
  /** Where it runs, and the URL there that answers 200 when visitors are served. */
  servers: { environment: string; host: string; url: string }[];
  /** Where the clone of the repository is on each of them. */
  folder: string;
  /** Shell command that brings the commit that is checked out there into force. */
  deploy: string;
  /** Shell command that tests a change; none where there is nothing to test. */
  test?: string;
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

/** @param environments names, in the order of the answers */
export function deriveStack({ alone, stack }: Answers, environments: readonly string[]): Stack | undefined {
  if (alone.length === 0) return undefined;
  const { project, networks, botpress, health, file, ownPipeline, branch, folder, deploy, test } = stack;
  return {
    project,
    networks: networks.map((name, index) => ({ key: `stack-${index + 1}`, name })),
    botpress,
    health,
    file,
    ownPipeline,
    branch,
    servers: environments.flatMap((environment, index) => {
      const [host, url] = [stack.hosts[index], stack.urls[index]];
      return host !== undefined && url !== undefined ? [{ environment, host, url }] : [];
    }),
    folder,
    deploy,
    ...(test !== '' && { test }),
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
