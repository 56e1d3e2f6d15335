// What an account is called: as the operator says, else as IAM does. Only for people to read; nothing depends on it.

import { toItsEnd } from "../core/given-up.js";
import { inTime, LATE } from "../core/in-time.js";
import type { AccountAlias, Clock } from "../core/ports.js";
import type { Api } from "./api.js";
import { foreign } from "./foreign.js";

/** IAM allows 63 characters. */
const LONGEST = 63;
/** An answer never waits longer for a name. */
const PATIENCE_MS = 1_500;
/** Who may not ask, or was not answered, is not asked again for so long. */
const KEPT_MS = 600_000;

interface Held {
  readonly name: Promise<string | undefined>;
  readonly until: number;
}

/** @param listed the operator's own name; then IAM is never asked */
export function accountAliases(listed: string | undefined, clock: Clock): (api: Api, account: string) => AccountAlias {
  const held = new Map<string, Held>();
  const known = new Map<string, string>();

  async function look(api: Api, account: string): Promise<string | undefined> {
    const { AccountAliases: [alias] = [] } = await api.call("iam", "ListAccountAliases", { MaxItems: 1 });
    if (alias !== undefined) known.set(account, foreign(alias, LONGEST));
    return known.get(account);
  }

  return (api, account) => ({
    known: () => listed ?? known.get(account),
    async ask() {
      if (listed !== undefined || known.has(account)) return listed ?? known.get(account);
      const now = clock.monotonic();
      let asked = held.get(account);
      if (!asked || asked.until <= now) {
        asked = { name: toItsEnd(() => look(api, account)).catch(() => undefined), until: now + KEPT_MS };
        held.set(account, asked);
      }
      const name = await inTime(asked.name, PATIENCE_MS, clock);
      return name === LATE ? undefined : name;
    },
  });
}
