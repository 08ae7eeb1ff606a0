import { EMPTY_LIST, type Askable, type Asker } from './collect.ts';

/** A question as inquirer and Yeoman's adapter both understand it. */
export interface Prompt {
  type: 'input' | 'confirm' | 'select' | 'checkbox';
  name: string;
  message: string;
  default: unknown;
  choices?: { name: string; value: string; checked?: boolean }[];
  validate: (value: unknown) => true | string;
}

/** Makes an asker from a prompt function: inquirer's own or Yeoman's. */
export function askWith(prompt: (questions: Prompt[]) => Promise<Record<string, unknown>>): Asker {
  return async (question, initial, refuse) => {
    const { answer } = await prompt([toPrompt(question, initial, refuse)]);
    return answer;
  };
}

function toPrompt({ message, choices }: Askable, initial: unknown, refuse: Parameters<Asker>[2]): Prompt {
  const isList = Array.isArray(initial);
  const chosen = isList ? initial.map(String) : [];
  return {
    type: choices ? (isList ? 'checkbox' : 'select') : typeof initial === 'boolean' ? 'confirm' : 'input',
    // No dots: inquirer would nest the answer.
    name: 'answer',
    message:
      isList && !choices && chosen.length > 0 && refuse([]) === undefined
        ? `${message} (${EMPTY_LIST} for none)`
        : message,
    default: isList && !choices ? showList(initial) : initial,
    ...(choices && {
      choices: choices.map((value) => ({
        name: value,
        value,
        ...(isList && { checked: chosen.includes(value) }),
      })),
    }),
    validate: (value) => refuse(isList && choices ? toValues(value) : value) ?? true,
  };
}

/** Objects cannot be typed at a prompt; their names can, and the stored object is kept where its name is. */
function showList(values: readonly unknown[]): string {
  return values
    .map((value) =>
      typeof value === 'object' && value && 'name' in value ? String(value.name) : String(value),
    )
    .join(',');
}

/** Inquirer hands a checkbox' choices to `validate` as objects. */
function toValues(value: unknown): unknown {
  return Array.isArray(value)
    ? value.map((item: unknown) => (typeof item === 'object' && item && 'value' in item ? item.value : item))
    : value;
}
