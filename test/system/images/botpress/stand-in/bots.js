/** Bots: what is mounted in this process, and the walk through main.flow.json. */
import { fillPlaceholders } from './configuration.js';
import { createLogger } from './log.js';

const log = createLogger('Bots');

/**
 * @typedef {{ id: string, name: string, defaultLanguage: string, languages: string[], config: object,
 *   flow: { startNode: string, nodes: FlowNode[] }, elements: Map<string, { type: string, formData: object }> }} Bot
 * @typedef {{ id: string, name: string, onEnter: string[] | null, onReceive: string[] | null,
 *   next: { condition: string, node: string }[] }} FlowNode
 */

/**
 * Reads one bot's files. Fails with the reason when the bot cannot be mounted.
 * @param {import('./content.js').Content} content @param {string} id
 * @returns {Promise<Bot>}
 */
export async function loadBot(content, id) {
  const config = await readBotConfig(content, id);
  if (!config) throw new Error(`bots/${id}/bot.config.json does not exist`);
  for (const key of ['id', 'name', 'version', 'imports', 'defaultLanguage', 'languages']) {
    if (config[key] === undefined) throw new Error(`bot.config.json: "${key}" is missing`);
  }
  const types = config.imports.contentTypes ?? [];
  const flowText = await content.read(`bots/${id}/flows/main.flow.json`);
  if (!flowText) throw new Error('flows/main.flow.json does not exist');
  if (!(await content.read(`bots/${id}/flows/main.ui.json`)))
    throw new Error('flows/main.ui.json does not exist');
  const flow = JSON.parse(flowText);
  if (!flow.nodes?.some((node) => node.name === flow.startNode))
    throw new Error(`main.flow.json: no start node "${flow.startNode}"`);
  const elements = new Map();
  for (const file of await content.list(`bots/${id}/content-elements/`)) {
    const type = file.slice(file.lastIndexOf('/') + 1).replace(/\.json$/, '');
    if (!types.includes(type)) continue;
    for (const element of JSON.parse(await content.read(file)))
      elements.set(element.id, { type, formData: element.formData });
  }
  return {
    id,
    name: config.name,
    defaultLanguage: config.defaultLanguage,
    languages: config.languages,
    config,
    flow,
    elements,
  };
}

/** @param {import('./content.js').Content} content @param {string} id @returns {Promise<object | undefined>} */
export async function readBotConfig(content, id) {
  const text = await content.read(`bots/${id}/bot.config.json`);
  return text === undefined ? undefined : JSON.parse(fillPlaceholders(text, process.env));
}

/**
 * Takes one user message through the flow.
 * @param {Bot} bot
 * @param {{ context: object, session: object, temp: object, user: object }} state changed in place
 * @param {object} event the incoming event, for conditions and texts
 * @returns {object[]} payloads to send, in order
 */
export function walkFlow(bot, state, event) {
  const sent = [];
  const node = (name) => bot.flow.nodes.find((one) => one.name === name);
  let current = node(state.context.currentNode);
  if (current) {
    run(bot, current.onReceive, state, event, sent);
    current = follow(bot, current, state, event);
  } else {
    current = node(bot.flow.startNode);
  }
  // A flow may run in circles; the real server gives up on those too.
  for (let steps = 0; current && steps < 100; steps += 1) {
    run(bot, current.onEnter, state, event, sent);
    if (current.onReceive) {
      state.context = { currentFlow: 'main.flow.json', currentNode: current.name };
      return sent;
    }
    current = follow(bot, current, state, event);
  }
  state.context = {};
  state.temp = {};
  return sent;
}

function follow(bot, node, state, event) {
  const transition = (node.next ?? []).find(({ condition }) => holds(condition, state, event));
  return bot.flow.nodes.find((one) => one.name === transition?.node);
}

function holds(condition, state, event) {
  if (condition === 'true' || condition === 'always') return true;
  try {
    const test = new Function(
      'event',
      'user',
      'session',
      'temp',
      'bot',
      'workspace',
      `return (${condition})`,
    );
    return Boolean(test(event, state.user, state.session, state.temp, {}, {}));
  } catch {
    return false;
  }
}

function run(bot, instructions, state, event, sent) {
  for (const instruction of instructions ?? []) {
    const text = typeof instruction === 'string' ? instruction : (instruction.fn ?? '');
    const say = /^say #!?(\S+)/.exec(text);
    if (say) {
      const payload = render(bot, say[1], state, event);
      if (payload) sent.push(payload);
      continue;
    }
    const set = /^builtin\/setVariable (\{.*\})$/.exec(text);
    if (set) {
      const { type, name, value } = JSON.parse(set[1]);
      if (state[type]) state[type][name] = fillTemplate(String(value), state, event);
      continue;
    }
    log.warn(`Unknown instruction "${text}"`, bot.id);
  }
}

function render(bot, id, state, event) {
  const element = bot.elements.get(id);
  if (!element) {
    log.error(`Content element "${id}" not found`, bot.id);
    return undefined;
  }
  const language = state.user.language ?? bot.defaultLanguage;
  const pick = (name) =>
    element.formData[`${name}$${language}`] ?? element.formData[`${name}$${bot.defaultLanguage}`];
  const text = fillTemplate(pick('text') ?? '', state, event);
  return { type: 'text', workflow: {}, text, markdown: true, typing: Boolean(pick('typing')) };
}

function fillTemplate(text, state, event) {
  return text.replace(/\{\{\s*([\w.]+)\s*\}\}/g, (_, name) => {
    const scope = { event: { ...event, state }, user: state.user, session: state.session, temp: state.temp };
    return name.split('.').reduce((value, key) => value?.[key], scope) ?? '';
  });
}
