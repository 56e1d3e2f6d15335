// Several accounts behind one port: the server's own credentials, and those on the operator's list. None is resolved before
// a call asks for it, and nothing outside the list is ever assumed.

import { OpsError } from "../core/errors.js";
import type { Accounts, Aws, Identity, ListedAccount } from "../core/ports.js";
import { foreign } from "./foreign.js";

/** One set of credentials. */
export type Reach = Omit<Aws, "accounts"> & {
  /** Who they are; asked of AWS once. */
  identity(): Promise<Identity>;
};

/** The account that a role belongs to. */
const accountOf = ({ roleArn }: ListedAccount): string | undefined => roleArn?.split(":")[4];

/** The identity behind a session name is the role's: two sessions of it have the same rights. */
const roleOf = (arn: string): string => arn.replace(/^(arn:[^:]*:sts::\d*:assumed-role\/[^/]+)\/.*$/, "$1");

/**
 * @param own whatever the server was started with; @param ownProfile its profile, if it has one
 * @param reach builds what reaches a listed account; called once for each, when it is first needed
 */
export function severalAccounts(
  own: Reach,
  ownProfile: string | undefined,
  listed: readonly ListedAccount[],
  reach: (account: ListedAccount) => Reach,
): Aws {
  const made = new Map<string, Reach>();

  function reachOf(via: string | undefined): Reach {
    if (via === undefined) return own;
    const existing = made.get(via);
    if (existing) return existing;
    const entry = listed.find(({ name }) => name === via);
    if (!entry) throw new OpsError("internal", "A call was to be made with credentials that are not on the list.");
    const fresh = reach(entry);
    made.set(via, fresh);
    return fresh;
  }

  /** Whose credentials are of the account: the server's own first, then the list in its order; and why some cannot say. */
  async function ofAccount(account: string) {
    const found: { via: string | undefined; identity: Identity | null }[] = [];
    const silent: unknown[] = [];
    const asked = [undefined, ...listed].map((entry) => {
      const told = entry && accountOf(entry);
      if (told !== undefined && told !== account) return null;
      const identity = reachOf(entry?.name)
        .identity()
        .catch((error: unknown) => {
          if (told === undefined) silent.push(error);
          return null;
        });
      return { via: entry?.name, told, identity };
    });
    for (const one of asked) {
      if (one === null) continue;
      const identity = await one.identity;
      if ((identity?.account ?? one.told) === account) found.push({ via: one.via, identity });
    }
    return { found, silent };
  }

  const allowed = listed.map((entry) => {
    const account = accountOf(entry);
    return { name: entry.name, ...(account === undefined ? {} : { account }) };
  });

  const accounts: Accounts = {
    allowed,
    async named(name) {
      const exact = listed.find((one) => [one.name, one.profile, one.roleArn].includes(name));
      if (exact) return exact.name;
      if (name === ownProfile) return undefined;
      const { found, silent } = /^\d{12}$/.test(name) ? await ofAccount(name) : { found: [], silent: [] };
      if (found[0]) return found[0].via;
      // Credentials that cannot say whose they are may be of this very account.
      if (silent.length > 0) throw silent[0];
      const names = allowed.map((one) => (one.account ? `${one.name} (${one.account})` : one.name));
      throw new OpsError(
        "unknown_account",
        `This server may not use the account given; nothing was asked of it. ${
          names.length > 0
            ? `Besides its own it may use ${names.join(", ")}.`
            : "It may use its own only: leave `account` out."
        } The operator lists accounts with --accounts.`,
        { field: "account", details: { account: foreign(name, 64), allowed } },
      );
    },
    async reaching(account, arn) {
      if (listed.length === 0) return { via: undefined };
      const { found } = await ofAccount(account);
      const same =
        arn === undefined ? undefined : found.find(({ identity }) => identity && roleOf(identity.arn) === roleOf(arn));
      const [first] = found;
      return (same ?? first) ? { via: (same ?? first)!.via } : null;
    },
  };

  return {
    accounts,
    defaultRegion: async (via) => (await reachOf(via).defaultRegion()) ?? own.defaultRegion(),
    async reader(region, via) {
      const reader = await reachOf(via).reader(region);
      return via === undefined ? reader : { ...reader, via };
    },
    writer: (region, via) => reachOf(via).writer(region),
    close() {
      own.close();
      for (const one of made.values()) one.close();
    },
  };
}
