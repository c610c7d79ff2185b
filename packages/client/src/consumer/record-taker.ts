import type { AssignedPartitions } from './assigned-partitions.ts'
import type { ConsumerBatch, ConsumerRecord } from './consumer-record.ts'
import type { PartitionState } from './partition-state.ts'

/** Hands out what was fetched, partition by partition in turn, so that a busy one cannot keep the others waiting. */
export class RecordTaker {
  readonly #assigned: AssignedPartitions
  #rotation = 0

  constructor(assigned: AssignedPartitions) {
    this.#assigned = assigned
  }

  /**
   * At most `maxRecords` records in at most `maxBatches` batches of one partition each. Throws `UnreadableRecordError` when the next
   * record cannot be read and none before it is left to hand out; the call after it begins with the other partitions.
   */
  take(maxRecords: number, maxBatches: number): ConsumerBatch[] {
    const batches: ConsumerBatch[] = []
    const states = this.#assigned.all()
    let left = maxRecords
    const start = this.#rotation
    for (let step = 0; step < states.length && left > 0 && batches.length < maxBatches; step++) {
      const slot = (start + step) % states.length
      const state = states[slot]!
      if (state.buffered.length === 0 || state.paused || state.status !== 'ready') continue
      if (batches.length === 0) this.#rotation = slot + 1
      const batch = this.#takeFrom(state, left, batches.length > 0)
      if (batch === null) continue
      batches.push(batch)
      left -= batch.records.length
      this.#rotation = slot + 1
    }
    return batches
  }

  #takeFrom(state: PartitionState, maxCount: number, othersWait: boolean): ConsumerBatch | null {
    const records: ConsumerRecord[] = []
    try {
      while (state.buffered.length > 0 && records.length < maxCount) {
        const chunk = state.buffered[0]!
        try {
          chunk.read(maxCount - records.length, records)
        } finally {
          state.position = { offset: chunk.nextOffset, leaderEpoch: chunk.leaderEpoch }
        }
        if (!chunk.isDone) break
        state.buffered.shift()
        state.bufferedBytes -= chunk.sizeBytes
      }
    } catch (error) {
      // Records that were taken must not get lost with the error: it will come again.
      if (records.length === 0 && !othersWait) throw error
    }
    if (records.length === 0) return null
    return {
      topic: state.topic,
      partition: state.partition,
      records,
      nextOffset: BigInt(state.position!.offset),
      highWatermark: BigInt(state.highWatermark),
      logStartOffset: BigInt(state.logStartOffset),
    }
  }
}
