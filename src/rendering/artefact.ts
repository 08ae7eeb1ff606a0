import type { Channel } from '../deployment/channels.ts';
import type { Bot, Deployment } from '../deployment/deployment.ts';
import type { Environment } from '../deployment/environments.ts';
import { escapeFor, formatOf } from './format.ts';
import type { Kind, PlannedFile } from './plan.ts';
import { findTemplate, isStatic } from './templates.ts';

/** What one rendering of a row sees. */
export interface Locals {
  deployment: Deployment;
  environment?: Environment;
  bot?: Bot;
  channel?: Channel;
}

/** One row of the artefact table: one file of the output, or one for each environment, bot or bot and channel. */
export interface Artefact {
  /** Relative to `templates/<part>/`, without `.ejs`. */
  template: string;
  /**
   * Path in the output; without it, the template's. `_environment_`, `_bot_` and `_channel_` stand for names and say by
   * their presence what the row repeats over.
   */
  path?: string;
  kind?: Kind;
  /** Permission bits; 0o644 when absent. */
  mode?: number;
  when?: (locals: Locals) => boolean;
  /** Shows choices and numbers alone, no text that a user wrote. Templates that show nothing at all need not say so. */
  closed?: boolean;
}

/** Renders the rows of a part. Throws when a template shows something undefined; the message names the template. */
export function renderArtefacts(
  part: string,
  rows: readonly Artefact[],
  deployment: Deployment,
): PlannedFile[] {
  return rows.flatMap((row) => {
    const pattern = row.path ?? row.template;
    return repeat(pattern, deployment)
      .filter((locals) => row.when?.(locals) ?? true)
      .map((locals) => {
        const path = fillPath(pattern, locals);
        const template = `${part}/${row.template}`;
        return {
          path,
          kind: row.kind ?? 'managed',
          mode: row.mode ?? 0o644,
          template,
          ...((row.closed ?? isStatic(template)) && { closed: true }),
          content: renderTemplate(template, path, locals),
        };
      });
  });
}

function repeat(pattern: string, deployment: Deployment): Locals[] {
  let all: Locals[] = [{ deployment }];
  const over = <K extends keyof Locals>(key: K, values: readonly Locals[K][]) => {
    if (standsFor(key).test(pattern))
      all = all.flatMap((locals) => values.map((value) => ({ ...locals, [key]: value })));
  };
  over('environment', deployment.environments);
  over('bot', deployment.bots);
  over('channel', deployment.channels);
  return all;
}

function fillPath(pattern: string, { environment, bot, channel }: Locals): string {
  return pattern
    .replace(standsFor('environment'), environment?.name ?? '')
    .replace(standsFor('bot'), bot?.id ?? '')
    .replace(standsFor('channel'), channel?.name ?? '');
}

/** Not within a word: `on_bot_error` is a name of Botpress'. */
function standsFor(key: string): RegExp {
  return new RegExp(`(?<![a-z])_${key}_(?![a-z])`, 'g');
}

function renderTemplate(name: string, path: string, locals: Locals): string {
  const escape = escapeFor(formatOf(path));
  const part = name.slice(0, name.indexOf('/'));
  const render = (template: string, seen: object): string => {
    try {
      return findTemplate(template)({ ...seen }, escape, (other, more) =>
        render(`${part}/${other}`, { ...seen, ...more }),
      );
    } catch (error) {
      const message = (error as Error).message;
      throw new Error(message.startsWith('template ') ? message : `template ${template}: ${message}`, {
        cause: error,
      });
    }
  };
  return render(name, locals);
}
