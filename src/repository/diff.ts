import { formatPatch, structuredPatch } from 'diff';
import { type Change, isEnvironment, statuses } from './changes.ts';

/**
 * What a run would change, as a unified diff that `git apply` reads. Secrets are named and not shown, values of
 * environment files are masked, and what a run leaves to the user is one line that patch programs skip.
 * @param options.colors for a terminal: colours, and control characters of hostile files made visible
 */
export function printDiff(changes: readonly Change[], options: { colors: boolean }): string {
  const text = changes.map(printChange).join('');
  return options.colors ? text.split('\n').map(colorLine).join('\n') : text;
}

function printChange(change: Change): string {
  const { path, kind, status, missing = [], obstacle } = change;
  const { writes, isDrift, meaning } = statuses[status];
  if (!writes) {
    if (!isDrift) return '';
    const details = obstacle ? [obstacle] : missing;
    return [`# ${path} ${meaning}`, ...details.map((detail) => `#   ${detail}`)].join('\n') + '\n';
  }
  return kind === 'secret' ? `# ${path} ${meaning}; its content is not shown\n` : printPatch(change);
}

function printPatch({ path, kind, before, after, mode, modeBefore = mode }: Change): string {
  const show = (bytes: Buffer | undefined) => {
    const text = bytes?.toString() ?? '';
    return kind === 'seeded' && isEnvironment(path) ? maskValues(text) : text;
  };
  const [from, to] = [before ? `a/${path}` : '/dev/null', after ? `b/${path}` : '/dev/null'];
  const patch = structuredPatch(from, to, show(before), show(after), undefined, undefined, { context: 3 });
  const modes = { oldMode: toGitMode(modeBefore), newMode: toGitMode(mode) };
  const changedModes = modes.oldMode === modes.newMode && before && after ? {} : modes;
  return formatPatch({ ...patch, ...changedModes, isGit: true, isCreate: !before, isDelete: !after });
}

/** Git knows two permissions of a file: executable or not. */
function toGitMode(mode: number): string {
  return mode & 0o100 ? '100755' : '100644';
}

function maskValues(text: string): string {
  return text.replace(/^(\s*#?\s*(?:export\s+)?[A-Za-z_]\w*=).+$/gm, '$1********');
}

const colors: [start: RegExp, sequence: string][] = [
  [/^(diff|---|\+\+\+|new file|deleted file|old mode|new mode) /, '\x1b[1m'],
  [/^@@ /, '\x1b[36m'],
  [/^# /, '\x1b[33m'],
  [/^\+/, '\x1b[32m'],
  [/^-/, '\x1b[31m'],
];

function colorLine(line: string): string {
  // A file could otherwise send orders to the terminal.
  const visible = line.replace(/[\0-\x08\x0b-\x1f\x7f\x80-\x9f]/g, (character) =>
    character < '\x20' ? String.fromCodePoint(0x2400 + character.charCodeAt(0)) : '\ufffd',
  );
  const sequence = colors.find(([start]) => start.test(visible))?.[1];
  return sequence ? `${sequence}${visible}\x1b[0m` : visible;
}
