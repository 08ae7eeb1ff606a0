// Builds dist/, or the folder that is named: one bundle of the command and the Yeoman generators, with every template
// compiled into it.
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { build } from 'esbuild';

const root = import.meta.dirname;
const output = resolve(root, process.argv[2] ?? 'dist');
// Built beside it and put in its place when it is whole: a failed build leaves the last good one.
const fresh = `${output}.${process.pid}`;
const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));

/** Names of all templates, relative to templates/, without .ejs. */
function templateNames() {
  return readdirSync(join(root, 'templates'), { recursive: true })
    .map((name) => name.replaceAll('\\', '/'))
    .filter((name) => name.endsWith('.ejs'))
    .map((name) => name.slice(0, -'.ejs'.length))
    .sort();
}

/** Compiles the templates with the very function that the sources use; `template.ts` is bundled for that alone. */
async function compileTemplates() {
  const { outputFiles } = await build({
    entryPoints: [join(root, 'src/rendering/template.ts')],
    bundle: true,
    write: false,
    format: 'esm',
    platform: 'node',
    packages: 'external',
  });
  const module = join(fresh, 'template-compiler.mjs');
  mkdirSync(fresh, { recursive: true });
  writeFileSync(module, outputFiles[0].text);
  const { compileTemplate } = await import(module);
  rmSync(module);
  const rows = templateNames().map((name) => {
    const text = readFileSync(join(root, 'templates', `${name}.ejs`), 'utf8');
    const isStatic = !text.includes('<%');
    return `${JSON.stringify(name)}: ${isStatic ? JSON.stringify(text) : compileTemplate(text, name).toString()}`;
  });
  return `const templates = {\n${rows.join(',\n')}\n};
export function findTemplate(name) {
  if (!Object.hasOwn(templates, name)) throw new Error('no such template: ' + name);
  const template = templates[name];
  return typeof template === 'string' ? () => template : template;
}
export function isStatic(name) {
  return typeof templates[name] === 'string';
}`;
}

const compiled = await compileTemplates();

const parts = readdirSync(join(root, 'generators'), { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
  .filter((name) => readdirSync(join(root, 'generators', name)).includes('index.ts'));

const { metafile } = await build({
  entryPoints: [
    { in: join(root, 'src/cli.ts'), out: 'src/cli' },
    ...parts.map((part) => ({
      in: join(root, `generators/${part}/index.ts`),
      out: `generators/${part}/index`,
    })),
  ],
  outdir: fresh,
  bundle: true,
  splitting: true,
  // Chunks lie where no index file can be mistaken for a sub-generator.
  chunkNames: 'chunks/[name]-[hash]',
  format: 'esm',
  platform: 'node',
  target: 'node20.17',
  minifySyntax: true,
  minifyWhitespace: true,
  keepNames: false,
  legalComments: 'none',
  metafile: true,
  external: Object.keys(dependencies),
  // CommonJS packages inside an ESM bundle still ask for Node's own modules.
  banner: {
    js: "import { createRequire as bundleRequire } from 'node:module'; const require = bundleRequire(import.meta.url);",
  },
  plugins: [
    {
      name: 'compiled-templates',
      setup({ onLoad }) {
        onLoad({ filter: /src[\\/]rendering[\\/]templates\.ts$/ }, () => ({
          contents: compiled,
          loader: 'js',
        }));
      },
    },
  ],
});

writeLicences(Object.keys(metafile.inputs));
rmSync(output, { recursive: true, force: true });
renameSync(fresh, output);

/** The bundle carries other people's code: their licences travel with it. */
function writeLicences(inputs) {
  const packages = new Set(
    inputs.map((path) => path.match(/.*node_modules\/((?:@[^/]+\/)?[^/]+)/)?.[0]).filter(Boolean),
  );
  const texts = [...packages].sort().map((folder) => {
    const {
      name,
      version: used,
      license,
    } = JSON.parse(readFileSync(join(root, folder, 'package.json'), 'utf8'));
    const file = readdirSync(join(root, folder)).find((entry) => /^licen[cs]e/i.test(entry));
    return `${name} ${used} (${license})\n\n${file ? readFileSync(join(root, folder, file), 'utf8').trim() : ''}\n`;
  });
  writeFileSync(join(fresh, 'THIRD-PARTY-LICENSES.txt'), texts.join(`\n${'-'.repeat(80)}\n\n`));
}
