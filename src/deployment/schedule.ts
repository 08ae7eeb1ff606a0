const DAY = 86_400;
/** Lowest and highest value of each field: minute, hour, day of month, month, day of week. */
const RANGES = [
  [0, 59],
  [0, 23],
  [1, 31],
  [1, 12],
  [0, 7],
] as const;

/** Four years: every calendar comes by, that of a leap year too. */
const DAYS = 4 * 366;

/**
 * The longest time in seconds that can pass between two moments of a schedule, so that what watches it knows from when on
 * a run is missing.
 * @param schedule cron expression of five fields, in UTC: numbers, ranges, steps and lists, as the gate lets through
 * @returns Infinity for one that never fits, like the 31st of February
 */
export function longestGap(schedule: string): number {
  const fields = schedule.split(' ');
  const [minutes, hours, days, months, weekdays] = RANGES.map(
    ([lowest, highest], index) => new Set(valuesOf(fields[index] ?? '*', lowest, highest)),
  ) as [Set<number>, Set<number>, Set<number>, Set<number>, Set<number>];
  if (weekdays.has(7)) weekdays.add(0);
  // As in every cron: where both are restricted, a day that fits either of them counts.
  const either = !fields[2]?.startsWith('*') && !fields[4]?.startsWith('*');
  const times = [...hours]
    .flatMap((hour) => [...minutes].map((minute) => hour * 3600 + minute * 60))
    .sort((a, b) => a - b);
  const [first = 0] = times;
  const last = times[times.length - 1] ?? 0;
  let longest = times.slice(1).reduce((gap, time, index) => Math.max(gap, time - (times[index] ?? 0)), 0);
  let previous: number | undefined;
  let found = 0;
  for (let day = 0; day < DAYS; day++) {
    const date = new Date(Date.UTC(2024, 0, 1 + day));
    const byMonthday = days.has(date.getUTCDate());
    const byWeekday = weekdays.has(date.getUTCDay());
    if (!months.has(date.getUTCMonth() + 1) || !(either ? byMonthday || byWeekday : byMonthday && byWeekday))
      continue;
    if (previous !== undefined) longest = Math.max(longest, day * DAY + first - (previous * DAY + last));
    previous = day;
    found++;
  }
  // The 29th of February comes once in the time looked at.
  return found > 1 ? longest : found === 1 ? DAYS * DAY : Infinity;
}

function valuesOf(field: string, lowest: number, highest: number): number[] {
  return field.split(',').flatMap((item) => {
    const [range = '*', step = '1'] = item.split('/');
    const [from, to] = range === '*' ? [lowest, highest] : range.split('-').map(Number);
    const start = from ?? lowest;
    // 5/10 means from 5 on.
    const end = to ?? (item.includes('/') ? highest : start);
    const values: number[] = [];
    for (let value = start; value <= end; value += Number(step)) values.push(value);
    return values;
  });
}
