/** Something that will happen. `cancel` may be called any number of times, also after it happened. */
export class ScheduledEvent {
  readonly atMs: number
  readonly sequence: number
  /** What kind of event it is, for the digest and the trace. */
  readonly label: string
  /** Of which node; -1: the world's. */
  readonly node: number
  run: (() => void) | null

  constructor(atMs: number, sequence: number, label: string, node: number, run: () => void) {
    this.atMs = atMs
    this.sequence = sequence
    this.label = label
    this.node = node
    this.run = run
  }

  get isPending(): boolean {
    return this.run !== null
  }

  cancel(): void {
    this.run = null
  }
}

/**
 * The one heap that owns all events, by (time, sequence): what is scheduled first for an instant happens first. A cancelled event stays
 * in the heap until its time, without what it would have run.
 */
export class EventQueue {
  readonly #heap: ScheduledEvent[] = []

  get sizeWithCancelled(): number {
    return this.#heap.length
  }

  push(event: ScheduledEvent): void {
    const heap = this.#heap
    let slot = heap.length
    heap.push(event)
    while (slot > 0) {
      const parent = (slot - 1) >> 1
      if (!isBefore(event, heap[parent]!)) break
      heap[slot] = heap[parent]!
      slot = parent
    }
    heap[slot] = event
  }

  /** Takes out the earliest event that was not cancelled; null: none is left. */
  pop(): ScheduledEvent | null {
    for (;;) {
      const first = this.#popAny()
      if (first === null || first.run !== null) return first
    }
  }

  /** Time of the earliest event that was not cancelled; infinite: none is left. */
  nextMs(): number {
    for (;;) {
      const first = this.#heap[0]
      if (first === undefined) return Number.POSITIVE_INFINITY
      if (first.run !== null) return first.atMs
      this.#popAny()
    }
  }

  #popAny(): ScheduledEvent | null {
    const heap = this.#heap
    const first = heap[0]
    if (first === undefined) return null
    const last = heap.pop()!
    const size = heap.length
    if (size === 0) return first
    let slot = 0
    for (;;) {
      let child = 2 * slot + 1
      if (child >= size) break
      if (child + 1 < size && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, last)) break
      heap[slot] = heap[child]!
      slot = child
    }
    heap[slot] = last
    return first
  }
}

function isBefore(one: ScheduledEvent, other: ScheduledEvent): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.sequence < other.sequence)
}
