import { clientFaults } from './client-faults.ts'
import { cuts } from './cuts.ts'
import { diskFaults } from './disk-faults.ts'
import type { Fault } from './fault.ts'
import { kills } from './kills.ts'
import { membership } from './membership.ts'
import { pauses } from './pauses.ts'
import { rolling } from './rolling.ts'

/** All that can be asked for, by family and by name. */
export const allFaults: readonly Fault[] = [
  ...kills,
  ...pauses,
  ...cuts,
  ...diskFaults,
  ...rolling,
  ...membership,
  ...clientFaults,
]
