/** Content for a deployment that is backed up, restored or moved, and how to tell whether all of it is there. */
import { demandDocker } from './engine/setup.ts';

/** Runs a statement as superuser in the database of Botpress; resolves to the rows, unaligned, one a line. */
export type Sql = (statement: string) => Promise<string>;

/** Runs a script of bash where the uploads are below /data; resolves to what it printed. */
export type Shell = (script: string) => Promise<string>;

/** Random rows in the tables of Botpress, one content of 20 MB among them. */
export async function fillTables(sql: Sql): Promise<void> {
  await sql(`
    INSERT INTO msg_clients SELECT gen_random_uuid() FROM generate_series(1, 5);
    INSERT INTO msg_users SELECT gen_random_uuid(), (SELECT id FROM msg_clients LIMIT 1), jsonb_build_object('n', n, 't', E'\\u00e9\\n\\\\') FROM generate_series(1, 500) AS n;
    INSERT INTO srv_ghost_files SELECT 'data/' || n, decode(repeat(md5(n::text || random()), 1 + n * 20), 'hex'), false, now() FROM generate_series(1, 200) AS n;
    INSERT INTO srv_ghost_files SELECT 'data/large', decode(string_agg(md5(random()::text), ''), 'hex'), false, now() FROM generate_series(1, 1250000);
    INSERT INTO srv_kvs SELECT 'key-' || n, repeat(chr(1 + n % 1000), n), 'bot', NULL, now() FROM generate_series(1, 300) AS n;
  `);
}

/** Uploads whose names try everything, in the container of a node. */
export async function fillUploads(container: string): Promise<void> {
  const files = [
    'plain',
    'with space',
    '-rf',
    'two\nlines',
    'quote\'"',
    '$(touch x)',
    'é漢字',
    '*',
    '.hidden',
    'a\\b',
  ];
  await demandDocker([
    ...['exec', container, 'bash', '-c'],
    'cd /botpress/uploads; mkdir -p "deep dir/er"; for name; do head -c $((RANDOM * 3)) /dev/urandom >"./$name"; done; printf x >"deep dir/er/$(printf "\\\\377")"; ln -s plain link; : >empty; chmod 600 plain; ln plain hard',
    'bash',
    ...files,
  ]);
}

/** Rows and a sum of the content of each table, in an order that does not depend on where rows lie; without what each boot logs. */
export async function fingerprintOf(sql: Sql): Promise<string> {
  const tables = (
    await sql(
      "SELECT relname FROM pg_class WHERE relkind = 'r' AND relname <> 'srv_logs' AND relnamespace = 'public'::regnamespace ORDER BY 1",
    )
  ).split('\n');
  const query = tables
    .map(
      (table) =>
        `SELECT '${table}', count(*), md5(coalesce(string_agg(t::text, E'\\n' ORDER BY t::text COLLATE "C"), '')) FROM public."${table}" AS t`,
    )
    .join(' UNION ALL ');
  return sql(`${query} ORDER BY 1`);
}

/** Names, types, modes, times and contents of the uploaded files. */
export function uploadsOf(shell: Shell): Promise<string> {
  return shell(
    "cd /data/uploads && find . -mindepth 1 -path './.before-*' -prune -o -path './.restore-*' -prune -o -mindepth 1 -printf '%y %m %s %T@ ' -exec printf %q {} \\; -printf '\\n' | LC_ALL=C sort; find . -path './.before-*' -prune -o -path './.restore-*' -prune -o -type f -print0 | LC_ALL=C sort -z | xargs -0r sha256sum | sha256sum",
  );
}
