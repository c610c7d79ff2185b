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
      if (node instanceof SimulatedInode) this.#addFile(node)
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

  /** The hash of contents is remembered where they are: most files are the same on many disks. */
  #addFile(file: SimulatedInode): void {
    const { high, low } = file.digest()
    this.#add(file.sizeBytes)
    this.#add(high)
    this.#add(low)
  }

  #add(value: number): void {
    this.#high = Math.imul(this.#high ^ value, 0x01000193)
    this.#low = Math.imul(this.#low + value, 0x85ebca6b) ^ (this.#low >>> 15)
  }
}
