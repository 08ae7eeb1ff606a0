/** One mistake in what the user gave: what field, what value, why it is refused, how to mend it. */
export interface Problem {
  /** Answer path (`backup.schedule`), flag (`--tls`) or file. */
  field: string;
  /** The refused value, shortened and with control characters made visible; absent when nothing was given. */
  value?: string;
  reason: string;
  mend: string;
}

const LONGEST_SHOWN_VALUE = 60;

/** Shows a refused value on one line: quoted, control and look-alike characters escaped, long ones cut. */
export function showValue(value: unknown): string {
  const given = typeof value === 'string' ? value : (JSON.stringify(value) ?? String(value));
  // The password of an address that should have had none.
  const text = given.replace(/(:\/\/[^:@/]*):.*@/s, '$1:…@');
  const cut =
    text.length > LONGEST_SHOWN_VALUE
      ? `${text.slice(0, LONGEST_SHOWN_VALUE)}… (${text.length} characters)`
      : text;
  // Anything outside printable ASCII could hide what is wrong, or write to the terminal.
  return JSON.stringify(cut).replace(
    /[^\x20-\x7e…]/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}

/** The input is wrong: every mistake at once. The command ends with exit code 2 and has written nothing. */
export class InputError extends Error {
  readonly problems: Problem[];

  constructor(problems: Problem[]) {
    super(
      problems
        .map(({ field, value, reason, mend }) =>
          [
            value === undefined ? `${field}: ${reason}` : `${field} = ${value}: ${reason}`,
            `  → ${mend}`,
          ].join('\n'),
        )
        .join('\n'),
    );
    this.name = 'InputError';
    this.problems = problems;
  }
}
