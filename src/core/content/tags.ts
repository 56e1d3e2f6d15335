// Tags as our readers show them.

import { z } from "zod";

export const Tags = z.record(z.string(), z.string());
