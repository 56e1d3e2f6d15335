// Where AWS has no precondition: what may be lost, and when. Each row is one of SECURITY.md's; nothing else may ever be lost.

export interface Window {
  /** As the service spells the call. */
  readonly operation: RegExp;
  /** The part of the resource that may be overwritten. */
  readonly part: RegExp;
  /** From when on: our last read before the call, or the moment AWS took the call. */
  readonly opens: "after our last read" | "after the call was taken";
  /** Only where our last read found nothing there: a property of the resource, all of its tags. */
  readonly whereAbsent?: true;
  /** Words of the row in SECURITY.md. */
  readonly row: string;
}

export const WINDOWS: readonly Window[] = [
  {
    operation: /^ec2:RevokeSecurityGroup(Ingress|Egress)$/,
    part: /^rule\//,
    opens: "after our last read",
    row: "a rule whose id stays while its content is modified between re-read and revoke",
  },
  {
    operation: /^ec2:UpdateSecurityGroupRuleDescriptions(Ingress|Egress)$/,
    part: /^rule\//,
    opens: "after our last read",
    row: "a description of the same rule set between re-read and call",
  },
  {
    // A key is removed only while it has the value that is sent along.
    operation: /^ec2:CreateTags$/,
    part: /^tag\//,
    opens: "after our last read",
    row: "a value of the same key set between re-read and call",
  },
  {
    operation: /^ec2:TerminateInstances$/,
    part: /./,
    opens: "after our last read",
    row: "an instance repurposed between re-read and call",
  },
  {
    operation: /^rds:ModifyDB(Instance|Cluster)$/,
    part: /^setting\//,
    opens: "after our last read",
    row: "the same setting changed between re-read and call",
  },
  {
    operation: /^cloudcontrol:UpdateResource$/,
    part: /./,
    opens: "after the call was taken",
    row: "Cloud Control's own gap between its read and the service call",
  },
  {
    operation: /^cloudcontrol:UpdateResource$/,
    part: /./,
    opens: "after our last read",
    whereAbsent: true,
    row: "a property that was absent cannot be tested",
  },
  {
    operation: /^cloudcontrol:DeleteResource$/,
    part: /./,
    opens: "after our last read",
    row: "a change between re-read and call",
  },
];

/** Several calls of one plan on one resource, which EC2 has no single call for. */
const SEVERAL_CALLS =
  /^ec2:((Authorize|Revoke)SecurityGroup|UpdateSecurityGroupRuleDescriptions)(Ingress|Egress)$|^ec2:(Create|Delete)Tags$/;

/** From when AWS took a call until it was read back, and only where calls that rest on it are left. */
export const UNDONE_UNSEEN = {
  operation: SEVERAL_CALLS,
  row: "what one call did, undone or made something else by somebody before it was read back: the rest is not sent, and the answer is `outcome_unknown`",
} as const;

/** From our look before the first call until the last one was read back. */
export const BETWEEN_CALLS = {
  operation: SEVERAL_CALLS,
  row: "what somebody changes between two of the calls where no later call looks: all of them are sent, and a note says that AWS holds something else",
} as const;
