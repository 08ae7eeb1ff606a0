import * as z from 'zod';
import { ALONE_PARTS } from '../src/deployment/answers.ts';
import { questionsOf, type Context } from '../src/deployment/question.ts';
import { list, oneOf } from './fields.ts';

/** Questions about a stack that this generator did not write, beside which parts are used alone. */

const NAME = /^[a-zA-Z0-9][a-zA-Z0-9_.-]*$/;

/** A name as docker takes it for networks, volumes and services. */
const dockerName = z
  .string({ error: 'is not text' })
  .max(100, 'is longer than 100 characters')
  .regex(NAME, 'is not a name of letters, digits, dots, dashes and underscores');

/** PostgreSQL's names are written without quotes, and those of a restored database are 32 characters longer; 63 is its limit. */
const DATABASE_NAME = /^[a-z][a-z0-9_]{0,30}$/;

const address = z.string({ error: 'is not text' }).superRefine((value, { addIssue }) => {
  const refuse = (message: string) => {
    addIssue({ code: 'custom', message });
  };
  const parts = /^postgres(?:ql)?:\/\/([^:@/]*)(:[^@/]*)?@([^:@/]+)(?::(\d{1,5}))?\/([^/?#]*)$/.exec(value);
  if (!parts) {
    refuse('is not an address like postgres://user@host:5432/name');
    return;
  }
  const [, user = '', password, host = '', port = '5432', name = ''] = parts;
  if (password !== undefined) refuse('holds a password: secrets are never answers');
  else if (!NAME.test(host) || host.length > 100 || Number(port) < 1 || Number(port) > 65535)
    refuse('has no usable host or port');
  else if (!DATABASE_NAME.test(user) || !DATABASE_NAME.test(name))
    refuse(
      'names a user or a database that is not of small letters, digits and underscores, at most 31 of them',
    );
});

const url = z
  .string({ error: 'is not text' })
  .max(300, 'is longer than 300 characters')
  .regex(
    /^https?:\/\/[A-Za-z0-9][A-Za-z0-9._-]*(:\d{1,5})?(\/[A-Za-z0-9._~/-]*)?$/,
    'is not a plain http address',
  );

/** A volume, or a folder that begins with ./ or /. */
const place = z.union(
  [
    dockerName,
    z
      .string()
      .max(300)
      .regex(/^\.?(\/[A-Za-z0-9][A-Za-z0-9._-]*)+$/),
  ],
  { error: 'is neither the name of a volume nor a folder like ./data or /srv/data' },
);

const shared = { onlyAlone: true, neededBy: ['backup'] } as const;

const nameOf = ({ directory }: Context) => {
  const name = directory
    .toLowerCase()
    .replaceAll(/[^a-z0-9_-]/g, '')
    .replace(/^[_-]+/, '');
  return name === '' ? 'botpress' : name;
};

export const questions = questionsOf('app', [
  {
    path: 'alone',
    message: 'Parts that are used alone',
    help: `Parts used alone beside a stack that is not this generator's (${ALONE_PARTS.join(', ')}); set by \`botpress-prod PART\` where a compose file of others is found; empty for a whole repository.`,
    field: list(oneOf(ALONE_PARTS)),
    default: ({ alone }) => (alone ? [alone] : []),
    mend: `choose among ${ALONE_PARTS.join(', ')}`,
    ask: () => false,
    onlyAlone: true,
  },
  {
    path: 'stack.project',
    message: 'Compose project of the stack',
    help: 'Name of the compose project of the stack that is there, as `docker compose ls` shows it.',
    field: z
      .string({ error: 'is not text' })
      .max(100, 'is longer than 100 characters')
      .regex(/^[a-z0-9][a-z0-9_-]*$/, 'is not the name of a compose project'),
    default: (context) => context.found?.project ?? nameOf(context),
    mend: 'give the name that `docker compose ls` shows',
    ...shared,
  },
  {
    path: 'stack.networks',
    message: 'Networks of its database and of Botpress (comma-separated)',
    help: "Docker's names of the networks on which its database and Botpress are, as `docker network ls` shows them.",
    field: list(dockerName, { least: 1, most: 5 }),
    default: ({ draft, found }) => found?.networks ?? [`${draft.stack?.project ?? 'botpress'}_default`],
    mend: 'give the names that `docker network ls` shows',
    ...shared,
  },
  {
    path: 'stack.database',
    message: 'Its database, without the password',
    help: 'How Botpress reaches its database, without the password: postgres://user@host:5432/name.',
    field: address,
    default: ({ found }) => found?.database ?? 'postgres://botpress@postgres:5432/botpress',
    mend: "give DATABASE_URL without its password, like postgres://botpress@postgres:5432/botpress; the password is read from Botpress' container",
    ...shared,
  },
  {
    path: 'stack.botpress',
    message: 'Service of Botpress',
    help: 'Compose service of Botpress in that stack; a restore stops and starts it.',
    field: dockerName,
    default: ({ found }) => found?.botpress ?? 'botpress',
    mend: 'give the name of the service in the compose file, like botpress',
    ...shared,
  },
  {
    path: 'stack.health',
    message: 'Address that answers 200 when Botpress serves, from within the network',
    help: 'Address within the network that answers 200 when Botpress serves; a restore waits for it.',
    field: url,
    default: ({ draft }) => `http://${draft.stack?.botpress ?? 'botpress'}:3000/status`,
    mend: 'give an address like http://botpress:3000/status',
    ...shared,
  },
  {
    path: 'stack.files',
    message: 'Volumes or folders with files of Botpress (comma-separated)',
    help: "Where Botpress keeps files: docker's names of volumes, or folders that begin with ./ or /.",
    field: list(place, { least: 1, most: 10 }),
    default: ({ found }) => found?.files ?? ['./data'],
    mend: 'name what is mounted below /botpress: ./data, or a volume as `docker volume ls` shows it',
    ...shared,
  },
]);
