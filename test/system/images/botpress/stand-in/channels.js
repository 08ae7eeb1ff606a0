/** The seven channels in version 1.0.0: their keys, and the check of the credentials with the provider. */
import { knobs, sleep } from './knobs.js';

/** @type {Record<string, { required: string[], optional: string[] }>} */
export const CHANNELS = {
  messenger: { required: ['appId', 'appSecret', 'verifyToken', 'pageId', 'accessToken'], optional: [] },
  slack: { required: ['botToken', 'signingSecret'], optional: [] },
  telegram: { required: ['botToken'], optional: [] },
  twilio: {
    required: ['accountSID', 'authToken'],
    optional: ['messageDelay', 'retryMaxAttempts', 'retryDelay'],
  },
  teams: { required: ['appId', 'appPassword'], optional: ['tenantId'] },
  smooch: { required: ['appId', 'keyId', 'keySecret', 'webhookSecret'], optional: [] },
  vonage: { required: ['apiKey', 'apiSecret', 'signatureSecret'], optional: ['useTestingApi'] },
};

/** Slack's client alone tries again instead of failing: about thirty minutes on the real server. */
const SLACK_RETRY_MS = 2000;

/**
 * All channels of a bot, or none: the first that fails refuses the whole request.
 * @param {Record<string, object>} channels as in bot.config.json
 * @returns {Promise<string[]>} the channels that are on; rejects with the reason
 */
export async function checkChannels(channels) {
  const enabled = [];
  // The schema of a disabled channel is checked too.
  for (const [name, config] of Object.entries(channels)) {
    checkSchema(name, config);
    if (config.enabled !== false) enabled.push(name);
  }
  for (const name of enabled) await checkProvider(name);
  return enabled;
}

function checkSchema(name, { version, enabled, ...keys }) {
  const channel = CHANNELS[name];
  if (!channel) throw new Error(`"channels.${name}" is not allowed`);
  if (version !== undefined && typeof version !== 'string')
    throw new Error(`"channels.${name}.version" must be a string`);
  if (enabled !== undefined && typeof enabled !== 'boolean')
    throw new Error(`"channels.${name}.enabled" must be a boolean`);
  for (const key of channel.required) {
    if (typeof keys[key] !== 'string' || keys[key] === '')
      throw new Error(`"channels.${name}.${key}" is required`);
  }
  if (version === '1.0.0') {
    const extra = Object.keys(keys).find((key) => ![...channel.required, ...channel.optional].includes(key));
    if (extra) throw new Error(`"channels.${name}.${extra}" is not allowed`);
  }
  if (name === 'twilio' && !keys.accountSID.startsWith('AC'))
    throw new Error('accountSid must start with AC');
}

async function checkProvider(name) {
  for (;;) {
    const answer = await askProvider(name);
    if (answer === 'good') return;
    if (answer === 'refused') throw new Error(`the provider refused the credentials of ${name}`);
    if (name !== 'slack') throw new Error(`unable to reach ${name} using the provided credentials`);
    console.log(`unable to reach slack, trying again`);
    await sleep(SLACK_RETRY_MS);
  }
}

/** Without a base URL no provider is reachable, as in a network without a way out. */
async function askProvider(name) {
  if (!knobs.providersUrl) return 'unreachable';
  try {
    const answer = await fetch(`${knobs.providersUrl.replace(/\/+$/, '')}/${name}`, {
      signal: AbortSignal.timeout(3000),
    });
    return answer.ok ? 'good' : 'refused';
  } catch {
    return 'unreachable';
  }
}
