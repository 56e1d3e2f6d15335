// What a session has used: calls in its window, identical calls lately. In this process, or in a Redis that several servers share.

import { type BudgetLimits, budgetDecision, type LoopLimits, type Standing } from "../policies/guardrails.js";
import type { Clock, Ids, Log, Meters, Redis } from "./core/ports.js";
import { RedisAway } from "./redis.js";

export interface MeterOptions {
  readonly budget: BudgetLimits;
  readonly loops: LoopLimits;
  readonly clock: Pick<Clock, "monotonic">;
}

/** Attempts remembered of one tool; older ones of a caller that never stops say nothing more. */
const MOST_ATTEMPTS = 1_000;

interface Local extends Meters {
  /** Takes over what is known from elsewhere: the window as Redis last showed it. */
  follow(standing: Standing): void;
  /** What `follow` was last told, and the calls counted here since; null where the window has ended. */
  since(): { readonly base: number; readonly extra: number; readonly msLeft: number } | null;
}

/** @example const meters = memoryMeters({ budget, loops, clock }) */
export function memoryMeters({ budget, loops, clock }: MeterOptions): Local {
  let window: { base: number; extra: number; readonly until: number } | null = null;
  const attempts = new Map<string, Array<{ readonly signature: string; readonly at: number }>>();

  const open = () => (window && window.until > clock.monotonic() ? window : null);
  const standing = (): Standing => {
    const now = open();
    return now ? { used: now.base + now.extra, msLeft: now.until - clock.monotonic() } : { used: 0, msLeft: 0 };
  };

  return {
    standing: async () => standing(),
    async spend() {
      const decision = budgetDecision(standing().used, budget);
      if (decision.allow) {
        window = open() ?? { base: 0, extra: 0, until: clock.monotonic() + budget.windowSeconds * 1_000 };
        window.extra++;
      }
      return { allowed: decision.allow, warn: decision.allow && decision.warn, ...standing() };
    },
    async attempt(tool, signature) {
      const from = clock.monotonic() - loops.windowSeconds * 1_000;
      const recent = (attempts.get(tool) ?? []).filter(({ at }) => at > from).slice(-MOST_ATTEMPTS);
      recent.push({ signature, at: clock.monotonic() });
      attempts.set(tool, recent);
      return recent.filter((one) => one.signature === signature).length;
    },
    async forget(tools) {
      for (const tool of tools) attempts.delete(tool);
    },
    follow({ used, msLeft }) {
      window = msLeft > 0 ? { base: used, extra: 0, until: clock.monotonic() + msLeft } : null;
    },
    since() {
      const now = open();
      return now && { base: now.base, extra: now.extra, msLeft: now.until - clock.monotonic() };
    },
  };
}

/**
 * One window for all that share the session, counted and judged in one step. `base` and `extra` are what the caller knows:
 * a Redis that lost its memory gets the window back, and calls counted while it was away are added.
 */
const SPEND = `
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
local left = redis.call('PTTL', KEYS[1])
local max, window, base, extra, known, take = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local counted = math.max(used, base) + extra
if left < 0 then left = known end
if left <= 0 then counted = 0 left = window end
local allowed = 0
if take == 1 and (max == 0 or counted < max) then counted = counted + 1 allowed = 1 end
if counted > 0 then redis.call('SET', KEYS[1], counted, 'PX', left) end
return {allowed, counted, counted > 0 and left or 0}
`;

/** A sliding window by Redis's own clock: hosts need not agree on the time. */
const ATTEMPT = `
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local window = tonumber(ARGV[3])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - window)
redis.call('ZADD', KEYS[1], now, ARGV[1] .. ':' .. ARGV[2])
redis.call('ZREMRANGEBYRANK', KEYS[1], 0, -1 - tonumber(ARGV[4]))
redis.call('PEXPIRE', KEYS[1], window)
local same = 0
for _, member in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  if string.sub(member, 1, #ARGV[1] + 1) == ARGV[1] .. ':' then same = same + 1 end
end
return same
`;

const PREFIX = "aws-devops-mcp:";

/**
 * The meters of a session that several servers share. While Redis is away each server goes on from what it last saw, in the
 * same window; the gate never opens for it.
 *
 * @example const meters = redisMeters({ budget, loops, clock, redis, session: "team-a", ids, log })
 */
export function redisMeters(
  options: MeterOptions & {
    readonly redis: Redis;
    readonly session: string;
    readonly ids: Pick<Ids, "uuid">;
    readonly log: Log;
  },
): Meters {
  const { budget, loops, redis, session, ids, log } = options;
  const local = memoryMeters(options);
  const budgetKey = `${PREFIX}budget:{${session}}`;
  const loopKey = (tool: string) => `${PREFIX}loop:{${session}}:${tool}`;

  async function count(take: 0 | 1): ReturnType<Meters["spend"]> {
    const known = local.since() ?? { base: 0, extra: 0, msLeft: 0 };
    const facts = [budget.calls, budget.windowSeconds * 1_000, known.base, known.extra, Math.ceil(known.msLeft), take];
    const answer = (await redis.send("EVAL", SPEND, "1", budgetKey, ...facts.map(String))) as readonly [
      number,
      number,
      number,
    ];
    const [allowed, used, msLeft] = answer;
    local.follow({ used, msLeft });
    const decision = budgetDecision(allowed === 1 ? used - 1 : used, budget);
    return { allowed: allowed === 1, warn: decision.allow && decision.warn, used, msLeft };
  }

  let refused = false;

  /** A Redis that is there and will not run our scripts: nobody else would say so, and servers would count apart unnoticed. */
  function told(error: unknown): void {
    if (refused || error instanceof RedisAway) return;
    refused = true;
    log("warn", "Redis refuses to count: the budget and loop counters are this process's own until it does", {
      why: error instanceof Error ? error.message : String(error),
    });
  }

  /** What cannot be asked of Redis is answered by this process alone. That it is away is its connection's to say. */
  async function orAlone<T>(shared: () => Promise<T>, alone: () => Promise<T>): Promise<T> {
    try {
      const answer = await shared();
      if (refused) log("info", "Redis counts again");
      refused = false;
      return answer;
    } catch (error) {
      told(error);
      return alone();
    }
  }

  // Two at once would both add what was counted here.
  let last: Promise<unknown> = Promise.resolve();
  function inTurn<T>(work: () => Promise<T>): Promise<T> {
    const mine = last.then(work, work);
    last = mine.catch(() => {});
    return mine;
  }

  return {
    standing: () => inTurn(() => orAlone(() => count(0), local.standing)),
    spend: () => inTurn(() => orAlone(() => count(1), local.spend)),
    async attempt(tool, signature) {
      const here = await local.attempt(tool, signature);
      const facts = [signature, ids.uuid(), String(loops.windowSeconds * 1_000), String(MOST_ATTEMPTS)];
      const there = orAlone(
        async () => Number(await redis.send("EVAL", ATTEMPT, "1", loopKey(tool), ...facts)),
        async () => here,
      );
      return Math.max(here, await there);
    },
    async forget(tools) {
      await local.forget(tools);
      if (tools.length > 0) await redis.send("DEL", ...tools.map(loopKey)).catch(() => {});
    },
  };
}
