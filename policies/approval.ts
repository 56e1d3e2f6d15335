// Which changes need a human outside the model. Pure. What a model says it was told is never consent.

import { isAtLeast, type Level, type Threshold } from "./risk.js";

/** How a human may be asked: by a form of the host where it has one, or in a terminal only. */
export const CHANNELS = ["host", "terminal"] as const;

/** @example needsHuman("critical", "high") // true */
export const needsHuman = (risk: Level, from: Threshold): boolean => isAtLeast(risk, from);
