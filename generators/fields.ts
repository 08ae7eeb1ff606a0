import { isIP } from 'node:net';
import * as z from 'zod';

/** Fields that several rows of the question table share. Messages state the reason; the row's `mend` says what to do. */

const LABEL = /^[a-z]([a-z0-9-]*[a-z0-9])?$/;
const HOST_LABEL = /^[a-z0-9]([a-z0-9-]*[a-z0-9])?$/;

/** RFC 1123 label that begins with a letter: fits compose projects, Kubernetes names and variable names alike. */
export const label = (longest: number) =>
  z
    .string({ error: 'is not text' })
    .max(longest, `is longer than ${longest} characters`)
    .regex(LABEL, 'is not a name of small letters, digits and inner dashes that begins with a letter');

function isHost(value: string): boolean {
  const labels = value.split('.');
  return (
    value.length <= 253 &&
    labels.every((part) => part.length <= 63 && HOST_LABEL.test(part)) &&
    // A name whose last label is a number would be read as an address.
    !/^\d+$/.test(labels.at(-1) ?? '')
  );
}

/** Host name without scheme, port or path: a path in Botpress' external URL breaks every channel webhook. */
export const host = z
  .string({ error: 'is not text' })
  .refine((value) => !value.includes('/'), 'has a scheme or a path')
  .refine((value) => value.includes('/') || isHost(value), 'is not a host name');

export const email = z.string({ error: 'is not text' }).refine((value) => {
  const [local, domain, ...rest] = value.split('@');
  return (
    rest.length === 0 &&
    local !== undefined &&
    domain !== undefined &&
    local.length <= 64 &&
    /^[A-Za-z0-9]+([._+-][A-Za-z0-9]+)*$/.test(local) &&
    domain.includes('.') &&
    isHost(domain.toLowerCase())
  );
}, 'is not an e-mail address');

/** Origin of a web site: scheme, host and perhaps a port, as a browser sends it. */
export const origin = z.string({ error: 'is not text' }).refine((value) => {
  const parts = /^https?:\/\/([^/:]+)(?::(\d{1,5}))?$/.exec(value);
  return parts?.[1] !== undefined && isHost(parts[1]) && Number(parts[2] ?? 1) <= 65535;
}, 'is not an origin');

/** Network in CIDR notation, IPv4 or IPv6. */
export const network = z.string({ error: 'is not text' }).refine((value) => {
  const [address = '', prefix = '', ...rest] = value.split('/');
  const version = isIP(address);
  return (
    rest.length === 0 &&
    version !== 0 &&
    !address.includes('%') &&
    /^\d{1,3}$/.test(prefix) &&
    Number(prefix) <= (version === 4 ? 32 : 128)
  );
}, 'is not a network in CIDR notation');

/** Range of each field of a cron expression: minute, hour, day of month, month, day of week. */
const CRON_RANGES = [
  [0, 59],
  [0, 23],
  [1, 31],
  [1, 12],
  [0, 7],
] as const;

function isCron(value: string): boolean {
  const fields = value.split(' ');
  return (
    fields.length === CRON_RANGES.length &&
    fields.every((field, index) => {
      const [lowest, highest] = CRON_RANGES[index] ?? [0, 0];
      return field.split(',').every((item) => {
        const parts = /^(?:\*|(\d{1,2})(?:-(\d{1,2}))?)(?:\/(\d{1,2}))?$/.exec(item);
        if (!parts) return false;
        const [, from, to, step] = parts.map((part) => (part === undefined ? undefined : Number(part)));
        return (
          (from === undefined || (from >= lowest && from <= highest)) &&
          (to === undefined || (to >= (from ?? 0) && to <= highest)) &&
          step !== 0
        );
      });
    })
  );
}

/** Cron expression of five fields separated by single spaces. */
export const cron = z
  .string({ error: 'is not text' })
  .refine(isCron, 'is not a cron expression of five fields');

export const integer = (lowest: number, highest: number) =>
  z
    .number({ error: 'is not a number' })
    .int('is not a whole number')
    .min(lowest, `is below ${lowest}`)
    .max(highest, `is above ${highest}`);

export const ratio = z.number({ error: 'is not a number' }).gt(0, 'is not above 0').max(1, 'is above 1');

export const yesOrNo = z.boolean({ error: 'is not yes or no' });

export const oneOf = <const T extends readonly string[]>(values: T) =>
  z.enum(values, { error: `is none of: ${values.join(', ')}` });

/** List without doubles. `what` names an entry in messages. */
export const list = <T extends z.ZodType>(entry: T, { least = 0, most = 100 } = {}) =>
  z
    .array(entry, { error: 'is not a list' })
    .min(least, `has fewer than ${least} entries`)
    .max(most, `has more than ${most} entries`)
    .refine(
      (values) => new Set(values.map((value) => JSON.stringify(value))).size === values.length,
      'has the same entry twice',
    );
