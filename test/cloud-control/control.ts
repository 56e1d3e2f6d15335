// The same handles over HTTP, for a test or a demo that lives in another process:
//   GET  /_control/calls · /_control/resource?type=&id=[&account=&region=] · /_control/unused
//   POST /_control/put {type,id,properties,place?} · /_control/remove {type,id,place?} · /_control/rules [rule,…]
//        /_control/settle · /_control/advance {milliseconds} · /_control/reset
import type { IncomingMessage } from "node:http";
import type { Properties } from "./json.js";
import type { Rule } from "./rules.js";
import type { CloudControl } from "./server.js";
import type { Place } from "./types.js";

interface Order {
  readonly type: string;
  readonly id: string;
  readonly properties: Properties;
  readonly place?: Partial<Place>;
  readonly milliseconds: number;
}

export function control(
  incoming: IncomingMessage,
  body: string,
  server: Omit<CloudControl, "endpoint" | "stop">,
): object {
  const { pathname, searchParams } = new URL(incoming.url ?? "/", "http://127.0.0.1");
  const order = () => JSON.parse(body) as Order;
  const done = { done: true };
  switch (`${incoming.method} ${pathname.replace("/_control/", "")}`) {
    case "GET calls":
      return server.calls;
    case "GET unused":
      return server.rules.unused;
    case "GET resource": {
      const { type = "", id = "", ...place } = Object.fromEntries(searchParams);
      return { properties: server.world.get(type, id, place) ?? null };
    }
    case "POST put": {
      const { type, id, properties, place } = order();
      server.world.put(type, id, properties, place);
      return done;
    }
    case "POST remove": {
      const { type, id, place } = order();
      return { removed: server.world.remove(type, id, place) };
    }
    case "POST rules":
      server.rule(...(JSON.parse(body) as Rule[]));
      return done;
    case "POST settle":
      server.settle();
      return done;
    case "POST advance":
      server.clock.advance(order().milliseconds);
      return done;
    case "POST reset":
      server.reset();
      return done;
    default:
      throw new Error(`No such control: ${incoming.method} ${pathname}`);
  }
}
