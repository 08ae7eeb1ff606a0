import * as z from 'zod';
import { ALONE_PARTS } from '../src/deployment/answers.ts';
import { questionsOf, type Context } from '../src/deployment/question.ts';
import { list, oneOf, yesOrNo } from './fields.ts';

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

const forBackups = { onlyAlone: true, neededBy: ['backup'] } as const;
const forPipelines = { onlyAlone: true, neededBy: ['ci'] } as const;

/** One line for a shell on the server, or in a job. */
const command = z
  .string({ error: 'is not text' })
  .max(500, 'is longer than 500 characters')
  .regex(/^[\x20-\x7e]*$/, 'is not one line of plain characters')
  .refine((value) => !/<%|%>/.test(value), 'has <% or %> in it');

/** Name or address of a server, as ssh takes it. */
const server = z
  .string({ error: 'is not text' })
  .max(253, 'is longer than 253 characters')
  .regex(/^[A-Za-z0-9:][A-Za-z0-9.:-]*$/, 'is not the name or the address of a server');

/** A value for each environment: production has the plain one, others theirs by `named`. */
function eachEnvironment(
  { draft }: Context,
  plain: string,
  named: (environment: string) => string,
): string[] {
  const names = (draft.environments ?? ['production']).flatMap((entry) =>
    typeof entry === 'object' ? entry.name : (entry ?? []),
  );
  const main = names.includes('production') ? 'production' : names.at(-1);
  return names.map((name) => (name === main ? plain : named(name)));
}

/** Host under which visitors reach production, with its port. */
function visitorsHost({ draft, found }: Context): string {
  return found?.externalUrl?.replace(/^https?:\/\//, '') ?? `${draft.name ?? 'botpress'}.example.com`;
}

/**
 * What deploys a compose file.
 * @param builds it has images of its own, which no registry has
 */
export function deployWith(file: string, builds: boolean): string {
  const compose = /^(docker-)?compose\.ya?ml$/.test(file)
    ? 'docker compose'
    : `docker compose --file ${file}`;
  return builds
    ? `${compose} pull --ignore-buildable && ${compose} up -d --build --wait`
    : `${compose} pull && ${compose} up -d --wait`;
}

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
    ...forBackups,
  },
  {
    path: 'stack.networks',
    message: 'Networks of its database and of Botpress (comma-separated)',
    help: "Docker's names of the networks on which its database and Botpress are, as `docker network ls` shows them.",
    field: list(dockerName, { least: 1, most: 5 }),
    default: ({ draft, found }) => found?.networks ?? [`${draft.stack?.project ?? 'botpress'}_default`],
    mend: 'give the names that `docker network ls` shows',
    ...forBackups,
  },
  {
    path: 'stack.database',
    message: 'Its database, without the password',
    help: 'How Botpress reaches its database, without the password: postgres://user@host:5432/name.',
    field: address,
    default: ({ found }) => found?.database ?? 'postgres://botpress@postgres:5432/botpress',
    mend: "give DATABASE_URL without its password, like postgres://botpress@postgres:5432/botpress; the password is read from Botpress' container",
    ...forBackups,
  },
  {
    path: 'stack.botpress',
    message: 'Service of Botpress',
    help: 'Compose service of Botpress in that stack; a restore stops and starts it.',
    field: dockerName,
    default: ({ found }) => found?.botpress ?? 'botpress',
    mend: 'give the name of the service in the compose file, like botpress',
    ...forBackups,
  },
  {
    path: 'stack.health',
    message: 'Address that answers 200 when Botpress serves, from within the network',
    help: 'Address within the network that answers 200 when Botpress serves; a restore waits for it.',
    field: url,
    default: ({ draft }) => `http://${draft.stack?.botpress ?? 'botpress'}:3000/status`,
    mend: 'give an address like http://botpress:3000/status',
    ...forBackups,
  },
  {
    path: 'stack.files',
    message: 'Volumes or folders with files of Botpress (comma-separated)',
    help: "Where Botpress keeps files: docker's names of volumes, or folders that begin with ./ or /.",
    field: list(place, { least: 1, most: 10 }),
    default: ({ found }) => found?.files ?? ['./data'],
    mend: 'name what is mounted below /botpress: ./data, or a volume as `docker volume ls` shows it',
    ...forBackups,
  },
  {
    path: 'stack.file',
    message: 'Compose file of the stack',
    help: 'Compose file of the stack, which pipelines check; found by itself.',
    field: z
      .string({ error: 'is not text' })
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,99}\.ya?ml$/, 'is not the name of a YAML file'),
    default: ({ found }) => found?.file ?? 'docker-compose.yml',
    mend: 'give the name of a file of the top folder, like docker-compose.yml',
    ask: () => false,
    ...forPipelines,
  },
  {
    path: 'stack.ownPipeline',
    message: 'Is there a .gitlab-ci.yml of your own?',
    help: 'Whether a .gitlab-ci.yml is there that is not of this generator; then none is written, and yours includes the jobs.',
    field: yesOrNo,
    default: false,
    defaultAlone: ({ found }) => found?.ownPipeline ?? false,
    mend: 'answer true or false',
    ask: () => false,
    ...forPipelines,
  },
  {
    path: 'stack.branch',
    message: 'Branch that is deployed',
    help: 'Branch whose commits GitHub deploys; GitLab deploys its default branch.',
    field: z
      .string({ error: 'is not text' })
      .max(100, 'is longer than 100 characters')
      .regex(/^[A-Za-z0-9_]+([./-][A-Za-z0-9_]+)*$/, 'is not the plain name of a branch'),
    default: ({ found }) => found?.branch ?? 'main',
    mend: 'give the name that `git branch` shows, like main',
    ask: ({ draft }) => draft.ci !== 'gitlab',
    ...forPipelines,
  },
  {
    path: 'stack.hosts',
    message: 'Servers, one for each environment in their order (comma-separated)',
    help: 'Names or addresses of the servers that ssh reaches, one for each environment in their order.',
    field: list(server, { least: 1 }),
    default: (context) => {
      const host = visitorsHost(context).replace(/:\d+$/, '');
      return eachEnvironment(context, host, (name) => `${name}.${host}`);
    },
    mend: 'give one name or address for each environment, like staging.acme.example,bot.acme.example; each has a server of its own',
    ...forPipelines,
  },
  {
    path: 'stack.folder',
    message: 'Folder of the stack on the servers, a clone of this repository',
    help: 'Folder of the stack on each server: a clone of this repository.',
    field: z
      .string({ error: 'is not text' })
      .max(200, 'is longer than 200 characters')
      .regex(
        /^(\/[A-Za-z0-9_@+-][A-Za-z0-9._@+-]*)+$/,
        'is not an absolute path of letters, digits, dots and dashes',
      ),
    default: ({ draft }) => `/opt/${draft.name ?? 'botpress'}`,
    mend: 'give a path like /opt/acme-bot',
    ...forPipelines,
  },
  {
    path: 'stack.deploy',
    message: 'Command that deploys there what is checked out',
    help: 'Shell command that deploys on a server what is checked out there; it ends when all is healthy. Secrets have no place in it.',
    field: command.refine((value) => value.trim() !== '', 'is empty'),
    default: ({ draft, found }) =>
      found?.deploy ?? deployWith(draft.stack?.file ?? 'docker-compose.yml', false),
    mend: 'give one line, like docker compose pull && docker compose up -d --wait',
    ...forPipelines,
  },
  {
    path: 'stack.urls',
    message:
      'Public addresses that answer 200 when visitors are served, one for each environment (comma-separated)',
    help: 'Public addresses that answer 200 when visitors are served, one for each environment in their order; a release is taken back when one does not.',
    field: list(url, { least: 1 }),
    default: (context) => {
      const scheme = context.found?.externalUrl?.startsWith('http:') ? 'http' : 'https';
      const address = (name: string) => `${scheme}://${name}${visitorsHost(context)}/status`;
      return eachEnvironment(context, address(''), (name) => address(`${name}.`));
    },
    mend: 'give one address for each environment, like https://bot.acme.example/status',
    ...forPipelines,
  },
  {
    path: 'stack.test',
    message: 'Command that tests a change (empty for none)',
    help: 'Shell command that tests a change, run for each pull request; empty for none.',
    field: command,
    default: ({ found }) => found?.test ?? '',
    mend: 'give one line, like npm ci && npm test',
    ...forPipelines,
  },
]);
