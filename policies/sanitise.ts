// Text of errors without what it must not carry on: keys, passwords, paths, addresses. Pure.

const MARK = "[REDACTED]";

/** Access keys of every kind, named secrets, and the credentials in urls and connection strings. */
const SECRETS: readonly (readonly [RegExp, string | ((...parts: string[]) => string)])[] = [
  [/\b(?:AKIA|ASIA|AROA|AIDA|ABIA|ACCA)[A-Z2-7]{16}\b/g, MARK],
  // Tokens that say themselves whose they are: GitHub, Slack, Stripe, and any signed JSON token.
  [/\b(?:gh[pousr]_\w{30,}|github_pat_\w{22,}|xox[abeprs]-[\w-]{10,}|[rs]k_live_\w{10,})/g, MARK],
  [/\bhttps:\/\/hooks\.slack\.com\/[^\s"'<>]+/g, MARK],
  [/\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]*/g, MARK],
  [/\b[a-z][a-z0-9+.-]*:\/\/[^\s:@/]*:[^\s@/]+@[^\s"'<>]*/gi, MARK],
  [
    /\b(?:Server|Data Source|Host|Endpoint)\s*=[^;\s]+;(?:[\w ]{1,40}=[^;\s"']*;)*\s*(?:Password|Pwd|SharedAccessKey|AccountKey)\s*=[^;\s"']+[^\s"']*/gi,
    MARK,
  ],
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, MARK],
  [/\b(?:Bearer|Basic)\s+[A-Za-z0-9+/=._~-]{8,}/g, MARK],
  [
    /\b((?:[\w-]*(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|session[_-]?key|credential)[\w-]*))(["']?\s*[=:]\s*)(?!\s)("[^"]*"|'[^']*'|[^\s,;&"'{}[\]]+)/gi,
    (_, name = "", is = "", value = "") => {
      const quote = /^["']/.exec(value)?.[0] ?? "";
      return `${name}${is}${quote}${MARK}${quote}`;
    },
  ],
];

const WHEREABOUTS: readonly (readonly [RegExp, string])[] = [
  [/\n\s*at [^\n]+/g, ""],
  [/\bTraceback \(most recent call last\):[\s\S]*/g, MARK],
  [
    /(?<![\w:/.-])(?:\/(?:home|root|usr|etc|var|opt|tmp|app|srv|mnt|proc|sys|Users|private|workspace|work|builds?|node_modules)(?:\/[\w.@+~ -]*[\w.@+~-])+\/?)/g,
    MARK,
  ],
  [/\b[A-Za-z]:\\(?:[^\s\\"'<>|]+\\?)+/g, MARK],
  [
    /\b(?:10(?:\.\d{1,3}){3}|192\.168(?:\.\d{1,3}){2}|172\.(?:1[6-9]|2\d|3[01])(?:\.\d{1,3}){2}|127(?:\.\d{1,3}){3}|169\.254(?:\.\d{1,3}){2})\b(?::\d+)?/g,
    MARK,
  ],
];
/** Not where it is the session name of an assumed role: an ARN stays readable. */
const MAIL = /arn:aws[\w-]*:[^\s"']*|[\w.+-]+@[\w-]+(?:\.[\w-]+)+/g;

/** Without secrets. For texts of ours, whose paths and addresses are told on purpose. */
export const withoutSecrets = (text: string): string =>
  SECRETS.reduce((clean, [pattern, mark]) => clean.replace(pattern, mark as string), text);

/** Without secrets, paths, private addresses, mail and stack traces. For error texts of others, which nobody asked for. */
export const sanitised = (text: string): string =>
  WHEREABOUTS.reduce((clean, [pattern, mark]) => clean.replace(pattern, mark), withoutSecrets(text)).replace(
    MAIL,
    (found) => (found.startsWith("arn:") ? found : MARK),
  );
