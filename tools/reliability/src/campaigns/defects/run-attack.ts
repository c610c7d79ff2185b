import { attackWithFault, exploreTrace, sampleWorkload } from '../traces/attacks.ts'
import { damageFlavour, sampleFlavour } from '../traces/flavour-attacks.ts'
import { FLAVOURS, LONG_FLAVOUR_NAMES, POINTS_PER_WORKLOAD } from '../traces/flavours.ts'
import type { Tally } from '../traces/tally.ts'
import { type Attack, crashes } from './attack.ts'

/** What is tried when the attacks that a defect names have not shown it. */
export const ALL_ATTACKS: readonly Attack[] = [
  { kind: 'mixed crashes' },
  ...LONG_FLAVOUR_NAMES.map(crashes),
  { kind: 'traces' },
]

/** Fault runs of one attack: how often the fault comes, and when, is drawn anew for each. */
const FAULT_RUNS = 4
const TRACE_OPERATIONS = 30
const TRACE_OUTCOMES_MAX = 30

/** A second or so of one attack. */
export async function runAttack(attack: Attack, seed: number, tally: Tally): Promise<void> {
  switch (attack.kind) {
    case 'crashes':
      await sampleFlavour(attack.flavour, seed, 2 * POINTS_PER_WORKLOAD, tally)
      return
    case 'mixed crashes':
      await sampleWorkload(seed, POINTS_PER_WORKLOAD, tally)
      return
    case 'damage':
      await damageFlavour(attack.flavour, seed, tally)
      return
    case 'faults':
      for (let number = 0; number < FAULT_RUNS && !tally.isStopped; number++) {
        await attackWithFault(seed * FAULT_RUNS + number, tally, attack.fault)
      }
      return
    case 'traces':
      for (let number = 0; number < 2 && !tally.isStopped; number++) {
        const traceSeed = seed * FLAVOURS.length + ((2 * seed + number) % FLAVOURS.length)
        await exploreTrace(traceSeed, TRACE_OPERATIONS, TRACE_OUTCOMES_MAX, tally, async () => tally.isStopped)
      }
  }
}
