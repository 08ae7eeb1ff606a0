import { describe, expect, it } from '@jest/globals';
import { deploymentOf, renderDatabase } from './rendered.ts';

/** `NAME=${NAME:-value}` in a script. */
function defaultIn(script: string, name: string): string | undefined {
  return new RegExp(`\\b${name}=\\$\\{${name}:-([^}]*)\\}`).exec(script)?.[1];
}

describe('postgresql.conf', () => {
  it.each([
    { edition: 'community', 'scaling.replicas': 1, 'scaling.deployment': 'recreate' },
    { edition: 'community', 'scaling.replicas': 1, 'scaling.deployment': 'blue-green' },
    { edition: 'pro', 'scaling.replicas': 4, 'scaling.deployment': 'blue-green' },
  ])('has room for every connection that the roles may open: $edition, $scaling.replicas', (changes) => {
    const deployment = deploymentOf(changes);
    const files = renderDatabase(deployment);
    const limits = [...(files.get('database/sql/roles.sql') ?? '').matchAll(/CONNECTION LIMIT (\d+)/g)];
    const sum = limits.reduce((total, [, limit]) => total + Number(limit), 0);
    const [, maximum] = /^max_connections = (\d+)$/m.exec(files.get('database/postgresql.conf') ?? '') ?? [];
    const [, reserved] =
      /^superuser_reserved_connections = (\d+)$/m.exec(files.get('database/postgresql.conf') ?? '') ?? [];
    expect(limits).toHaveLength(Object.keys(deployment.database.roles).length);
    expect(sum).toBeGreaterThanOrEqual(deployment.nodes.length * deployment.database.connectionsPerNode);
    expect(Number(maximum)).toBeGreaterThanOrEqual(sum + Number(reserved));
  });
});

it('has what channels need only where there are messaging channels, and Redis only in a cluster', () => {
  const paths = (changes: Record<string, unknown>) => [...renderDatabase(deploymentOf(changes)).keys()];
  const optional = (changes: Record<string, unknown>) =>
    paths(changes)
      .filter((path) => /channels|redis/.test(path))
      .sort();
  expect(optional({ channels: ['web'] })).toEqual([]);
  expect(optional({ channels: ['slack'] })).toEqual([
    'database/sql/channels.sql',
    'database/sync-channels.sh',
  ]);
  expect(optional({ channels: ['web'], edition: 'pro', 'scaling.replicas': 2 })).toEqual([
    'redis/redis.conf',
    'redis/start.sh',
  ]);
});

it.each([
  ['purge', 'database/purge.sh'],
  ['owner', 'database/sync-channels.sh'],
] as const)('connects as the role %s in %s, with the secret of that role', (name, path) => {
  const { database } = deploymentOf();
  const script = renderDatabase(deploymentOf({ channels: ['slack'] })).get(path) ?? '';
  expect(defaultIn(script, 'PGUSER')).toBe(database.roles[name].name);
  expect(defaultIn(script, 'PGDATABASE')).toBe(database.name);
  // The scripts derive the secret's name from the role's.
  expect(script).toContain('$secrets/${PGUSER//_/-}-password');
  expect(database.roles[name].secret).toBe(`${database.roles[name].name.replaceAll('_', '-')}-password`);
});

it('contains no password', () => {
  for (const [path, text] of renderDatabase(deploymentOf({ channels: ['slack'] })))
    expect([path, /PASSWORD '[^%]|password\s*=\s*['"]\w/i.test(text)]).toEqual([path, false]);
});
