import type { SimulatedDirectory } from './simulated-directory.ts'
import { SimulatedInode } from './simulated-inode.ts'

/** Names and contents as 64 bits: two multiplicative hashes of 32 bits, whose mistakes do not fall together. */
export class SimulatedDigest {
  #high: number
  #low: number

  constructor() {
    this.#high = 0x811c9dc5
    this.#low = 0x9e3779b9
  }

  addDirectory(directory: SimulatedDirectory): void {
    for (const name of [...directory.live.keys()].sort()) {
      const node = directory.live.get(name)!
      this.#addText(name)
      if (node instanceof SimulatedInode) this.#addBytes(node.live.bytes, node.sizeBytes)
      else this.addDirectory(node)
    }
    this.#add(-1)
  }

  toString(): string {
    return `${(this.#high >>> 0).toString(16)}-${(this.#low >>> 0).toString(16)}`
  }

  #addText(text: string): void {
    for (let slot = 0; slot < text.length; slot++) this.#add(text.charCodeAt(slot))
    this.#add(-2)
  }

  #addBytes(bytes: Uint8Array, sizeBytes: number): void {
    this.#add(sizeBytes)
    let high = this.#high
    let low = this.#low
    for (let slot = 0; slot < sizeBytes; slot++) {
      const byte = bytes[slot]!
      high = Math.imul(high ^ byte, 0x01000193)
      low = Math.imul(low + byte, 0x85ebca6b) ^ (low >>> 15)
    }
    this.#high = high
    this.#low = low
  }

  #add(value: number): void {
    this.#high = Math.imul(this.#high ^ value, 0x01000193)
    this.#low = Math.imul(this.#low + value, 0x85ebca6b) ^ (this.#low >>> 15)
  }
}
