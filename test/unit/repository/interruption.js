/**
 * Loaded before a program with `node --import 'file:…/interruption.js?how=kill&at=7'`.
 * `kill`: the process ends by SIGKILL at its seventh change of the file system, a write or removal half-way through.
 * `full`: from the seventh on, whatever needs space fails as on a full disk.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';

const { how, at } = Object.fromEntries(new URL(import.meta.url).searchParams);
const original = { ...fs };
let count = 0;

const die = () => {
  process.kill(process.pid, 'SIGKILL');
  // The signal is delivered between two instructions, not within this call.
  for (;;);
};

const halves = {
  writeFileSync: (file, data, options) =>
    original.writeFileSync(file, data.slice(0, data.length / 2), options),
  rmSync: (path, { recursive }) => {
    const first = recursive && original.existsSync(path) && original.readdirSync(path)[0];
    if (first) original.rmSync(join(path, first), { recursive: true });
  },
};

function interruptKilled(name) {
  fs[name] = (...given) => {
    if (++count === Number(at)) {
      halves[name]?.(...given);
      die();
    }
    return original[name](...given);
  };
}

function interruptFull(name) {
  fs[name] = (...given) => {
    if (name === 'openSync' && typeof given[1] === 'number') return original[name](...given);
    if (name === 'mkdirSync' && original.existsSync(given[0])) return original[name](...given);
    if (++count >= Number(at)) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    return original[name](...given);
  };
}

const changing = [
  'chmodSync',
  'fchmodSync',
  'mkdirSync',
  'openSync',
  'renameSync',
  'rmSync',
  'rmdirSync',
  'unlinkSync',
];
if (how === 'kill') [...changing, 'writeFileSync'].forEach(interruptKilled);
if (how === 'full') ['mkdirSync', 'openSync', 'writeFileSync'].forEach(interruptFull);
syncBuiltinESMExports();
