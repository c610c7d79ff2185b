import type { NextTurn } from '../handlers/slices.ts'

/** A connection with a large request that has arrived and may not start yet. */
export interface AnswerStarter {
  readonly context: { readonly clientAddress: string }
  /** There may be room for it now: it asks again, or is asked no more. */
  onRoomForAnswer(): void
}

/** Of requests up to this size, nearly all, nobody counts what decoding makes of them. */
export const LARGE_REQUEST_BYTES = 8 * 1024
/** A request decodes to so many times its size at most: an element of nine bytes to an object of a hundred. */
const DECODED_FACTOR = 12
/** About what one element of an answer takes as an object: a partition, a setting, a member. */
const ELEMENT_BYTES = 192
/** Beyond this an answer is a large one: together they get half of the room, so that small ones need not wait for them. */
const LARGE_ANSWER_BYTES = 256 * 1024
/** Answers that wait are told of room in such numbers. */
const WAKE_COUNT = 8
/** The bound is this share of that of answers, and no more than a second or two of encoding. */
const SHARE = 0.25
const MAX_BYTES = 64 * 1024 * 1024

/**
 * Bounds what answers take between request and bytes, over all connections: large requests in decoded form, and the objects of long
 * answers, which are made a slice in each turn and wait to be encoded one after the other. Where the bound is reached the next slice
 * waits, but for the answer that began first, whose size stands in nobody's way: one is always finished, and gives back what it took.
 * Requests that are large themselves wait where they are, in the frames' budget, client address by client address in turn. Small requests
 * with small answers, nearly all of them, are neither counted nor held up.
 */
export class AnswersInMaking {
  readonly maxBytes: number
  readonly #nextTurn: NextTurn
  #usedBytes = 0
  /** Those made in slices, in the order in which they began. */
  readonly #sliced = new Set<AnswerInMaking>()
  readonly #waiting = new Map<AnswerInMaking, () => void>()
  /** By client address; the next one's comes first. */
  readonly #starters = new Map<string, Set<AnswerStarter>>()
  #wakes = false

  /** `maxAnswerBytes` bounds answers that are encoded (`queued.max.response.bytes`). */
  constructor(maxAnswerBytes: number, nextTurn: NextTurn) {
    this.maxBytes = Math.min(Math.floor(maxAnswerBytes * SHARE), MAX_BYTES)
    this.#nextTurn = nextTurn
  }

  get usedBytes(): number {
    return this.#usedBytes
  }

  /** Whether a request of that size, a large one, may start now. Otherwise its connection is told when it may ask again, unless it forgets. */
  mayStart(starter: AnswerStarter, requestBytes: number): boolean {
    if (this.#hasRoomFor(requestBytes)) return true
    const { clientAddress } = starter.context
    const waiting = this.#starters.get(clientAddress)
    if (waiting === undefined) this.#starters.set(clientAddress, new Set([starter]))
    else waiting.add(starter)
    return false
  }

  /** It has gone. */
  forget(starter: AnswerStarter): void {
    const { clientAddress } = starter.context
    const waiting = this.#starters.get(clientAddress)
    if (waiting?.delete(starter) === true && waiting.size === 0) this.#starters.delete(clientAddress)
  }

  /** A request was decoded; null: it is too small to be counted. */
  begin(requestBytes: number): AnswerInMaking | null {
    return requestBytes <= LARGE_REQUEST_BYTES ? null : this.open(requestBytes * DECODED_FACTOR)
  }

  /** An answer of which so much is there already. */
  open(sizeBytes = 0): AnswerInMaking {
    this.#usedBytes += sizeBytes
    return new AnswerInMaking(this, sizeBytes)
  }

  /** For answers only. */
  account(answer: AnswerInMaking, sizeBytes: number): void {
    this.#usedBytes += sizeBytes
    if (sizeBytes < 0 || this.#waiting.has(answer)) this.#wakeLater()
  }

  /** For answers only: resolves in a later turn, in which the answer may grow by a slice, or is over. */
  async next(answer: AnswerInMaking, nextTurn: NextTurn): Promise<void> {
    this.#sliced.add(answer)
    do {
      if (!this.#mayGoOn(answer)) await new Promise<void>((resolve) => this.#waiting.set(answer, resolve))
      await nextTurn()
    } while (!this.#mayGoOn(answer))
    // This one was among the few that were told.
    if (this.#waiting.size > 0) this.#wakeLater()
  }

  /** For answers only. */
  remove(answer: AnswerInMaking): void {
    this.#sliced.delete(answer)
    this.#resume(answer)
    this.#wakeLater()
  }

  #mayGoOn(answer: AnswerInMaking): boolean {
    const first = this.#sliced.values().next().value
    if (answer.isOver || first === answer) return true
    return (
      this.#usedBytes - (first?.sizeBytes ?? 0) <
      (answer.sizeBytes > LARGE_ANSWER_BYTES ? this.maxBytes / 2 : this.maxBytes)
    )
  }

  /** The largest must not wait until nobody else is there. */
  #hasRoomFor(requestBytes: number): boolean {
    const first = this.#sliced.values().next().value
    const usedBytes = this.#usedBytes - (first?.sizeBytes ?? 0)
    return usedBytes + Math.min(requestBytes * DECODED_FACTOR, this.maxBytes / 4) <= this.maxBytes
  }

  /** Not at once: whoever gives something back is in the midst of its own work. */
  #wakeLater(): void {
    if (this.#wakes || (this.#waiting.size === 0 && this.#starters.size === 0)) return
    this.#wakes = true
    void this.#nextTurn().then(() => {
      this.#wakes = false
      this.#wake()
    })
  }

  #wake(): void {
    let left = WAKE_COUNT
    const first = this.#sliced.values().next().value
    if (first !== undefined) this.#resume(first)
    for (const answer of this.#waiting.keys()) {
      if (left === 0) break
      if (!this.#mayGoOn(answer)) continue
      this.#resume(answer)
      left--
    }
    for (; left > 0 && this.#starters.size > 0 && this.#hasRoomFor(LARGE_REQUEST_BYTES); left--) {
      this.#takeStarter().onRoomForAnswer()
    }
    if (left === 0) this.#wakeLater()
  }

  #resume(answer: AnswerInMaking): void {
    const resolve = this.#waiting.get(answer)
    if (resolve === undefined) return
    this.#waiting.delete(answer)
    resolve()
  }

  #takeStarter(): AnswerStarter {
    const [clientAddress, waiting] = this.#starters.entries().next().value!
    const [starter] = waiting
    waiting.delete(starter!)
    this.#starters.delete(clientAddress)
    if (waiting.size > 0) this.#starters.set(clientAddress, waiting)
    return starter!
  }
}

/** What one answer takes until it is encoded, or nobody waits for it any more. */
export class AnswerInMaking {
  readonly #all: AnswersInMaking
  sizeBytes: number
  isOver = false

  constructor(all: AnswersInMaking, sizeBytes: number) {
    this.#all = all
    this.sizeBytes = sizeBytes
  }

  /** See {@link AnswersInMaking}: resolves in a later turn, in which there is room for a slice. */
  next(nextTurn: NextTurn): Promise<void> {
    return this.isOver ? nextTurn() : this.#all.next(this, nextTurn)
  }

  /** It has so many elements more. */
  grow(elementCount: number): void {
    if (this.isOver) return
    const sizeBytes = elementCount * ELEMENT_BYTES
    this.sizeBytes += sizeBytes
    this.#all.account(this, sizeBytes)
  }

  /** Whatever it took is free, and it waits no longer. May be called again. */
  end(): void {
    if (this.isOver) return
    this.isOver = true
    this.#all.account(this, -this.sizeBytes)
    this.#all.remove(this)
  }
}
