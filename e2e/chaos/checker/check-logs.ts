import { type DataOperation, isData, type Operation } from '../history/operation.ts'
import type { Findings } from './anomaly.ts'
import type { KeyLog, LogModel } from './log-model.ts'

/**
 * Holds what readers were given against what writers were told, log by log: one value per offset, one offset per value, nothing that
 * nobody sent, nothing that was refused, and nothing acknowledged that a reader passed without being given it.
 *
 * Pre: the order of polls was checked before, which fills in what readers have passed.
 */
export function checkLogs(operations: readonly Operation[], model: LogModel, findings: Findings): void {
  for (const log of model.logs) {
    checkOffsets(log, findings)
    checkValues(log, findings)
  }
  for (const operation of operations) if (isData(operation)) checkSends(operation, model, findings)
}

function checkOffsets(log: KeyLog, findings: Findings): void {
  for (const offset of log.order) {
    const polled = log.polled.get(offset) ?? []
    const acknowledged = log.acknowledged.get(offset) ?? []
    const where = `${log.key} offset ${offset}`
    if (polled.length > 1) findings.add('inconsistent-offsets', `${where}: readers were given ${polled.join(' and ')}`)
    if (acknowledged.length > 1)
      findings.add('inconsistent-offsets', `${where}: acknowledged to ${acknowledged.join(' and ')}`)
    for (const value of acknowledged)
      if (polled.length > 0 && !polled.includes(value))
        findings.add('stale-leader-ack', `${where}: acknowledged to ${value}, where ${polled.join(' and ')} is read`)
  }
}

function checkValues(log: KeyLog, findings: Findings): void {
  for (const [value, offsets] of log.placesOf)
    if (offsets.length > 1) findings.add('duplicate', `${log.key}: ${value} is at offsets ${offsets.join(', ')}`)
  for (const value of new Set([...log.seenValues, ...log.handedOutValues])) {
    const sent = log.sent.get(value)
    if (sent === undefined) findings.add('invented-value', `${log.key}: nobody sent ${value}`)
    else if (sent.operation.outcome === 'fail')
      findings.add('aborted-read', `${log.key}: ${value} was read, and its ${sent.operation.kind} had failed`)
  }
}

function checkSends(operation: DataOperation, model: LogModel, findings: Findings): void {
  if (operation.outcome === 'fail') return
  const sends = operation.steps.filter((step) => step.step === 'send')
  const seenCount = sends.filter(({ key, value }) => model.log(key).seenValues.has(value)).length
  // Of an unsure transaction one visible write says that it was committed, so all of it must be there.
  if (operation.outcome !== 'ok' && seenCount === 0) return
  for (const { key, value, offset } of sends) {
    const log = model.log(key)
    if (log.seenValues.has(value)) continue
    const what = `${key}: ${value}, ${operation.outcome === 'ok' ? 'acknowledged' : 'committed'} at ${offset ?? 'an unknown offset'}`
    if (offset !== null && log.covered.has(offset))
      findings.add('lost-write', `${what}, was passed by readers and never read`)
    else findings.add('unseen', `${what}, was never read`)
  }
}
