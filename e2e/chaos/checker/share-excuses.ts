import type { FaultSpan } from '../history/operation.ts'
import type { Life, ShareGroupModel } from './share-model.ts'

/** For how long after a fault connections and sessions that it broke may end, and what was given away with them. */
const AFTERMATH_MS = 15_000
/** A member that asks for more sooner than this has the answers to its fetches in time. */
const IDLE_MS = 2000
/** A member that asks for nothing any more may still be given what it asked for before. */
const GONE_MS = 45_000

/**
 * How many deliveries of one record at most may have gone unheard of within a time: each counts towards the limit. A fault costs each member
 * one. A member that does not poll, whose poll fails, or that comes or goes, costs one by itself.
 */
export function unheardOf(
  { lives }: ShareGroupModel,
  faults: readonly FaultSpan[],
  fromMs: number,
  toMs: number,
): number {
  const all = [...lives.values()]
  const present = all.filter((life) => life.joinedMs < toMs && goneMs(life) > fromMs).length
  const met = faults.filter(({ beginMs, endMs }) => beginMs < toMs && endMs + AFTERMATH_MS > fromMs).length
  return met * present + all.reduce((sum, life) => sum + lossesOf(life, fromMs, toMs), 0)
}

function goneMs({ joinedMs, polls }: Life): number {
  const last = polls.at(-1)
  return last === undefined ? joinedMs : endOf(last) + GONE_MS
}

function lossesOf(life: Life, fromMs: number, toMs: number): number {
  const { joinedMs, polls } = life
  const meets = (beginMs: number, endMs: number) => beginMs < toMs && endMs > fromMs
  let count = meets(joinedMs - IDLE_MS, joinedMs + AFTERMATH_MS) ? 1 : 0
  for (const [slot, poll] of polls.entries()) {
    const next = polls[slot + 1]
    const endMs = endOf(poll)
    if (poll.outcome !== 'ok' && meets(poll.invokedMs, endMs + AFTERMATH_MS)) count++
    if (next === undefined) count += meets(endMs, endMs + GONE_MS) ? 1 : 0
    else if (next.invokedMs - endMs > IDLE_MS && meets(endMs, next.invokedMs)) count++
  }
  return count
}

function endOf({ outcome, completedMs, invokedMs }: { outcome: string; completedMs: number; invokedMs: number }) {
  return outcome === 'ok' ? completedMs : invokedMs
}
