/**
 * @param {string[]} args `--name value`, `--name=value` or `-p value`
 * @returns {Record<string, string>} a flag without a value is 'true'
 */
export function parseFlags(args) {
  const flags = {};
  for (let i = 0; i < args.length; i += 1) {
    const match = /^--?([^=]+)(?:=(.*))?$/.exec(args[i]);
    if (!match) continue;
    const next = args[i + 1];
    if (match[2] !== undefined) flags[match[1]] = match[2];
    else if (next !== undefined && !next.startsWith('-')) flags[match[1]] = args[(i += 1)];
    else flags[match[1]] = 'true';
  }
  return flags;
}
