// The shape of one known fault of the emulator, and the few calls that most probes start with.
import type { Fields, RawAws } from "../raw-aws.js";

export interface Fault {
  readonly service: string;
  readonly operation: string;
  /** What the emulator does. "missing" entries answer HTTP 500 with an HTML page. */
  readonly moto: string;
  /** What AWS's documentation says instead. */
  readonly aws: string;
  readonly kind: "wrong" | "missing";
  /** True while the fault is there. Each probe finds a fresh account. */
  readonly probe: (bench: Bench) => Promise<boolean>;
}

export interface Bench {
  readonly aws: RawAws;
  readonly endpoint: string;
  enforceIam(): Promise<void>;
}

type Probe = (aws: RawAws, bench: Bench) => Promise<boolean>;

export function wrong(call: string, moto: string, aws: string, probe: Probe): Fault {
  const [service = "", operation = ""] = call.split(".");
  return { service, operation, moto, aws, kind: "wrong", probe: (bench) => probe(bench.aws, bench) };
}

export async function launched(aws: RawAws, fields: Fields = {}): Promise<string> {
  const base = { ImageId: "ami-12c6146b", InstanceType: "t3.micro", MinCount: 1, MaxCount: 1 };
  const answer = await aws.query("ec2", "RunInstances", { ...base, ...fields });
  return given(answer.xml("instanceId"), answer.text);
}

export async function group(aws: RawAws, GroupName: string): Promise<string> {
  const answer = await aws.query("ec2", "CreateSecurityGroup", { GroupName, GroupDescription: GroupName });
  return given(answer.xml("groupId"), answer.text);
}

export async function subnetOf(aws: RawAws): Promise<string> {
  const answer = await aws.query("ec2", "DescribeSubnets");
  return given(answer.xml("subnetId"), answer.text);
}

/** A probe whose preparation failed proves nothing: it must not pass for "still wrong". */
export function given<T>(value: T | undefined, context: string): T {
  if (value === undefined) throw new Error(`The probe's preparation failed: ${context.slice(0, 300)}`);
  return value;
}
