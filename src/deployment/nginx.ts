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
