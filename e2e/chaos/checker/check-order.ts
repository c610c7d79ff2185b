import {
  type DataOperation,
  isData,
  type Key,
  type Operation,
  type PollStep,
  type SendStep,
} from '../history/operation.ts'
import type { Findings } from './anomaly.ts'
import type { LogModel } from './log-model.ts'

/**
 * Holds each client's reads and writes against the order of the log: a consumer goes forward without leaving out what is known to be
 * there, and what one producer sends later lies later.
 */
export function checkOrder(operations: readonly Operation[], model: LogModel, findings: Findings): void {
  const positions = new Map<string, Map<Key, number>>()
  const newestSends = new Map<string, Map<Key, SendStep>>()
  for (const operation of operations) {
    const { process, kind } = operation
    if (kind === 'assign') {
      // One that failed may have been done all the same; where its reader stands is unknown until the next.
      const places = operation.outcome === 'ok' ? operation.places : []
      positions.set(process, new Map(places.map(({ key, offset }) => [key, offset])))
    } else if (kind === 'subscribe') positions.set(process, new Map())
    else if (isData(operation)) {
      checkSendsOf(operation, entryOf(newestSends, process), findings)
      checkPollsOf(operation, entryOf(positions, process), model, findings)
    }
  }
}

function checkSendsOf(operation: DataOperation, newest: Map<Key, SendStep>, findings: Findings): void {
  if (operation.outcome !== 'ok') return
  const own = new Map<Key, SendStep>()
  for (const step of operation.steps) {
    if (step.step !== 'send' || step.offset === null) continue
    const inside = own.get(step.key)
    const before = inside ?? newest.get(step.key)
    if (before !== undefined && before.offset !== null && step.offset <= before.offset) {
      const message = `${operation.process} ${step.key}: ${step.value} at ${step.offset} was sent after ${before.value} at ${before.offset}`
      findings.add(inside === undefined ? 'nonmonotonic-send' : 'int-nonmonotonic-send', message)
    } else if (inside?.offset != null && step.offset > inside.offset + 1)
      findings.add(
        'int-send-skip',
        `${operation.process} ${step.key}: records between ${inside.value} and ${step.value}`,
      )
    own.set(step.key, step)
  }
  for (const [key, step] of own) newest.set(key, step)
}

function checkPollsOf(
  operation: DataOperation,
  positions: Map<Key, number>,
  model: LogModel,
  findings: Findings,
): void {
  const touched = new Set<Key>()
  for (const step of operation.steps) {
    if (step.step !== 'poll') continue
    if (step.isRebalanced) {
      positions.clear()
      touched.clear()
    }
    checkPoll(step, operation.process, positions, touched, model, findings)
  }
}

/** `positions`: the next offset of each key; `touched`: keys that the operation has read already. */
function checkPoll(
  { records, isRebalanced }: PollStep,
  process: string,
  positions: Map<Key, number>,
  touched: Set<Key>,
  model: LogModel,
  findings: Findings,
): void {
  for (const { key, offset, value } of records) {
    const log = model.log(key)
    const position = positions.get(key) ?? offset
    const isInside = touched.has(key)
    const where = `${process} ${key}`
    if (offset < position) {
      // A partition may have gone and come back within one poll.
      if (!isRebalanced)
        findings.add(
          isInside ? 'int-nonmonotonic-poll' : 'nonmonotonic-poll',
          `${where}: ${value} at ${offset}, where ${position} was next`,
        )
      log.covered.add(offset, offset + 1)
    } else {
      const skipped = log.knownWithin(position, offset)
      if (skipped !== null && !isRebalanced) {
        const message = `${where}: from ${position} to ${value} at ${offset}, past ${log.valueAt(skipped)} at ${skipped}`
        findings.add(isInside ? 'int-poll-skip' : 'poll-skip', message)
      }
      log.covered.add(isRebalanced ? offset : position, offset + 1)
    }
    positions.set(key, offset + 1)
    touched.add(key)
  }
}

function entryOf<V>(map: Map<string, Map<Key, V>>, process: string): Map<Key, V> {
  let entry = map.get(process)
  if (entry === undefined) {
    entry = new Map()
    map.set(process, entry)
  }
  return entry
}
