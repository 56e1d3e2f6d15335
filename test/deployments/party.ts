// Who calls AWS: the server under test, or somebody else.

export interface Party {
  readonly arn: string;
  readonly agent: string;
}

export const OURSELVES: Party = { arn: "arn:aws:iam::000000000000:user/assistant", agent: "aws-devops-mcp/0.0.0" };
export const ALICE: Party = { arn: "arn:aws:iam::000000000000:user/alice", agent: "console.amazonaws.com" };
export const PIPELINE: Party = {
  arn: "arn:aws:sts::000000000000:assumed-role/ci-deployer/release-2024",
  agent: "aws-cli/2.17",
};
