-- The tables that Botpress 12.31.10 has made after its first boot with the default modules on PostgreSQL. Types, keys and
-- NOT NULL as read from the running server's catalogue; unique keys and the index that matter for deleting as in the
-- messaging server's own table definitions. Run it as the role that owns the database.

CREATE TABLE handoffs (
  id serial,
  "botId" varchar(255) NOT NULL,
  "userId" varchar(255) NOT NULL,
  "agentId" varchar(255),
  "userThreadId" varchar(255) NOT NULL,
  "userChannel" varchar(255) NOT NULL,
  "agentThreadId" varchar(255),
  status varchar(255) NOT NULL,
  tags json,
  "assignedAt" timestamptz,
  "resolvedAt" timestamptz,
  "createdAt" timestamptz NOT NULL,
  "updatedAt" timestamptz NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE msg_clients (
  id uuid NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE msg_users (
  id uuid NOT NULL,
  "clientId" uuid NOT NULL,
  data jsonb,
  PRIMARY KEY (id),
  FOREIGN KEY ("clientId") REFERENCES msg_clients (id)
);

CREATE TABLE msg_channels (
  id uuid NOT NULL,
  name varchar(255) NOT NULL,
  version varchar(255) NOT NULL,
  lazy boolean NOT NULL,
  initiable boolean NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE msg_providers (
  id uuid NOT NULL,
  name varchar(255) NOT NULL,
  sandbox boolean NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE msg_conduits (
  id uuid NOT NULL,
  "providerId" uuid NOT NULL,
  "channelId" uuid NOT NULL,
  config text NOT NULL,
  PRIMARY KEY (id),
  FOREIGN KEY ("channelId") REFERENCES msg_channels (id),
  FOREIGN KEY ("providerId") REFERENCES msg_providers (id)
);

CREATE TABLE msg_conversations (
  id uuid NOT NULL,
  "clientId" uuid NOT NULL,
  "userId" uuid NOT NULL,
  "createdOn" timestamptz NOT NULL,
  PRIMARY KEY (id),
  FOREIGN KEY ("clientId") REFERENCES msg_clients (id),
  FOREIGN KEY ("userId") REFERENCES msg_users (id)
);

CREATE TABLE msg_tunnels (
  id uuid NOT NULL,
  "clientId" uuid NOT NULL,
  "channelId" uuid,
  "customChannelName" varchar(255),
  PRIMARY KEY (id),
  FOREIGN KEY ("channelId") REFERENCES msg_channels (id),
  FOREIGN KEY ("clientId") REFERENCES msg_clients (id)
);

CREATE TABLE msg_identities (
  id uuid NOT NULL,
  "tunnelId" uuid NOT NULL,
  name varchar(255) NOT NULL,
  PRIMARY KEY (id),
  FOREIGN KEY ("tunnelId") REFERENCES msg_tunnels (id)
);

CREATE TABLE msg_senders (
  id uuid NOT NULL,
  "identityId" uuid NOT NULL,
  name varchar(255) NOT NULL,
  PRIMARY KEY (id),
  FOREIGN KEY ("identityId") REFERENCES msg_identities (id)
);

CREATE TABLE msg_threads (
  id uuid NOT NULL,
  "senderId" uuid NOT NULL,
  name varchar(255) NOT NULL,
  PRIMARY KEY (id),
  FOREIGN KEY ("senderId") REFERENCES msg_senders (id)
);

CREATE TABLE bot_analytics (
  "botId" varchar(255) NOT NULL,
  date date NOT NULL,
  channel varchar(255) NOT NULL,
  metric varchar(255) NOT NULL,
  "subMetric" varchar(255) NOT NULL,
  value integer NOT NULL,
  PRIMARY KEY ("botId", date, channel, metric, "subMetric")
);

CREATE TABLE bot_chat_users (
  "botId" varchar(255) NOT NULL,
  channel varchar(255) NOT NULL,
  "userId" varchar(255) NOT NULL,
  "createdOn" date NOT NULL,
  "lastSeenOn" date NOT NULL,
  PRIMARY KEY ("botId", channel, "userId")
);

CREATE TABLE comments (
  id serial,
  "handoffId" integer NOT NULL,
  "threadId" varchar(255) NOT NULL,
  "agentId" varchar(255) NOT NULL,
  content text,
  "createdAt" timestamptz NOT NULL,
  "updatedAt" timestamptz NOT NULL,
  PRIMARY KEY (id),
  FOREIGN KEY ("handoffId") REFERENCES handoffs (id)
);

CREATE TABLE data_retention (
  channel text NOT NULL,
  user_id text NOT NULL,
  field_path text NOT NULL,
  expiry_date timestamptz NOT NULL,
  created_on timestamptz NOT NULL
);

CREATE TABLE dialog_sessions (
  id text NOT NULL,
  context json NOT NULL,
  temp_data json NOT NULL,
  session_data json NOT NULL,
  context_expiry timestamptz,
  session_expiry timestamptz,
  created_on timestamptz NOT NULL,
  modified_on timestamptz NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE events (
  id varchar(255) NOT NULL,
  "messageId" uuid,
  "botId" varchar(255) NOT NULL,
  channel varchar(255) NOT NULL,
  "threadId" varchar(255),
  target varchar(255),
  "sessionId" varchar(255),
  type varchar(255),
  direction varchar(255) NOT NULL,
  "incomingEventId" varchar(255),
  "workflowId" varchar(255),
  feedback integer,
  success boolean,
  event json NOT NULL,
  "createdOn" timestamptz NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE misunderstood (
  id serial,
  "eventId" varchar(255),
  "botId" varchar(255),
  language varchar(255),
  preview text,
  reason text,
  status text,
  "resolutionType" text,
  resolution varchar(255),
  "resolutionParams" json,
  "createdAt" timestamptz,
  "updatedAt" timestamptz,
  PRIMARY KEY (id)
);

CREATE TABLE model_entry (
  "botId" varchar(255) NOT NULL,
  language varchar(255) NOT NULL,
  status varchar(255) NOT NULL,
  "modelId" varchar(255) NOT NULL,
  "definitionHash" varchar(255) NOT NULL,
  PRIMARY KEY ("botId", language, status)
);

CREATE TABLE msg_client_tokens (
  id uuid NOT NULL,
  "clientId" uuid,
  token varchar(255) NOT NULL,
  expiry timestamptz,
  PRIMARY KEY (id),
  FOREIGN KEY ("clientId") REFERENCES msg_clients (id)
);

CREATE TABLE msg_convmap (
  "tunnelId" uuid NOT NULL,
  "conversationId" uuid NOT NULL,
  "threadId" uuid NOT NULL,
  FOREIGN KEY ("conversationId") REFERENCES msg_conversations (id),
  FOREIGN KEY ("threadId") REFERENCES msg_threads (id),
  FOREIGN KEY ("tunnelId") REFERENCES msg_tunnels (id),
  UNIQUE ("tunnelId", "conversationId"),
  UNIQUE ("tunnelId", "threadId")
);

CREATE TABLE msg_health (
  id uuid NOT NULL,
  "conduitId" uuid NOT NULL,
  time timestamptz NOT NULL,
  type varchar(255) NOT NULL,
  data jsonb,
  PRIMARY KEY (id),
  FOREIGN KEY ("conduitId") REFERENCES msg_conduits (id)
);

CREATE TABLE msg_kvs (
  id uuid NOT NULL,
  key varchar(255) NOT NULL,
  value jsonb NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE msg_messages (
  id uuid NOT NULL,
  "conversationId" uuid NOT NULL,
  "authorId" uuid,
  "sentOn" timestamptz NOT NULL,
  payload jsonb NOT NULL,
  PRIMARY KEY (id),
  FOREIGN KEY ("authorId") REFERENCES msg_users (id),
  FOREIGN KEY ("conversationId") REFERENCES msg_conversations (id) ON DELETE CASCADE
);

CREATE TABLE msg_meta (
  time timestamptz NOT NULL,
  data jsonb,
  PRIMARY KEY (time)
);

CREATE TABLE msg_provisions (
  "clientId" uuid NOT NULL,
  "providerId" uuid NOT NULL,
  PRIMARY KEY ("clientId", "providerId")
);

CREATE TABLE msg_sandboxmap (
  "conduitId" uuid NOT NULL,
  identity varchar(255) NOT NULL,
  sender varchar(255) NOT NULL,
  thread varchar(255) NOT NULL,
  "clientId" uuid NOT NULL,
  PRIMARY KEY ("conduitId", identity, sender, thread),
  FOREIGN KEY ("clientId") REFERENCES msg_clients (id),
  FOREIGN KEY ("conduitId") REFERENCES msg_conduits (id)
);

CREATE TABLE msg_status (
  "conduitId" uuid NOT NULL,
  "numberOfErrors" integer NOT NULL,
  "initializedOn" timestamptz,
  "lastError" text,
  PRIMARY KEY ("conduitId"),
  FOREIGN KEY ("conduitId") REFERENCES msg_conduits (id)
);

CREATE TABLE msg_user_tokens (
  id uuid NOT NULL,
  "userId" uuid,
  token varchar(255) NOT NULL,
  expiry timestamptz,
  PRIMARY KEY (id),
  FOREIGN KEY ("userId") REFERENCES msg_users (id)
);

CREATE TABLE msg_usermap (
  "tunnelId" uuid NOT NULL,
  "userId" uuid NOT NULL,
  "senderId" uuid NOT NULL,
  FOREIGN KEY ("senderId") REFERENCES msg_senders (id),
  FOREIGN KEY ("tunnelId") REFERENCES msg_tunnels (id),
  FOREIGN KEY ("userId") REFERENCES msg_users (id),
  UNIQUE ("tunnelId", "userId"),
  UNIQUE ("tunnelId", "senderId")
);

CREATE TABLE msg_webhooks (
  id uuid NOT NULL,
  "clientId" uuid NOT NULL,
  url varchar(255) NOT NULL,
  token varchar(255) NOT NULL,
  PRIMARY KEY (id),
  FOREIGN KEY ("clientId") REFERENCES msg_clients (id)
);

CREATE TABLE srv_channel_users (
  id serial,
  channel varchar(255),
  user_id varchar(255),
  attributes json,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE srv_channels (
  "clientId" uuid NOT NULL,
  "botId" varchar(255) NOT NULL,
  "clientToken" varchar(255) NOT NULL,
  config jsonb NOT NULL,
  PRIMARY KEY ("clientId")
);

CREATE TABLE srv_ghost_files (
  file_path varchar(255) NOT NULL,
  content bytea,
  deleted boolean,
  modified_on timestamptz,
  PRIMARY KEY (file_path)
);

CREATE TABLE srv_ghost_index (
  file_path varchar(255) NOT NULL,
  revision varchar(255) NOT NULL,
  created_by varchar(255),
  created_on timestamptz,
  PRIMARY KEY (file_path, revision)
);

CREATE TABLE srv_kvs (
  key varchar(255) NOT NULL,
  value text NOT NULL,
  "botId" varchar(255) NOT NULL,
  "expireOn" timestamptz,
  modified_on timestamptz,
  PRIMARY KEY (key, "botId")
);

CREATE TABLE srv_logs (
  "botId" varchar(255),
  hostname varchar(255),
  timestamp timestamptz,
  level varchar(255),
  scope varchar(255),
  message text,
  metadata text
);

CREATE TABLE srv_metadata (
  server_version varchar(255),
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE TABLE srv_migrations (
  id serial,
  "initialVersion" varchar(255),
  "targetVersion" varchar(255),
  details text,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE strategy_default (
  id serial,
  email varchar(255) NOT NULL,
  password varchar(255),
  salt varchar(255),
  strategy varchar(255) NOT NULL,
  attributes json NOT NULL,
  "tokenVersion" integer NOT NULL,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL,
  PRIMARY KEY (id)
);

CREATE TABLE tasks (
  id serial,
  "eventId" varchar(255) NOT NULL,
  status varchar(255) NOT NULL,
  "actionName" varchar(255) NOT NULL,
  "actionArgs" json NOT NULL,
  "actionServerId" varchar(255) NOT NULL,
  "statusCode" integer,
  "startedAt" timestamptz NOT NULL,
  "endedAt" timestamptz NOT NULL,
  "failureReason" varchar(255),
  PRIMARY KEY (id)
);

CREATE TABLE telemetry (
  uuid uuid NOT NULL,
  payload json NOT NULL,
  available boolean NOT NULL,
  "lastChanged" timestamptz NOT NULL,
  "creationDate" timestamptz NOT NULL
);

CREATE TABLE web_user_map (
  "botId" varchar(255) NOT NULL,
  "visitorId" varchar(255) NOT NULL,
  "userId" uuid,
  PRIMARY KEY ("botId", "visitorId"),
  UNIQUE ("userId")
);

CREATE TABLE workspace_invite_codes (
  "workspaceId" varchar(255),
  "inviteCode" varchar(255),
  "allowedUsages" integer,
  created_at timestamptz NOT NULL,
  updated_at timestamptz NOT NULL
);

CREATE TABLE workspace_users (
  email varchar(255),
  strategy varchar(255),
  workspace varchar(255),
  role varchar(255)
);

CREATE INDEX ON msg_messages ("conversationId", "sentOn");
CREATE INDEX ON msg_conversations ("userId", "clientId");
