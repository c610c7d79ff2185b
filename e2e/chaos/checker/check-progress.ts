import { type FaultSpan, type History, isData, type Operation } from '../history/operation.ts'
import type { Findings } from './anomaly.ts'

/** Longest time that a healthy cluster may let pass without acknowledging anything. */
export const STUCK_MS = 30_000

/** How often each kind of operation ended how. */
export type OutcomeCounts = Readonly<Record<string, Readonly<Record<'ok' | 'fail' | 'info', number>>>>

export function countOutcomes(operations: readonly Operation[]): OutcomeCounts {
  const counts: Record<string, Record<'ok' | 'fail' | 'info', number>> = {}
  for (const { kind, outcome } of operations) {
    const entry = counts[kind] ?? { ok: 0, fail: 0, info: 0 }
    counts[kind] = entry
    entry[outcome]++
  }
  return counts
}

/**
 * Notes every stretch of more than {@link STUCK_MS} in which no fault was at work, records were sent, and none was acknowledged.
 * The time after a fault ends counts: recovery must come within it.
 */
export function checkProgress({ operations, faults, healedMs }: History, findings: Findings): void {
  const sends = operations.filter((operation) => operation.kind === 'send' || operation.kind === 'txn')
  const acknowledgedMs = sends
    .filter(({ outcome }) => outcome === 'ok')
    .map(({ completedMs }) => completedMs)
    .sort((left, right) => left - right)
  const askedMs = sends.map(({ invokedMs }) => invokedMs).sort((left, right) => left - right)
  for (const { fromMs, toMs } of quietTimes(faults, healedMs)) {
    let lastMs = fromMs
    for (const ms of [...acknowledgedMs.filter((at) => at > fromMs && at < toMs), toMs]) {
      if (ms - lastMs > STUCK_MS) {
        // Waiting begins with the first question, not with the last answer.
        const sinceMs = askedMs.find((at) => at >= lastMs && at < ms)
        if (sinceMs !== undefined && ms - sinceMs > STUCK_MS)
          findings.add(
            'stuck',
            `nothing was acknowledged from ${seconds(sinceMs)} to ${seconds(ms)}, with nothing broken`,
          )
      }
      lastMs = ms
    }
  }
}

/** The times between faults, in order. */
function quietTimes(faults: readonly FaultSpan[], endMs: number): { fromMs: number; toMs: number }[] {
  const quiet: { fromMs: number; toMs: number }[] = []
  let fromMs = 0
  for (const { beginMs, endMs: healMs } of [...faults].sort((left, right) => left.beginMs - right.beginMs)) {
    if (beginMs > fromMs) quiet.push({ fromMs, toMs: Math.min(beginMs, endMs) })
    fromMs = Math.max(fromMs, healMs)
  }
  if (fromMs < endMs) quiet.push({ fromMs, toMs: endMs })
  return quiet
}

/** Why a run says nothing, whatever the checker found; nothing if it does. */
export function whyInvalid({ operations, faults }: History): string[] {
  const reasons: string[] = []
  const data = operations.filter(isData)
  const okCount = data.filter(({ outcome }) => outcome === 'ok').length
  if (data.length === 0) reasons.push('nothing was sent or read')
  else if (okCount * 2 < data.length)
    reasons.push(`only ${okCount} of ${data.length} sends and polls went well: too few to judge`)
  const overlapping = faults.filter(({ beginMs, endMs }) =>
    data.some(({ invokedMs, completedMs }) => invokedMs < endMs && completedMs > beginMs),
  )
  if (overlapping.length === 0) reasons.push('no fault met any traffic')
  return reasons
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`
}
