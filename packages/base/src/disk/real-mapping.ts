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
  readonly #unmapped: { done: boolean }
  /** Null after `release`: views alone then keep the memory. */
  #bytes: Buffer | null
  #gaveViews: boolean

  constructor(calls: NativeCalls, address: number, memory: ArrayBuffer) {
    this.sizeBytes = memory.byteLength
    this.#calls = calls
    this.#address = address
    this.#unmapped = { done: false }
    this.#bytes = Buffer.from(memory)
    this.#gaveViews = false
    collected.register(memory, { calls, address, sizeBytes: memory.byteLength, unmapped: this.#unmapped })
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
    return this.#gaveViews && !this.#unmapped.done
  }

  release(): void {
    this.#bytes = null
  }

  #live(): Buffer {
    if (this.#bytes === null) throw new Error('mapping used after release')
    return this.#bytes
  }
}

interface Held {
  calls: NativeCalls
  address: number
  sizeBytes: number
  unmapped: { done: boolean }
}

const collected = new FinalizationRegistry<Held>((held) => {
  held.calls.unmap(held.address, held.sizeBytes)
  held.unmapped.done = true
})
