/** `bp pull` and `bp push`, and the archives behind them: content and configuration, no users, no conversations. */
import { mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { create, extract } from 'tar';
import { parseFlags } from './flags.js';

/** @param {import('./content.js').Content} content @returns {Promise<Buffer>} a gzipped tar of global/ and bots/ */
export async function exportArchive(content) {
  return inScratch(async (folder) => {
    for (const root of ['global/', 'bots/']) {
      for (const file of await content.list(root)) {
        await mkdir(path.dirname(path.join(folder, file)), { recursive: true });
        await writeFile(path.join(folder, file), await content.readBytes(file));
      }
    }
    return pack(folder);
  });
}

/** Replaces the content by the archive's. @param {import('./content.js').Content} content @param {Buffer} archive */
export async function importArchive(content, archive) {
  await inScratch(async (folder) => {
    await unpack(archive, folder);
    const names = await listFiles(folder);
    for (const root of ['global/', 'bots/']) {
      for (const file of await content.list(root)) if (!names.includes(file)) await content.remove(file);
    }
    for (const file of names)
      if (/^(global|bots)\//.test(file)) await content.write(file, await readFile(path.join(folder, file)));
  });
}

/** Errors of the network or of HTTP end with code 0; a token that is none ends with 1 and a stack trace. */
export async function pull(args) {
  const { url, authToken, targetDir } = parseFlags(args);
  demandToken(authToken);
  await orComplain('pull', async () => {
    const archive = await call(url, authToken, 'export');
    await mkdir(targetDir, { recursive: true });
    await unpack(archive, targetDir);
    console.log(`Successfully pulled data to ${targetDir}`);
  });
}

export async function push(args) {
  const { url, authToken, sourceDir, dry } = parseFlags(args);
  demandToken(authToken);
  await orComplain('push', async () => {
    const archive = await pack(sourceDir);
    if (dry) return console.log('Dry run: nothing was pushed');
    await call(url, authToken, 'update', archive);
    console.log(`Successfully pushed ${sourceDir} to ${url}`);
  });
}

function demandToken(token) {
  if (!token || token.split('.').length !== 3) throw new Error(`Invalid token specified`);
}

async function orComplain(command, work) {
  try {
    await work();
  } catch (error) {
    console.log(`Could not ${command}: ${error.message}`);
  }
  process.exit(0);
}

async function call(url, token, route, body) {
  const address = `${url.replace(/\/+$/, '')}/api/v1/admin/management/versioning/${route}`;
  const headers = {
    authorization: `Bearer ${token}`,
    ...(body && { 'content-type': 'application/tar+gzip' }),
  };
  const answer = await fetch(address, { method: body ? 'POST' : 'GET', headers, body });
  if (!answer.ok) throw new Error(`the server answered ${answer.status}`);
  return Buffer.from(await answer.arrayBuffer());
}

async function pack(folder) {
  const names = (await readdir(folder)).filter((name) => name === 'global' || name === 'bots');
  const chunks = [];
  for await (const chunk of create({ cwd: folder, gzip: true, portable: true }, names)) chunks.push(chunk);
  return Buffer.concat(chunks);
}

async function unpack(archive, folder) {
  const file = path.join(folder, '.archive.tgz');
  await writeFile(file, archive);
  await extract({ cwd: folder, file });
  await rm(file);
}

async function listFiles(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(folder, path.join(entry.parentPath, entry.name)));
}

async function inScratch(work) {
  const folder = await mkdtemp(path.join(tmpdir(), 'bp-'));
  try {
    return await work(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
