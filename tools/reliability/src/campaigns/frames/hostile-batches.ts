import type { SeededRandom } from '@millrace/base'
import { START_MS } from '@millrace/broker/testing'
import {
  ATTRIBUTES_POSITION,
  BASE_OFFSET_POSITION,
  BASE_SEQUENCE_POSITION,
  BASE_TIMESTAMP_POSITION,
  BATCH_HEADER_BYTES,
  BatchBuilder,
  type BatchOptions,
  CodecId,
  CRC_POSITION,
  compress,
  LAST_OFFSET_DELTA_POSITION,
  LENGTH_POSITION,
  LOG_OVERHEAD_BYTES,
  MAGIC_POSITION,
  MAX_TIMESTAMP_POSITION,
  PARTITION_LEADER_EPOCH_POSITION,
  PRODUCER_EPOCH_POSITION,
  PRODUCER_ID_POSITION,
  RECORD_COUNT_POSITION,
  sealBatch,
} from '@millrace/protocol'

const CODECS = [CodecId.GZIP, CodecId.SNAPPY, CodecId.LZ4, CodecId.ZSTD] as const
type Compressing = (typeof CODECS)[number]

/** Every field of a batch's header: where it is and how many bytes it has. */
const FIELDS: readonly (readonly [position: number, sizeBytes: number])[] = [
  [BASE_OFFSET_POSITION, 8],
  [LENGTH_POSITION, 4],
  [PARTITION_LEADER_EPOCH_POSITION, 4],
  [MAGIC_POSITION, 1],
  [CRC_POSITION, 4],
  [ATTRIBUTES_POSITION, 2],
  [LAST_OFFSET_DELTA_POSITION, 4],
  [BASE_TIMESTAMP_POSITION, 8],
  [MAX_TIMESTAMP_POSITION, 8],
  [PRODUCER_ID_POSITION, 8],
  [PRODUCER_EPOCH_POSITION, 2],
  [BASE_SEQUENCE_POSITION, 4],
  [RECORD_COUNT_POSITION, 4],
]

/** What declared sizes are overwritten with: the ends of their ranges, as fixed numbers and as varints. */
const SIZES = [
  '00',
  '01',
  '7f',
  '80',
  'ff',
  '7fffffff',
  '80000000',
  'ffffffff',
  'feffffff0f',
  'ffffffff0f',
  'ffffffffffffffffff01',
  '0000000000000000',
].map((hex) => Buffer.from(hex, 'hex'))

/** Headers of streams that declare a size of their own, far beyond what follows. */
const LIARS: ReadonlyMap<Compressing, Buffer> = new Map([
  [CodecId.SNAPPY, Buffer.from('ffffffff0f', 'hex')],
  [CodecId.ZSTD, Buffer.from('28b52ffde0ffffffffffffff7f', 'hex')],
  [CodecId.LZ4, Buffer.from('04224d186870ffffffffffffff7f', 'hex')],
  [CodecId.GZIP, Buffer.from('1f8b0800000000000003', 'hex')],
])

const BOMB_RECORD_BYTES = 20_000_000
const BOMB_RECORD_COUNT = 4
/** Made once for each codec and thread: packing eighty megabytes takes longer than a thousand frames. Not to be written to. */
const bombs = new Map<Compressing, Buffer>()

/** Record data as no decent producer sends it, mostly with the right checksum: a hostile one computes it too. */
export class HostileBatches {
  readonly #random: SeededRandom

  constructor(random: SeededRandom) {
    this.#random = random
  }

  /** The `records` field of one partition; null is one of the things that can be sent. */
  records(): Buffer | null {
    const dice = this.#draw(100)
    if (dice < 35) return this.#withHeaderField()
    if (dice < 55) return this.#withDamagedRecords()
    if (dice < 65) return this.#withDamagedStream()
    if (dice < 72) return this.#liar()
    if (dice < 80) return this.#foreign()
    if (dice < 86) return this.#several()
    if (dice < 92) return this.#oddStreams()
    if (dice < 96) return this.#manyRecords()
    return dice < 98 ? null : this.#random.bytes(this.#draw(200))
  }

  /** A batch of a megabyte or less that expands to eighty. */
  bomb(): Buffer {
    const codec = this.#pick(CODECS)
    let bomb = bombs.get(codec)
    if (bomb === undefined) {
      const builder = new BatchBuilder({ codec })
      const value = Buffer.alloc(BOMB_RECORD_BYTES)
      for (let record = 0; record < BOMB_RECORD_COUNT; record++) builder.append(START_MS, 'k', value)
      bomb = Buffer.from(builder.build())
      bombs.set(codec, bomb)
    }
    return bomb
  }

  /** As many records as a batch of a megabyte has room for, packed so that reading them all is the work. */
  dense(): Buffer {
    const builder = new BatchBuilder({ codec: this.#pick(CODECS), producerId: -1 })
    const count = 1 + this.#draw(400_000)
    // Out of bounds: each record must be looked at to say which.
    const timestamp = this.#pick([START_MS, 0, 4_000_000_000_000])
    for (let record = 0; record < count; record++) builder.append(timestamp, null, null)
    return Buffer.from(builder.build())
  }

  #good(options: BatchOptions = {}): Buffer {
    const codec = this.#draw(2) === 0 ? CodecId.NONE : this.#pick(CODECS)
    const builder = new BatchBuilder({ codec, ...options })
    for (let record = 1 + this.#draw(5); record > 0; record--) {
      const timestamp = this.#pick([START_MS, START_MS, START_MS, 0, -1, 4_000_000_000_000])
      const key = this.#draw(3) === 0 ? null : `k${record}`
      const headers = this.#draw(4) === 0 ? [{ key: 'h', value: Buffer.from('v') }] : null
      builder.append(timestamp, key, this.#draw(5) === 0 ? null : 'v'.repeat(this.#draw(200)), headers)
    }
    return Buffer.from(builder.build())
  }

  #withHeaderField(): Buffer {
    const batch = this.#good()
    for (let changes = 1 + this.#draw(2); changes > 0; changes--) {
      const [position, sizeBytes] = this.#pick(FIELDS)
      switch (this.#draw(4)) {
        case 0:
          batch[position + this.#draw(sizeBytes)]! ^= 1 << this.#draw(8)
          break
        case 1:
          batch.fill(this.#pick([0, 0xff]), position, position + sizeBytes)
          break
        case 2:
          batch.fill(0, position, position + sizeBytes)
          batch[position + sizeBytes - 1] = this.#draw(256)
          break
        default:
          batch[position] = this.#pick([0x7f, 0x80])
      }
    }
    return this.#maybeSealed(batch)
  }

  #withDamagedRecords(): Buffer {
    const batch = this.#good({ codec: CodecId.NONE })
    for (let changes = 1 + this.#draw(3); changes > 0; changes--) {
      const at = BATCH_HEADER_BYTES + this.#draw(Math.max(1, batch.length - BATCH_HEADER_BYTES))
      if (this.#draw(2) === 0) batch[at]! ^= 1 << this.#draw(8)
      else this.#pick(SIZES).copy(batch, at)
    }
    const cut = this.#draw(4) === 0 ? batch.subarray(0, BATCH_HEADER_BYTES + this.#draw(batch.length)) : batch
    return this.#repaired(this.#draw(3) === 0 ? this.#compressedAgain(cut) : Buffer.from(cut))
  }

  #compressedAgain(batch: Buffer): Buffer {
    const codec = this.#pick(CODECS)
    const payload = compress(codec, batch, Math.min(BATCH_HEADER_BYTES, batch.length))
    return withCodec(batch, codec, payload)
  }

  #withDamagedStream(): Buffer {
    const batch = this.#good({ codec: this.#pick(CODECS) })
    const at = BATCH_HEADER_BYTES + this.#draw(Math.max(1, batch.length - BATCH_HEADER_BYTES))
    if (this.#draw(2) === 0) return this.#repaired(Buffer.from(batch.subarray(0, at)))
    if (this.#draw(2) === 0) batch[at]! ^= 1 << this.#draw(8)
    else this.#pick(SIZES).copy(batch, at)
    return this.#repaired(batch)
  }

  #liar(): Buffer {
    const codec = this.#pick(CODECS)
    const stream = Buffer.concat([LIARS.get(codec)!, this.#random.bytes(this.#draw(60))])
    return this.#repaired(withCodec(this.#good({ codec: CodecId.NONE }), codec, stream))
  }

  /** Of a transaction, of the coordinator, of producers that were never given out, with every sequence. */
  #foreign(): Buffer {
    return this.#good({
      producerId: this.#pick([-1, 0, 1, 999, 1000, 2 ** 53 - 1, 2n ** 53n, 2n ** 63n - 1n]),
      producerEpoch: this.#pick([-1, 0, 1, 32_767]),
      baseSequence: this.#pick([-1, 0, 1, 2_147_483_647]),
      transactional: this.#draw(3) === 0,
      control: this.#draw(3) === 0,
      partitionLeaderEpoch: this.#pick([-1, 0, 2_147_483_647]),
    })
  }

  #several(): Buffer {
    const first = this.#good()
    const second = this.#draw(2) === 0 ? this.#good() : this.#withHeaderField()
    const both = Buffer.concat([first, second])
    return this.#draw(2) === 0 ? both : Buffer.from(both.subarray(0, first.length + this.#draw(second.length)))
  }

  /** Streams of many members, frames or blocks that hold nothing. */
  #oddStreams(): Buffer {
    const codec = this.#pick(CODECS)
    const empty = compress(codec, Buffer.alloc(0))
    const full = compress(codec, this.#good({ codec: CodecId.NONE }), BATCH_HEADER_BYTES)
    const parts = Array.from({ length: 1 + this.#draw(60) }, () => empty)
    parts.splice(this.#draw(parts.length), 0, full)
    return this.#repaired(withCodec(this.#good({ codec: CodecId.NONE }), codec, Buffer.concat(parts)))
  }

  #manyRecords(): Buffer {
    const builder = new BatchBuilder({ codec: this.#pick(CODECS) })
    for (let record = this.#draw(3000); record >= 0; record--) builder.append(START_MS, null, null)
    const batch = Buffer.from(builder.build())
    if (this.#draw(2) === 0) batch.writeInt32BE(this.#pick([0, -1, 2_147_483_647]), RECORD_COUNT_POSITION)
    return this.#repaired(batch)
  }

  #maybeSealed(batch: Buffer): Buffer {
    if (this.#draw(4) > 0 && batch.readInt32BE(LENGTH_POSITION) === batch.length - LOG_OVERHEAD_BYTES)
      sealBatch(batch, 0)
    return batch
  }

  /** Gives a batch the length it has, mostly, and the checksum of what it holds. */
  #repaired(batch: Buffer): Buffer {
    if (batch.length < BATCH_HEADER_BYTES || this.#draw(12) === 0) return batch
    batch.writeInt32BE(batch.length - LOG_OVERHEAD_BYTES, LENGTH_POSITION)
    sealBatch(batch, 0)
    return batch
  }

  #draw(count: number): number {
    return this.#random.uint32() % count
  }

  #pick<T>(values: readonly T[]): T {
    return values[this.#draw(values.length)]!
  }
}

function withCodec(batch: Buffer, codec: Compressing, payload: Buffer): Buffer {
  const result = Buffer.concat([batch.subarray(0, BATCH_HEADER_BYTES), payload])
  if (result.length >= BATCH_HEADER_BYTES) result[ATTRIBUTES_POSITION + 1] = codec
  return result
}
