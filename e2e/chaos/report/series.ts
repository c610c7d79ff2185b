import type { History, Key, Operation } from '../history/operation.ts'
import type { LeaderSample } from '../leader-watch.ts'

/** What happened in one stretch of time. */
export interface Bucket {
  readonly fromMs: number
  acknowledged: number
  unknown: number
  failed: number
  polled: number
  /** Milliseconds from `send` to its acknowledgement, of those that were acknowledged within it; rising once {@link bucketsOf} is done. */
  readonly latencies: number[]
}

/** Sends and reads by the time at which they ended. Those that never ended count when they began. */
export function bucketsOf({ operations, endMs }: History, widthMs: number): Bucket[] {
  const count = Math.max(1, Math.ceil(endMs / widthMs))
  const buckets = Array.from({ length: count }, (_, slot): Bucket => {
    return { fromMs: slot * widthMs, acknowledged: 0, unknown: 0, failed: 0, polled: 0, latencies: [] }
  })
  for (const operation of operations) {
    const ms = Number.isFinite(operation.completedMs) ? operation.completedMs : operation.invokedMs
    const bucket = buckets[Math.min(count - 1, Math.floor(ms / widthMs))]!
    if (operation.kind === 'poll' && operation.outcome === 'ok')
      for (const step of operation.steps) bucket.polled += step.step === 'poll' ? step.records.length : 0
    if (operation.kind !== 'send') continue
    if (operation.outcome === 'ok') {
      bucket.acknowledged++
      bucket.latencies.push(operation.completedMs - operation.invokedMs)
    } else if (operation.outcome === 'info') bucket.unknown++
    else bucket.failed++
  }
  for (const { latencies } of buckets) latencies.sort((left, right) => left - right)
  return buckets
}

/** The value below which a share of the rising numbers lies; null of none. */
export function quantile(rising: readonly number[], share: number): number | null {
  return rising[Math.min(rising.length - 1, Math.floor(share * rising.length))] ?? null
}

/** A stretch of time in which something was the same. */
export interface Stretch<T> {
  readonly fromMs: number
  readonly toMs: number
  readonly value: T
}

/** Joins equal neighbours. */
export function stretchesOf<T>(samples: readonly { ms: number; value: T }[], endMs: number): Stretch<T>[] {
  const stretches: { fromMs: number; toMs: number; value: T }[] = []
  for (const { ms, value } of samples) {
    const last = stretches.at(-1)
    if (last !== undefined) last.toMs = ms
    if (last === undefined || last.value !== value) stretches.push({ fromMs: ms, toMs: ms, value })
  }
  const last = stretches.at(-1)
  if (last !== undefined) last.toMs = Math.max(last.toMs, endMs)
  return stretches
}

/**
 * For each kill of nodes: milliseconds until every log that one of them led (all, if nobody told who led it) had acknowledged something that
 * was sent after the kill. Kills after which nothing was acknowledged any more are left out.
 */
export function recoveriesOf(
  { operations, faults }: History,
  samples: readonly LeaderSample[],
  keys: readonly Key[],
): { kind: string; beginMs: number; recoveryMs: number }[] {
  const sends = acknowledgedSends(operations)
  return faults.flatMap(({ kind, nodes, beginMs, brokenMs }) => {
    if (!kind.startsWith('kill-')) return []
    const known = samples.findLast(({ ms, leaders }) => ms < beginMs && leaders.size > 0)
    const hit = keys.filter((key) => {
      const leader = known?.leaders.get(key)?.leader
      return leader === undefined || leader < 0 || nodes.includes(leader)
    })
    const times = hit.map((key) => {
      const own = sends.get(key) ?? []
      // Sends are in the order of invocation, so those that may answer first come first; a few seconds of them are enough.
      const later = own.slice(firstAfter(own, brokenMs)).filter(({ invokedMs }) => invokedMs < brokenMs + 60_000)
      return Math.min(...later.map(({ completedMs }) => completedMs)) - brokenMs
    })
    const recoveryMs = Math.max(0, ...times)
    return times.length > 0 && Number.isFinite(recoveryMs) ? [{ kind, beginMs, recoveryMs }] : []
  })
}

function acknowledgedSends(operations: readonly Operation[]): Map<Key, Operation[]> {
  const sends = new Map<Key, Operation[]>()
  for (const operation of operations) {
    if (operation.kind !== 'send' || operation.outcome !== 'ok') continue
    for (const step of operation.steps) {
      if (step.step !== 'send') continue
      const list = sends.get(step.key)
      if (list === undefined) sends.set(step.key, [operation])
      else list.push(operation)
    }
  }
  for (const list of sends.values()) list.sort((left, right) => left.invokedMs - right.invokedMs)
  return sends
}

function firstAfter(sorted: readonly Operation[], ms: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sorted[middle]!.invokedMs < ms) low = middle + 1
    else high = middle
  }
  return low
}
