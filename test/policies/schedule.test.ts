// When scheduled audits are due: days of a rhythm, time zones, the hours that clocks skip and repeat.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { cronOf, isTimezone, nextRun, RHYTHMS, TIME_OF_DAY } from "../../policies/tagging/schedule.js";

const wall = (at: string, timeZone: string) =>
  Object.fromEntries(
    new Intl.DateTimeFormat("en-US", {
      ...{ timeZone, hourCycle: "h23", weekday: "short", day: "numeric", hour: "2-digit", minute: "2-digit" },
    })
      .formatToParts(new Date(at))
      .map(({ type, value }) => [type, value]),
  );

const Zone = fc.constantFrom(
  "UTC",
  "Europe/Berlin",
  "America/New_York",
  "Asia/Kolkata",
  "Pacific/Apia",
  "Australia/Lord_Howe",
);
const Minute = fc.integer({ min: 0, max: 1_439 });
const timeOf = (minute: number): string =>
  [Math.floor(minute / 60), minute % 60].map((part) => String(part).padStart(2, "0")).join(":");
const At = fc
  .date({ min: new Date("2020-01-01T00:00:00Z"), max: new Date("2035-01-01T00:00:00Z"), noInvalidDate: true })
  .map((date) => date.toISOString());

/** Whether the wall shows this time at all on the day of an instant. */
const exists = (due: string, time: string, timezone: string): boolean =>
  Array.from({ length: 4 * 48 }, (_, quarter) => Date.parse(due) + (quarter - 96) * 900_000)
    .flatMap((near) => Array.from({ length: 15 }, (_, minute) => new Date(near + minute * 60_000).toISOString()))
    .some((at) => {
      const shown = wall(at, timezone);
      return shown.day === wall(due, timezone).day && `${shown.hour}:${shown.minute}` === time;
    });

describe("when an audit is due", () => {
  it.each([
    ["daily", "09:00", "UTC", "2026-11-28T08:59:59.999Z", "2026-11-28T09:00:00.000Z"],
    ["daily", "09:00", "UTC", "2026-11-28T09:00:00.000Z", "2026-11-29T09:00:00.000Z"],
    // A Saturday: the next Monday, and on a Monday past the time the one after.
    ["weekly", "09:00", "UTC", "2026-11-28T01:00:00.000Z", "2026-11-30T09:00:00.000Z"],
    ["weekly", "09:00", "UTC", "2026-11-30T09:00:00.000Z", "2026-12-07T09:00:00.000Z"],
    ["monthly", "00:30", "UTC", "2026-01-01T00:30:00.000Z", "2026-02-01T00:30:00.000Z"],
    // Where the user is it is Monday already.
    ["weekly", "01:00", "Asia/Tokyo", "2026-11-29T15:30:00.000Z", "2026-11-29T16:00:00.000Z"],
    // Summer time: an hour earlier by UTC; the hour that is left out; the hour that comes twice counts once.
    ["daily", "09:00", "Europe/Berlin", "2026-07-01T12:00:00.000Z", "2026-07-02T07:00:00.000Z"],
    ["daily", "02:30", "Europe/Berlin", "2026-03-28T12:00:00.000Z", "2026-03-29T01:30:00.000Z"],
    ["daily", "02:30", "Europe/Berlin", "2026-10-24T12:00:00.000Z", "2026-10-25T00:30:00.000Z"],
    ["daily", "02:30", "Europe/Berlin", "2026-10-25T00:30:00.000Z", "2026-10-26T01:30:00.000Z"],
  ] as const)("%s at %s in %s, seen from %s: %s", (rhythm, time, timezone, after, due) => {
    expect(nextRun({ rhythm, time, timezone }, after)).toBe(due);
  });

  it("is always still to come, on the rhythm's day, at the time the wall shows, and none is left out", () => {
    fc.assert(
      fc.property(fc.constantFrom(...RHYTHMS), Minute, Zone, At, (rhythm, minute, timezone, after) => {
        const when = { rhythm, time: timeOf(minute), timezone };
        const due = nextRun(when, after);
        expect(due > after).toBe(true);
        const shown = wall(due, timezone);
        if (rhythm === "weekly") expect(shown.weekday).toBe("Mon");
        if (rhythm === "monthly") expect(shown.day).toBe("1");
        // Another time is shown only on a day whose clocks leave that one out.
        if (`${shown.hour}:${shown.minute}` !== when.time) expect(exists(due, when.time, timezone)).toBe(false);
        const days = { daily: 1, weekly: 7, monthly: 31 }[rhythm];
        expect(Date.parse(due) - Date.parse(after)).toBeLessThanOrEqual((days * 24 + 1) * 3_600_000);
      }),
    );
  });

  it("is written as cron has it", () => {
    const at = { time: "09:05", timezone: "UTC" };
    expect(RHYTHMS.map((rhythm) => cronOf({ rhythm, ...at }))).toEqual(["5 9 * * *", "5 9 * * MON", "5 9 1 * *"]);
  });

  it("knows times of the day and time zones from what is neither", () => {
    expect(["00:00", "09:00", "23:59"].every((text) => TIME_OF_DAY.test(text))).toBe(true);
    expect(["25:00", "9", "09:00:00", "24:00", "9:00", "09:60"].some((text) => TIME_OF_DAY.test(text))).toBe(false);
    expect(isTimezone("Europe/Berlin") && !isTimezone("Mars/Olympus")).toBe(true);
  });
});
