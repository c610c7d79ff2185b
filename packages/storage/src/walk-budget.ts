/** A log is checkpointed each time this much was written: recovery walks no more of it, whatever the segment size. */
export const CHECKPOINT_BYTES = 16 << 20
/** Of all logs together recovery is to walk no more than this: disks that give half a gigabyte a second do so in one and a half. */
const ALL_LOGS_BYTES = 768 << 20
/** A checkpoint costs five syncs. */
const CHECKPOINT_MIN_BYTES = 4 << 20

/**
 * When logs are checkpointed: by what recovery would have to walk of each, and of all of them together. A log that is merely open counts
 * for nothing: one that is written to pays for it with as many more syncs.
 */
export class WalkBudget {
  #usedBytes = 0

  /** What was written to all logs since the last checkpoint of each. */
  get usedBytes(): number {
    return this.#usedBytes
  }

  /** What would have to be walked of one log was `fromBytes`, and is `toBytes`. */
  move(fromBytes: number, toBytes: number): void {
    this.#usedBytes += toBytes - fromBytes
  }

  /** Whether a log of which so much would have to be walked is to be checkpointed now. */
  isDue(walkBytes: number): boolean {
    if (walkBytes >= CHECKPOINT_BYTES) return true
    return walkBytes >= CHECKPOINT_MIN_BYTES && this.#usedBytes > ALL_LOGS_BYTES
  }
}
