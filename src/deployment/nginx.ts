/** Addresses that a host gives its own networks. */
const PRIVATE_NETWORKS = ['10.0.0.0/8', '127.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16'];

/** Those of the networks that hold private addresses. */
export function withPrivateAddresses(networks: readonly string[]): string[] {
  return networks.filter((network) =>
    PRIVATE_NETWORKS.some((own) => holdsStartOf(own, network) || holdsStartOf(network, own)),
  );
}

/** Whether a network of IPv4 holds the first address of another. */
function holdsStartOf(network: string, other: string): boolean {
  if (network.includes(':') || other.includes(':')) return false;
  const size = 2 ** (32 - Number(network.split('/')[1]));
  return Math.floor(numberOf(network) / size) === Math.floor(numberOf(other) / size);
}

function numberOf(network: string): number {
  const [address = ''] = network.split('/');
  return address.split('.').reduce((number, part) => number * 256 + Number(part), 0);
}

/** Files of nginx that are the same wherever it runs; what names the upstream differs by engine. */

/** `nginx/snippets/`, without `.conf`. */
export const NGINX_SNIPPETS = [
  'admin-access',
  'admin-only',
  'affinity',
  'asset-cache',
  'asset',
  'bulk',
  'limits',
  'log',
  'paths',
  'policies',
  'proxy-headers',
  'proxy',
  'refused-paths',
  'security-headers',
  'tls',
] as const;

/** `nginx/pages/`: each as .html for people and as .json for programs. */
export const NGINX_PAGES = ['too-large', 'too-many', 'unavailable'] as const;
