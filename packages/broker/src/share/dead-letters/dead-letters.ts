import { BaseError, type Clock, type Timer, type Timers } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { describeError } from '../../coordinator/runtime/describe-error.ts'
import type { Logger } from '../../logger.ts'
import type { SharePartition } from '../share-partition.ts'
import type { ShareTotals } from '../share-totals.ts'
import type { RecordRange } from '../window/record-range.ts'
import {
  type DeadLetter,
  type DeadLetterOrigin,
  encodeLetters,
  splitLetters,
  withoutContents,
} from './dead-letter-batch.ts'
import { readSource, type SourceLetters } from './source-records.ts'

const FIRST_RETRY_MS = 200
const MAX_RETRY_MS = 30_000

/** Where dead letters of a partition go: a partition of a topic, and what that takes. */
export interface DeadLetterTarget {
  readonly topic: string
  readonly partition: number
  readonly maxMessageBytes: number
}

/** Writes to dead-letter topics. */
export interface DeadLetterTopics {
  /** Null: it cannot be written to now. The topic may be made, if the configuration allows that. */
  target(topic: string, sourcePartition: number): DeadLetterTarget | null
  /** Resolves with the error code once all in-sync replicas have the batch. */
  append(target: DeadLetterTarget, batch: Buffer): Promise<number>
}

export interface DeadLettersDeps {
  readonly clock: Clock
  readonly timers: Timers
  readonly logger: Logger
  readonly totals: ShareTotals
  readonly topics: DeadLetterTopics
  /** A bug: nothing may go on. */
  onFault(error: unknown): void
}

/**
 * Writes dead letters (KIP-1191): for each share partition one range after the other, and the range is archived only when its letters are
 * on all in-sync replicas of their topic. Whatever fails is tried again, so a letter may be written twice; it is not lost. A group that is
 * given no topic any more gets no more letters.
 */
export class DeadLetters {
  readonly #deps: DeadLettersDeps
  readonly #busy = new Set<SharePartition>()
  readonly #pauses = new Set<Timer>()
  #isClosed = false

  constructor(deps: DeadLettersDeps) {
    this.#deps = deps
  }

  /** Share partitions whose letters are being written. */
  get busyCount(): number {
    return this.#busy.size
  }

  /** The share partition may have ranges that wait for letters. */
  onDeadLetters(share: SharePartition): void {
    if (this.#busy.has(share) || this.#isClosed) return
    const range = share.window?.nextDeadLetter() ?? null
    if (range === null) return
    this.#busy.add(share)
    this.#run(share).catch((error: unknown) => this.#deps.onFault(error))
  }

  close(): void {
    this.#isClosed = true
    for (const timer of this.#pauses) timer.cancel()
  }

  async #run(share: SharePartition): Promise<void> {
    try {
      let range = share.window?.nextDeadLetter() ?? null
      for (; range !== null && !this.#isClosed; range = share.window?.nextDeadLetter() ?? null) {
        range.isInDeadLetter = true
        // Before the first wait: a range that records are deleted of is cut.
        const { startOffset, endOffset } = range
        await this.#writeRange(share, range, startOffset, endOffset)
        share.onDeadLetterDone(range)
      }
    } finally {
      this.#busy.delete(share)
    }
  }

  /** Returns when all letters of the range are written, none will be, or the share partition is of no use any more. */
  async #writeRange(share: SharePartition, range: RecordRange, startOffset: number, endOffset: number): Promise<void> {
    let offset = startOffset
    for (let retry = 0; offset < endOffset && !share.isClosed && !this.#isClosed; ) {
      const { deadLetterTopic } = share.settings
      if (deadLetterTopic === '') return
      const target = this.#deps.topics.target(deadLetterTopic, share.partition.partition)
      const source = target === null ? null : await this.#read(share, offset, endOffset)
      const origin = originOf(share, range)
      if (target !== null && source !== null && (await this.#write(source.letters, origin, target))) {
        offset = source.endOffset
        retry = 0
        continue
      }
      await this.#pause(share, deadLetterTopic, retry++)
    }
  }

  async #read(share: SharePartition, startOffset: number, endOffset: number): Promise<SourceLetters | null> {
    try {
      // Also where contents are not wanted: offsets that hold no record get no letter.
      return await readSource(share.partition, startOffset, endOffset, share.settings.copiesRecords)
    } catch (error) {
      if (!(error instanceof BaseError)) throw error
      this.#deps.logger.debug('records for dead letters could not be read', { error: describeError(error) })
      return null
    }
  }

  /** False: not all of them could be written. */
  async #write(letters: readonly DeadLetter[], origin: DeadLetterOrigin, target: DeadLetterTarget): Promise<boolean> {
    if (letters.length === 0) return true
    for (const batch of splitLetters(letters, origin, target.maxMessageBytes)) {
      if (!(await this.#writeBatch(batch, origin, target))) return false
    }
    return true
  }

  /** What is too large goes in halves; one that is too large by itself goes without key and value; and if that is too large, not at all. */
  async #writeBatch(
    letters: readonly DeadLetter[],
    origin: DeadLetterOrigin,
    target: DeadLetterTarget,
  ): Promise<boolean> {
    const { clock, topics, totals } = this.#deps
    const errorCode = await topics.append(target, encodeLetters(letters, origin, clock.wallMs()))
    if (errorCode === ErrorCode.NONE) {
      totals.deadLetters += letters.length
      return true
    }
    if (errorCode !== ErrorCode.MESSAGE_TOO_LARGE && errorCode !== ErrorCode.RECORD_LIST_TOO_LARGE) {
      totals.deadLetterFailures++
      return false
    }
    if (letters.length > 1) {
      const middle = letters.length >> 1
      const isFirstDone = await this.#writeBatch(letters.slice(0, middle), origin, target)
      return isFirstDone && (await this.#writeBatch(letters.slice(middle), origin, target))
    }
    const letter = letters[0]!
    if (letter.record !== null) {
      totals.deadLettersWithoutValue++
      const short = withoutContents(letter, 'key and value are left out: the record is too large for this topic')
      return this.#writeBatch([short], origin, target)
    }
    totals.lostDeadLetters++
    this.#deps.logger.error('a dead letter is too large for its topic, and is not written', {
      deadLetterTopic: target.topic,
      group: origin.groupId,
      topic: origin.topic,
      partition: origin.partition,
      offset: letter.offset,
    })
    return true
  }

  #pause(share: SharePartition, deadLetterTopic: string, retry: number): Promise<void> {
    const { logger, timers } = this.#deps
    if (retry === 3) {
      logger.warn('dead letters cannot be written, and are tried again', {
        deadLetterTopic,
        group: share.key.groupId,
        topic: share.partition.topic,
        partition: share.partition.partition,
      })
    }
    const delayMs = Math.min(MAX_RETRY_MS, FIRST_RETRY_MS * 2 ** Math.min(retry, 20))
    return new Promise((resolve) => {
      const timer = timers.setTimer(delayMs, () => {
        this.#pauses.delete(timer)
        resolve()
      })
      this.#pauses.add(timer)
    })
  }
}

function originOf(share: SharePartition, { deliveryCount, reason }: RecordRange): DeadLetterOrigin {
  const { topic, partition } = share.partition
  return { groupId: share.key.groupId, topic, partition, deliveryCount, reason: reason ?? 'rejected' }
}
