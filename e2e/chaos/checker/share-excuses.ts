import type { FaultSpan } from '../history/operation.ts'
import type { ShareGroupModel } from './share-model.ts'

/**
 * A delivery that reaches nobody ends when its lock runs out, or when its client gives the request up, which closes the connection: not
 * sooner than this, unless something breaks.
 */
const UNHEARD_MS = 5000
/** What a fault breaks, and breaks again while it is mended: a restart of each of three nodes is one. */
const BREAKS_PER_FAULT = 3
/** Members that end within this time end together, as with their program. */
const TOGETHER_MS = 500

/**
 * How many deliveries of one record may have gone unheard of within a time: each counts towards the limit, and nobody but the broker knows. One
 * follows the other, since only one member has the record at a time.
 */
export function unheardOf(
  { lives }: ShareGroupModel,
  faults: readonly FaultSpan[],
  fromMs: number,
  toMs: number,
): number {
  const met = faults.filter(({ beginMs, endMs }) => beginMs < toMs && endMs > fromMs).length
  const ends = [...lives.values()]
    .map(({ joinedMs, polls }) => {
      const last = polls.at(-1)
      return last === undefined ? joinedMs : Number.isFinite(last.completedMs) ? last.completedMs : last.invokedMs
    })
    // What was fetched for a member that leaves in order is given back at once.
    .filter((ms) => ms >= fromMs - UNHEARD_MS && ms <= toMs)
    .sort((left, right) => left - right)
  const leavings = ends.filter((ms, slot) => slot === 0 || ms - ends[slot - 1]! > TOGETHER_MS).length
  return Math.floor((toMs - fromMs) / UNHEARD_MS) + met * BREAKS_PER_FAULT + leavings
}
