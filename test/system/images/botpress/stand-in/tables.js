/**
 * The 45 tables that the real server makes at its first boot with the default modules, column for column.
 * `!` = NOT NULL. Tables whose name begins with msg_ belong to the messaging process.
 */

/** Integer keys that count by themselves: their tables own a sequence, which the role needs USAGE on. */
const COUNTING = new Set([
  'comments',
  'handoffs',
  'misunderstood',
  'srv_channel_users',
  'srv_migrations',
  'strategy_default',
  'tasks',
]);

/** What the repositories rely on beyond the primary keys. */
const UNIQUE = { srv_channel_users: '"channel", "user_id"', web_user_map: '"userId"' };

/** @typedef {{ name: string, references: string[], sql: string }} Table */

/**
 * @param {string} name @param {string} key @param {string} columns @param {string} references
 * @returns {Table}
 */
function table(name, key, columns, references) {
  const lines = columns.split(', ').map((column) => {
    const [, label, type, required] = /^(\S+) ([^!]+)(!?)$/.exec(column);
    const counts = label === 'id' && type === 'integer' && COUNTING.has(name);
    return `"${label}" ${counts ? 'serial' : type}${required ? ' NOT NULL' : ''}${clock(name, label, type, required)}`;
  });
  if (key)
    lines.push(
      `PRIMARY KEY (${key
        .split(' ')
        .map((label) => `"${label}"`)
        .join(', ')})`,
    );
  if (UNIQUE[name]) lines.push(`UNIQUE (${UNIQUE[name]})`);
  const targets = [];
  for (const reference of references ? references.split('; ') : []) {
    const [, label, target, column] = /^(\S+) -> (\S+)\.(\S+)$/.exec(reference);
    lines.push(`FOREIGN KEY ("${label}") REFERENCES "${target}" ("${column}") ON DELETE CASCADE`);
    targets.push(target);
  }
  return { name, references: targets, sql: `CREATE TABLE "${name}" (${lines.join(', ')})` };
}

/** Required times that rows are written without: the database's clock fills them. */
function clock(name, label, type, required) {
  return required && type === 'timestamptz' && /^(created|updated|modified)/i.test(label)
    ? ' DEFAULT now()'
    : '';
}

const ALL = [
  table(
    'bot_analytics',
    'botId date channel metric subMetric',
    'botId varchar(255)!, date date!, channel varchar(255)!, metric varchar(255)!, subMetric varchar(255)!, value integer!',
    '',
  ),
  table(
    'bot_chat_users',
    'botId channel userId',
    'botId varchar(255)!, channel varchar(255)!, userId varchar(255)!, createdOn date!, lastSeenOn date!',
    '',
  ),
  table(
    'comments',
    'id',
    'id integer!, handoffId integer!, threadId varchar(255)!, agentId varchar(255)!, content text, createdAt timestamptz!, updatedAt timestamptz!',
    'handoffId -> handoffs.id',
  ),
  table(
    'data_retention',
    '',
    'channel text!, user_id text!, field_path text!, expiry_date timestamptz!, created_on timestamptz!',
    '',
  ),
  table(
    'dialog_sessions',
    'id',
    'id text!, context json!, temp_data json!, session_data json!, context_expiry timestamptz, session_expiry timestamptz, created_on timestamptz!, modified_on timestamptz!',
    '',
  ),
  table(
    'events',
    'id',
    'id varchar(255)!, messageId uuid, botId varchar(255)!, channel varchar(255)!, threadId varchar(255), target varchar(255), sessionId varchar(255), type varchar(255), direction varchar(255)!, incomingEventId varchar(255), workflowId varchar(255), feedback integer, success boolean, event json!, createdOn timestamptz!',
    '',
  ),
  table(
    'handoffs',
    'id',
    'id integer!, botId varchar(255)!, userId varchar(255)!, agentId varchar(255), userThreadId varchar(255)!, userChannel varchar(255)!, agentThreadId varchar(255), status varchar(255)!, tags json, assignedAt timestamptz, resolvedAt timestamptz, createdAt timestamptz!, updatedAt timestamptz!',
    '',
  ),
  table(
    'misunderstood',
    'id',
    'id integer!, eventId varchar(255), botId varchar(255), language varchar(255), preview text, reason text, status text, resolutionType text, resolution varchar(255), resolutionParams json, createdAt timestamptz, updatedAt timestamptz',
    '',
  ),
  table(
    'model_entry',
    'botId language status',
    'botId varchar(255)!, language varchar(255)!, status varchar(255)!, modelId varchar(255)!, definitionHash varchar(255)!',
    '',
  ),
  table(
    'msg_channels',
    'id',
    'id uuid!, name varchar(255)!, version varchar(255)!, lazy boolean!, initiable boolean!',
    '',
  ),
  table(
    'msg_client_tokens',
    'id',
    'id uuid!, clientId uuid, token varchar(255)!, expiry timestamptz',
    'clientId -> msg_clients.id',
  ),
  table('msg_clients', 'id', 'id uuid!', ''),
  table(
    'msg_conduits',
    'id',
    'id uuid!, providerId uuid!, channelId uuid!, config text!',
    'channelId -> msg_channels.id; providerId -> msg_providers.id',
  ),
  table(
    'msg_conversations',
    'id',
    'id uuid!, clientId uuid!, userId uuid!, createdOn timestamptz!',
    'clientId -> msg_clients.id; userId -> msg_users.id',
  ),
  table(
    'msg_convmap',
    '',
    'tunnelId uuid!, conversationId uuid!, threadId uuid!',
    'conversationId -> msg_conversations.id; threadId -> msg_threads.id; tunnelId -> msg_tunnels.id',
  ),
  table(
    'msg_health',
    'id',
    'id uuid!, conduitId uuid!, time timestamptz!, type varchar(255)!, data jsonb',
    'conduitId -> msg_conduits.id',
  ),
  table('msg_identities', 'id', 'id uuid!, tunnelId uuid!, name varchar(255)!', 'tunnelId -> msg_tunnels.id'),
  table('msg_kvs', 'id', 'id uuid!, key varchar(255)!, value jsonb!', ''),
  table(
    'msg_messages',
    'id',
    'id uuid!, conversationId uuid!, authorId uuid, sentOn timestamptz!, payload jsonb!',
    'authorId -> msg_users.id; conversationId -> msg_conversations.id',
  ),
  table('msg_meta', 'time', 'time timestamptz!, data jsonb', ''),
  table('msg_providers', 'id', 'id uuid!, name varchar(255)!, sandbox boolean!', ''),
  table('msg_provisions', 'clientId providerId', 'clientId uuid!, providerId uuid!', ''),
  table(
    'msg_sandboxmap',
    'conduitId identity sender thread',
    'conduitId uuid!, identity varchar(255)!, sender varchar(255)!, thread varchar(255)!, clientId uuid!',
    'clientId -> msg_clients.id; conduitId -> msg_conduits.id',
  ),
  table(
    'msg_senders',
    'id',
    'id uuid!, identityId uuid!, name varchar(255)!',
    'identityId -> msg_identities.id',
  ),
  table(
    'msg_status',
    'conduitId',
    'conduitId uuid!, numberOfErrors integer!, initializedOn timestamptz, lastError text',
    'conduitId -> msg_conduits.id',
  ),
  table('msg_threads', 'id', 'id uuid!, senderId uuid!, name varchar(255)!', 'senderId -> msg_senders.id'),
  table(
    'msg_tunnels',
    'id',
    'id uuid!, clientId uuid!, channelId uuid, customChannelName varchar(255)',
    'channelId -> msg_channels.id; clientId -> msg_clients.id',
  ),
  table(
    'msg_user_tokens',
    'id',
    'id uuid!, userId uuid, token varchar(255)!, expiry timestamptz',
    'userId -> msg_users.id',
  ),
  table(
    'msg_usermap',
    '',
    'tunnelId uuid!, userId uuid!, senderId uuid!',
    'senderId -> msg_senders.id; tunnelId -> msg_tunnels.id; userId -> msg_users.id',
  ),
  table('msg_users', 'id', 'id uuid!, clientId uuid!, data jsonb', 'clientId -> msg_clients.id'),
  table(
    'msg_webhooks',
    'id',
    'id uuid!, clientId uuid!, url varchar(255)!, token varchar(255)!',
    'clientId -> msg_clients.id',
  ),
  table(
    'srv_channel_users',
    'id',
    'id integer!, channel varchar(255), user_id varchar(255), attributes json, created_at timestamptz!, updated_at timestamptz!',
    '',
  ),
  table(
    'srv_channels',
    'clientId',
    'clientId uuid!, botId varchar(255)!, clientToken varchar(255)!, config jsonb!',
    '',
  ),
  table(
    'srv_ghost_files',
    'file_path',
    'file_path varchar(255)!, content bytea, deleted boolean, modified_on timestamptz',
    '',
  ),
  table(
    'srv_ghost_index',
    'file_path revision',
    'file_path varchar(255)!, revision varchar(255)!, created_by varchar(255), created_on timestamptz',
    '',
  ),
  table(
    'srv_kvs',
    'key botId',
    'key varchar(255)!, value text!, botId varchar(255)!, expireOn timestamptz, modified_on timestamptz',
    '',
  ),
  table(
    'srv_logs',
    '',
    'botId varchar(255), hostname varchar(255), timestamp timestamptz, level varchar(255), scope varchar(255), message text, metadata text',
    '',
  ),
  table(
    'srv_metadata',
    '',
    'server_version varchar(255), created_at timestamptz!, updated_at timestamptz!',
    '',
  ),
  table(
    'srv_migrations',
    'id',
    'id integer!, initialVersion varchar(255), targetVersion varchar(255), details text, created_at timestamptz!, updated_at timestamptz!',
    '',
  ),
  table(
    'strategy_default',
    'id',
    'id integer!, email varchar(255)!, password varchar(255), salt varchar(255), strategy varchar(255)!, attributes json!, tokenVersion integer!, created_at timestamptz!, updated_at timestamptz!',
    '',
  ),
  table(
    'tasks',
    'id',
    'id integer!, eventId varchar(255)!, status varchar(255)!, actionName varchar(255)!, actionArgs json!, actionServerId varchar(255)!, statusCode integer, startedAt timestamptz!, endedAt timestamptz!, failureReason varchar(255)',
    '',
  ),
  table(
    'telemetry',
    '',
    'uuid uuid!, payload json!, available boolean!, lastChanged timestamptz!, creationDate timestamptz!',
    '',
  ),
  table('web_user_map', 'botId visitorId', 'botId varchar(255)!, visitorId varchar(255)!, userId uuid', ''),
  table(
    'workspace_invite_codes',
    '',
    'workspaceId varchar(255), inviteCode varchar(255), allowedUsages integer, created_at timestamptz!, updated_at timestamptz!',
    '',
  ),
  table(
    'workspace_users',
    '',
    'email varchar(255), strategy varchar(255), workspace varchar(255), role varchar(255)',
    '',
  ),
];

/** Referenced tables first; otherwise srv_metadata first of all, as on the real server. */
function inCreationOrder(tables) {
  const done = [];
  const visit = (one) => {
    if (done.includes(one)) return;
    for (const target of one.references) visit(tables.find((other) => other.name === target));
    done.push(one);
  };
  for (const one of tables) visit(one);
  return done;
}

const core = ALL.filter((one) => !one.name.startsWith('msg_'));
export const coreTables = inCreationOrder([
  ...core.filter((one) => one.name === 'srv_metadata'),
  ...core.filter((one) => one.name !== 'srv_metadata'),
]);
export const messagingTables = inCreationOrder(ALL.filter((one) => one.name.startsWith('msg_')));
