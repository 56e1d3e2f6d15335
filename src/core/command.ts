// What an operator types: the commands that messages name, with the state folder spelled so that a shell takes it.

const quoted = (word: string): string => (/^[\w./:@=~-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`);

/** @example operatorCommand(["approve", "ch_1a"], "/srv/state") // "aws-devops-mcp approve ch_1a --state /srv/state" */
export const operatorCommand = (words: readonly string[], location: string): string =>
  ["aws-devops-mcp", ...words, "--state", location].map(quoted).join(" ");
