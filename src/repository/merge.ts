import { diff3MergeRegions } from 'node-diff3';

/** Names the two sides of a conflict; also what tells our markers from those of a git merge. */
const yours = '<<<<<<< yours';
const between = '=======';
const generated = '>>>>>>> generator-botpress-prod';

const markers = new RegExp(`^(${yours}|${generated})\\r?$`, 'm');

const byteOrderMark = '\xef\xbb\xbf';

/** A text taken apart, so that each of its properties is merged by itself. */
interface Text {
  lines: string[];
  /** The byte order mark or nothing. */
  mark: string;
  /** The line end that most lines have. */
  lineEnd: '\n' | '\r\n';
  /** Whether the last line ends in a line end. */
  isClosed: boolean;
}

/**
 * Three-way merge by lines. Bytes that are no UTF-8 pass unharmed. Byte order mark, line ends and a missing final
 * newline are the user's where the user changed them and are never a conflict of their own.
 * @param base what the last run wrote; empty if unknown, then every difference is a conflict
 * @param theirs what is on disk
 * @param ours what the generator makes now
 */
export function merge(base: Buffer, theirs: Buffer, ours: Buffer): { merged: Buffer; hasConflict: boolean } {
  const [from, user, generator] = [takeApart(base), takeApart(theirs), takeApart(ours)];
  const lines: string[] = [];
  let hasConflict = false;
  let endsInConflict = false;
  for (const region of diff3MergeRegions(user.lines, from.lines, generator.lines)) {
    if (region.stable) {
      append(lines, region.bufferContent);
      endsInConflict = false;
      continue;
    }
    const { head, left, right, tail } = splitCommon(region.aContent, region.bContent);
    const differs = left.length > 0 || right.length > 0;
    append(lines, head, differs ? [yours, ...left, between, ...right, generated] : [], tail);
    hasConflict ||= differs;
    endsInConflict = differs && tail.length === 0;
  }
  const isClosed = endsInConflict || choose(from.isClosed, user.isClosed, generator.isClosed);
  const text = lines.join(user.lineEnd) + (isClosed && lines.length > 0 ? user.lineEnd : '');
  return { merged: Buffer.from(choose(from.mark, user.mark, generator.mark) + text, 'latin1'), hasConflict };
}

/** Whether a file still holds markers that `merge` wrote. */
export function hasMarkers(bytes: Buffer): boolean {
  return markers.test(bytes.toString('latin1'));
}

/** Whether bytes are no text: merging lines of such a file would destroy it. */
export function isBinary(bytes: Buffer): boolean {
  return bytes.includes(0);
}

function takeApart(bytes: Buffer): Text {
  // Latin-1 maps each byte to one character and back: lossless for every encoding that has ASCII line ends.
  const all = bytes.toString('latin1');
  const mark = all.startsWith(byteOrderMark) ? byteOrderMark : '';
  const text = all.slice(mark.length);
  const count = (pattern: RegExp) => text.match(pattern)?.length ?? 0;
  const lineEnd = count(/\r\n/g) * 2 > count(/\n/g) ? '\r\n' : '\n';
  const lines = text.replaceAll('\r\n', '\n').split('\n');
  const isClosed = lines.at(-1) === '';
  if (isClosed) lines.pop();
  return { lines, mark, lineEnd, isClosed };
}

function choose<T>(base: T, theirs: T, ours: T): T {
  return theirs === base ? ours : theirs;
}

/** Keeps out of a conflict the lines at its start and end that both sides have. */
function splitCommon(left: string[], right: string[]) {
  const shorter = Math.min(left.length, right.length);
  let start = 0;
  while (start < shorter && left[start] === right[start]) start++;
  let end = 0;
  while (end < shorter - start && left.at(-1 - end) === right.at(-1 - end)) end++;
  return {
    head: left.slice(0, start),
    left: left.slice(start, left.length - end),
    right: right.slice(start, right.length - end),
    tail: left.slice(left.length - end),
  };
}

/** A loop, since spreading a file of 100,000 lines into arguments overflows the stack. */
function append(lines: string[], ...parts: string[][]): void {
  for (const part of parts) for (const line of part) lines.push(line);
}
