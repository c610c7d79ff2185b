import type {
  Consumed,
  Delivered,
  FaultSpan,
  History,
  Key,
  Operation,
  Outcome,
  Place,
  Seen,
  ShareRules,
  ShareVerdict,
  Step,
} from '../history/operation.ts'

/** Of the share group of histories made by hand. */
export const shareRules: ShareRules = { deliveryLimit: 5, lockMs: 10_000, fetchMs: 100, maxPollRecords: 500 }
const shareGroup = 'sharers'

/** Histories made by hand: each call adds an operation that takes a millisecond, a millisecond after the one before. */
export class Build {
  readonly #operations: Operation[] = []
  #faults: FaultSpan[] = [{ kind: 'kill', detail: 'node 1', nodes: [1], beginMs: 0, brokenMs: 0, endMs: 1 }]
  #nowMs = 0

  /** Lets time pass. */
  wait(ms: number): this {
    this.#nowMs += ms
    return this
  }

  fault(beginMs: number, endMs: number, kind = 'kill'): this {
    this.#faults.push({ kind, detail: 'node 1', nodes: [1], beginMs, brokenMs: beginMs, endMs })
    return this
  }

  get nowMs(): number {
    return this.#nowMs
  }

  noFaults(): this {
    this.#faults = []
    return this
  }

  send(process: string, key: Key, value: string, offset: number | null, outcome: Outcome = 'ok'): this {
    const steps: Step[] = [{ step: 'send', key, value, offset: outcome === 'ok' ? offset : null }]
    return this.#add(process, outcome, (base) => ({ ...base, kind: 'send', steps }))
  }

  poll(process: string, records: readonly Seen[], isRebalanced = false): this {
    const steps: Step[] = [{ step: 'poll', records, isRebalanced }]
    return this.#add(process, 'ok', (base) => ({ ...base, kind: 'poll', steps }))
  }

  transaction(process: string, steps: readonly Step[], outcome: Outcome = 'ok'): this {
    return this.#add(process, outcome, (base) => ({ ...base, kind: 'txn', steps }))
  }

  /** A transaction that takes in records of a log, after which its group reads on, and sends something for each. */
  process(
    process: string,
    group: string,
    inputs: readonly Seen[],
    steps: readonly Step[],
    outcome: Outcome = 'ok',
  ): this {
    const last = inputs.at(-1)
    const places = last === undefined ? [] : [{ key: last.key, offset: last.offset + 1 }]
    const consumed: Consumed = { group, records: inputs, places }
    return this.#add(process, outcome, (base) => ({ ...base, kind: 'txn', steps, consumed }))
  }

  assign(process: string, ...places: Place[]): this {
    return this.#add(process, 'ok', (base) => ({ ...base, kind: 'assign', places }))
  }

  subscribe(process: string, group: string): this {
    return this.#add(process, 'ok', (base) => ({ ...base, kind: 'subscribe', group }))
  }

  commit(process: string, group: string, place: Place, outcome: Outcome = 'ok'): this {
    return this.#add(process, outcome, (base) => ({ ...base, kind: 'commit', group, places: [place] }))
  }

  committed(process: string, group: string, ...places: Place[]): this {
    return this.#add(process, 'ok', (base) => ({ ...base, kind: 'committed', group, places }))
  }

  ends(process: string, ...places: Place[]): this {
    return this.#add(process, 'ok', (base) => ({ ...base, kind: 'ends', isolation: 'read_committed', places }))
  }

  /** The end of all records, open transactions included. */
  lastOffsets(process: string, ...places: Place[]): this {
    return this.#add(process, 'ok', (base) => ({ ...base, kind: 'ends', isolation: 'read_uncommitted', places }))
  }

  read(process: string, key: Key, value: string | null): this {
    return this.#add(process, 'ok', (base) => ({ ...base, kind: 'read', key, value }))
  }

  /** Members of the share group begin. */
  join(...processes: string[]): this {
    for (const process of processes)
      this.#add(process, 'ok', (base) => ({ ...base, kind: 'join', group: shareGroup, rules: shareRules }))
    return this
  }

  acquire(process: string, ...delivered: Delivered[]): this {
    return this.#add(process, 'ok', (base) => ({ ...base, kind: 'acquire', group: shareGroup, records: delivered }))
  }

  /** A member says the same of records. `isTaken`: it was answered that the group knows. */
  acknowledge(process: string, verdict: ShareVerdict, places: readonly Place[], isTaken = true): this {
    const verdicts = places.map(({ key, offset }) => ({ key, offset, verdict }))
    const taken = isTaken ? places : []
    return this.#add(process, 'ok', (base) => ({ ...base, kind: 'acknowledge', group: shareGroup, verdicts, taken }))
  }

  /** The same, and it was answered that they are not the member's. */
  refused(process: string, verdict: ShareVerdict, places: readonly Place[]): this {
    const verdicts = places.map(({ key, offset }) => ({ key, offset, verdict }))
    const said = { group: shareGroup, verdicts, taken: [], refused: places }
    return this.#add(process, 'ok', (base) => ({ ...base, kind: 'acknowledge', ...said }))
  }

  /** The group is done with everything before these places. */
  shareProgress(...places: Place[]): this {
    return this.#progress(places, [])
  }

  /** The group is done with all of these logs. */
  drained(...keys: Key[]): this {
    return this.#progress([], keys)
  }

  #progress(places: readonly Place[], drained: readonly Key[]): this {
    return this.#add('onlooker', 'ok', (base) => ({
      ...base,
      kind: 'share-progress',
      group: shareGroup,
      places,
      drained,
    }))
  }

  get history(): History {
    return {
      operations: this.#operations,
      faults: this.#faults,
      healedMs: this.#nowMs,
      endMs: this.#nowMs,
    }
  }

  #add(process: string, outcome: Outcome, make: (base: Base) => Operation): this {
    const invokedMs = this.#nowMs
    this.#nowMs += 2
    const completedMs = outcome === 'info' ? Number.POSITIVE_INFINITY : invokedMs + 1
    this.#operations.push(make({ id: this.#operations.length, process, outcome, invokedMs, completedMs }))
    return this
  }
}

interface Base {
  readonly id: number
  readonly process: string
  readonly outcome: Outcome
  readonly invokedMs: number
  readonly completedMs: number
}

/** Records of one log from `offset` on. */
export function records(key: Key, offset: number, ...values: string[]): Seen[] {
  return values.map((value, slot) => ({ key, offset: offset + slot, value }))
}

/** Records of one log from `offset` on, each delivered for the `count`th time. */
export function delivered(key: Key, offset: number, count: number, ...values: string[]): Delivered[] {
  return records(key, offset, ...values).map((seen) => ({ ...seen, count }))
}

export const sendStep = (key: Key, value: string, offset: number | null = null): Step => ({
  step: 'send',
  key,
  value,
  offset,
})

export const pollStep = (...seen: Seen[]): Step => ({ step: 'poll', records: seen, isRebalanced: false })
