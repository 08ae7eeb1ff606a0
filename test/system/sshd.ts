import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { demand, findFreePort, waitFor } from './engine/setup.ts';

/** A server that root can be reached on by ssh. */
export interface Sshd {
  port: number;
  /** Private key of the one who may. */
  key: string;
  /** Line of known_hosts. */
  known: string;
  /** Public key of another machine. */
  foreignKey: string;
  stop(): void;
}

/** Starts a real sshd on the loopback address, with a key of its own and one user key, in a folder that is made. */
export async function startSshd(folder: string): Promise<Sshd> {
  mkdirSync(folder);
  mkdirSync('/run/sshd', { recursive: true });
  const port = await findFreePort();
  for (const name of ['host', 'user'])
    await demand('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', join(folder, name)]);
  const settings = [
    `Port ${port}`,
    'ListenAddress 127.0.0.1',
    `HostKey ${join(folder, 'host')}`,
    'PidFile none',
    `AuthorizedKeysFile ${join(folder, 'user.pub')}`,
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
    'PermitRootLogin prohibit-password',
    `SetEnv DOCKER_HOST=${process.env['DOCKER_HOST']}`,
  ];
  writeFileSync(join(folder, 'sshd_config'), `${settings.join('\n')}\n`);
  const daemon = spawn('/usr/sbin/sshd', ['-D', '-f', join(folder, 'sshd_config')], { stdio: 'ignore' });
  await waitFor(
    () =>
      new Promise<boolean>((resolve) => {
        const socket = connect(port, '127.0.0.1', () => resolve(true)).on('error', () => resolve(false));
        socket.on('connect', () => socket.destroy());
      }),
    { timeout: 10_000, what: 'sshd' },
  );
  return {
    port,
    key: readFileSync(join(folder, 'user'), 'utf8'),
    known: `[127.0.0.1]:${port} ${readFileSync(join(folder, 'host.pub'), 'utf8').trim()}`,
    foreignKey: readFileSync(join(folder, 'user.pub'), 'utf8').trim(),
    stop: () => daemon.kill(),
  };
}
