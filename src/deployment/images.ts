/** Images of the output: real public names, pinned by version, each replaceable through its variable. */

export interface Image {
  /** Variable of `.env.<environment>` that replaces the image, for a private registry. */
  variable: string;
  /** Name and version as a registry knows them. */
  reference: string;
}

export const BOTPRESS_VERSION = '12.31.10';
export const POSTGRES_MAJOR = 17;

export const IMAGES = {
  nginx: { variable: 'IMAGE_NGINX', reference: 'nginxinc/nginx-unprivileged:1.30.1-trixie' },
  botpress: { variable: 'IMAGE_BOTPRESS', reference: `botpress/server:${BOTPRESS_VERSION}` },
  postgres: { variable: 'IMAGE_POSTGRES', reference: `postgres:${POSTGRES_MAJOR}.10-trixie` },
  redis: { variable: 'IMAGE_REDIS', reference: 'redis:8.4.0-bookworm' },
  lego: { variable: 'IMAGE_LEGO', reference: 'goacme/lego:v4.31.0' },
} as const satisfies Record<string, Image>;

export type ImageName = keyof typeof IMAGES;
