import type { CollectionNudge } from './collection-nudge.ts'
import type { Mapping } from './disk.ts'
import type { NativeCalls } from './native-calls.ts'

/**
 * Memory of mappings is given back only when the garbage collector has seen that no view is left. One ArrayBuffer covers a whole
 * mapping because V8 counts its size as external memory: each 64 MiB of new mappings starts a collection, while standing ones cost
 * nothing, so few large mappings beat many windows (docs/adr/0002).
 */
export class RealMapping implements Mapping {
  readonly sizeBytes: number
  readonly #calls: NativeCalls
  readonly #address: number
  readonly #held: Held
  /** Null after `release`: views alone then keep the memory. */
  #bytes: Buffer | null
  #gaveViews: boolean

  constructor(calls: NativeCalls, address: number, memory: ArrayBuffer, nudge: CollectionNudge | null) {
    this.sizeBytes = memory.byteLength
    this.#calls = calls
    this.#address = address
    this.#held = { calls, address, sizeBytes: memory.byteLength, nudge, releasedAt: -1, isUnmapped: false }
    this.#bytes = Buffer.from(memory)
    this.#gaveViews = false
    collected.register(memory, this.#held)
  }

  view(start: number, end: number): Buffer {
    this.#gaveViews = true
    return this.#live().subarray(start, end)
  }

  bytesUnsafe(): Buffer {
    return this.#live()
  }

  isResident(start: number, end: number): boolean {
    this.#live()
    const pageBytes = this.#calls.pageBytes
    const from = start - (start % pageBytes)
    return end <= start || this.#calls.isResident(this.#address + from, end - from)
  }

  hasViews(): boolean {
    return this.#gaveViews && !this.#held.isUnmapped
  }

  release(): void {
    if (this.#bytes === null) return
    this.#bytes = null
    if (this.#held.nudge !== null) this.#held.releasedAt = this.#held.nudge.onReleased()
  }

  #live(): Buffer {
    if (this.#bytes === null) throw new Error('mapping used after release')
    return this.#bytes
  }
}

interface Held {
  readonly calls: NativeCalls
  readonly address: number
  readonly sizeBytes: number
  readonly nudge: CollectionNudge | null
  /** As the nudge counts; -1: still in use. */
  releasedAt: number
  isUnmapped: boolean
}

const collected = new FinalizationRegistry<Held>((held) => {
  held.calls.unmap(held.address, held.sizeBytes)
  held.isUnmapped = true
  if (held.releasedAt >= 0) held.nudge?.onCollected(held.releasedAt)
})
