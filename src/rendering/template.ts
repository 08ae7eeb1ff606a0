import ejs from 'ejs';

/** What a template sees, besides the deployment, depends on what its row repeats over. */
export const LOCALS = ['deployment', 'environment', 'bot', 'channel'] as const;

/** A compiled template: `include` renders another one with the same locals. */
export type TemplateFunction = (
  locals: Record<string, unknown>,
  escape: (value: unknown) => string,
  include: (name: string, locals?: Record<string, unknown>) => string,
) => string;

/**
 * Compiles EJS text in strict mode without `with`, so that a misspelt name throws. EJS keeps the body that it generated;
 * a function of one's own around it can be printed into the bundle, which EJS' wrapper cannot.
 * Throws with the template's name.
 */
export function compileTemplate(text: string, name: string): TemplateFunction {
  try {
    const template = new ejs.Template(text, {
      strict: true,
      _with: false,
      compileDebug: false,
      localsName: 'locals',
      destructuredLocals: [...LOCALS],
    }) as ejs.Template & { source: string; compile(): void };
    template.compile();
    return new Function(
      'locals',
      'escapeFn',
      'include',
      `"use strict";\n${template.source}`,
    ) as TemplateFunction;
  } catch (error) {
    throw new Error(`template ${name}: ${(error as Error).message}`, { cause: error });
  }
}
