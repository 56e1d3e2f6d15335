// Refuses every socket and name lookup that would leave this machine, and remembers each refusal even if the caller swallowed the error.
// Load it before everything else: `node --import ./test/emulated/egress-guard.mjs`, or through egress.setup.ts under vitest.
// Unix sockets and pipes pass. Child processes are guarded only if they load it too; theirs land in the file named by EGRESS_REPORT.
import dgram from "node:dgram";
import dns from "node:dns";
import { appendFileSync } from "node:fs";
import { syncBuiltinESMExports } from "node:module";
import net from "node:net";

const key = Symbol.for("aws-devops-mcp.egress");

if (!globalThis[key]) {
  globalThis[key] = { refusals: [] };
  guardSockets();
  guardDatagrams();
  guardLookups();
  syncBuiltinESMExports();
}

/** Every refusal since the last take(): `{ what, host, stack }`. */
export const egress = {
  get count() {
    return globalThis[key].refusals.length;
  },
  get refusals() {
    return [...globalThis[key].refusals];
  },
  /** For a test that provokes refusals: hand them over and forget them. */
  take() {
    return globalThis[key].refusals.splice(0);
  },
};

function guardSockets() {
  const connect = net.Socket.prototype.connect;
  net.Socket.prototype.connect = function guardedConnect(...args) {
    // net.connect() hands over its arguments already normalised, as one array.
    const [first, second] = Array.isArray(args[0]) ? args[0] : args;
    const options = typeof first === "object" && first !== null ? first : target(first, second);
    if (options.path || isLoopback(options.host ?? "localhost")) return connect.apply(this, args);
    const error = refused("connect", options.host, options.port);
    process.nextTick(() => this.destroy(error));
    return this;
  };
}

function target(first, second) {
  const isPort = typeof first === "number" || /^\d+$/.test(String(first));
  if (!isPort) return { path: first };
  return { port: first, host: typeof second === "string" ? second : undefined };
}

function guardDatagrams() {
  for (const name of ["send", "connect"]) {
    const original = dgram.Socket.prototype[name];
    dgram.Socket.prototype[name] = function guardedDatagram(...args) {
      const host = name === "connect" ? args[1] : datagramHost(args);
      if (typeof host !== "string" || isLoopback(host)) return original.apply(this, args);
      const error = refused(`udp ${name}`, host);
      const callback = args.findLast((arg) => typeof arg === "function");
      process.nextTick(() => (callback ? callback(error) : this.emit("error", error)));
      return undefined;
    };
  }
}

/** send(msg, [offset, length,] [port] [, address] [, callback]): the address is the last string after the message. */
function datagramHost(args) {
  return args.slice(1).findLast((arg) => typeof arg === "string");
}

function guardLookups() {
  const queries = "4 6 Any Caa Cname Mx Naptr Ns Ptr Soa Srv Tlsa Txt".split(" ").map((kind) => `resolve${kind}`);
  const names = ["lookup", "resolve", "reverse", "lookupService", ...queries];
  const withCallback = (original, name) =>
    function guardedLookup(host, ...rest) {
      if (isLoopback(host) || (name === "lookup" && (!host || net.isIP(host))))
        return original.call(this, host, ...rest);
      const error = refused(`dns ${name}`, host);
      const callback = rest.findLast((arg) => typeof arg === "function");
      if (callback) process.nextTick(() => callback(error));
      return {};
    };
  const withPromise = (original, name) =>
    function guardedLookup(host, ...rest) {
      if (isLoopback(host) || (name === "lookup" && (!host || net.isIP(host))))
        return original.call(this, host, ...rest);
      return Promise.reject(refused(`dns ${name}`, host));
    };
  const wrap = (holder, wrapper) => {
    for (const name of names) if (typeof holder[name] === "function") holder[name] = wrapper(holder[name], name);
  };
  wrap(dns, withCallback);
  wrap(dns.Resolver.prototype, withCallback);
  wrap(dns.promises, withPromise);
  wrap(dns.promises.Resolver.prototype, withPromise);
}

function isLoopback(host) {
  const name = String(host)
    .toLowerCase()
    .replace(/^\[|\]$/g, "");
  if (name === "localhost" || name.endsWith(".localhost") || name === "ip6-localhost") return true;
  if (net.isIPv4(name)) return name.startsWith("127.");
  return name === "::1" || /^::ffff:127\.\d+\.\d+\.\d+$/.test(name) || /^(0*:)+0*1$/.test(name);
}

function refused(what, host, port) {
  const place = port === undefined ? String(host) : `${host}:${port}`;
  const depth = Error.stackTraceLimit;
  Error.stackTraceLimit = 60; // fetch alone is deeper than the usual ten frames
  const error = new Error(`Egress refused: ${what} ${place}. Tests talk to this machine only.`);
  Error.stackTraceLimit = depth;
  error.code = "EGRESS_REFUSED";
  const refusal = { what, host: place, pid: process.pid, stack: error.stack };
  globalThis[key].refusals.push(refusal);
  if (process.env.EGRESS_REPORT) appendFileSync(process.env.EGRESS_REPORT, `${JSON.stringify(refusal)}\n`);
  return error;
}
