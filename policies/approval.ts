// Which changes need a human outside the model. Pure. What a model says it was told is never consent.

import type { Level } from "./risk.js";

export const THRESHOLDS = ["never", "low", "medium", "high", "critical"] as const;
export type Threshold = (typeof THRESHOLDS)[number];

/** How a human may be asked: by a form of the host where it has one, or in a terminal only. */
export const CHANNELS = ["host", "terminal"] as const;

const LEVELS: readonly Level[] = ["low", "medium", "high", "critical"];

/** @example needsHuman("critical", "high") // true */
export const needsHuman = (risk: Level, from: Threshold): boolean =>
  from !== "never" && LEVELS.indexOf(risk) >= LEVELS.indexOf(from);
