// Where moto differs from AWS, as data, one probe each. A probe that no longer finds its fault fails the run, so the list only shrinks on purpose.
import { computeFaults } from "./known-wrong/compute.js";
import { deploymentFaults } from "./known-wrong/deployment.js";
import { identityFaults } from "./known-wrong/identity.js";
import { missing } from "./known-wrong/missing.js";
import { networkFaults } from "./known-wrong/network.js";
import { taggingFaults } from "./known-wrong/tagging.js";

export type { Fault } from "./known-wrong/fault.js";

export const knownWrong = [
  ...computeFaults,
  ...networkFaults,
  ...deploymentFaults,
  ...taggingFaults,
  ...identityFaults,
  ...missing,
];
