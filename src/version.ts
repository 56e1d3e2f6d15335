// The version, from the one place that holds it.

import { version } from "../package.json";

export const VERSION: string = version;
