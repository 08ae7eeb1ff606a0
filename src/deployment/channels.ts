import type { ChannelName } from './answers.ts';

/** A credential of a channel: the key in `bot.config.json` and the word its variable ends with. */
export interface Credential {
  key: string;
  variable: string;
}

/** A messaging channel with exactly the credentials that version 1.0.0 of its implementation demands. */
export interface Channel {
  name: Exclude<ChannelName, 'web'>;
  title: string;
  credentials: Credential[];
  /** Host that the messaging server calls at boot to check the credentials; egress to it is a start condition. */
  provider: string;
}

// Keys: messaging 1.2.18, packages/channels/src/<channel>/config.ts. Webchat is no row: it has no credentials.
const CHANNEL_TABLE: Record<Channel['name'], { title: string; provider: string; keys: string[] }> = {
  messenger: {
    title: 'Facebook Messenger',
    provider: 'graph.facebook.com',
    keys: ['appId', 'appSecret', 'verifyToken', 'pageId', 'accessToken'],
  },
  slack: { title: 'Slack', provider: 'slack.com', keys: ['botToken', 'signingSecret'] },
  telegram: { title: 'Telegram', provider: 'api.telegram.org', keys: ['botToken'] },
  twilio: { title: 'Twilio', provider: 'api.twilio.com', keys: ['accountSID', 'authToken'] },
  teams: { title: 'Microsoft Teams', provider: 'login.microsoftonline.com', keys: ['appId', 'appPassword'] },
  smooch: {
    title: 'Sunshine Conversations',
    provider: 'api.smooch.io',
    keys: ['appId', 'keyId', 'keySecret', 'webhookSecret'],
  },
  vonage: { title: 'Vonage', provider: 'api.nexmo.com', keys: ['apiKey', 'apiSecret', 'signatureSecret'] },
};

/** `accountSID` → `ACCOUNT_SID`. */
function toVariable(key: string): string {
  return key.replace(/([a-z0-9])([A-Z])/g, '$1_$2').toUpperCase();
}

/** The messaging channels among the chosen ones, in the order of the table. */
export function messagingChannels(chosen: readonly ChannelName[]): Channel[] {
  return Object.entries(CHANNEL_TABLE)
    .filter(([name]) => chosen.includes(name as ChannelName))
    .map(([name, { title, provider, keys }]) => ({
      name: name as Channel['name'],
      title,
      provider,
      credentials: keys.map((key) => ({ key, variable: `${name.toUpperCase()}_${toVariable(key)}` })),
    }));
}
