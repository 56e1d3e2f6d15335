// What RDS has taken on and will carry out later, laid over what is.

type Waiting = { readonly pending: Readonly<Record<string, string | number | boolean>> };

/**
 * A database once everything that RDS has accepted is carried out: values that wait stand in the members they will change.
 * What waits under a name of RDS's own stays where it is.
 */
export function accepted<C extends Waiting>(content: C): C {
  const left: Record<string, string | number | boolean> = {};
  const members = new Map<string, unknown>(Object.entries(content));
  for (const [name, value] of Object.entries(content.pending)) {
    const [head = "", inner] = name.split(".");
    const held = members.get(head);
    if (!/^[a-z]/.test(name) || head === "masterUser") left[name] = value;
    else members.set(head, inner === undefined ? value : { ...(held as object | undefined), [inner]: value });
  }
  members.set("pending", left);
  return Object.fromEntries(members) as C;
}
