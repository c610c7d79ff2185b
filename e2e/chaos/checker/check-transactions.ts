import { type DataOperation, isData, type Key, type Operation } from '../history/operation.ts'
import type { Findings } from './anomaly.ts'
import type { LogModel } from './log-model.ts'

/**
 * What transactions promise beyond single sends and polls: all or nothing, isolation from oneself, inputs that are processed exactly once,
 * and an end.
 */
export function checkTransactions(operations: readonly Operation[], model: LogModel, findings: Findings): void {
  const consumedBy = new Map<string, number>()
  for (const operation of operations) {
    if (!isData(operation) || operation.kind !== 'txn') continue
    checkOwnReads(operation, findings)
    checkAtomicity(operation, model, findings)
    if (isCommitted(operation, model)) checkConsumed(operation, consumedBy, findings)
  }
  checkSkipped(operations, model, consumedBy, findings)
  checkEnded(operations, findings)
}

/** One of unknown outcome was committed if any of it can be read. */
function isCommitted({ outcome, steps }: DataOperation, model: LogModel): boolean {
  if (outcome !== 'info') return outcome === 'ok'
  return steps.some((step) => step.step === 'send' && model.log(step.key).seenValues.has(step.value))
}

/** A transaction's writes are not committed while it polls. */
function checkOwnReads({ id, process, steps }: DataOperation, findings: Findings): void {
  const own = new Set(steps.flatMap((step) => (step.step === 'send' ? [`${step.key} ${step.value}`] : [])))
  for (const step of steps) {
    if (step.step !== 'poll') continue
    for (const { key, value } of step.records)
      if (own.has(`${key} ${value}`))
        findings.add(
          'precommitted-read',
          `${process}: transaction ${id} polled ${value} of ${key}, which it sent itself`,
        )
  }
}

/** What a reader passed without seeing it, of a transaction of which another write was seen, will never be visible. */
function checkAtomicity({ id, process, steps }: DataOperation, model: LogModel, findings: Findings): void {
  const sends = steps.filter((step) => step.step === 'send')
  const isSeen = sends.map(({ key, value }) => model.log(key).seenValues.has(value))
  if (!isSeen.includes(true) || !isSeen.includes(false)) return
  const missing = sends.filter((_, slot) => !isSeen[slot]).map(({ key, value }) => `${value} of ${key}`)
  findings.add(
    'torn-transaction',
    `${process}: of transaction ${id} ${missing.join(', ')} was never read, and the rest was`,
  )
}

/** Committed transactions that take records in and send have consumed their inputs: no other of their group may have them too. */
function checkConsumed(
  { id, steps, consumed }: DataOperation,
  consumedBy: Map<string, number>,
  findings: Findings,
): void {
  if (!steps.some((step) => step.step === 'send')) return
  const polled = steps.flatMap((step) => (step.step === 'poll' ? step.records : []))
  const inputs = [
    ...polled.map(({ key, value }) => ({ name: nameOf('', key, value), key, value })),
    ...(consumed?.records ?? []).map(({ key, value }) => ({ name: nameOf(consumed!.group, key, value), key, value })),
  ]
  for (const { name, key, value } of inputs) {
    const before = consumedBy.get(name)
    if (before !== undefined && before !== id)
      findings.add('consume-count', `${value} of ${key} was consumed by transactions ${before} and ${id}`)
    consumedBy.set(name, id)
  }
}

/** What lies before the place from which a group reads on was processed by a transaction of it, or never will be. */
function checkSkipped(
  operations: readonly Operation[],
  model: LogModel,
  consumedBy: ReadonlyMap<string, number>,
  findings: Findings,
): void {
  for (const [group, ends] of endsOfGroups(operations, model))
    for (const [key, end] of ends)
      for (const value of model.log(key).seenValues) {
        const offset = Math.min(...(model.log(key).placesOf.get(value) ?? []))
        if (offset >= end || consumedBy.has(nameOf(group, key, value))) continue
        findings.add(
          'skipped-input',
          `${group} reads ${key} on from ${end}, and none of its transactions has processed ${value} at ${offset}`,
        )
      }
}

/** By group that commits with transactions, and log: from where it reads on. */
function endsOfGroups(operations: readonly Operation[], model: LogModel): Map<string, Map<Key, number>> {
  const groups = new Map<string, Map<Key, number>>()
  for (const operation of operations)
    if (isData(operation) && operation.consumed !== undefined && isCommitted(operation, model)) {
      const { group, places } = operation.consumed
      const ends = groups.get(group) ?? new Map<Key, number>()
      groups.set(group, ends)
      for (const { key, offset } of places) ends.set(key, Math.max(offset, ends.get(key) ?? 0))
    }
  return groups
}

/**
 * An open transaction holds readers of committed records back. Whoever looked at both ends of a log, at the one of all records first, sees
 * whether there still is one; the last look is the one that counts, and it is taken when every transaction has run out of time.
 */
function checkEnded(operations: readonly Operation[], findings: Findings): void {
  const lastEnds = new Map<Key, { offset: number; completedMs: number }>()
  const lag = new Map<Key, string | null>()
  for (const operation of operations) {
    if (operation.kind !== 'ends' || operation.outcome !== 'ok') continue
    for (const { key, offset } of operation.places) {
      if (operation.isolation === 'read_uncommitted') {
        lastEnds.set(key, { offset, completedMs: operation.completedMs })
        continue
      }
      const end = lastEnds.get(key)
      if (end === undefined || end.completedMs > operation.invokedMs) continue
      const isBehind = offset < end.offset
      lag.set(key, isBehind ? `${key} is read as far as ${offset}, and ended at ${end.offset} already` : null)
    }
  }
  for (const message of lag.values()) if (message !== null) findings.add('hanging-transaction', message)
}

function nameOf(group: string, key: Key, value: string): string {
  return `${group} ${key} ${value}`
}
