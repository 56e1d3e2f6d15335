// Least-privilege IAM policies, made from what the toolsets use. Pure.

import { actionsOf, passesRoleTo } from "../aws/iam-actions.js";
import { ANY_TOOL, USES, type Uses } from "./uses.js";

interface Statement {
  readonly Sid: string;
  readonly Effect: "Allow";
  readonly Action: readonly string[];
  readonly Resource: "*" | readonly string[];
  readonly Condition?: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>>;
}

export interface Policy {
  readonly Version: "2012-10-17";
  readonly Statement: readonly Statement[];
}

/** What a customer managed policy may hold; IAM does not count white space. */
export const MOST_CHARACTERS = 6_144;

/** Every tool can be run whether it is listed or not, so what is listed by default is no limit. */
const EVERY: ReadonlySet<string> = new Set(["all", "default"]);

/** @throws RangeError naming what is no toolset. */
export function usesOf(toolsets: readonly string[]): Uses[] {
  const unknown = toolsets.find((name) => !EVERY.has(name) && !Object.hasOwn(USES, name));
  if (unknown !== undefined) {
    throw new RangeError(`"${unknown}" is no toolset that asks AWS; there are all, ${Object.keys(USES).join(", ")}`);
  }
  return Object.entries(USES).flatMap(([name, uses]) =>
    toolsets.some((one) => EVERY.has(one) || one === name) ? [uses] : [],
  );
}

const sorted = (names: Iterable<string>): string[] => [...new Set(names)].sort();

export const readActions = (toolsets: readonly string[]): string[] =>
  sorted([...ANY_TOOL, ...usesOf(toolsets).flatMap(({ reads }) => reads)].flatMap(actionsOf));

/** What applying the changes of these toolsets needs beside reading; a plan's dry run needs it too. */
export function writeActions(toolsets: readonly string[]): string[] {
  const reads = new Set(readActions(toolsets));
  const writes = usesOf(toolsets).flatMap((uses) => uses.writes);
  return sorted(writes.flatMap(actionsOf)).filter((action) => !reads.has(action));
}

const passedTo = (toolsets: readonly string[]): string[] =>
  sorted(usesOf(toolsets).flatMap(({ writes }) => writes.flatMap(passesRoleTo)));

/**
 * The policies for these toolsets: one, or as many as fit into what IAM takes.
 * @example policiesFor(["instances"], { write: true })
 */
export function policiesFor(
  toolsets: readonly string[],
  options: { readonly write?: boolean; readonly most?: number; readonly logs?: LogGroup } = {},
): Policy[] {
  const { write = false, most = MOST_CHARACTERS, logs } = options;
  const services = write ? passedTo(toolsets) : [];
  const statements: Statement[] = [
    { Sid: "Read", Effect: "Allow", Action: readActions(toolsets), Resource: "*" },
    ...(write && writeActions(toolsets).length > 0
      ? [{ Sid: "Write", Effect: "Allow" as const, Action: writeActions(toolsets), Resource: "*" as const }]
      : []),
    ...(services.length > 0
      ? [
          {
            Sid: "PassRole",
            Effect: "Allow" as const,
            Action: ["iam:PassRole"],
            Resource: "*" as const,
            Condition: { StringEquals: { "iam:PassedToService": services } },
          },
        ]
      : []),
    ...(logs ? [logsStatement(logs)] : []),
  ];
  return split(statements, most);
}

/** Where --cloudwatch sends what the server says of itself. */
export interface LogGroup {
  readonly group: string;
  readonly region?: string | undefined;
}

const partitionOf = (region = ""): string =>
  region.startsWith("cn-") ? "aws-cn" : region.startsWith("us-gov-") ? "aws-us-gov" : "aws";

const logsStatement = ({ group, region }: LogGroup): Statement => {
  const arn = `arn:${partitionOf(region)}:logs:${region ?? "*"}:*:log-group:${group}`;
  return {
    Sid: "Logs",
    Effect: "Allow",
    Action: ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
    Resource: [arn, `${arn}:*`],
  };
};

const policyOf = (statements: readonly Statement[]): Policy => ({ Version: "2012-10-17", Statement: statements });

export const charactersOf = (policy: Policy): number => JSON.stringify(policy).replace(/\s/g, "").length;

/** Statements in their order; one that is too long for a policy is cut into several. */
function split(statements: readonly Statement[], most: number): Policy[] {
  const policies: Statement[][] = [[]];
  for (const statement of statements) {
    let rest = [...statement.Action];
    while (rest.length > 0) {
      const last = policies.at(-1)!;
      let fits = rest.length;
      const filled = (count: number) => policyOf([...last, { ...statement, Action: rest.slice(0, count) }]);
      while (fits > 0 && charactersOf(filled(fits)) > most) fits--;
      if (fits === 0) {
        policies.push([]);
        continue;
      }
      last.push({ ...statement, Action: rest.slice(0, fits) });
      rest = rest.slice(fits);
      if (rest.length > 0) policies.push([]);
    }
  }
  return policies.filter((one) => one.length > 0).map(policyOf);
}
