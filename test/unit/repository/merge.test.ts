import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { hasMarkers, merge } from '../../../src/repository/merge.ts';

const mergeText = (base: string | Buffer, theirs: string | Buffer, ours: string | Buffer) => {
  const { merged, hasConflict } = merge(Buffer.from(base), Buffer.from(theirs), Buffer.from(ours));
  return { text: merged.toString(), bytes: merged, hasConflict };
};

describe('merge', () => {
  it('takes changes of both sides in different places', () => {
    const { text, hasConflict } = mergeText('a\nb\nc\nd\n', 'a\nuser\nb\nc\nd\n', 'a\nb\nc\nD\n');
    expect(text).toBe('a\nuser\nb\nc\nD\n');
    expect(hasConflict).toBe(false);
  });

  it('takes a change that both sides made once', () => {
    expect(mergeText('a\nb\n', 'a\nB\n', 'a\nB\n')).toMatchObject({ text: 'a\nB\n', hasConflict: false });
  });

  it('marks the lines that both sides changed, and only those', () => {
    const { text, hasConflict } = mergeText('a\nb\nc\n', 'a\nmine\nsame\nc\n', 'a\nnew\nsame\nc\n');
    expect(text).toBe('a\n<<<<<<< yours\nmine\n=======\nnew\n>>>>>>> generator-botpress-prod\nsame\nc\n');
    expect(hasConflict).toBe(true);
  });

  it('marks everything without a base, since nothing tells who wrote what', () => {
    const { text } = mergeText('', 'mine\n', 'new\n');
    expect(text).toBe('<<<<<<< yours\nmine\n=======\nnew\n>>>>>>> generator-botpress-prod\n');
  });

  it('keeps line ends that the user converted', () => {
    const { text, hasConflict } = mergeText('a\nb\nc\n', 'a\r\nuser\r\nb\r\nc\r\n', 'a\nb\nC\n');
    expect(text).toBe('a\r\nuser\r\nb\r\nC\r\n');
    expect(hasConflict).toBe(false);
  });

  it('writes conflict markers with the line ends of the file, and finds them again', () => {
    const { text, bytes } = mergeText('a\nb\n', 'a\r\nmine\r\n', 'a\nnew\n');
    expect(text.replaceAll('\r\n', '')).not.toMatch(/[\r\n]/);
    expect(hasMarkers(bytes)).toBe(true);
  });

  it('keeps a byte order mark that the user added and one that he removed', () => {
    expect(mergeText('a\nb\n', '\ufeffa\nb\n', 'a\nB\n').text).toBe('\ufeffa\nB\n');
    expect(mergeText('\ufeffa\nb\n', 'a\nb\n', '\ufeffa\nB\n').text).toBe('a\nB\n');
  });

  it('keeps a missing final newline without making a conflict of it', () => {
    expect(mergeText('a\nb\nc\n', 'a\nb\nc', 'A\nb\nc\n')).toMatchObject({
      text: 'A\nb\nc',
      hasConflict: false,
    });
    expect(mergeText('a\nb\nc\n', 'a\nb\nc', 'a\nb\nc\nd\n')).toMatchObject({
      text: 'a\nb\nc\nd',
      hasConflict: false,
    });
  });

  it('ends a conflict at the end of the file with a newline, so that the marker is a line', () => {
    expect(mergeText('a', 'mine', 'new').text).toMatch(/\n>>>>>>> generator-botpress-prod\n$/);
  });

  it('carries bytes that are no UTF-8 through unharmed', () => {
    const latin1 = Buffer.from('caf\xe9\nb\nc\n', 'latin1');
    const { bytes } = mergeText('a\nb\nc\n', latin1, 'a\nb\ngrüße\n');
    expect(bytes).toEqual(Buffer.concat([Buffer.from('caf\xe9\nb\n', 'latin1'), Buffer.from('grüße\n')]));
  });

  it('survives lines named like members of every object, and very long files', () => {
    expect(mergeText('constructor\n__proto__\n', '__proto__\n', 'constructor\n__proto__\nx\n').text).toBe(
      '__proto__\nx\n',
    );
    const long = Array.from({ length: 200_000 }, (_, line) => `${line}\n`).join('');
    expect(mergeText('a\nb\nc\n', `${long}a\nb\nc\n`, 'a\nb\nC\n').text).toBe(`${long}a\nb\nC\n`);
  });

  it('tells its own markers from those of a git merge and from text that only talks of them', () => {
    expect(hasMarkers(Buffer.from('<<<<<<< HEAD\na\n=======\nb\n>>>>>>> topic\n'))).toBe(false);
    expect(hasMarkers(Buffer.from('see "<<<<<<< yours" below\n'))).toBe(false);
    expect(hasMarkers(Buffer.from('a\n>>>>>>> generator-botpress-prod\n'))).toBe(true);
  });

  const text = fc
    .array(fc.constantFrom('a\n', 'b\n', 'c\n', '\n', 'd\n'), { maxLength: 12 })
    .map((lines) => lines.join(''));

  it('gives the other side where one changed nothing', () => {
    const run = fc.property(text, text, (base, changed) => {
      expect(mergeText(base, base, changed)).toMatchObject({ text: changed, hasConflict: false });
      expect(mergeText(base, changed, base)).toMatchObject({ text: changed, hasConflict: false });
    });
    fc.assert(run, { numRuns: 2000 });
  });

  it('keeps every line that one side added', () => {
    const edits = fc.array(fc.tuple(fc.nat(12), fc.boolean()), { maxLength: 4 });
    const change = (base: string, name: string, changes: [number, boolean][]) => {
      const lines = base.split('\n');
      changes.forEach(([at, replaces], index) => lines.splice(at, replaces ? 1 : 0, `${name}${index}`));
      return lines.join('\n');
    };
    const run = fc.property(text, edits, edits, (base, left, right) => {
      const [theirs, ours] = [change(base, 'user', left), change(base, 'generator', right)];
      const merged = mergeText(base, theirs, ours).text.split('\n');
      const added = [...theirs.split('\n'), ...ours.split('\n')].filter((line) =>
        /user|generator/.test(line),
      );
      expect(merged).toEqual(expect.arrayContaining(added));
    });
    fc.assert(run, { numRuns: 2000 });
  });
});
