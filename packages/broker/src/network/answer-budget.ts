/** A connection whose peer has not taken all of its answers. */
export interface AnswerHolder {
  /** It must give up what it holds: the connection closes. Perhaps called while it tells what it holds itself. */
  onAnswersShed(): void
}

/** A read gets at least so much, however little is left: an answer of nothing would be asked for again at once. */
const MIN_GRANT_BYTES = 256 * 1024
/** Below this share of the bound everybody gets what was asked for, as far as there is room. */
const FREE_SHARE = 0.5

/**
 * Bounds the memory of answers over all connections (`queued.max.response.bytes`): what was read from the disk for answers that are
 * not sent yet, and what sockets hold for peers that do not read. Views of mapped segments cost no memory of ours and do not count.
 *
 * Reads get less as it fills. While peers leave more than the bound, the connection whose peer has left its answers lying for the longest
 * is closed, then the next: those who read what they ask for hold nothing for long, and stay. What is reserved closes nobody: a read that
 * waits for the disk takes no memory yet. The last holder stays too, or an answer larger than the bound would be asked for for ever.
 */
export class AnswerBudget {
  readonly maxBytes: number
  /** Longest first: a connection that was emptied begins anew, at the end. */
  readonly #holders = new Map<AnswerHolder, number>()
  #heldBytes = 0
  #reservedBytes = 0
  /** Connections closed for want of room. */
  shedCount = 0

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  get usedBytes(): number {
    return this.#heldBytes + this.#reservedBytes
  }

  /** Connections that hold something. */
  get holderCount(): number {
    return this.#holders.size
  }

  /** Gives a read room for its result, perhaps less than wanted. Whatever was given comes back by `release`. */
  reserve(wantedBytes: number): number {
    const left = this.maxBytes - this.usedBytes
    const isFree = this.usedBytes < this.maxBytes * FREE_SHARE
    const share = isFree ? left : Math.floor(left / 8)
    const granted = Math.min(wantedBytes, Math.max(MIN_GRANT_BYTES, share))
    this.#reservedBytes += granted
    return granted
  }

  release(sizeBytes: number): void {
    this.#reservedBytes -= sizeBytes
  }

  bytesOf(holder: AnswerHolder): number {
    return this.#holders.get(holder) ?? 0
  }

  /** The holder's socket now has so many bytes of ours that its peer has not taken; 0 when it has taken all, or is gone. */
  hold(holder: AnswerHolder, sizeBytes: number): void {
    const before = this.#holders.get(holder)
    if (sizeBytes === 0) {
      if (before === undefined) return
      this.#heldBytes -= before
      this.#holders.delete(holder)
      return
    }
    this.#heldBytes += sizeBytes - (before ?? 0)
    this.#holders.set(holder, sizeBytes)
    while (this.#heldBytes > this.maxBytes && this.#holders.size > 1) this.#shedOne()
  }

  #shedOne(): void {
    const [holder, sizeBytes] = this.#holders.entries().next().value!
    this.#heldBytes -= sizeBytes
    this.#holders.delete(holder)
    this.shedCount++
    holder.onAnswersShed()
  }
}
