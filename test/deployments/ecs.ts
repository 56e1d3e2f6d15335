// ECS as its published API describes it: rollouts that take some looks to end, a circuit breaker that brings the old version
// back, and the record of service deployments. Not independently verified: no emulator has any of this.

import type { Party } from "./party.js";
import { arn, type Handlers, refusal, type Script } from "./script.js";

interface Definition {
  readonly arn: string;
  readonly family: string;
  readonly revision: number;
  status: "ACTIVE" | "INACTIVE";
  readonly body: Record<string, unknown> & { containerDefinitions: { name: string; image: string }[] };
  readonly tags: { key: string; value: string }[];
}

interface Rollout {
  id: string;
  status: "PRIMARY" | "ACTIVE";
  taskDefinition: string;
  rolloutState: "IN_PROGRESS" | "COMPLETED" | "FAILED";
  rolloutStateReason?: string;
  createdAt: Date;
  failedTasks: number;
  looks: number;
}

interface Deployed {
  readonly serviceDeploymentArn: string;
  readonly revision: string;
  readonly source: string | undefined;
  status: string;
  statusReason?: string;
  readonly createdAt: Date;
  finishedAt?: Date;
  rollback?: { reason: string; startedAt: Date; serviceRevisionArn: string };
}

interface Service {
  readonly name: string;
  readonly cluster: string;
  readonly serviceArn: string;
  taskDefinition: string;
  desired: number;
  controller: string;
  configuration: Record<string, unknown>;
  loadBalancers: object[];
  rollouts: Rollout[];
  readonly deployments: Deployed[];
  readonly revisions: Map<string, string>;
  readonly tags: { key: string; value: string }[];
}

export interface ServiceOptions {
  readonly desired?: number;
  readonly breaker?: boolean;
  readonly controller?: string;
  readonly shiftsTraffic?: boolean;
  /** ROLLING by itself. */
  readonly strategy?: string;
  readonly tags?: { key: string; value: string }[];
}

export class ScriptedEcs {
  readonly definitions = new Map<string, Definition>();
  readonly services = new Map<string, Service>();
  /** Images whose tasks never start. */
  readonly bad = new Set<string>();
  /** Looks at a service until a rollout has ended. */
  looks = 1;
  #count = 0;

  constructor(private readonly script: Script) {}

  private id(): string {
    this.#count++;
    return String(this.#count).padStart(8, "0");
  }

  define(
    family: string,
    containers: Readonly<Record<string, string>>,
    more: object = {},
    tags: Definition["tags"] = [],
  ) {
    const revision = [...this.definitions.values()].filter((one) => one.family === family).length + 1;
    const made: Definition = {
      arn: arn("ecs", `task-definition/${family}:${revision}`),
      family,
      revision,
      status: "ACTIVE",
      tags,
      body: {
        networkMode: "awsvpc",
        cpu: "256",
        memory: "512",
        ...more,
        containerDefinitions: Object.entries(containers).map(([name, image]) => ({
          name,
          image,
          essential: true,
          portMappings: [{ containerPort: 8080, protocol: "tcp" }],
          environment: [{ name: "DB_PASSWORD", value: "hunter2-clear" }],
        })),
      },
    };
    this.definitions.set(`${family}:${revision}`, made);
    return `${family}:${revision}`;
  }

  definition(name: string): Definition | undefined {
    const short = name.split("/").at(-1)!;
    if (short.includes(":")) return this.definitions.get(short);
    return [...this.definitions.values()]
      .filter(({ family, status }) => family === short && status === "ACTIVE")
      .at(-1);
  }

  /** A service that has run a version for a while. */
  serve(cluster: string, name: string, taskDefinition: string, by: Party, options: ServiceOptions = {}): Service {
    const {
      desired = 2,
      breaker = true,
      controller = "ECS",
      shiftsTraffic = false,
      strategy = "ROLLING",
      tags = [],
    } = options;
    const service: Service = {
      name,
      cluster,
      serviceArn: arn("ecs", `service/${cluster}/${name}`),
      taskDefinition,
      desired,
      controller,
      configuration: {
        maximumPercent: 200,
        minimumHealthyPercent: 100,
        strategy,
        deploymentCircuitBreaker: { enable: breaker, rollback: breaker },
      },
      loadBalancers: shiftsTraffic ? [{ containerName: "web", containerPort: 8080, advancedConfiguration: {} }] : [],
      rollouts: [],
      deployments: [],
      revisions: new Map(),
      tags,
    };
    this.services.set(`${cluster}/${name}`, service);
    this.begin(service, taskDefinition, "CreateService", by);
    this.settle(service);
    return service;
  }

  private begin(service: Service, taskDefinition: string, event: string, by: Party): void {
    const at = this.script.record("ecs.amazonaws.com", event, service.name, by);
    const id = this.id();
    const running = service.rollouts.find(({ rolloutState }) => rolloutState === "COMPLETED");
    for (const open of service.deployments.filter(({ status }) => status === "IN_PROGRESS")) {
      open.status = "STOPPED";
      open.statusReason = "Another deployment took its place.";
      open.finishedAt = at;
    }
    for (const rollout of service.rollouts) rollout.status = "ACTIVE";
    service.rollouts = service.rollouts.filter((rollout) => rollout === running);
    service.rollouts.unshift({
      id: `ecs-svc/${id}`,
      status: "PRIMARY",
      taskDefinition,
      rolloutState: "IN_PROGRESS",
      createdAt: at,
      failedTasks: 0,
      looks: this.looks,
    });
    const revision = arn("ecs", `service-revision/${service.cluster}/${service.name}/${id}`);
    service.revisions.set(revision, taskDefinition);
    service.deployments.unshift({
      serviceDeploymentArn: arn("ecs", `service-deployment/${service.cluster}/${service.name}/d${id}`),
      revision,
      source: service.deployments.find(({ status }) => status === "SUCCESSFUL")?.revision,
      status: "IN_PROGRESS",
      createdAt: at,
    });
    service.taskDefinition = taskDefinition;
  }

  private fails({ taskDefinition }: Rollout): boolean {
    const { containerDefinitions } = this.definition(taskDefinition)!.body;
    return containerDefinitions.some(({ image }) => this.bad.has(image));
  }

  /** Time passes in AWS: what is under way goes on by one look. */
  look(service: Service): void {
    const [primary] = service.rollouts;
    if (primary?.rolloutState !== "IN_PROGRESS") return;
    if (primary.looks-- > 0) return;
    const record = service.deployments.find(({ status }) => status === "IN_PROGRESS");
    this.script.pass(30);
    const at = this.script.now();
    if (!this.fails(primary)) {
      primary.rolloutState = "COMPLETED";
      service.rollouts = [primary];
      if (record) Object.assign(record, { status: "SUCCESSFUL", finishedAt: at });
      return;
    }
    primary.failedTasks += 3;
    const breaker = service.configuration.deploymentCircuitBreaker as { enable: boolean; rollback: boolean };
    if (breaker.enable && breaker.rollback && record)
      this.back(service, record, "Service deployment rolled back because the circuit breaker threshold was exceeded.");
  }

  private back(service: Service, record: Deployed, reason: string): void {
    const source = record.source!;
    const at = this.script.now();
    Object.assign(record, {
      status: "ROLLBACK_SUCCESSFUL",
      statusReason: reason,
      finishedAt: at,
      rollback: { reason, startedAt: at, serviceRevisionArn: source },
    });
    service.taskDefinition = service.revisions.get(source)!;
    service.rollouts = [
      {
        id: `ecs-svc/${this.id()}`,
        status: "PRIMARY",
        taskDefinition: service.taskDefinition,
        rolloutState: "COMPLETED",
        createdAt: at,
        failedTasks: 0,
        looks: 0,
      },
    ];
  }

  /** The stage of a deployment that shifts traffic, by the looks it still takes. */
  private stageOf(service: Service, { status }: Pick<Deployed, "status">): string | undefined {
    if (status !== "IN_PROGRESS" || service.configuration.strategy === "ROLLING") return undefined;
    const stages = ["BAKE_TIME", "PRODUCTION_TRAFFIC_SHIFT", "TEST_TRAFFIC_SHIFT", "SCALE_UP"];
    return stages[Math.min(service.rollouts[0]?.looks ?? 0, stages.length - 1)];
  }

  /** Lets whatever is under way end. */
  settle(service: Service): void {
    for (let look = 0; look < 50 && service.rollouts[0]?.rolloutState === "IN_PROGRESS"; look++) this.look(service);
  }

  deploy(cluster: string, name: string, taskDefinition: string, by: Party, settled = true): void {
    const service = this.services.get(`${cluster}/${name}`)!;
    this.begin(service, taskDefinition, "UpdateService", by);
    if (settled) this.settle(service);
  }

  private found(cluster: string, name: string): Service | undefined {
    const short = name.split("/").at(-1)!;
    return this.services.get(`${cluster.split("/").at(-1)}/${short}`);
  }

  private clusters(): string[] {
    return [...new Set([...this.services.values()].map(({ cluster }) => cluster))];
  }

  private needCluster(cluster = "default"): string {
    const name = cluster.split("/").at(-1)!;
    if (this.clusters().includes(name)) return name;
    throw refusal("ClusterNotFoundException", "Cluster not found.");
  }

  private shown(service: Service): object {
    const { rollouts, desired } = service;
    const tasks = ({ rolloutState, status }: Rollout) =>
      rolloutState === "COMPLETED" && status === "PRIMARY" ? desired : status === "ACTIVE" ? desired : 0;
    return {
      serviceArn: service.serviceArn,
      serviceName: service.name,
      clusterArn: arn("ecs", `cluster/${service.cluster}`),
      status: "ACTIVE",
      desiredCount: desired,
      runningCount: desired,
      pendingCount: 0,
      taskDefinition: this.definition(service.taskDefinition)!.arn,
      deploymentConfiguration: service.configuration,
      deploymentController: { type: service.controller },
      loadBalancers: service.loadBalancers,
      deployments: rollouts.map(({ looks: _, ...rollout }) => ({
        ...rollout,
        taskDefinition: this.definition(rollout.taskDefinition)!.arn,
        desiredCount: desired,
        runningCount: tasks({ looks: 0, ...rollout }),
        pendingCount: 0,
        updatedAt: rollout.createdAt,
      })),
      tags: service.tags,
      events: [],
    };
  }

  readonly handlers: Handlers = {
    ListClusters: () => ({ clusterArns: this.clusters().map((name) => arn("ecs", `cluster/${name}`)) }),
    ListServices: ({
      cluster,
      maxResults = 10,
      nextToken,
    }: {
      cluster?: string;
      maxResults?: number;
      nextToken?: string;
    }) => {
      const here = this.needCluster(cluster);
      const all = [...this.services.values()].filter((one) => one.cluster === here);
      const from = Number(nextToken ?? 0);
      const next = from + maxResults < all.length ? String(from + maxResults) : undefined;
      return { serviceArns: all.slice(from, from + maxResults).map((one) => one.serviceArn), nextToken: next };
    },
    DescribeServices: ({ cluster, services }: { cluster?: string; services: string[] }) => {
      const here = this.needCluster(cluster);
      const found = services.map((name) => [name, this.found(here, name)] as const);
      for (const [, service] of found) if (service) this.look(service);
      return {
        services: found.flatMap(([, service]) => (service ? [this.shown(service)] : [])),
        failures: found.flatMap(([name, service]) =>
          service ? [] : [{ arn: arn("ecs", `service/${here}/${name}`), reason: "MISSING" }],
        ),
      };
    },
    DescribeTaskDefinition: ({ taskDefinition }: { taskDefinition: string }) => {
      const found = this.definition(taskDefinition);
      if (!found) throw refusal("ClientException", "Unable to describe task definition.");
      const { body, tags, family, revision, status } = found;
      return { taskDefinition: { ...body, taskDefinitionArn: found.arn, family, revision, status }, tags };
    },
    ListTaskDefinitions: ({ familyPrefix }: { familyPrefix: string }) => ({
      taskDefinitionArns: [...this.definitions.values()]
        .filter(({ family }) => family === familyPrefix)
        .map((one) => one.arn)
        .reverse(),
    }),
    RegisterTaskDefinition: (
      {
        family,
        containerDefinitions,
        tags = [],
        ...more
      }: { family: string; tags?: Definition["tags"] } & Definition["body"],
      by: Party,
    ) => {
      this.script.record("ecs.amazonaws.com", "RegisterTaskDefinition", family, by);
      const name = this.define(family, {}, more, tags);
      const made = this.definitions.get(name)!;
      made.body.containerDefinitions = containerDefinitions;
      return {
        taskDefinition: {
          ...made.body,
          taskDefinitionArn: made.arn,
          family,
          revision: made.revision,
          status: "ACTIVE",
        },
      };
    },
    UpdateService: (
      input: {
        cluster?: string;
        service: string;
        taskDefinition?: string;
        deploymentConfiguration?: Record<string, unknown>;
      },
      by: Party,
    ) => {
      const service = this.found(this.needCluster(input.cluster), input.service);
      if (!service) throw refusal("ServiceNotFoundException", "Service not found.");
      const wanted = this.definition(input.taskDefinition ?? service.taskDefinition);
      if (wanted?.status !== "ACTIVE") throw refusal("ClientException", "TaskDefinition is inactive");
      if (input.deploymentConfiguration) service.configuration = input.deploymentConfiguration;
      this.begin(service, `${wanted.family}:${wanted.revision}`, "UpdateService", by);
      return { service: this.shown(service) };
    },
    ListServiceDeployments: ({
      cluster,
      service,
      status,
      maxResults = 20,
      nextToken,
    }: {
      cluster?: string;
      service: string;
      status?: string[];
      maxResults?: number;
      nextToken?: string;
    }) => {
      const found = this.found(this.needCluster(cluster), service);
      if (!found) throw refusal("ServiceNotFoundException", "Service not found.");
      const all = found.deployments.filter((one) => !status || status.includes(one.status));
      const from = Number(nextToken ?? 0);
      const next = from + maxResults < all.length ? String(from + maxResults) : undefined;
      return {
        serviceDeployments: all.slice(from, from + maxResults).map((one) => ({
          serviceDeploymentArn: one.serviceDeploymentArn,
          serviceArn: found.serviceArn,
          targetServiceRevisionArn: one.revision,
          status: one.status,
          createdAt: one.createdAt,
        })),
        nextToken: next,
      };
    },
    DescribeServiceDeployments: ({ serviceDeploymentArns }: { serviceDeploymentArns: string[] }) => ({
      serviceDeployments: [...this.services.values()].flatMap((service) =>
        service.deployments
          .filter((one) => serviceDeploymentArns.includes(one.serviceDeploymentArn))
          .map(({ revision, source, ...one }) => ({
            ...one,
            serviceArn: service.serviceArn,
            targetServiceRevision: {
              arn: revision,
              requestedTaskCount: service.desired,
              runningTaskCount: one.status === "IN_PROGRESS" ? 0 : service.desired,
            },
            sourceServiceRevisions: source ? [{ arn: source }] : [],
            deploymentConfiguration: service.configuration,
            lifecycleStage: this.stageOf(service, one),
          })),
      ),
      failures: [],
    }),
    DescribeServiceRevisions: ({ serviceRevisionArns }: { serviceRevisionArns: string[] }) => ({
      serviceRevisions: [...this.services.values()].flatMap((service) =>
        [...service.revisions]
          .filter(([name]) => serviceRevisionArns.includes(name))
          .map(([serviceRevisionArn, name]) => {
            const definition = this.definition(name)!;
            return {
              serviceRevisionArn,
              serviceArn: service.serviceArn,
              taskDefinition: definition.arn,
              containerImages: definition.body.containerDefinitions.map((one) => ({
                containerName: one.name,
                image: one.image,
              })),
            };
          }),
      ),
      failures: [],
    }),
    StopServiceDeployment: ({ serviceDeploymentArn }: { serviceDeploymentArn: string }, by: Party) => {
      for (const service of this.services.values()) {
        const record = service.deployments.find((one) => one.serviceDeploymentArn === serviceDeploymentArn);
        if (record?.status !== "IN_PROGRESS") continue;
        this.script.record("ecs.amazonaws.com", "StopServiceDeployment", service.name, by);
        this.back(service, record, "The deployment was stopped by a user.");
        return { serviceDeploymentArn };
      }
      throw refusal("ConflictException", "The deployment has ended.");
    },
  };
}
