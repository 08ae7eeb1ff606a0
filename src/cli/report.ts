import type { Deployment } from '../deployment/deployment.ts';
import type { Change } from '../repository/changes.ts';
import { statuses, type Status } from '../repository/changes.ts';

/** Colours for a stream: none without a terminal, with NO_COLOR or with a dumb terminal. */
export function colourful(stream: NodeJS.WriteStream): boolean {
  return Boolean(stream.isTTY) && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb';
}

/** Files by what happened to them, one line each; unchanged ones are only counted. */
export function describeChanges(changes: readonly Change[], tense: 'done' | 'planned'): string[] {
  const lines = changes
    .filter(({ status }) => status !== 'unchanged' && status !== 'created')
    .flatMap(({ path, status, obstacle, missing }) => [
      `  ${path} ${statuses[status].meaning}${obstacle ? `: ${obstacle}` : ''}`,
      ...(missing ?? []).map((line) => `      ${line}`),
    ]);
  const count = (status: Status) => changes.filter((change) => change.status === status).length;
  const created = count('created');
  const unchanged = count('unchanged');
  return [
    ...(created > 0
      ? [`  ${created} ${plural(created, 'file')} ${tense === 'done' ? 'written' : 'to write'}`]
      : []),
    ...lines,
    ...(unchanged > 0 ? [`  ${unchanged} ${plural(unchanged, 'file')} unchanged`] : []),
  ];
}

function plural(count: number, noun: string): string {
  return count === 1 ? noun : `${noun}s`;
}

/** What the user does next: the exact commands, in order. */
export function describeNextSteps(deployment: Deployment, directory: string, firstRun: boolean): string[] {
  const { firstEnvironment, production, channels } = deployment;
  const steps = [
    ...(directory === '.' ? [] : [`cd ${directory}`]),
    ...(firstRun ? ['git init && git add . && git commit -m "Set up the stack"'] : []),
    `./bin/up            starts ${firstEnvironment.name} at ${firstEnvironment.externalUrl}`,
    './bin/check         runs the production checklist',
  ];
  const notes = [
    ...(production.tls === 'provided'
      ? [
          `put fullchain.pem and privkey.pem into secrets/${production.name}/tls/ before bin/up ${production.name}`,
        ]
      : []),
    ...(production.tls === 'letsencrypt'
      ? [
          `point ${production.domain} at the server before bin/up ${production.name}: the certificate is proven over port 80`,
        ]
      : []),
    ...(channels.length > 0
      ? [`fill in secrets/${production.name}/channels-*.env: a channel is on where all its credentials are`]
      : []),
    ...(deployment.pro ? [`put the licence key into secrets/${production.name}/license-key`] : []),
  ];
  return ['Next', ...steps.map((step) => `  ${step}`), ...notes.map((note) => `  · ${note}`)];
}
