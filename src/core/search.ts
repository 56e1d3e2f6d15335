// How tools are found by the words people use: whole words and their beginnings, what they mean here, and no filler. Pure.

/** What a tool is found by. */
export interface Findable {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** Of equals, the one that most people want. */
  readonly usual: boolean;
}

/** Words that say nothing of what is wanted. */
const FILLER = new Set(
  "a about all an and any are at be by can did do does for from get give how i if in into is it its let list make many me much my need of on or our please see show so some that the their them there these this to up us want was we were what when where which will with would you your".split(
    " ",
  ),
);

/** People's word, and the words of ours that mean it: one row a meaning. */
const MEANINGS: readonly (readonly [said: string, ours: string])[] = [
  ["backup backups", "snapshot snapshots"],
  [
    "spend spending spent bill bills billing invoice money pay paid expensive price prices pricing savings",
    "cost costs",
  ],
  ["release releases ship shipped rollout rollouts canary bluegreen deploy deployed version", "deployment deployments"],
  ["scale scaling capacity asg replicas", "autoscaling capacity"],
  ["server servers vm vms machine machines box host hosts ec2", "instance instances"],
  ["firewall port ports ingress egress", "securitygroups security rule"],
  ["db rds postgres mysql mariadb aurora sql", "database databases"],
  ["disk storage", "storage modify"],
  ["alb nlb elb balancer balancers", "loadbalancers load"],
  ["unhealthy healthy health", "health targethealth"],
  ["undo revert back", "rollback"],
  ["who blame audit log logs", "audit history"],
  ["label labels tagging tagged", "tag tags"],
  ["budget quota limits permissions credentials login", "whoami"],
  ["upgrade change edit", "modify update"],
  ["restart", "reboot"],
  ["shutdown off", "stop"],
  ["missing lack lacking without", "untagged missing"],
  ["kill destroy remove", "terminate delete remove"],
  ["predict prediction", "forecast"],
  ["unusual spike spikes", "anomalies"],
  ["spreadsheet excel", "csv"],
  ["approve confirm execute run", "apply run"],
  ["bucket buckets s3 lambda dynamodb queue topic sns sqs iam role roles vpc subnet", "resource resources"],
];

const meant = new Map<string, readonly string[]>();
for (const [said, ours] of MEANINGS) {
  for (const word of said.split(" ")) meant.set(word, [...(meant.get(word) ?? []), ...ours.split(" ")]);
}

const wordsOf = (text: string): string[] =>
  text
    .replace(/([a-z0-9])([A-Z])/g, "$1 $2")
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .filter(Boolean);

/** What a word and its plural, or its verb's forms, have in common. */
const stemOf = (word: string): string =>
  word.length > 4 ? word.replace(/ies$/, "y").replace(/(ing|ed|es|s)$/, "") : word.replace(/s$/, "");

interface Indexed {
  readonly name: readonly string[];
  readonly title: readonly string[];
  readonly text: readonly string[];
}

/** A word is met by the same word, or by one that begins with it. */
const met = (words: readonly string[], stem: string): number =>
  words.includes(stem) ? 1 : stem.length >= 3 && words.some((word) => word.startsWith(stem)) ? 0.6 : 0;

const WEIGHTS = { name: 4, title: 2, text: 1 } as const;
/** Of what was only meant. */
const MEANT = 0.7;
/** Less than any word is worth. */
const USUAL = 0.5;

function pointsOf(indexed: Indexed, word: string): number {
  const stem = stemOf(word);
  return (
    WEIGHTS.name * met(indexed.name, stem) +
    WEIGHTS.title * met(indexed.title, stem) +
    WEIGHTS.text * met(indexed.text, stem)
  );
}

const indexOf = ({ name, title, description }: Findable): Indexed => ({
  // Also the domain as one word: `loadBalancers`.
  name: [...wordsOf(name), ...name.toLowerCase().split(".")].map(stemOf),
  title: wordsOf(title).map(stemOf),
  text: wordsOf(description).map(stemOf),
});

/** Of these, what the query means, best first. No word at all means everything. */
export function found<T>(all: readonly T[], query: string, of: (one: T) => Findable): readonly T[] {
  const said = wordsOf(query);
  const words = said.filter((word) => !FILLER.has(word));
  if (said.length === 0) return all;
  const asked = words.length > 0 ? words : said;
  return all
    .map((one) => {
      const tool = of(one);
      const indexed = indexOf(tool);
      const score = asked.reduce((sum, word) => {
        const ours = (meant.get(word) ?? []).map((other) => MEANT * pointsOf(indexed, other));
        return sum + Math.max(pointsOf(indexed, word), ...ours);
      }, 0);
      if (score === 0) return { one, score };
      return { one, score: wordsOf(tool.name).join() === said.join() ? Infinity : score + (tool.usual ? USUAL : 0) };
    })
    .filter(({ score }) => score > 0)
    .sort((a, b) => b.score - a.score)
    .map(({ one }) => one);
}
