/** Something that will happen. `cancel` may be called any number of times, also after it happened. */
export class ScheduledEvent {
  readonly atMs: number
  readonly sequence: number
  /** What kind of event it is, for the digest and the trace. */
  readonly label: string
  /** Of which node; -1: the world's. */
  readonly node: number
  run: (() => void) | null
  readonly #queue: EventQueue

  constructor(queue: EventQueue, atMs: number, sequence: number, label: string, node: number, run: () => void) {
    this.#queue = queue
    this.atMs = atMs
    this.sequence = sequence
    this.label = label
    this.node = node
    this.run = run
  }

  cancel(): void {
    if (this.run === null) return
    this.run = null
    this.#queue.onCancelled()
  }
}

/** Fewer cancelled events than this are not worth a look. */
const CANCELLED_MIN = 128

/**
 * The one heap that owns all events, by (time, sequence): what is scheduled first for an instant happens first. Cancelled ones are dropped
 * before their time once they are the greater part. Timeouts of requests that were answered at once would be nearly all of the heap: of a
 * cluster's 2,100 entries, on average, 110 were to come, and the others outlived the collections of young garbage.
 */
export class EventQueue {
  #heap: ScheduledEvent[] = []
  #cancelledCount = 0

  push(event: ScheduledEvent): void {
    const heap = this.#heap
    heap.push(event)
    this.#rise(heap.length - 1)
  }

  /** Takes out the earliest event that was not cancelled; null: none is left. */
  pop(): ScheduledEvent | null {
    for (;;) {
      const first = this.#popAny()
      if (first === null || first.run !== null) return first
      this.#cancelledCount--
    }
  }

  /** Time of the earliest event that was not cancelled; infinite: none is left. */
  nextMs(): number {
    for (;;) {
      const first = this.#heap[0]
      if (first === undefined) return Number.POSITIVE_INFINITY
      if (first.run !== null) return first.atMs
      this.#popAny()
      this.#cancelledCount--
    }
  }

  /** By an event that is in the queue, once. */
  onCancelled(): void {
    this.#cancelledCount++
    if (this.#cancelledCount < CANCELLED_MIN || 2 * this.#cancelledCount < this.#heap.length) return
    this.#heap = this.#heap.filter(({ run }) => run !== null)
    this.#cancelledCount = 0
    for (let slot = (this.#heap.length >> 1) - 1; slot >= 0; slot--) this.#sink(slot, this.#heap[slot]!)
  }

  #popAny(): ScheduledEvent | null {
    const heap = this.#heap
    const first = heap[0]
    if (first === undefined) return null
    const last = heap.pop()!
    if (heap.length > 0) this.#sink(0, last)
    return first
  }

  /** Puts what stands at the slot where it belongs, towards the top. */
  #rise(from: number): void {
    const heap = this.#heap
    const event = heap[from]!
    let slot = from
    while (slot > 0) {
      const parent = (slot - 1) >> 1
      if (!isBefore(event, heap[parent]!)) break
      heap[slot] = heap[parent]!
      slot = parent
    }
    heap[slot] = event
  }

  /** Puts the event into the slot, or into one below where it belongs. */
  #sink(from: number, event: ScheduledEvent): void {
    const heap = this.#heap
    const size = heap.length
    let slot = from
    for (;;) {
      let child = 2 * slot + 1
      if (child >= size) break
      if (child + 1 < size && isBefore(heap[child + 1]!, heap[child]!)) child++
      if (!isBefore(heap[child]!, event)) break
      heap[slot] = heap[child]!
      slot = child
    }
    heap[slot] = event
  }
}

function isBefore(one: ScheduledEvent, other: ScheduledEvent): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.sequence < other.sequence)
}
