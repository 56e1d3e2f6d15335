// CodeDeploy as its published API describes it: one active deployment a group, failures that are rolled back by another one.

import type { Party } from "./party.js";
import { type Handlers, refusal, type Script } from "./script.js";

interface Made {
  readonly deploymentId: string;
  readonly applicationName: string;
  readonly deploymentGroupName: string;
  readonly revision: object;
  readonly previousRevision: object | undefined;
  readonly creator: string;
  readonly description: string;
  readonly deploymentConfigName: string;
  readonly createTime: Date;
  status: string;
  completeTime?: Date;
  errorInformation?: { code: string; message: string };
  rollbackInfo?: { rollbackDeploymentId: string };
  looks: number;
}

interface Group {
  readonly applicationName: string;
  readonly deploymentGroupName: string;
  readonly computePlatform: string;
  readonly deploymentType: string;
  readonly deploymentConfigName: string;
  readonly ecsServices?: { clusterName: string; serviceName: string }[];
  readonly autoRollback: boolean;
}

export class ScriptedCodeDeploy {
  readonly groups: Group[] = [];
  readonly deployments: Made[] = [];
  /** Revisions that fail, by a part of their JSON. */
  readonly bad = new Set<string>();
  looks = 1;

  constructor(private readonly script: Script) {}

  group(applicationName: string, deploymentGroupName: string, more: Partial<Group> = {}): Group {
    const made: Group = {
      applicationName,
      deploymentGroupName,
      computePlatform: "Server",
      deploymentType: "IN_PLACE",
      deploymentConfigName: "CodeDeployDefault.OneAtATime",
      autoRollback: true,
      ...more,
    };
    this.groups.push(made);
    return made;
  }

  private of({ applicationName, deploymentGroupName }: Pick<Group, "applicationName" | "deploymentGroupName">): Made[] {
    return this.deployments.filter(
      (one) => one.applicationName === applicationName && one.deploymentGroupName === deploymentGroupName,
    );
  }

  begin(
    group: Group,
    revision: object,
    by: Party | "codeDeployRollback",
    more: { description?: string; config?: string } = {},
  ): Made {
    if (this.of(group).some(({ status }) => ["Created", "InProgress"].includes(status))) {
      throw refusal("DeploymentLimitExceededException", "The Deployment Group already has an active Deployment");
    }
    const name = group.deploymentGroupName;
    const deploymentId = `d-${String(this.deployments.length + 1).padStart(9, "0")}`;
    if (by === "codeDeployRollback") this.script.pass(1);
    else this.script.record("codedeploy.amazonaws.com", "CreateDeployment", name, by, { response: { deploymentId } });
    const at = this.script.now();
    const made: Made = {
      deploymentId,
      applicationName: group.applicationName,
      deploymentGroupName: name,
      revision,
      previousRevision: this.of(group).find(({ status }) => status === "Succeeded")?.revision,
      creator: by === "codeDeployRollback" ? by : "user",
      description: more.description ?? "",
      deploymentConfigName: more.config ?? group.deploymentConfigName,
      createTime: at,
      status: "Created",
      looks: this.looks,
    };
    this.deployments.unshift(made);
    return made;
  }

  /** Time passes in AWS: a deployment goes on by one look. */
  look(made: Made): void {
    if (made.status !== "Created" && made.status !== "InProgress") return;
    made.status = "InProgress";
    if (made.looks-- > 0) return;
    this.script.pass(20);
    made.completeTime = this.script.now();
    const fails = [...this.bad].some((part) => JSON.stringify(made.revision).includes(part));
    made.status = fails ? "Failed" : "Succeeded";
    if (!fails) return;
    made.errorInformation = { code: "HEALTH_CONSTRAINTS", message: "Too many individual instances failed." };
    const group = this.groups.find((one) => this.of(one).includes(made))!;
    if (!group.autoRollback || !made.previousRevision) return;
    const back = this.begin(group, made.previousRevision, "codeDeployRollback");
    made.rollbackInfo = { rollbackDeploymentId: back.deploymentId };
  }

  settle(group: Group): void {
    for (let look = 0; look < 50; look++) for (const made of this.of(group)) this.look(made);
  }

  deploy(group: Group, revision: object, by: Party, settled = true): Made {
    const made = this.begin(group, revision, by);
    if (settled) this.settle(group);
    return made;
  }

  private named(input: { applicationName: string; deploymentGroupName: string }): Group {
    const here = this.groups.filter(({ applicationName }) => applicationName === input.applicationName);
    if (here.length === 0) throw refusal("ApplicationDoesNotExistException", "No application found.");
    const found = here.find(({ deploymentGroupName }) => deploymentGroupName === input.deploymentGroupName);
    if (!found) throw refusal("DeploymentGroupDoesNotExistException", "No Deployment Group found.");
    return found;
  }

  private info(group: Group): object {
    const all = this.of(group);
    const brief = (one: Made | undefined) =>
      one && {
        deploymentId: one.deploymentId,
        status: one.status,
        createTime: one.createTime,
        endTime: one.completeTime,
      };
    return {
      applicationName: group.applicationName,
      deploymentGroupName: group.deploymentGroupName,
      computePlatform: group.computePlatform,
      deploymentConfigName: group.deploymentConfigName,
      deploymentStyle: { deploymentType: group.deploymentType, deploymentOption: "WITHOUT_TRAFFIC_CONTROL" },
      autoRollbackConfiguration: { enabled: group.autoRollback, events: ["DEPLOYMENT_FAILURE"] },
      ecsServices: group.ecsServices,
      lastSuccessfulDeployment: brief(all.find(({ status }) => status === "Succeeded")),
      lastAttemptedDeployment: brief(all[0]),
    };
  }

  private shown({ looks: _, ...made }: Made): object {
    return {
      ...made,
      deploymentOverview: { Pending: 0, InProgress: 1, Succeeded: 1, Failed: 0, Skipped: 0, Ready: 0 },
    };
  }

  readonly handlers: Handlers = {
    ListApplications: () => ({ applications: [...new Set(this.groups.map(({ applicationName }) => applicationName))] }),
    ListDeploymentGroups: ({ applicationName }: { applicationName: string }) => {
      const here = this.groups.filter((one) => one.applicationName === applicationName);
      if (here.length === 0) throw refusal("ApplicationDoesNotExistException", "No application found.");
      return { applicationName, deploymentGroups: here.map(({ deploymentGroupName }) => deploymentGroupName) };
    },
    GetDeploymentGroup: (input: { applicationName: string; deploymentGroupName: string }) => {
      const group = this.named(input);
      for (const made of this.of(group)) this.look(made);
      return { deploymentGroupInfo: this.info(group) };
    },
    BatchGetDeploymentGroups: ({
      applicationName,
      deploymentGroupNames,
    }: {
      applicationName: string;
      deploymentGroupNames: string[];
    }) => ({
      deploymentGroupsInfo: deploymentGroupNames.map((name) =>
        this.info(this.named({ applicationName, deploymentGroupName: name })),
      ),
    }),
    ListDeployments: (input: { applicationName: string; deploymentGroupName: string }) => ({
      deployments: this.of(this.named(input)).map(({ deploymentId }) => deploymentId),
    }),
    GetDeployment: ({ deploymentId }: { deploymentId: string }) => {
      const made = this.deployments.find((one) => one.deploymentId === deploymentId);
      if (!made) throw refusal("DeploymentDoesNotExistException", "The deployment could not be found.");
      this.look(made);
      return { deploymentInfo: this.shown(made) };
    },
    BatchGetDeployments: ({ deploymentIds }: { deploymentIds: string[] }) => ({
      deploymentsInfo: this.deployments
        .filter((one) => deploymentIds.includes(one.deploymentId))
        .map((one) => this.shown(one)),
    }),
    CreateDeployment: (
      input: {
        applicationName: string;
        deploymentGroupName: string;
        revision: object;
        description?: string;
        deploymentConfigName?: string;
      },
      by: Party,
    ) => {
      const { description, deploymentConfigName: config } = input;
      const made = this.begin(this.named(input), input.revision, by, {
        ...(description !== undefined && { description }),
        ...(config !== undefined && { config }),
      });
      return { deploymentId: made.deploymentId };
    },
    StopDeployment: ({ deploymentId }: { deploymentId: string }) => {
      const made = this.deployments.find((one) => one.deploymentId === deploymentId)!;
      if (made.completeTime)
        throw refusal("DeploymentAlreadyCompletedException", "The deployment is already complete.");
      made.status = "Stopped";
      made.completeTime = this.script.now();
      return { status: "Succeeded" };
    },
  };
}
