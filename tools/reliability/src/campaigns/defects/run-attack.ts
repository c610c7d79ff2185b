import { FAULT_CLASSES } from '@millrace/storage/testing'
import { attackWithFault, exploreTrace, sampleWorkload } from '../traces/attacks.ts'
import { damageFlavour, loseIndexesOfFlavour, sampleFlavour } from '../traces/flavour-attacks.ts'
import { FLAVOURS, LONG_FLAVOUR_NAMES, POINTS_PER_WORKLOAD } from '../traces/flavours.ts'
import type { Tally } from '../traces/tally.ts'
import { type Attack, crashes, damage, faults, lostIndexes } from './attack.ts'

/** What is tried when the attacks that a defect names have not shown it: all there are, some of each kind among the first. */
export const ALL_ATTACKS: readonly Attack[] = alternating([
  [{ kind: 'mixed crashes' }, { kind: 'traces' }],
  LONG_FLAVOUR_NAMES.map(crashes),
  LONG_FLAVOUR_NAMES.map(damage),
  FAULT_CLASSES.map(({ kind, operation }) => faults(kind, operation)),
  [lostIndexes('transactions'), lostIndexes('stops')],
])

/** One of each list in turn, until all are empty. */
function alternating(lists: readonly (readonly Attack[])[]): Attack[] {
  const longest = Math.max(...lists.map(({ length }) => length))
  return Array.from({ length: longest }, (_, slot) => lists.flatMap((list) => list.slice(slot, slot + 1))).flat()
}

/** Fault runs of one attack: how often the fault comes, and when, is drawn anew for each. */
const FAULT_RUNS = 4
const LOST_INDEX_WORKLOADS = 4
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
    case 'lost indexes':
      for (let number = 0; number < LOST_INDEX_WORKLOADS && !tally.isStopped; number++) {
        await loseIndexesOfFlavour(attack.flavour, seed * LOST_INDEX_WORKLOADS + number, tally)
      }
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
