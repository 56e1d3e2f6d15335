// Types of egress-guard.mjs, which stays plain JavaScript so that `node --import` can load it.

export interface Refusal {
  readonly what: string;
  readonly host: string;
  readonly pid: number;
  readonly stack: string;
}

export declare const egress: {
  readonly count: number;
  readonly refusals: Refusal[];
  take(): Refusal[];
};
