// What a hand-made AWS says of accounts: it has its own, and no other may be named.

import type { AccountAlias, Accounts } from "../src/core/ports.js";

export const ONE_ACCOUNT: Accounts = {
  allowed: [],
  named: async () => undefined,
  reaching: async () => ({ via: undefined }),
};

export const NO_ALIAS: AccountAlias = { known: () => undefined, ask: async () => undefined };
