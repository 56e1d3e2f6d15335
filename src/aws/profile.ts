// The user's shared AWS configuration, as far as we need it: a default region, and the command that renews credentials.

export type Env = Readonly<Record<string, string | undefined>>;

type Profiles = Readonly<Record<string, Readonly<Record<string, string | undefined>> | undefined>>;

/** Both shared files merged, read anew each time: a long-lived server must notice an edit. Empty when there are none. */
export async function sharedProfiles(): Promise<Profiles> {
  const { loadSharedConfigFiles } = await import("@smithy/core/config");
  const { configFile, credentialsFile } = await loadSharedConfigFiles({ ignoreCache: true });
  const names = new Set([...Object.keys(configFile ?? {}), ...Object.keys(credentialsFile ?? {})]);
  return Object.fromEntries([...names].map((name) => [name, { ...configFile?.[name], ...credentialsFile?.[name] }]));
}

export const profileName = (profile: string | undefined, env: Env): string | undefined =>
  profile ?? (env.AWS_PROFILE || undefined);

/** Explicit, else AWS_REGION, else AWS_DEFAULT_REGION, else the profile's. */
export async function defaultRegion(
  region: string | undefined,
  profile: string | undefined,
  env: Env,
): Promise<string | undefined> {
  const said = region || env.AWS_REGION || env.AWS_DEFAULT_REGION;
  if (said) return said;
  return profileRegion(profileName(profile, env));
}

/** The region a profile names. */
export const profileRegion = async (profile: string | undefined): Promise<string | undefined> =>
  (await sharedProfiles())[profile ?? "default"]?.region || undefined;

/** A name as it can stand in a command line that is shown, and perhaps copied. */
const quoted = (name: string): string =>
  /^[\w.@+-]+$/.test(name) ? name : `'${name.replaceAll(/[^\w .@+/-]/g, "_")}'`;

/** Pure: which command renews the credentials of a profile. Roles are followed to the profile that has the login. */
export function loginCommand(profiles: Profiles, profile: string | undefined, env: Env): string {
  const first = profileName(profile, env);
  let name = first ?? "default";
  const seen = new Set<string>();
  for (;;) {
    const here = profiles[name] ?? {};
    const flag = name === "default" && first === undefined ? "" : ` --profile ${quoted(name)}`;
    if (here.sso_session !== undefined || here.sso_start_url !== undefined) return `aws sso login${flag}`;
    if (here.login_session !== undefined) return `aws login${flag}`;
    const source = here.source_profile;
    if (source !== undefined && !seen.has(source)) {
      seen.add(source);
      name = source;
      continue;
    }
    // Neither a profile nor a file: `aws login` needs no keys at hand; a named profile without a login has keys.
    return first === undefined && profiles.default === undefined ? "aws login" : `aws configure${flag}`;
  }
}

/** The command that renews this user's credentials; never fails, for it is asked in the middle of a failure. */
export async function renewal(profile: string | undefined, env: Env): Promise<string> {
  const profiles = await sharedProfiles().catch((): Profiles => ({}));
  return loginCommand(profiles, profile, env);
}
