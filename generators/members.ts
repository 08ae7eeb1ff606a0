import { CHANNELS, type Answers } from '../src/deployment/answers.ts';
import { InputError, showValue } from '../src/deployment/errors.ts';

/** What `add` and `remove` act on. */
export type MemberKind = 'environment' | 'channel' | 'bot';

const LISTS = { environment: 'environments', channel: 'channels', bot: 'bots' } as const;

/**
 * The stored answers with one environment, channel or bot more. The result still has to pass the gate.
 * Throws an InputError when it is there already.
 */
export function addMember(answers: Answers, kind: MemberKind, name: string): unknown {
  const list = LISTS[kind];
  if (namesOf(answers, kind).includes(name))
    throw new InputError([
      { field: list, value: showValue(name), reason: 'is there already', mend: `choose another ${kind}` },
    ]);
  const added = [...answers[list], name];
  // The order of the table, so that adding and answering anew give the same files.
  if (kind === 'channel') added.sort((a, b) => orderOf(String(a)) - orderOf(String(b)));
  return { ...answers, [list]: added };
}

/** The stored answers with one environment, channel or bot less. Throws an InputError when there is none of that name. */
export function removeMember(answers: Answers, kind: MemberKind, name: string): unknown {
  const list = LISTS[kind];
  const names = namesOf(answers, kind);
  if (!names.includes(name))
    throw new InputError([
      {
        field: list,
        value: showValue(name),
        reason: 'is not there',
        mend: `name one of: ${names.join(', ')}`,
      },
    ]);
  return { ...answers, [list]: (answers[list] as unknown[]).filter((_, index) => names[index] !== name) };
}

function namesOf(answers: Answers, kind: MemberKind): string[] {
  return answers[LISTS[kind]].map((entry) => (typeof entry === 'string' ? entry : entry.name));
}

function orderOf(channel: string): number {
  const index = (CHANNELS as readonly string[]).indexOf(channel);
  return index < 0 ? CHANNELS.length : index;
}
