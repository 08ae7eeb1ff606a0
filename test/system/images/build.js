/**
 * Builds the images of the system tests from Debian packages and tags them with the names that the output uses,
 * so that no test needs an image registry.
 *
 *   node test/system/images/build.js [NAME...]    build what changed (all, or the images named)
 *
 * An image carries the hash of its context and of the base as a label: an unchanged one is not built again.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
const work = process.env.BOTPRESS_PROD_WORK ?? '/var/tmp/botpress-prod-test';
const BASE_TAG = 'botpress-prod-test/base:trixie';
const HASH_LABEL = 'botpress-prod.hash';
/** Builds at a time: they wait for the network half of the time, the other half they keep one core busy. */
const PARALLEL_BUILDS = 3;

/**
 * One row of images.json.
 * @typedef {{ name: string, context?: string, output?: string, base?: string, differs: string }} ImageRow
 * name: the public name and tag that the output uses; context: folder beside this file; output: instead of that, folder
 * of a repository that the built command writes; base: the row that it is built on; differs: what the local image does
 * not share with the public one.
 */

/** @returns {Promise<ImageRow[]>} */
export async function listImages() {
  return JSON.parse(await readFile(path.join(here, 'images.json'), 'utf8'));
}

/**
 * Builds every image whose content changed, the base first.
 * @param {string[]} [names] public names; empty = all
 * @returns {Promise<string[]>} the names that were built anew
 */
export async function buildImages(names = []) {
  const rows = await listImages();
  const unknown = names.filter((name) => !rows.some((row) => row.name === name));
  if (unknown.length > 0) {
    throw new Error(
      `no such image in images.json: ${unknown.join(', ')}; known: ${rows.map((row) => row.name).join(', ')}`,
    );
  }
  const asked = rows.filter((row) => names.length === 0 || names.includes(row.name));
  const bases = asked.map(({ base }) => base);
  const wanted = rows.filter((row) => asked.includes(row) || bases.includes(row.name));
  const built = [];
  const baseHash = await hashFolder(path.join(here, 'base'), '');
  if ((await builtHash(BASE_TAG)) !== baseHash) {
    await execute(path.join(here, 'base/build.sh'), [BASE_TAG, baseHash]);
    built.push(BASE_TAG);
  }
  try {
    built.push(
      ...(await buildChanged(
        wanted.filter(({ base }) => !base),
        baseHash,
      )),
    );
    built.push(
      ...(await buildChanged(
        wanted.filter(({ base }) => base),
        baseHash,
      )),
    );
  } finally {
    for (const made of outputs.values()) {
      const folder = await made.catch(() => undefined);
      if (folder) await rm(path.dirname(folder), { recursive: true, force: true });
    }
    outputs.clear();
  }
  return built;
}

/**
 * Builds those of the rows whose content, or whose base's, changed; a few at a time.
 * @param {ImageRow[]} rows @param {string} baseHash
 * @returns {Promise<string[]>} names of what was built
 */
async function buildChanged(rows, baseHash) {
  const built = [];
  const pending = [];
  for (const row of rows) {
    const seed = row.base ? await builtHash(row.base) : baseHash;
    const hash = await hashFolder(await sourceOf(row), seed);
    if ((await builtHash(row.name)) !== hash) pending.push({ row, hash });
  }
  const failures = [];
  const next = async () => {
    for (let job = pending.shift(); job; job = pending.shift()) {
      try {
        await buildImage(job.row, job.hash);
        built.push(job.row.name);
      } catch (error) {
        failures.push(`${job.row.name}: ${error.message}`);
      }
    }
  };
  await Promise.all(Array.from({ length: PARALLEL_BUILDS }, next));
  if (failures.length > 0) throw new Error(failures.join('\n'));
  return built;
}

/** @param {ImageRow} row @param {string} hash */
async function buildImage(row, hash) {
  const source = await sourceOf(row);
  const staging = await mkdtemp(path.join(work, `build-${path.basename(source)}-`));
  try {
    await cp(source, staging, { recursive: true, filter: (file) => path.basename(file) !== 'node_modules' });
    if (row.output) {
      await execute('docker', [
        ...(await outputArguments(staging)),
        '--label',
        `${HASH_LABEL}=${hash}`,
        '--tag',
        row.name,
        staging,
      ]);
      return;
    }
    if (await exists(path.join(staging, 'package-lock.json'))) {
      await execute('npm', ['ci', '--omit=dev', '--ignore-scripts', '--no-audit', '--no-fund'], staging);
    }
    const label = `${HASH_LABEL}=${hash}`;
    // The host's network, as the mirrors may be reachable from there alone.
    const args = ['build', '--quiet', '--network', 'host', '--build-arg', `BASE=${BASE_TAG}`];
    await execute('docker', [...args, '--label', label, '--tag', row.name, staging]);
  } finally {
    await rm(staging, { recursive: true, force: true });
    await rm(`${staging}.npmrc`, { force: true });
  }
}

/**
 * Arguments of a build that fetches its own packages: from the registry that this machine uses, without a trace of it in
 * the image.
 * @param {string} staging
 */
async function outputArguments(staging) {
  const ask = async (/** @type {string} */ key) => (await execute('npm', ['config', 'get', key])).trim();
  const [registry, own, authorities] = await Promise.all(['registry', 'userconfig', 'cafile'].map(ask));
  const text = (await exists(own)) ? await readFile(own, 'utf8') : '';
  const file = (await exists(authorities)) ? authorities : (process.env.NODE_EXTRA_CA_CERTS ?? '');
  const lines = [text.trim(), `registry=${registry}`, ...(file ? ['cafile=/run/secrets/ca'] : [])];
  const settings = `${staging}.npmrc`;
  await writeFile(settings, `${lines.join('\n')}\n`, { mode: 0o600 });
  return [
    ...['build', '--quiet', '--network', 'host', '--secret', `id=npmrc,src=${settings}`],
    ...(file ? ['--secret', `id=ca,src=${file}`] : []),
  ];
}

/** @type {Map<string, Promise<string>>} */
const outputs = new Map();

/**
 * Folder that an image is built from.
 * @param {ImageRow} row @returns {Promise<string>}
 */
async function sourceOf({ context, output }) {
  if (!output) return path.join(here, context ?? '');
  const made = outputs.get(output) ?? writeOutput(output);
  outputs.set(output, made);
  return made;
}

/** @param {string} folder */
async function writeOutput(folder) {
  const repository = await mkdtemp(path.join(work, `output-${folder}-`));
  await execute(process.execPath, [path.join(here, '../../../dist/src/cli.js'), repository, '--yes']);
  return path.join(repository, folder);
}

/** @param {string} tag @returns {Promise<string>} the label's value, empty when there is no such image */
async function builtHash(tag) {
  const format = `{{index .Config.Labels "${HASH_LABEL}"}}`;
  try {
    return (await execute('docker', ['image', 'inspect', '--format', format, tag])).trim();
  } catch {
    return '';
  }
}

/**
 * Hash of a folder's file names, modes and contents.
 * @param {string} folder
 * @param {string} seed mixed in first
 */
async function hashFolder(folder, seed) {
  const hash = createHash('sha256').update(seed);
  const files = await readdir(folder, { recursive: true, withFileTypes: true });
  const names = files
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)))
    .filter((name) => !name.split(path.sep).includes('node_modules') && !name.endsWith('.md'))
    .sort();
  for (const name of names) {
    const file = path.join(folder, name);
    const executable = ((await stat(file)).mode & 0o111) !== 0;
    hash.update(`\0${name}\0${executable}\0`).update(await readFile(file));
  }
  return hash.digest('hex');
}

/** @param {string} file */
async function exists(file) {
  return stat(file).then(
    () => true,
    () => false,
  );
}

/**
 * Runs a program to its end.
 * @param {string} command @param {string[]} args @param {string} [cwd]
 * @returns {Promise<string>} its standard output; rejects with the end of its output when it fails
 */
function execute(command, args, cwd = here) {
  return new Promise((resolve, reject) => {
    const env = { ...process.env, DOCKER_BUILDKIT: '1' };
    const child = spawn(command, args, { cwd, env, stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    let everything = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
      everything += chunk;
    });
    child.stderr.on('data', (chunk) => (everything += chunk));
    child.on('error', reject);
    child.on('close', (code) => {
      if (code === 0) resolve(output);
      else reject(new Error(`${command} ${args[0]} ended with ${code}:\n${everything.slice(-4000)}`));
    });
  });
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.env.DOCKER_HOST ??= `unix://${work}/docker.sock`;
  try {
    const built = await buildImages(process.argv.slice(2));
    console.log(built.length > 0 ? `built ${built.join(', ')}` : 'all images are up to date');
  } catch (error) {
    console.error(error.message);
    process.exitCode = 1;
  }
}
