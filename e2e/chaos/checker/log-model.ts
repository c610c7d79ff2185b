import { isData, type Key, type Operation, type Seen, type SendStep, type Step } from '../history/operation.ts'
import { Coverage } from './coverage.ts'

/** A record as its sender knows it. */
export interface Sent {
  readonly operation: Operation
  readonly step: SendStep
}

/** What a history tells of one log. */
export class KeyLog {
  readonly key: Key
  /** Values by offset as readers saw them, in the order of first sight; more than one is an anomaly. */
  readonly polled = new Map<number, string[]>()
  /** Values by offset as acknowledgements named them. */
  readonly acknowledged = new Map<number, string[]>()
  /** Offsets by value, from both. */
  readonly placesOf = new Map<string, number[]>()
  /** By readers. */
  readonly seenValues = new Set<string>()
  /** By share groups, which owe nobody that it is there for others, too. */
  readonly handedOutValues = new Set<string>()
  readonly sent = new Map<string, Sent>()
  /** What was certainly passed by a reader: a record there that nobody was given is lost. */
  readonly covered = new Coverage()
  #order: Float64Array | null = null

  constructor(key: Key) {
    this.key = key
  }

  /** Known offsets, rising: the version order without the gaps that control records and unknown writes leave. */
  get order(): Float64Array {
    this.#order ??= Float64Array.from(new Set([...this.polled.keys(), ...this.acknowledged.keys()])).sort()
    return this.#order
  }

  /** The value at an offset: what readers saw goes before what was promised. */
  valueAt(offset: number): string | null {
    return this.polled.get(offset)?.[0] ?? this.acknowledged.get(offset)?.[0] ?? null
  }

  /** The first known offset in `[from, to)`, or null. */
  knownWithin(from: number, to: number): number | null {
    const offset = this.order[lowerBound(this.order, from)]
    return offset !== undefined && offset < to ? offset : null
  }
}

/** All logs of a history. Sends of operations that certainly did not happen are known, but are no part of any order. */
export class LogModel {
  readonly #logs = new Map<Key, KeyLog>()

  constructor(operations: readonly Operation[]) {
    for (const operation of operations) {
      if (isData(operation)) for (const step of operation.steps) this.#take(operation, step)
      if (operation.kind === 'acquire')
        for (const seen of operation.records) this.#see(seen).handedOutValues.add(seen.value)
      if (operation.kind === 'read' && operation.value !== null) this.log(operation.key).seenValues.add(operation.value)
    }
  }

  get logs(): Iterable<KeyLog> {
    return this.#logs.values()
  }

  log(key: Key): KeyLog {
    let log = this.#logs.get(key)
    if (log === undefined) {
      log = new KeyLog(key)
      this.#logs.set(key, log)
    }
    return log
  }

  #take(operation: Operation, step: Step): void {
    if (step.step === 'send') {
      const log = this.log(step.key)
      log.sent.set(step.value, { operation, step })
      if (step.offset === null || operation.outcome !== 'ok') return
      push(log.acknowledged, step.offset, step.value)
      push(log.placesOf, step.value, step.offset)
      return
    }
    for (const seen of step.records) this.#see(seen).seenValues.add(seen.value)
  }

  #see({ key, offset, value }: Seen): KeyLog {
    const log = this.log(key)
    push(log.polled, offset, value)
    push(log.placesOf, value, offset)
    return log
  }
}

/** Adds to a list without repeating. */
function push<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key)
  if (list === undefined) map.set(key, [value])
  else if (!list.includes(value)) list.push(value)
}

/** The first slot whose number is at least `least`. */
function lowerBound(sorted: Float64Array, least: number): number {
  let low = 0
  let high = sorted.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (sorted[middle]! < least) low = middle + 1
    else high = middle
  }
  return low
}
