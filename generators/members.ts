import { CHANNELS, type Answers } from '../src/deployment/answers.ts';
import { InputError, showValue } from '../src/deployment/errors.ts';
import { flagOf } from '../src/deployment/question.ts';
import { presences, setAt, valueAt } from './table.ts';

/** What `add` and `remove` act on. */
export const MEMBER_KINDS = ['environment', 'channel', 'bot', 'part'] as const;
export type MemberKind = (typeof MEMBER_KINDS)[number];

const LISTS = { environment: 'environments', channel: 'channels', bot: 'bots' } as const;
type ListKind = keyof typeof LISTS;

/**
 * The stored answers with one environment, channel, bot or part more. The result still has to pass the gate, and
 * `refuseUndone`. Throws an InputError when it is there already.
 */
export function addMember(answers: Answers, kind: MemberKind, name: string): Answers {
  if (kind === 'part') return setPart(answers, name, true);
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

/**
 * The stored answers with one environment, channel, bot or part less. Throws an InputError when there is none of that
 * name, or when nothing would be left without it.
 */
export function removeMember(answers: Answers, kind: MemberKind, name: string): Answers {
  if (kind === 'part') return setPart(answers, name, false);
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

/** A part is there when an answer says so: the one its presence names is set to what brings it, or takes it away. */
function setPart(answers: Answers, name: string, wanted: boolean): Answers {
  const refuse = (reason: string, mend: string) =>
    new InputError([{ field: 'part', value: showValue(name), reason, mend }]);
  const entry = Object.entries(presences).find(([part]) => part === name);
  if (!entry)
    throw refuse(
      `is not a part that can be ${wanted ? 'added' : 'taken away'}`,
      `name one of: ${Object.keys(presences).join(', ')}`,
    );
  const { path, present, absent } = entry[1];
  const isAbsent = JSON.stringify(valueAt(answers, path)) === JSON.stringify(absent);
  if (isAbsent !== wanted)
    throw refuse(wanted ? 'is there already' : 'is not there', `botpress-prod ${name} sets it anew`);
  if (wanted && answers.alone.length > 0)
    throw refuse('needs answers', `botpress-prod ${name} asks for them`);
  const changed = structuredClone(answers);
  // Where only the user can say what brings the part, it has to be given besides.
  if (!wanted || present !== undefined) setAt(changed, path, wanted ? present : absent);
  // Where parts are used alone, the list of them says so too.
  if (answers.alone.length > 0) {
    changed.alone = answers.alone.filter((part) => part !== name);
    if (changed.alone.length === 0)
      throw refuse('is the only part here', 'botpress-prod eject ends the management of its files');
  }
  return changed;
}

/**
 * Answers that are given besides may not undo what `add` or `remove` is to do.
 * @param changed what `addMember` or `removeMember` made
 * @param answers the same with what flags and the answers file say
 * Throws an InputError when they do, or when an added part still lacks the answer that brings it.
 */
export function refuseUndone(
  command: 'add' | 'remove',
  kind: MemberKind,
  name: string,
  changed: Answers,
  answers: Answers,
): void {
  const isSame = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);
  const refuse = (field: string) =>
    new InputError([
      {
        field,
        value: showValue(valueAt(answers, field)),
        reason: `is given besides, and is not what ${command} ${kind} ${name} makes of it`,
        mend: 'leave it out, or set it without add and remove: botpress-prod DIR',
      },
    ]);
  const presence = Object.entries(presences).find(([part]) => kind === 'part' && part === name)?.[1];
  if (!presence) {
    const list = LISTS[kind as ListKind];
    if (!isSame(answers[list], changed[list])) throw refuse(list);
    return;
  }
  const { path, present, absent } = presence;
  const isAbsent = isSame(valueAt(answers, path), absent);
  if (isAbsent && command === 'add' && present === undefined)
    throw new InputError([
      {
        field: 'part',
        value: showValue(name),
        reason: 'needs an answer',
        mend: `botpress-prod ${name} asks for it, or give it as --${flagOf(path)}`,
      },
    ]);
  if (isAbsent !== (command === 'remove')) throw refuse(path);
  if (!isSame(answers.alone, changed.alone)) throw refuse('alone');
}

function namesOf(answers: Answers, kind: ListKind): string[] {
  return answers[LISTS[kind]].map((entry) => (typeof entry === 'string' ? entry : entry.name));
}

function orderOf(channel: string): number {
  const index = (CHANNELS as readonly string[]).indexOf(channel);
  return index < 0 ? CHANNELS.length : index;
}
