/** A connection whose peer has not taken all of its answers. */
export interface AnswerHolder {
  /** It must give up what it holds: the connection closes. Perhaps called while it tells what it holds itself. */
  onAnswersShed(): void
}

/** A read gets at least so much as long as any is left to reads: an answer of nothing would be asked for again at once. */
const MIN_GRANT_BYTES = 256 * 1024
/** Below this share of the bound everybody gets what was asked for, as far as there is room. */
const FREE_SHARE = 0.5
/** Answers that are made may take up to this share of the bound. Of it reads get the first part as they wish, the rest in small grants. */
const MADE_SHARE = 0.5
const READ_SHARE = 0.375

/**
 * Bounds the memory of answers over all connections (`queued.max.response.bytes`), in one account: what is reserved for answers that are
 * being made, from the disk or by encoding long lists, and what sockets hold for peers that do not read. Views of mapped segments cost no
 * memory of ours and do not count.
 *
 * Reads get less as it fills; with half of the bound reserved a read gets one batch, and that is all by which the sum may pass the bound,
 * once for each read under way. While peers leave more than what is not reserved, the connection whose peer has left its answers lying for
 * the longest is closed, then the next: those who read what they ask for hold nothing for long, and stay. What is reserved counts up to
 * half of the bound there, so that many reads at once leave the other half to sockets. The last holder stays too, or an answer larger than
 * the bound would be asked for for ever.
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

  /**
   * Gives a read room for its result, perhaps less than wanted, perhaps none: then it takes one batch and says so by a negative `release`.
   * Whatever was given comes back by `release`.
   */
  reserve(wantedBytes: number): number {
    const { maxBytes, usedBytes } = this
    if (this.#reservedBytes >= maxBytes * MADE_SHARE) return 0
    const left = Math.floor(Math.min(maxBytes - usedBytes, maxBytes * READ_SHARE - this.#reservedBytes))
    const share = usedBytes < maxBytes * FREE_SHARE ? left : Math.floor(left / 8)
    const granted = Math.min(wantedBytes, Math.max(MIN_GRANT_BYTES, share))
    this.#reservedBytes += granted
    return granted
  }

  /** An answer that is made in memory takes so much more. As from `reserve`, it comes back by `release`. */
  take(sizeBytes: number): void {
    this.#reservedBytes += sizeBytes
    this.#shedExcess()
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
    this.#shedExcess()
  }

  #shedExcess(): void {
    const holdable = this.maxBytes - Math.min(this.#reservedBytes, this.maxBytes * MADE_SHARE)
    while (this.#heldBytes > holdable && this.#holders.size > 1) this.#shedOne()
  }

  #shedOne(): void {
    const [holder, sizeBytes] = this.#holders.entries().next().value!
    this.#heldBytes -= sizeBytes
    this.#holders.delete(holder)
    this.shedCount++
    holder.onAnswersShed()
  }
}
