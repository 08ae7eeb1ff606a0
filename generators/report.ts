import { styleText } from 'node:util';
import type { Deployment } from '../src/deployment/deployment.ts';
import { InputError } from '../src/deployment/errors.ts';
import { statuses, type Change, type Status } from '../src/repository/changes.ts';
import { RepositoryError } from '../src/repository/errors.ts';

/** Exit codes of every shell; README.md and `--help` say the same. */
export const EXIT = { done: 0, fault: 1, wrongInput: 2, differences: 3, stopped: 130 } as const;

/** Most files that are named under one heading; `botpress-prod diff` shows all. */
const MOST_NAMED = 12;

/** What happened to files that need nothing from the user, in the order in which it is told. */
const HEADINGS: Partial<Record<Status, string>> = {
  created: 'new',
  updated: 'updated',
  merged: 'merged with your edits',
  moved: 'moved to a new path',
  restored: 'made again: not in this checkout',
  removed: 'no longer needed, removed',
  kept: 'no longer made, yours from now on',
  edited: 'with your edits, as they are',
  deleted: 'deleted by you, not brought back',
};

/** Colours for a stream: none without a terminal, with NO_COLOR or with a dumb terminal. */
export function colourful(stream: { isTTY?: boolean }): boolean {
  return Boolean(stream.isTTY) && !process.env['NO_COLOR'] && process.env['TERM'] !== 'dumb';
}

/** Makes text stand out where the stream can show it. */
export type Paint = (style: 'bold' | 'yellow' | 'red' | 'green', text: string) => string;

export function painterFor(stream: { isTTY?: boolean }): Paint {
  const isColourful = colourful(stream);
  return (style, text) => (isColourful ? styleText(style, text, { validateStream: false }) : text);
}

/**
 * Files by what happened to them, first what is done, last what is left to the user.
 * @param isFirst a first run: that everything is new needs no list
 */
export function describeChanges(changes: readonly Change[], isFirst: boolean, paint: Paint): string[] {
  const settled = Object.entries(HEADINGS).flatMap(([status, heading]) => {
    const paths = changes.filter((change) => change.status === status).map(({ path }) => path);
    if (paths.length === 0) return [];
    const named = status === 'created' && isFirst ? [] : paths.slice(0, MOST_NAMED);
    const more = named.length > 0 ? paths.length - named.length : 0;
    return [
      `  ${countFiles(paths.length)} ${heading}`,
      ...named.map((path) => `      ${path}`),
      ...(more > 0 ? [`      and ${more} more`] : []),
    ];
  });
  const unchanged = changes.filter(({ status }) => status === 'unchanged').length;
  const open = changes.filter(({ status }) => statuses[status].isOpen);
  return [
    ...settled,
    ...(unchanged > 0 ? [`  ${countFiles(unchanged)} unchanged`] : []),
    ...(open.length > 0 ? ['', paint('yellow', 'Left to you')] : []),
    ...open.flatMap(({ path, status, obstacle, missing = [] }) => [
      `  ${path} ${statuses[status].meaning}${obstacle ? `: ${obstacle}` : ''}`,
      ...missing.map((line) => `      ${line}`),
    ]),
  ];
}

function countFiles(count: number): string {
  return `${count} ${count === 1 ? 'file' : 'files'}`;
}

/** What the next steps depend on. */
export interface Outcome {
  /** As the user wrote it. */
  directory: string;
  isFirst: boolean;
  isInGit: boolean;
  changes: readonly Change[];
}

const titles = { swarm: 'the Swarm', kubernetes: 'Kubernetes' };

/** What the user does next: the exact commands, in order, then what they need beforehand. */
export function describeNextSteps(deployment: Deployment, outcome: Outcome, paint: Paint): string[] {
  const { firstEnvironment, production, channels, target, stack } = deployment;
  const { directory, isFirst, isInGit, changes } = outcome;
  // Beside a stack of somebody else's lie files that must not be committed, like an .env with passwords.
  const places = new Set(['.botpress-prod', '.yo-rc.json', ...changes.map(({ path }) => path.split('/')[0])]);
  const added = stack ? [...places].sort().join(' ') : '--all';
  const commit = `git add ${added} && git commit --message "${isFirst ? 'Set up the stack' : 'Update the stack'}"`;
  const steps: (readonly [command: string, purpose: string])[] = [
    ...(directory === '.' ? [] : [[`cd ${quote(directory)}`, ''] as const]),
    ...(changes.some(({ status }) => status === 'conflict' || status === 'unresolved')
      ? [['git diff', 'shows the places between <<<<<<< and >>>>>>>: settle them'] as const]
      : []),
    ...(isFirst && !isInGit && !stack ? [['git init', ''] as const] : []),
    ...((isFirst && !stack) || isInGit ? [[commit, ''] as const] : []),
    ...(stack
      ? describeStepsAlone(deployment)
      : [
          // Where the only environment is that of a cluster, it must not run here too.
          ...(target === 'compose' || firstEnvironment !== production
            ? [
                ['./bin/up', `starts ${firstEnvironment.name} at ${firstEnvironment.externalUrl}`] as const,
                ['./bin/check', 'runs the production checklist'] as const,
              ]
            : []),
        ]),
    ...(target === 'compose'
      ? []
      : [
          [`./bin/${target} up ${production.name}`, `deploys to ${titles[target]}: docs/scaling.md`] as const,
        ]),
  ];
  const secrets = `secrets/${production.name}`;
  const isOwn = stack === undefined;
  const notes = [
    ...(isOwn && production.tls === 'provided'
      ? [`put fullchain.pem and privkey.pem into ${secrets}/tls/`]
      : []),
    ...(isOwn && production.tls === 'letsencrypt'
      ? [`point ${production.domain} at the server: its certificate is proven over port 80`]
      : []),
    ...(channels.length > 0
      ? [`fill in ${secrets}/channels-*.env: a channel is on where all its credentials are`]
      : []),
    ...(deployment.pro ? [`put the licence key into ${secrets}/license-key`] : []),
  ];
  const newBots = isFirst || !isOwn ? [] : findNewBots(changes);
  const pushes = changes.some(({ path }) => path === 'bin/push-content');
  const width = Math.max(...steps.filter(([, purpose]) => purpose).map(([command]) => command.length)) + 3;
  return [
    paint('bold', 'Next'),
    ...steps.map(([command, purpose]) => `  ${purpose ? command.padEnd(width) : command}${purpose}`),
    ...(notes.length > 0 ? [paint('bold', `Before ./${deployment.upCommand} ${production.name}`)] : []),
    ...notes.map((note) => `  ${note}`),
    ...(newBots.length > 0
      ? [paint('bold', 'Where Botpress has run before, it does not read new bots')]
      : []),
    ...newBots.flatMap((bot) => [
      `  make ${bot} in the administration of each environment (/admin), with this id`,
      ...(pushes ? [`  then ./bin/push-content ${production.name} brings the content of ${bot}`] : []),
    ]),
  ];
}

/** Bots whose files are new in a repository. */
function findNewBots(changes: readonly Change[]): string[] {
  return changes.flatMap(({ path, status }) => {
    const bot = /^botpress\/data\/bots\/([^/]+)\/bot\.config\.json$/.exec(path)?.[1];
    return bot !== undefined && status === 'created' ? [bot] : [];
  });
}

/** Beside a stack of somebody else's there is nothing to start but the parts themselves. */
function describeStepsAlone({ alone }: Deployment): (readonly [command: string, purpose: string])[] {
  return [
    ...(alone.includes('backup')
      ? [
          ['./bin/backup start', 'makes sets on schedule from now on: docs/backup.md'] as const,
          ['./bin/backup create', 'makes one now'] as const,
          ['./bin/backup drill', 'proves that it can be restored'] as const,
        ]
      : []),
    ...(alone.includes('ci')
      ? [['./bin/lint', 'runs checks of a change; docs/ci.md prepares servers and settings'] as const]
      : []),
  ];
}

/** A word as a shell takes it literally. */
function quote(word: string): string {
  return /^[\w./@%+=:,-]+$/.test(word) ? word : `'${word.replaceAll("'", String.raw`'\''`)}'`;
}

/**
 * The exit code and the words of an error, in one block and without a stack unless DEBUG is set.
 * Ctrl-C at a prompt is one: inquirer throws it.
 */
export function describeError(error: unknown): { exitCode: number; text: string } {
  const { name, message, stack } = error instanceof Error ? error : new Error(String(error));
  const shown = process.env['DEBUG'] ? (stack ?? message) : message;
  if (error instanceof InputError)
    return { exitCode: EXIT.wrongInput, text: `The input is wrong; nothing was written.\n${shown}` };
  if (error instanceof RepositoryError) return { exitCode: error.exitCode, text: shown };
  if (name === 'ExitPromptError') return { exitCode: EXIT.stopped, text: 'Stopped; nothing was written.' };
  return { exitCode: EXIT.fault, text: `Unexpected fault: ${shown}` };
}
