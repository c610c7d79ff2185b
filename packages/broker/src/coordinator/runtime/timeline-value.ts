import type { Timeline, TimelineOwner } from './timeline.ts'

/** One value with the two faces of a `TimelineMap`. `onChange` is called after every change, those that are taken back too. */
export class TimelineValue<Value> implements TimelineOwner {
  readonly #timeline: Timeline
  readonly #onChange: (() => void) | null
  #current: Value
  /** What each uncommitted version that changed it found, oldest first. */
  readonly #before: { readonly version: number; readonly value: Value }[] = []

  constructor(timeline: Timeline, initial: Value, onChange: (() => void) | null = null) {
    this.#timeline = timeline
    this.#current = initial
    this.#onChange = onChange
  }

  get current(): Value {
    return this.#current
  }

  set current(value: Value) {
    const { isOpen, version } = this.#timeline
    if (isOpen && this.#before.at(-1)?.version !== version) {
      this.#before.push({ version, value: this.#current })
      this.#timeline.remember(this, null)
    }
    this.#current = value
    this.#onChange?.()
  }

  /** As of the last committed version. */
  get committed(): Value {
    return this.#before.length === 0 ? this.#current : this.#before[0]!.value
  }

  /** Both faces are the same. */
  get isCommitted(): boolean {
    return this.#before.length === 0
  }

  commitOldest(): void {
    this.#before.shift()
  }

  revertNewest(): void {
    this.#current = this.#before.pop()!.value
    this.#onChange?.()
  }
}
