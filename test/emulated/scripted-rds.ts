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

/** What waits for the window where it was not asked for at once. */
const WAITS = new Set([
  "DBInstanceClass",
  "AllocatedStorage",
  "EngineVersion",
  "MultiAZ",
  "Iops",
  "StorageType",
  "BackupRetentionPeriod",
]);

/**
 * What moto lacks of a modification: it waits where it was not asked for at once. Values that wait are kept here and shown
 * until `open()`, as AWS shows them until the maintenance window; what moto has applied meanwhile is hidden.
 */
export function maintenanceWindow(id: string) {
  const pending = new Map<string, string>();
  const current = new Map<string, string>();
  let last = "";
  const valueIn = (field: string): string | undefined =>
    current.get(field) ?? new RegExp(`<${field}>([^<]*)</${field}>`).exec(last)?.[1];
  const shown = (body: string): string =>
    eachInstance(body, id, (instance) => {
      last = instance;
      const held = [...current].reduce((text, [field, value]) => withField(text, field, value), instance);
      const waiting = [...pending].map(([field, value]) => `<${field}>${value}</${field}>`).join("");
      const bare = held.replace(
        /<PendingModifiedValues>[\s\S]*?<\/PendingModifiedValues>|<PendingModifiedValues\s*\/>/,
        "",
      );
      return bare.replace("</DBInstance>", `<PendingModifiedValues>${waiting}</PendingModifiedValues></DBInstance>`);
    });
  const open = (): void => {
    for (const [field, value] of pending) current.set(field, value);
    pending.clear();
  };
  const queue = (field: string, value: string): void => {
    const was = valueIn(field);
    if (was !== undefined) current.set(field, was);
    if (was === value) pending.delete(field);
    else pending.set(field, value);
  };
  function record({ params }: AwsRequest): void {
    const asked = Object.entries(params).filter(([field]) => WAITS.has(field));
    if (String(params.ApplyImmediately) !== "true") {
      for (const [field, value] of asked) queue(field, String(value));
      return;
    }
    // AWS carries out the whole queue.
    open();
    for (const [field, value] of asked) current.set(field, String(value));
  }
  const always = { service: "rds", times: Number.POSITIVE_INFINITY } as const;
  const modify = {
    ...always,
    operation: "ModifyDBInstance",
    where: ({ params }: AwsRequest) => params.DBInstanceIdentifier === id,
  };
  const rules: Rule[] = [
    { ...modify, before: record },
    { ...modify, rewrite: shown },
    { ...always, operation: "DescribeDBInstances", rewrite: shown },
  ];
  return { rules, pending, queue, open };
}
