import { between, pickOne } from '../random-choices.ts'
import { type Fault, nothingToMend } from './fault.ts'

/** All clients of one library at once. */
export const clientFaults: readonly Fault[] = [
  {
    // They end without a word; new ones take their place.
    name: 'crash-clients',
    family: 'client',
    leastNodes: 1,
    inflict: async ({ workload, random }) => {
      const program = pickOne(random, workload.programs)
      await program.crash()
      return { detail: `SIGKILL of the clients of ${program.library}`, holdMs: 0, mend: nothingToMend }
    },
  },
  {
    // Longer than a session, than a transaction, or than neither: groups and transactional ids have gone to others, and they go on.
    name: 'pause-clients',
    family: 'client',
    leastNodes: 1,
    inflict: ({ workload, random }) => {
      const program = pickOne(random, workload.programs)
      program.pause()
      return Promise.resolve({
        detail: `SIGSTOP of the clients of ${program.library}`,
        holdMs: between(random, 3000, 20_000),
        mend: () => {
          program.resume()
          return Promise.resolve()
        },
      })
    },
  },
]
