/**
 * Content and configuration (the real server's BPFS): files under data/, or rows of srv_ghost_files that are the
 * truth once they exist.
 */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';

/**
 * @typedef {{ readBytes(file: string): Promise<Buffer | undefined>, read(file: string): Promise<string | undefined>,
 *   write(file: string, text: string | Buffer): Promise<void>, remove(file: string): Promise<void>,
 *   list(folder: string): Promise<string[]> }} Content
 * Paths begin with global/ or bots/; a file that is missing reads as undefined.
 */

const ROOT = path.resolve('data');

/** @returns {Content} */
export function diskContent() {
  const readBytes = (file) =>
    readFile(path.join(ROOT, file)).catch((error) => {
      if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return undefined;
      throw error;
    });
  return {
    readBytes,
    read: async (file) => (await readBytes(file))?.toString('utf8'),
    async write(file, text) {
      await mkdir(path.dirname(path.join(ROOT, file)), { recursive: true });
      await writeFile(path.join(ROOT, file), text);
    },
    remove: (file) => rm(path.join(ROOT, file), { force: true }),
    list: (folder) => listDisk(folder),
  };
}

/** @param {import('pg').Pool} pool @returns {Content} */
export function databaseContent(pool) {
  async function readBytes(file) {
    const { rows } = await pool.query(
      'SELECT content FROM srv_ghost_files WHERE file_path = $1 AND deleted IS NOT TRUE',
      [row(file)],
    );
    return rows[0]?.content;
  }
  return {
    readBytes,
    read: async (file) => (await readBytes(file))?.toString('utf8'),
    async write(file, text) {
      await pool.query(
        `INSERT INTO srv_ghost_files (file_path, content, deleted, modified_on) VALUES ($1, $2, false, now())
         ON CONFLICT (file_path) DO UPDATE SET content = $2, deleted = false, modified_on = now()`,
        [row(file), Buffer.from(text)],
      );
    },
    async remove(file) {
      await pool.query(
        'UPDATE srv_ghost_files SET deleted = true, modified_on = now() WHERE file_path = $1',
        [row(file)],
      );
    },
    async list(folder) {
      const { rows } = await pool.query(
        'SELECT file_path FROM srv_ghost_files WHERE deleted IS NOT TRUE AND starts_with(file_path, $1) ORDER BY file_path',
        [row(folder)],
      );
      return rows.map((one) => one.file_path.slice('data/'.length));
    },
  };
}

function row(file) {
  return `data/${file}`;
}

/**
 * The first boot on an empty table takes over data/global and data/bots; later edits on disk are ignored.
 * @param {import('pg').Pool} pool @param {Content} content
 */
export async function importOnce(pool, content) {
  const { rows } = await pool.query('SELECT 1 FROM srv_ghost_files LIMIT 1');
  if (rows.length > 0) return false;
  for (const folder of ['global/', 'bots/']) {
    for (const file of await listDisk(folder))
      await content.write(file, await readFile(path.join(ROOT, file)));
  }
  return true;
}

async function listDisk(folder) {
  const entries = await readdir(path.join(ROOT, folder), { recursive: true, withFileTypes: true }).catch(
    () => [],
  );
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => path.relative(ROOT, path.join(entry.parentPath, entry.name)))
    .sort();
}
