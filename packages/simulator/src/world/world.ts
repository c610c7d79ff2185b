import { Digest } from './digest.ts'
import { EventQueue, ScheduledEvent } from './event-queue.ts'
import { RandomStream } from './random-stream.ts'

/** A line of what happened: kept only where somebody wants to read it. */
export type Trace = (atMs: number, node: number, text: string) => void

/**
 * Virtual time and everything that will happen in it: one heap of events, one digest of all that did, one seed for all streams. Nothing
 * else decides what comes next, so equal seeds give equal runs.
 */
export class World {
  readonly seed: number
  readonly digest = new Digest()
  /** How often each mark of coverage was hit. */
  readonly marks = new Map<string, number>()
  /** How often each class of fault struck. */
  readonly faults = new Map<string, number>()
  /** How often each invariant was judged. */
  readonly judged = new Map<string, number>()
  readonly trace: Trace | null
  #nowMs = 0
  #eventCount = 0
  #nextSequence = 0
  readonly #queue = new EventQueue()

  constructor(seed: number, trace: Trace | null = null) {
    this.seed = seed
    this.trace = trace
  }

  get nowMs(): number {
    return this.#nowMs
  }

  get eventCount(): number {
    return this.#eventCount
  }

  stream(name: string): RandomStream {
    return new RandomStream(this.seed, name)
  }

  /** Something happens after `delayMs`, of the kind `label`, at a node (-1: none). */
  schedule(delayMs: number, label: string, node: number, run: () => void): ScheduledEvent {
    const atMs = this.#nowMs + Math.max(0, delayMs)
    const event = new ScheduledEvent(this.#queue, atMs, this.#nextSequence++, label, node, run)
    this.#queue.push(event)
    return event
  }

  /** When the next event is due; infinite: nothing will ever happen. */
  get nextMs(): number {
    return this.#queue.nextMs()
  }

  /** Lets the next event happen. False if none is left. */
  step(): boolean {
    const event = this.#queue.pop()
    if (event === null) return false
    const { run } = event
    event.run = null
    this.#nowMs = event.atMs
    this.#eventCount++
    this.digest.add(event.atMs)
    this.digest.add(event.node)
    this.digest.addText(event.label)
    run!()
    return true
  }

  /** `sometimes`: what a batch of seeds must reach at least once. */
  mark(name: string): void {
    this.marks.set(name, (this.marks.get(name) ?? 0) + 1)
  }

  /** A fault strikes. */
  fault(kind: string, node: number, what = ''): void {
    this.faults.set(kind, (this.faults.get(kind) ?? 0) + 1)
    this.digest.addText(kind)
    this.trace?.(this.#nowMs, node, `fault: ${kind} ${what}`)
  }

  judge(invariant: string): void {
    this.judged.set(invariant, (this.judged.get(invariant) ?? 0) + 1)
  }
}
