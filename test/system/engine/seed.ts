/** The smallest content that the server mounts and answers from. */
import { chmod, mkdir, writeFile } from 'node:fs/promises';
import path from 'node:path';

export interface SeedBot {
  id: string;
  /** Channel name → its keys, as in bot.config.json. */
  channels?: Record<string, object>;
  languages?: string[];
}

/**
 * Writes `global/` and `bots/` into a folder that any container may read. Each bot greets with "Hello from ID", waits,
 * and answers the next message with "You said TEXT", over and over.
 */
export async function seedContent(folder: string, bots: readonly SeedBot[]): Promise<void> {
  const files: Record<string, unknown> = {
    'global/workspaces.json': [
      {
        id: 'default',
        name: 'Default',
        audience: 'external',
        bots: bots.map(({ id }) => id),
        roles: [],
        defaultRole: 'dev',
        adminRole: 'admin',
        pipeline: [
          {
            id: 'prod',
            label: 'Production',
            action: 'promote_copy',
            reviewers: [],
            minimumApprovals: 0,
            reviewSequence: 'parallel',
          },
        ],
      },
    ],
  };
  for (const bot of bots) Object.assign(files, filesOfBot(bot));
  await mkdir(folder, { recursive: true });
  await chmod(folder, 0o755);
  for (const [name, content] of Object.entries(files)) {
    const file = path.join(folder, name);
    await mkdir(path.dirname(file), { recursive: true, mode: 0o755 });
    await writeFile(file, JSON.stringify(content, undefined, 2), { mode: 0o644 });
  }
}

function filesOfBot({ id, channels, languages = ['en'] }: SeedBot): Record<string, unknown> {
  const text = (element: string, words: string) => ({
    id: element,
    formData: { text$en: words, typing$en: true },
    createdBy: 'admin',
    createdOn: '2026-01-01T00:00:00.000Z',
    modifiedOn: '2026-01-01T00:00:00.000Z',
  });
  return {
    [`bots/${id}/bot.config.json`]: {
      id,
      name: id,
      disabled: false,
      private: false,
      version: '12.31.10',
      imports: { contentTypes: ['builtin_text'] },
      dialog: { timeoutInterval: '5m' },
      logs: { expiration: '1 week' },
      defaultLanguage: 'en',
      languages,
      details: {},
      pipeline_status: { current_stage: { id: 'prod', promoted_on: '2026-01-01', promoted_by: 'admin' } },
      ...(channels ? { messaging: { channels } } : {}),
    },
    [`bots/${id}/flows/main.flow.json`]: {
      version: '0.0.1',
      catchAll: {},
      startNode: 'entry',
      nodes: [
        {
          id: 'entry',
          name: 'entry',
          onEnter: ['say #!builtin_text-hello'],
          onReceive: [],
          next: [{ condition: 'true', node: 'echo' }],
        },
        {
          id: 'echo',
          name: 'echo',
          onEnter: ['say #!builtin_text-echo'],
          onReceive: [],
          next: [{ condition: 'true', node: 'echo' }],
        },
      ],
    },
    [`bots/${id}/flows/main.ui.json`]: {
      nodes: [
        { id: 'entry', position: { x: 0, y: 0 } },
        { id: 'echo', position: { x: 200, y: 0 } },
      ],
      links: [],
    },
    [`bots/${id}/content-elements/builtin_text.json`]: [
      text('builtin_text-hello', `Hello from ${id}`),
      text('builtin_text-echo', 'You said {{event.preview}}'),
    ],
  };
}
