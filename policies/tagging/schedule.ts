// When an audit that was asked for is due: daily, on Mondays, or on the first of a month, at a time of the day where the user is. Pure.

export const RHYTHMS = ["daily", "weekly", "monthly"] as const;
export type Rhythm = (typeof RHYTHMS)[number];

/** A time of the day in a time zone, on the days of a rhythm. */
export interface When {
  readonly rhythm: Rhythm;
  /** `HH:MM`, of 24 hours. */
  readonly time: string;
  /** By its IANA name. */
  readonly timezone: string;
}

export const TIME_OF_DAY = /^([01]\d|2[0-3]):[0-5]\d$/;

const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
/** A month has at most 31 days, so the first of one is among these. */
const MOST_DAYS = 33;

/** @example cronOf({ rhythm: "weekly", time: "09:05", timezone: "UTC" }) // "5 9 * * MON" */
export function cronOf({ rhythm, time }: When): string {
  const [hour, minute] = time.split(":").map(Number);
  return `${minute} ${hour} ${rhythm === "monthly" ? "1" : "*"} * ${rhythm === "weekly" ? "MON" : "*"}`;
}

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(timezone: string): Intl.DateTimeFormat {
  const made =
    formats.get(timezone) ??
    new Intl.DateTimeFormat("en-US", {
      ...{ timeZone: timezone, hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit" },
      ...{ hour: "2-digit", minute: "2-digit", second: "2-digit" },
    });
  formats.set(timezone, made);
  return made;
}

/** Whether this machine knows a time zone of this name. */
export function isTimezone(name: string): boolean {
  try {
    formatOf(name);
    return true;
  } catch {
    return false;
  }
}

/** What the clock on the wall shows at an instant, written as if it were UTC. */
function wallOf(at: number, timezone: string): number {
  const parts = Object.fromEntries(
    formatOf(timezone)
      .formatToParts(at)
      .map(({ type, value }) => [type, Number(value)]),
  );
  return Date.UTC(parts.year!, parts.month! - 1, parts.day!, parts.hour!, parts.minute!, parts.second!);
}

/** The instant of a time on the wall: of two the first; of one that is left out in spring, as long after the gap began. */
function instantOf(wall: number, timezone: string): number {
  const offsets = [wall - DAY_MS, wall + DAY_MS].map((near) => wallOf(near, timezone) - near);
  const instants = offsets.map((offset) => wall - offset).sort((a, b) => a - b);
  return instants.find((at) => wallOf(at, timezone) === wall) ?? wall - offsets[0]!;
}

const fits = (wall: number, rhythm: Rhythm): boolean => {
  const day = new Date(wall);
  if (rhythm === "weekly") return day.getUTCDay() === 1;
  return rhythm === "daily" || day.getUTCDate() === 1;
};

/**
 * The first time after an instant, as ISO time in UTC.
 * @example nextRun({ rhythm: "weekly", time: "09:00", timezone: "UTC" }, "2026-11-28T01:00:00Z") // "2026-11-30T09:00:00.000Z"
 */
export function nextRun({ rhythm, time, timezone }: When, after: string): string {
  const [hour = 0, minute = 0] = time.split(":").map(Number);
  const from = Date.parse(after);
  const today = Math.floor(wallOf(from, timezone) / DAY_MS) * DAY_MS;
  // From the day before on: where a gap moved yesterday's time past midnight it may still be to come.
  for (let day = -1; day <= MOST_DAYS; day++) {
    const wall = today + day * DAY_MS + (hour * 60 + minute) * MINUTE_MS;
    if (!fits(wall, rhythm)) continue;
    const at = instantOf(wall, timezone);
    if (at > from) return new Date(at).toISOString();
  }
  throw new RangeError(`no ${rhythm} day within ${MOST_DAYS} days`);
}
