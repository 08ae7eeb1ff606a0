/** The faults and times that a test can set, all by variables with the prefix STANDIN_; see README.md. */
const number = (name, fallback) => Number(process.env[`STANDIN_${name}`] ?? fallback);
const flag = (name) => isYes(process.env[`STANDIN_${name}`]);

export const knobs = {
  version: process.env.STANDIN_VERSION ?? '12.31.10',
  listenAfterMs: number('LISTEN_MS', 1500),
  readyAfterMs: number('READY_MS', 3500),
  messagingUpAfterMs: number('MESSAGING_MS', 1500),
  tableDelayMs: number('TABLE_MS', 1000),
  answerDelayMs: number('ANSWER_MS', 50),
  crashAfterMs: number('CRASH_AFTER_MS', 0),
  memoryMb: number('MEMORY_MB', 0),
  neverListens: flag('NEVER_LISTENS'),
  neverReady: flag('NEVER_READY'),
  messagingDown: flag('MESSAGING_DOWN'),
  nluDown: flag('NLU_DOWN'),
  migrationPending: flag('MIGRATION_PENDING'),
  migrationFails: flag('MIGRATION_FAILS'),
  emptyResponses: flag('EMPTY_RESPONSES'),
  providersUrl: process.env.STANDIN_PROVIDERS_URL ?? '',
};

/** The words that the real server takes for true. @param {string | undefined} text */
export function isYes(text) {
  return /^(y|yes|true|1|on)$/i.test((text ?? '').trim());
}

/** @param {number} ms @returns {Promise<void>} */
export function sleep(ms) {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
