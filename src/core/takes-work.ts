// Which members of an Auto Scaling group take work.

interface Standing {
  readonly lifecycleState: string;
  readonly healthStatus: string;
}

/** Whether a member takes work: `lifecycleState` alone does not say so. */
export const takesWork = ({ lifecycleState, healthStatus }: Standing): boolean =>
  lifecycleState === "InService" && healthStatus === "Healthy";
