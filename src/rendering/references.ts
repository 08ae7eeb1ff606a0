import type { Fault } from './check.ts';
import type { PlannedFile } from './plan.ts';

/** Folders that do not come from the plan: made by `bin/up` on each machine. */
const MADE_ON_THE_MACHINE = ['state/', 'secrets/'];

interface ComposeFile {
  services?: Record<string, Service>;
  networks?: Record<string, unknown>;
  volumes?: Record<string, unknown>;
  secrets?: Record<string, unknown>;
}

interface Service {
  depends_on?: string[] | Record<string, unknown>;
  networks?: string[] | Record<string, unknown>;
  secrets?: (string | { source: string })[];
  volumes?: (string | { type: string; source?: string })[];
}

/**
 * What the compose files say of one another and of the rest of the output: services waited for, networks, volumes and
 * secrets exist, and each file that is mounted from the repository is written by this plan.
 * @param documents the compose files, parsed, by path
 * @param given folders that were there before the generator
 */
export function checkReferences(
  files: readonly PlannedFile[],
  environments: readonly string[],
  documents: ReadonlyMap<string, unknown>,
  given: readonly string[] = [],
): Fault[] {
  const composeFiles = files.filter(({ path }) => /^compose(\.[a-z0-9-]+)?\.yaml$/.test(path));
  const parsed = composeFiles.map(({ path }) => ({
    path,
    compose: (documents.get(path) ?? {}) as ComposeFile,
  }));
  const names = (key: keyof ComposeFile) =>
    new Set(parsed.flatMap(({ compose }) => Object.keys(compose[key] ?? {})));
  const known = {
    services: names('services'),
    networks: names('networks'),
    volumes: names('volumes'),
    secrets: names('secrets'),
  };
  const paths = files.map(({ path }) => path);
  const faults: Fault[] = [];
  for (const { path, compose } of parsed)
    for (const [service, body] of Object.entries(compose.services ?? {})) {
      const missing = (kind: keyof typeof known, wanted: readonly string[]) => {
        for (const name of wanted)
          if (!known[kind].has(name))
            faults.push({ path, reason: `${service}: no such entry in ${kind}: ${name}` });
      };
      missing('services', keysOf(body.depends_on));
      missing('networks', keysOf(body.networks));
      missing(
        'secrets',
        (body.secrets ?? []).map((entry) => (typeof entry === 'string' ? entry : entry.source)),
      );
      for (const volume of body.volumes ?? []) {
        const source =
          typeof volume === 'string' ? (volume.split(/:(?=\/)/)[0] ?? '') : (volume.source ?? '');
        if (source.startsWith('./') && !given.includes(source))
          for (const mounted of expand(source.slice(2), environments))
            if (!isWritten(mounted, paths))
              faults.push({ path, reason: `${service}: mounts ${source}, which the plan does not write` });
        if (source !== '' && !/^[./$]/.test(source)) missing('volumes', [source]);
      }
    }
  return faults;
}

function keysOf(value: string[] | Record<string, unknown> | undefined): string[] {
  return Array.isArray(value) ? value : Object.keys(value ?? {});
}

function expand(source: string, environments: readonly string[]): string[] {
  const variable = /\$\{ENVIRONMENT(?::\?[^}]*)?\}/;
  return variable.test(source) ? environments.map((name) => source.replace(variable, name)) : [source];
}

function isWritten(mounted: string, paths: readonly string[]): boolean {
  return (
    MADE_ON_THE_MACHINE.some((folder) => mounted.startsWith(folder)) ||
    paths.some((path) => path === mounted || path.startsWith(`${mounted}/`))
  );
}
