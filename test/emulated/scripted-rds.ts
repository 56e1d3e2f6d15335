// RDS's answers where moto lacks or is wrong about them, in the shape of AWS's published API; for suites that say scripted.

import type { Rule } from "./rules.js";
import type { AwsRequest } from "./wire.js";

const wrapped = (operation: string, result: string): string =>
  `<${operation}Response xmlns="http://rds.amazonaws.com/doc/2014-10-31/"><${operation}Result>${result}</${operation}Result>` +
  `<ResponseMetadata><RequestId>523e3218-afc7-11c3-90f5-f90431260ab4</RequestId></ResponseMetadata></${operation}Response>`;

/** Announced maintenance, by ARN; moto has no such operation. */
export const announced = (actions: Readonly<Record<string, string>> = {}): Rule => ({
  service: "rds",
  operation: "DescribePendingMaintenanceActions",
  times: Number.POSITIVE_INFINITY,
  reply: {
    body: wrapped(
      "DescribePendingMaintenanceActions",
      `<PendingMaintenanceActions>${Object.entries(actions)
        .map(
          ([arn, action]) =>
            `<ResourcePendingMaintenanceActions><ResourceIdentifier>${arn}</ResourceIdentifier><PendingMaintenanceActionDetails><PendingMaintenanceAction><Action>${action}</Action><Description>a text of AWS</Description><OptInStatus>next-maintenance</OptInStatus><AutoAppliedAfterDate>2027-01-01T00:00:00Z</AutoAppliedAfterDate></PendingMaintenanceAction></PendingMaintenanceActionDetails></ResourcePendingMaintenanceActions>`,
        )
        .join("")}</PendingMaintenanceActions>`,
    ),
  },
});

/** An instance of moto's answer, rewritten. */
const eachInstance = (body: string, id: string, change: (instance: string) => string): string =>
  body.replace(/<DBInstance>[\s\S]*?<\/DBInstance>/g, (instance) =>
    instance.includes(`<DBInstanceIdentifier>${id}</DBInstanceIdentifier>`) ? change(instance) : instance,
  );

const withField = (instance: string, field: string, value: string): string => {
  const element = new RegExp(`<${field}>[^<]*</${field}>|<${field}\\s*/>`);
  const next = `<${field}>${value}</${field}>`;
  return element.test(instance)
    ? instance.replace(element, next)
    : instance.replace("</DBInstance>", `${next}</DBInstance>`);
};

/**
 * What moto lacks of a modification: it waits where it was not asked for at once. The values that wait are kept here and
 * shown until `open()`, as AWS shows them until the maintenance window.
 */
export function maintenanceWindow(id: string) {
  const pending = new Map<string, string>();
  const WAIT = new Set([
    "DBInstanceClass",
    "AllocatedStorage",
    "EngineVersion",
    "MultiAZ",
    "Iops",
    "StorageType",
    "BackupRetentionPeriod",
  ]);
  const current = new Map<string, string>();
  const shown = (body: string): string =>
    eachInstance(body, id, (instance) => {
      const held = [...current].reduce((text, [field, value]) => withField(text, field, value), instance);
      const waiting = [...pending].map(([field, value]) => `<${field}>${value}</${field}>`).join("");
      return withField(held, "PendingModifiedValues", waiting);
    });
  const record = ({ params }: AwsRequest, body: string): void => {
    if (params.DBInstanceIdentifier !== id) return;
    const immediate = String(params.ApplyImmediately) === "true";
    if (immediate) {
      // AWS carries out the whole queue.
      for (const [field, value] of pending) current.set(field, value);
      pending.clear();
    }
    const was = /<DBInstance>[\s\S]*?<\/DBInstance>/.exec(body)?.[0] ?? "";
    for (const [field, value] of Object.entries(params)) {
      if (!WAIT.has(field)) continue;
      if (immediate) current.set(field, String(value));
      else if ((current.get(field) ?? new RegExp(`<${field}>([^<]*)<`).exec(was)?.[1]) === String(value)) {
        pending.delete(field);
      } else pending.set(field, String(value));
    }
  };
  const always = { service: "rds", times: Number.POSITIVE_INFINITY } as const;
  const modify: Rule[] = [
    {
      ...always,
      operation: "ModifyDBInstance",
      where: ({ params }) => params.DBInstanceIdentifier === id,
      rewrite: (body, request) => {
        record(request, body);
        return shown(body);
      },
    },
    { ...always, operation: "DescribeDBInstances", rewrite: (body) => shown(body) },
  ];
  return {
    rules: modify,
    pending,
    /** Values that hold whatever moto, which applies at once, has by now. */
    hold: (field: string, value: string) => current.set(field, value),
    queue: (field: string, value: string) => pending.set(field, value),
    open: () => {
      for (const [field, value] of pending) current.set(field, value);
      pending.clear();
    },
  };
}
