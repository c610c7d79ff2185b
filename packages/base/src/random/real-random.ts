import { randomFillSync } from 'node:crypto'
import type { Random } from '../random.ts'

const POOL_BYTES = 4096

/** The operating system's generator, drawn in blocks since each call costs microseconds. */
export class RealRandom implements Random {
  readonly #pool: Buffer
  #usedBytes: number

  constructor() {
    this.#pool = Buffer.alloc(POOL_BYTES)
    this.#usedBytes = POOL_BYTES
  }

  uint32(): number {
    if (this.#usedBytes + 4 > POOL_BYTES) {
      randomFillSync(this.#pool)
      this.#usedBytes = 0
    }
    const value = this.#pool.readUInt32LE(this.#usedBytes)
    this.#usedBytes += 4
    return value
  }

  bytes(sizeBytes: number): Buffer {
    return randomFillSync(Buffer.alloc(sizeBytes))
  }
}
