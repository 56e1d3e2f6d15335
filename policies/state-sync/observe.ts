// Telling the outside world: never awaited, never able to fail the call it reports on.
import type { InvalidationEvent, Settled, Where } from "./config.js";

/** The observer once, then the sink once for each pattern, in order. */
export function announce(event: InvalidationEvent, config: Settled): void {
  contained(() => config.onInvalidation?.(event), "observer", config);
  const { notificationSink } = config;
  if (!notificationSink) return;
  for (const pattern of event.patterns) {
    contained(
      () => notificationSink({ method: "notifications/resources/updated", params: { uri: config.staleUri(pattern) } }),
      "sink",
      config,
    );
  }
}

/** `onError` is outside code too: what it throws or rejects with goes nowhere. */
export function report(error: unknown, where: Where, config: Settled): void {
  settle(
    () => config.onError?.(error, where),
    () => {},
  );
}

function contained(tell: () => unknown, where: Where, config: Settled): void {
  settle(tell, (error) => report(error, where, config));
}

// An unhandled rejection ends the process, so every returned value is treated as a promise of somebody else's making.
function settle(tell: () => unknown, failed: (error: unknown) => void): void {
  try {
    const answer = tell();
    if (answer !== undefined) Promise.resolve(answer).catch(failed);
  } catch (error) {
    failed(error);
  }
}
