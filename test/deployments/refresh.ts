// Instance refreshes as Auto Scaling's published API describes them: one at a time, to a version of a launch template.

import type { Party } from "./party.js";
import { type Handlers, refusal, type Script } from "./script.js";

interface Refresh {
  readonly InstanceRefreshId: string;
  readonly StartTime: Date;
  readonly Version: string;
  readonly before: string;
  Status: string;
  StatusReason?: string;
  EndTime?: Date;
  PercentageComplete: number;
  looks: number;
}

interface Group {
  readonly name: string;
  readonly template: { readonly id: string; readonly name: string };
  version: string;
  readonly refreshes: Refresh[];
}

export class ScriptedRefreshes {
  readonly groups = new Map<string, Group>();
  /** Versions there are, by template. */
  readonly versions = new Map<string, number>();
  readonly bad = new Set<string>();
  looks = 1;
  #count = 0;

  constructor(private readonly script: Script) {}

  /** @param id the launch template's, where another service knows it already */
  group(name: string, version: string, versions = 5, id?: string): Group {
    const made = String(this.groups.size + 1).padStart(16, "0");
    const template = { id: id ?? `lt-0${made}`, name: `${name}-template` };
    const group: Group = { name, template, version, refreshes: [] };
    this.versions.set(template.id, versions);
    this.groups.set(name, group);
    return group;
  }

  begin(group: Group, Version: string, by: Party): Refresh {
    if (group.refreshes.some(({ Status }) => Status === "InProgress")) {
      throw refusal(
        "InstanceRefreshInProgressFault",
        "An Instance Refresh is already in progress and blocks the execution of this Instance Refresh.",
      );
    }
    this.#count++;
    const InstanceRefreshId = `refresh-${String(this.#count).padStart(4, "0")}`;
    const StartTime = this.script.record("autoscaling.amazonaws.com", "StartInstanceRefresh", group.name, by, {
      response: { instanceRefreshId: InstanceRefreshId },
    });
    const made: Refresh = {
      InstanceRefreshId,
      StartTime,
      Version,
      before: group.version,
      Status: "InProgress",
      PercentageComplete: 0,
      looks: this.looks,
    };
    group.refreshes.unshift(made);
    return made;
  }

  look(group: Group): void {
    const made = group.refreshes.find(({ Status }) => Status === "InProgress");
    if (!made) return;
    made.PercentageComplete = 50;
    if (made.looks-- > 0) return;
    this.script.pass(60);
    made.EndTime = this.script.now();
    if (this.bad.has(made.Version)) {
      Object.assign(made, { Status: "RollbackSuccessful", StatusReason: "Instances failed health checks." });
      return;
    }
    Object.assign(made, { Status: "Successful", PercentageComplete: 100 });
    group.version = made.Version;
  }

  deploy(group: Group, version: string, by: Party, settled = true): void {
    this.begin(group, version, by);
    for (let look = 0; settled && look < 50; look++) this.look(group);
  }

  readonly handlers: Handlers = {
    DescribeAutoScalingGroups: ({ AutoScalingGroupNames: names }: { AutoScalingGroupNames?: string[] }) => ({
      AutoScalingGroups: [...this.groups.values()]
        .filter(({ name }) => !names || names.includes(name))
        .map((group) => ({
          AutoScalingGroupName: group.name,
          LaunchTemplate: {
            LaunchTemplateId: group.template.id,
            LaunchTemplateName: group.template.name,
            Version: group.version,
          },
          Instances: [],
          MinSize: 1,
          MaxSize: 4,
          DesiredCapacity: 2,
        })),
    }),
    DescribeInstanceRefreshes: ({ AutoScalingGroupName }: { AutoScalingGroupName: string }) => {
      const group = this.groups.get(AutoScalingGroupName);
      if (!group) throw refusal("ValidationError", "AutoScalingGroup name not found");
      this.look(group);
      return {
        InstanceRefreshes: group.refreshes.map(({ looks: _, before: __, Version, ...refresh }) => ({
          ...refresh,
          AutoScalingGroupName,
          Strategy: "Rolling",
          DesiredConfiguration: { LaunchTemplate: { LaunchTemplateId: group.template.id, Version } },
        })),
      };
    },
    StartInstanceRefresh: (
      input: {
        AutoScalingGroupName: string;
        DesiredConfiguration: { LaunchTemplate: { Version: string } };
        Preferences?: { AutoRollback?: boolean | string };
      },
      by: Party,
    ) => {
      const group = this.groups.get(input.AutoScalingGroupName)!;
      if (String(input.Preferences?.AutoRollback) === "true" && group.version.startsWith("$"))
        throw refusal("ValidationError", "Auto rollback needs a launch template version that is a number.");
      return {
        InstanceRefreshId: this.begin(group, input.DesiredConfiguration.LaunchTemplate.Version, by).InstanceRefreshId,
      };
    },
    CancelInstanceRefresh: ({ AutoScalingGroupName }: { AutoScalingGroupName: string }) => {
      const made = this.groups.get(AutoScalingGroupName)!.refreshes.find(({ Status }) => Status === "InProgress");
      if (!made) throw refusal("ActiveInstanceRefreshNotFound", "No in progress or pending Instance Refresh found.");
      Object.assign(made, { Status: "Cancelled", StatusReason: "Cancelled by a user.", EndTime: this.script.now() });
      return { InstanceRefreshId: made.InstanceRefreshId };
    },
    RollbackInstanceRefresh: ({ AutoScalingGroupName }: { AutoScalingGroupName: string }) => {
      const group = this.groups.get(AutoScalingGroupName)!;
      const made = group.refreshes.find(({ Status }) => Status === "InProgress");
      if (!made) throw refusal("ActiveInstanceRefreshNotFound", "No in progress or pending Instance Refresh found.");
      if (group.version.startsWith("$"))
        throw refusal("IrreversibleInstanceRefresh", "The group's launch template version is not a number.");
      Object.assign(made, {
        Status: "RollbackSuccessful",
        StatusReason: "Rolled back by a user.",
        EndTime: this.script.now(),
      });
      return { InstanceRefreshId: made.InstanceRefreshId };
    },
    DescribeLaunchTemplateVersions: ({
      LaunchTemplateId,
      Versions,
    }: {
      LaunchTemplateId: string;
      Versions: string[];
    }) => {
      const most = this.versions.get(LaunchTemplateId);
      if (most === undefined) throw refusal("InvalidLaunchTemplateId.NotFound", "The launch template does not exist.");
      const wanted = Versions[0] === "$Latest" ? most : Versions[0] === "$Default" ? 1 : Number(Versions[0]);
      if (wanted > most)
        throw refusal("InvalidLaunchTemplateId.VersionNotFound", "Could not find the specified version.");
      return { LaunchTemplateVersions: [{ LaunchTemplateId, VersionNumber: wanted }] };
    },
  };
}
