import * as z from 'zod';
import { ALONE_PARTS, CHANNELS, EDITIONS, ROLLOUTS, TLS_MODES } from '../../src/deployment/answers.ts';
import { questionsOf } from '../../src/deployment/question.ts';
import { email, host, integer, label, list, network, oneOf, origin, yesOrNo } from '../fields.ts';

const LONGEST_NAME = 40;

const environment = z.union(
  [
    label(20),
    z.strictObject({
      name: label(20),
      domain: host.optional(),
      tls: oneOf([...TLS_MODES, 'none']).optional(),
      bind: z.union([z.ipv4(), z.ipv6()], { error: 'is not an address' }).optional(),
      httpPort: integer(1, 65535).optional(),
      httpsPort: integer(1, 65535).optional(),
      confidence: z.number({ error: 'is not a number' }).min(0, 'is below 0').max(1, 'is above 1').optional(),
    }),
  ],
  {
    error:
      'is neither a name of small letters, digits and inner dashes (at most 20 characters) nor an object with a name and overrides',
  },
);

export const questions = questionsOf('app', [
  {
    path: 'name',
    message: 'Name of the project',
    help: 'Name of the project; compose projects, volumes and files are called after it.',
    field: label(LONGEST_NAME),
    default: ({ directory }) => (label(LONGEST_NAME).safeParse(directory).success ? directory : 'my-bot'),
    mend: 'use a name like acme-bot',
    neededBy: ALONE_PARTS,
  },
  {
    path: 'domain',
    message: 'Host name of the production environment',
    help: 'Host name of production, without scheme, port or path; other environments put their name before it.',
    field: host,
    default: ({ draft }) => `${draft.name ?? 'my-bot'}.example.com`,
    mend: 'give the host alone, like bot.acme.example; a path would break every channel webhook',
  },
  {
    path: 'contact',
    message: 'E-mail address of those who run it',
    help: 'First administrator of Botpress, and the contact of the certificates.',
    field: email,
    default: ({ draft }) => `ops@${draft.domain ?? 'example.com'}`,
    mend: 'use an address like ops@acme.example',
  },
  {
    path: 'bots',
    message: 'Bots (comma-separated)',
    help: 'Identifiers of the bots; each gets a folder of content that answers at once.',
    field: list(
      // Botpress hands every path with /studio/ in it to the studio.
      label(50).refine((id) => id !== 'studio', 'is a name that Botpress keeps for itself'),
      { least: 1 },
    ),
    default: ['support'],
    mend: 'name at least one bot, like support,sales',
  },
  {
    path: 'languages',
    message: 'Languages of the bots (comma-separated, the first is the default)',
    help: 'ISO 639-1 codes, the default first; more than one needs edition pro.',
    field: list(
      z.string({ error: 'is not text' }).regex(/^[a-z]{2}$/, 'is not a code of two small letters'),
      {
        least: 1,
        most: 30,
      },
    ),
    default: ['en'],
    mend: 'use codes of two letters, like en,fr',
  },
  {
    path: 'edition',
    message: 'Edition of Botpress',
    help: 'community runs on one node; pro needs a licence key and may have several.',
    field: oneOf(EDITIONS),
    choices: EDITIONS,
    default: 'community',
    mend: 'choose community or pro',
  },
  {
    path: 'environments',
    message: 'Environments (comma-separated)',
    help: 'Names, or in an answers file objects {name, domain, tls, bind, httpPort, httpsPort, confidence} that override what is derived.',
    field: list(environment, { least: 1 }),
    default: ['development', 'staging', 'production'],
    defaultAlone: ['production'],
    mend: 'name at least one, like development,production',
  },
  {
    path: 'channels',
    message: 'Channels',
    help: 'How people reach the bots; a channel is switched on where its credentials are present.',
    field: list(oneOf(CHANNELS), { least: 1 }),
    choices: CHANNELS,
    default: ['web'],
    mend: `choose among ${CHANNELS.join(', ')}`,
  },
  {
    path: 'tls',
    message: 'TLS certificates',
    help: 'letsencrypt fetches and renews them, provided takes your files, self-signed makes one for trying out.',
    field: oneOf(TLS_MODES),
    choices: TLS_MODES,
    default: 'self-signed',
    mend: `choose ${TLS_MODES.join(', ')}`,
  },
  {
    path: 'access.admin',
    message: 'Networks that may open the admin and studio pages (CIDR, comma-separated)',
    help: 'Whoever can edit a bot can run code on the server: list networks you trust.',
    field: list(network),
    default: ['127.0.0.0/8', '10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'],
    mend: 'use CIDR notation, like 192.0.2.0/24 or 2001:db8::/32',
  },
  {
    path: 'access.embed',
    message: 'Sites that embed the webchat (origins, comma-separated; empty for none)',
    help: 'Origins that may show the webchat in a frame and call the API from a page.',
    field: list(origin),
    default: [],
    mend: 'give scheme and host, like https://www.acme.example',
    ask: ({ draft }) => draft.channels?.includes('web') ?? true,
  },
  {
    path: 'database.retentionDays',
    message: 'Days to keep messages (0 for ever)',
    help: 'Messages and other rows that Botpress never cleans are deleted after so many days; 0 keeps them.',
    field: integer(0, 3650),
    default: 365,
    mend: 'give a number of days from 0 to 3650',
  },
  {
    path: 'database.rowLevelSecurity',
    message: 'Hide personal rows from the reading role?',
    help: 'Row-level security for the reading role; the application and backups see everything.',
    field: yesOrNo,
    default: false,
    mend: 'answer true or false',
  },
  {
    path: 'nlu',
    message: 'Run your own language server and duckling?',
    help: 'Language server and duckling as containers; without them no text leaves for a public server either.',
    field: yesOrNo,
    default: false,
    mend: 'answer true or false',
  },
  {
    path: 'scaling.replicas',
    message: 'Botpress nodes that serve at the same time',
    help: 'Botpress nodes that serve at the same time; more than 1 needs edition pro.',
    field: integer(1, 10),
    default: 1,
    mend: 'give a number from 1 to 10',
    ask: ({ draft }) => draft.edition === 'pro',
  },
  {
    path: 'scaling.deployment',
    message: 'Rollout',
    help: 'blue-green starts the new server beside the old one; recreate stops the old one first.',
    field: oneOf(ROLLOUTS),
    choices: ROLLOUTS,
    default: 'blue-green',
    mend: 'choose blue-green or recreate',
  },
]);
