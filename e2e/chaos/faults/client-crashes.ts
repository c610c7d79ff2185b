import { pickOne } from '../random-choices.ts'
import { type Fault, nothingToMend } from './fault.ts'

/** All clients of one library end without a word; new ones take their place. */
export const clientCrashes: readonly Fault[] = [
  {
    name: 'crash-clients',
    family: 'client',
    leastNodes: 1,
    inflict: async ({ workload, random }) => {
      const program = pickOne(random, workload.programs)
      await program.crash()
      return { detail: `SIGKILL of the clients of ${program.library}`, holdMs: 0, mend: nothingToMend }
    },
  },
]
