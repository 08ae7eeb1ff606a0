import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A stack as people have it who did not ask this generator: one compose file, a password in .env, files of their own. */
export const foreignFiles = {
  'docker-compose.yml': `services:
  botpress:
    image: botpress/server:12.31.10
    restart: unless-stopped
    command: ./bp
    init: true
    environment:
      - DATABASE_URL=\${DATABASE_URL}
      - BPFS_STORAGE=database
      - APP_DATA_PATH=/botpress/data/app
      - EXTERNAL_URL=http://localhost:3000
    volumes:
      - ./data:/botpress/data
      - media:/botpress/media
    depends_on:
      postgres: { condition: service_healthy }
    networks:
      - botpress_network

  postgres:
    image: postgres:17.10-trixie
    environment:
      - POSTGRES_DB=botpress
      - POSTGRES_USER=bot_owner
      - POSTGRES_PASSWORD=\${DB_PASSWORD}
    volumes:
      - postgres_data:/var/lib/postgresql/data
    healthcheck:
      test: [CMD, pg_isready, -q, -h, 127.0.0.1, -U, bot_owner, -d, botpress]
      interval: 1s
      retries: 60
    networks:
      - botpress_network

networks:
  botpress_network:
    driver: bridge

volumes:
  postgres_data:
  media:
`,
  // Percent signs, because a password in an address has to be encoded.
  '.env': `DB_PASSWORD='p@ss:w/rd%\\n'
DATABASE_URL=postgres://bot_owner:p%40ss%3Aw%2Frd%25%5Cn@postgres:5432/botpress
`,
  '.env.production': 'MINE=yes\n',
  '.gitignore': '.env\ndata/\n',
  'README.md': '# Our bot\n',
  'bin/ours': '#!/bin/sh\necho ours\n',
};

/** Writes it into a folder. */
export function writeForeignStack(folder: string): void {
  for (const [path, text] of Object.entries(foreignFiles)) {
    mkdirSync(join(folder, path, '..'), { recursive: true });
    writeFileSync(join(folder, path), text);
  }
}
