import { type DataOperation, isData, type Operation } from '../history/operation.ts'
import type { Findings } from './anomaly.ts'
import type { LogModel } from './log-model.ts'

/** What transactions promise beyond single sends and polls: all or nothing, isolation from oneself, and inputs consumed once. */
export function checkTransactions(operations: readonly Operation[], model: LogModel, findings: Findings): void {
  const consumedBy = new Map<string, number>()
  for (const operation of operations) {
    if (!isData(operation) || operation.kind !== 'txn') continue
    checkOwnReads(operation, findings)
    checkAtomicity(operation, model, findings)
    if (operation.outcome === 'ok') checkConsumed(operation, consumedBy, findings)
  }
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

/** Committed transactions that poll and send have consumed their inputs: no other may have them too. */
function checkConsumed({ id, steps }: DataOperation, consumedBy: Map<string, number>, findings: Findings): void {
  if (!steps.some((step) => step.step === 'send')) return
  for (const step of steps) {
    if (step.step !== 'poll') continue
    for (const { key, value } of step.records) {
      const input = `${key} ${value}`
      const before = consumedBy.get(input)
      if (before !== undefined && before !== id)
        findings.add('consume-count', `${value} of ${key} was consumed by transactions ${before} and ${id}`)
      consumedBy.set(input, id)
    }
  }
}
