import {
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  batchCodecOf,
  batchCrcOk,
  batchSizeOf,
  CodecId,
  isControlBatch,
  isTransactionalBatch,
  lastOffsetDeltaOf,
  lastOffsetOf,
  magicOf,
  RecordReader,
  recordCountOf,
} from '@millrace/protocol'

const MAX_COMPLAINTS = 3
/** Version 0; 0 is an abort, 1 a commit. */
const MARKER_KEYS = [Buffer.from([0, 0, 0, 0]), Buffer.from([0, 0, 0, 1])]

/**
 * Follows one partition of a topic that only hostile clients wrote to, from its start to its end, and says what no broker may have
 * appended (`reliability.md`, 6.1): a wrong checksum, another format or codec, a count and a last offset that contradict each other, a
 * control batch that is no marker (WriteTxnMarkers may have asked for those), records that do not fill their batch, a gap (none of these topics is compacted). What is behind a compressed stream it leaves
 * alone, as the broker does.
 */
export class StoredBatches {
  readonly complaints: string[] = []
  batchCount = 0
  readonly #name: string
  readonly #reader = new RecordReader()
  /** Of the next batch; -1 until the first was seen, which may begin before the offset that was asked for. */
  #nextOffset = -1

  constructor(name: string) {
    this.#name = name
  }

  /** Looks at the whole batches of a fetch. Returns the offset to go on at, or -1 if there was no whole batch. */
  take(bytes: Buffer): number {
    const before = this.batchCount
    for (let position = 0; position + BATCH_HEADER_BYTES <= bytes.length; ) {
      const sizeBytes = batchSizeOf(bytes, position)
      if (sizeBytes < BATCH_HEADER_BYTES) {
        this.#complain(`a batch of ${sizeBytes} bytes`)
        break
      }
      if (position + sizeBytes > bytes.length) break
      this.#look(bytes, position)
      this.batchCount++
      position += sizeBytes
    }
    return this.batchCount === before ? -1 : this.#nextOffset
  }

  #look(bytes: Buffer, position: number): void {
    const baseOffset = baseOffsetOf(bytes, position)
    const lastOffsetDelta = lastOffsetDeltaOf(bytes, position)
    const count = recordCountOf(bytes, position)
    const codec = batchCodecOf(bytes, position)
    const at = `at ${baseOffset}`
    if (magicOf(bytes, position) !== 2) this.#complain(`format ${magicOf(bytes, position)} ${at}`)
    if (!batchCrcOk(bytes, position)) this.#complain(`a wrong checksum ${at}`)
    if (isControlBatch(bytes, position) && !this.#isMarker(bytes, position)) this.#complain(`a control batch ${at}`)
    if (codec > CodecId.ZSTD) this.#complain(`codec ${codec} ${at}`)
    if (lastOffsetDelta < 0) this.#complain(`last offset delta ${lastOffsetDelta} ${at}`)
    if (this.#nextOffset >= 0 && baseOffset !== this.#nextOffset) this.#complain(`${this.#nextOffset} was due ${at}`)
    if (count !== lastOffsetDelta + 1) this.#complain(`${count} records up to delta ${lastOffsetDelta} ${at}`)
    if (codec === CodecId.NONE) this.#lookAtRecords(bytes, position, at)
    this.#nextOffset = lastOffsetOf(bytes, position) + 1
  }

  /** One record, not compressed, of a transaction, whose key says in version 0 that it was committed or aborted. */
  #isMarker(bytes: Buffer, position: number): boolean {
    if (recordCountOf(bytes, position) !== 1 || batchCodecOf(bytes, position) !== CodecId.NONE) return false
    if (!isTransactionalBatch(bytes, position)) return false
    this.#reader.open(bytes, position)
    const key = this.#reader.next() ? this.#reader.key() : null
    return key !== null && MARKER_KEYS.some((known) => known.equals(key))
  }

  #lookAtRecords(bytes: Buffer, position: number, at: string): void {
    try {
      this.#reader.open(bytes, position)
      while (this.#reader.next()) {
        // Kafka lets other deltas than 0, 1, 2 … pass where it need not expand the batch; a record before its batch could not be read.
        const { offsetDelta } = this.#reader
        if (offsetDelta < 0) this.#complain(`offset delta ${offsetDelta} ${at}`)
      }
    } catch (error) {
      this.#complain(`${String(error)} ${at}`)
    }
  }

  #complain(what: string): void {
    if (this.complaints.length < MAX_COMPLAINTS) this.complaints.push(`${this.#name} has stored ${what}`)
  }
}
