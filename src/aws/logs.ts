// CloudWatch Logs, for what this server says of itself: the one place that writes there. It makes its group and streams, and
// touches nothing else.

import type {
  CreateLogGroupRequest,
  CreateLogStreamRequest,
  PutLogEventsRequest,
  PutLogEventsResponse,
} from "@aws-sdk/client-cloudwatch-logs";
import { OpsError } from "../core/errors.js";
import type { LogSink } from "../core/ports.js";
import type { Api } from "./api.js";

export interface LogsOperations {
  "logs:PutLogEvents": [PutLogEventsRequest, PutLogEventsResponse];
  "logs:CreateLogStream": [CreateLogStreamRequest, object];
  "logs:CreateLogGroup": [CreateLogGroupRequest, object];
}

/** @param home the configured region: what is said goes where the server is at home */
export function logSink(
  api: (region: string) => Api<LogsOperations>,
  home: () => Promise<string | undefined>,
  { group, close }: { readonly group: string; readonly close: () => void },
): LogSink {
  async function logs(): Promise<Api<LogsOperations>> {
    const region = await home();
    if (region !== undefined) return api(region);
    throw new OpsError(
      "region_missing",
      "No region is configured for CloudWatch Logs. Start the server with --region.",
    );
  }

  const unlessThere = (error: unknown): void => {
    if (!(error instanceof OpsError) || error.code !== "already_exists") throw error;
  };

  return {
    async put(stream, events) {
      const to = await logs();
      const names = { logGroupName: group, logStreamName: stream };
      const put = () =>
        to.call("logs", "PutLogEvents", {
          ...names,
          logEvents: events.map(({ at, text }) => ({ timestamp: at, message: text })),
        });
      const answer = await put().catch(async (error: unknown) => {
        if (!(error instanceof OpsError) || error.code !== "not_found") throw error;
        await to.call("logs", "CreateLogGroup", { logGroupName: group }).catch(unlessThere);
        await to.call("logs", "CreateLogStream", names).catch(unlessThere);
        return put();
      });
      const { tooOldLogEventEndIndex: old = 0, tooNewLogEventStartIndex: fresh = events.length } =
        answer.rejectedLogEventsInfo ?? {};
      return { refused: old + (events.length - fresh) };
    },
    close,
  };
}
