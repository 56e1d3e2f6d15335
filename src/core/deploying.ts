// The words of deployments, over all providers. Without schemas: readers and writers load no more than this.

export const PROVIDERS = ["ecs", "codedeploy", "instance-refresh"] as const;
export type Provider = (typeof PROVIDERS)[number];

export const STRATEGIES = ["rolling", "blue-green", "canary", "linear"] as const;
export type Strategy = (typeof STRATEGIES)[number];

export const STATUSES = [
  "pending",
  "in_progress",
  "rolling_back",
  "succeeded",
  "failed",
  "rolled_back",
  "stopped",
  "unknown",
] as const;
export type DeploymentStatus = (typeof STATUSES)[number];

export const isRunning = ({ status }: { readonly status: DeploymentStatus }): boolean =>
  status === "pending" || status === "in_progress" || status === "rolling_back";
