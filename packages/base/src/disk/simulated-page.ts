/** Contents of a page at some moment; never changed. */
interface PageVersion {
  /** Counts the writes of the file. */
  readonly number: number
  readonly bytes: Buffer
}

const SECTOR_BYTES = 512
/** Versions of a page that are told apart; of more, the oldest of those in the middle are forgotten. */
const VERSIONS_MAX = 6

/**
 * What one page of a file held since the last sync. The system may have written any of these versions back, and the last write-back
 * may have been torn: the medium then holds sectors of two of them.
 */
export class SimulatedPage {
  #versions: PageVersion[]
  /** By the size that the file leaves the page. */
  readonly #outcomes: Map<number, Buffer[]>

  constructor(versions: readonly PageVersion[] = []) {
    this.#versions = [...versions]
    this.#outcomes = new Map()
  }

  /** The page was changed by write `number`; the bytes are the callee's from now on. */
  add(number: number, bytes: Buffer): void {
    this.#outcomes.clear()
    if (this.#versions.at(-1)?.bytes.equals(bytes) === true) this.#versions.pop()
    if (this.#versions.length === VERSIONS_MAX) this.#versions.splice(1, 1)
    this.#versions.push({ number, bytes })
  }

  /** A sync ended that covers all writes up to `number`. Whether something is left that it does not. */
  dropUpTo(number: number): boolean {
    this.#outcomes.clear()
    this.#versions = this.#versions.filter((version) => version.number > number)
    return this.#versions.length > 0
  }

  fork(): SimulatedPage {
    return new SimulatedPage(this.#versions)
  }

  /**
   * All that the medium may hold of the first `sizeBytes` of the page after a crash, each once, the newest contents first: a version,
   * or two that follow in time, or the synced contents and one, torn at a sector either way round. Not to be changed.
   */
  outcomes(durable: Buffer, sizeBytes: number): readonly Buffer[] {
    let found = this.#outcomes.get(sizeBytes)
    if (found === undefined) {
      found = this.#findOutcomes(durable, sizeBytes)
      this.#outcomes.set(sizeBytes, found)
    }
    return found
  }

  #findOutcomes(durable: Buffer, sizeBytes: number): Buffer[] {
    const found: Buffer[] = []
    const add = (bytes: Buffer): void => {
      const cut = bytes.subarray(0, sizeBytes)
      if (!found.some((other) => other.equals(cut))) found.push(cut)
    }
    const newestFirst = this.#versions.map(({ bytes }) => bytes).reverse()
    const whole = [...newestFirst, durable]
    for (const bytes of whole) add(bytes)
    for (const [slot, newer] of newestFirst.entries()) {
      for (const older of new Set([whole[slot + 1]!, durable])) {
        for (let tear = SECTOR_BYTES; tear < sizeBytes; tear += SECTOR_BYTES) {
          add(Buffer.concat([newer.subarray(0, tear), older.subarray(tear)]))
          add(Buffer.concat([older.subarray(0, tear), newer.subarray(tear)]))
        }
      }
    }
    return found
  }
}
