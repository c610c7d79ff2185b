import { SeededRandom, type Uuid, ZERO_UUID } from '@millrace/base'
import { mutateFrame, RequestGrammar, requestFrame, servedApis } from '@millrace/broker/testing'
import {
  ApiKey,
  apis,
  createPartitionProduceData,
  createProduceRequest,
  createTopicProduceData,
  produceApi,
} from '@millrace/protocol'
import type { ServedVersions } from './answer-checker.ts'
import { HostileBatches } from './hostile-batches.ts'

/** What one connection is sent at once. */
export interface Delivery {
  readonly bytes: Buffer
  /** Only whole requests, right in form, in versions that are served: each of them has an answer. */
  readonly sound: boolean
  /** Where the bytes are cut when they are sent: at once, at every byte, or at these positions. */
  readonly cuts: 'none' | 'every' | readonly number[]
}

/** How rare the dear ones are: one of so many frames. */
export interface RareFrames {
  /** Thousands of elements in one array. */
  readonly flood: number
  /** Beyond every limit on elements. */
  readonly deluge: number
  /** A batch that expands a hundredfold and more. */
  readonly bomb: number
}

/** Small files roll, and are removed, while they are attacked; a batch of a megabyte does not fit in. */
const SMALL_FILES = { 'internal.segment.bytes': '131072' }

/** Topics that requests may hit, with what makes each of them special. */
export const TARGET_TOPICS: Readonly<
  Record<string, { partitions: number; configs: Readonly<Record<string, string>> }>
> = {
  t: { partitions: 2, configs: SMALL_FILES },
  u: { partitions: 1, configs: {} },
  compacted: { partitions: 1, configs: { ...SMALL_FILES, 'cleanup.policy': 'compact' } },
  stamped: { partitions: 1, configs: { ...SMALL_FILES, 'message.timestamp.type': 'LogAppendTime' } },
  recoded: { partitions: 1, configs: { 'compression.type': 'zstd' } },
}

const VARINTS = [
  'ff',
  'ffff',
  'ffffffff0f',
  'ffffffff7f',
  '8080808000',
  '80808080808080808001',
  'ffffffffffffffffffff01',
  '00',
  '01',
].map((hex) => Buffer.from(hex, 'hex'))
const MAX_BYTE_BY_BYTE = 160
/** Longer ones are refused by their size alone (`socket.request.max.bytes`), whatever they are. */
const MAX_FRAME_BYTES = 104_857_600

const versions = servedApis().flatMap(({ key, minVersion, maxVersion }) =>
  Array.from({ length: maxVersion - minVersion + 1 }, (_, n) => ({ key, version: minVersion + n })),
)

/** What the broker serves, by key. */
export const servedVersions: ServedVersions = new Map(servedApis().map((api) => [api.key, api]))

/** Makes what hostile, broken and decent clients send. Equal seeds and equal ids give equal bytes. */
export class FrameSource {
  readonly #random: SeededRandom
  readonly #grammar: RequestGrammar
  readonly #batches: HostileBatches
  readonly #rare: RareFrames
  readonly #maxFrameBytes: number
  #next = 0
  #correlationId = 0
  #topicIds: ReadonlyMap<string, Uuid> = new Map()
  /** A frame of before, which others are spliced with. */
  #earlier: Buffer = Buffer.alloc(0)
  /** Frames made so far. */
  frameCount = 0

  constructor(seed: number, rare: RareFrames, maxFrameBytes = MAX_FRAME_BYTES) {
    const random = new SeededRandom(seed)
    this.#random = random.fork('frames')
    this.#grammar = new RequestGrammar(random.fork('grammar'))
    this.#batches = new HostileBatches(random.fork('batches'))
    this.#rare = rare
    this.#maxFrameBytes = maxFrameBytes
  }

  /** Topics as they are now: their ids are what new versions name. */
  useTopics(topicIds: ReadonlyMap<string, Uuid>): void {
    this.#topicIds = topicIds
    const known = this.#grammar.topicIds
    known.length = 0
    known.push(ZERO_UUID, ...topicIds.values())
  }

  /** A fetch session that was opened. */
  useSession(sessionId: number): void {
    const known = this.#grammar.sessionIds
    known.push(sessionId)
    if (known.length > 50) known.splice(1, 25)
  }

  /** `isDecent`: nothing that is wrong, for a connection that must be answered to its end. */
  delivery(isDecent = false): Delivery {
    const dice = this.#draw(100)
    if (isDecent || dice < 40) return this.#deliver(this.#requests(1 + this.#draw(2)), true)
    if (dice < 70) return this.#deliver(this.#damaged(this.#request()), false)
    if (dice < 85) return this.#deliver(this.#produce(), false)
    if (dice < 93) return this.#deliver(this.#oddHeader(), false)
    // Decent requests, and garbage right behind them.
    if (dice < 97) return this.#deliver(Buffer.concat([this.#requests(1 + this.#draw(4)), this.#garbage()]), false)
    return this.#deliver(this.#garbage(), false)
  }

  #deliver(bytes: Buffer, sound: boolean): Delivery {
    this.frameCount++
    this.#earlier = bytes
    const dice = this.#draw(20)
    if (dice === 0 && bytes.length <= MAX_BYTE_BY_BYTE) return { bytes, sound, cuts: 'every' }
    if (dice > 3 || bytes.length < 2) return { bytes, sound, cuts: 'none' }
    const cuts = Array.from({ length: 1 + this.#draw(3) }, () => 1 + this.#draw(bytes.length - 1))
    return { bytes, sound, cuts: [...new Set(cuts)].sort((a, b) => a - b) }
  }

  #requests(count: number): Buffer {
    if (count === 1) return this.#request()
    this.frameCount += count - 1
    return Buffer.concat(Array.from({ length: count }, () => this.#request()))
  }

  #request(): Buffer {
    // Every version has its turn; which of them meet is up to chance.
    const { key, version } = versions[this.#next++ % versions.length]!
    const frame = this.#frame(key, version, this.#fields(key, version))
    // A flood of long names may come to more than any request may have, and would have no answer.
    return frame.length - 4 <= this.#maxFrameBytes
      ? frame
      : this.#frame(key, version, this.#grammar.request(key, version))
  }

  #fields(key: number, version: number): unknown {
    if (this.#oneIn(this.#rare.deluge)) return this.#grammar.flood(key, version, 90_000 + this.#draw(500_000), 'n/')
    if (!this.#oneIn(this.#rare.flood)) return this.#grammar.request(key, version)
    // Topics that could be made are few: the broker is to be attacked, not to be filled.
    const makesTopics = key === ApiKey.CREATE_TOPICS || key === ApiKey.METADATA
    const count = 1 + this.#draw(this.#pick([100, 2_000, 20_000]))
    return this.#grammar.flood(key, version, count, makesTopics && count > 60 ? 'n/' : 'n')
  }

  #frame(key: number, version: number, fields: unknown, clientId: string | null = 'test'): Buffer {
    return requestFrame(apis[key]!, version, fields, this.#nextCorrelationId(), clientId)
  }

  #nextCorrelationId(): number {
    // All 32 bits are the client's.
    this.#correlationId = (this.#correlationId + 1) | 0
    return this.#draw(50) === 0 ? this.#pick([-1, 0, 2_147_483_647, -2_147_483_648]) : this.#correlationId
  }

  #produce(): Buffer {
    const version = 3 + this.#draw(11)
    const names = Array.from({ length: this.#pick([1, 1, 1, 2, 3]) }, () => this.#pick(Object.keys(TARGET_TOPICS)))
    const topicData = names.map((name) => {
      const topicId = version >= 13 ? (this.#topicIds.get(name) ?? ZERO_UUID) : ZERO_UUID
      const partitionData = Array.from({ length: this.#pick([1, 1, 2]) }, (_, index) =>
        createPartitionProduceData({ index, records: this.#records() }),
      )
      return createTopicProduceData({ name, topicId, partitionData })
    })
    const acks = this.#pick([-1, -1, 1, 0, 2])
    const request = createProduceRequest({ acks, timeoutMs: this.#pick([0, 1000, 2_147_483_647, -1]), topicData })
    return this.#frame(produceApi.key, version, request)
  }

  #records(): Buffer | null {
    if (this.#oneIn(this.#rare.bomb)) return this.#draw(2) === 0 ? this.#batches.bomb() : this.#batches.dense()
    return this.#batches.records()
  }

  #damaged(frame: Buffer): Buffer {
    switch (this.#draw(6)) {
      case 0:
        return this.#resized(this.#withVarint(frame))
      case 1:
        return this.#resized(this.#spliced(frame))
      case 2:
        // Cut anywhere, with the size it had: what is missing never comes, or comes from the next request.
        return Buffer.from(frame.subarray(0, 4 + this.#draw(frame.length)))
      case 3:
        return this.#resized(Buffer.concat([frame, this.#random.bytes(1 + this.#draw(20))]))
      default:
        return mutateFrame(frame, this.#random)
    }
  }

  #withVarint(frame: Buffer): Buffer {
    const at = Math.min(frame.length, 12 + this.#draw(Math.max(1, frame.length - 12)))
    return Buffer.concat([frame.subarray(0, at), this.#pick(VARINTS), frame.subarray(at + this.#draw(3))])
  }

  /** The end of another frame, or a part of its own twice. */
  #spliced(frame: Buffer): Buffer {
    const at = Math.min(frame.length, 12 + this.#draw(Math.max(1, frame.length - 12)))
    const other = this.#draw(2) === 0 ? this.#earlier : frame
    const from = this.#draw(Math.max(1, other.length))
    const piece = other.subarray(from, from + this.#draw(400))
    return Buffer.concat([frame.subarray(0, at), piece, frame.subarray(at)])
  }

  #resized(frame: Buffer): Buffer {
    frame.writeInt32BE(frame.length - 4, 0)
    return frame
  }

  /** Keys and versions that are not served, and headers that are not those of their version. */
  #oddHeader(): Buffer {
    const frame = Buffer.from(this.#request())
    switch (this.#draw(6)) {
      case 0:
        frame.writeInt16BE(99, 6)
        return frame
      case 1:
        frame.writeInt16BE(this.#pick([-1, 4, 5, 6, 7, 65, 66, 92, 100, 127, 128, 9999, 32_767, -32_768]), 4)
        return frame
      case 2:
        frame.writeInt16BE(this.#pick([-1, -32_768, 32_767, 0, 1, 2, 3, 12, 20]), 6)
        return frame
      case 3:
        // ApiVersions of a version that is too new has an answer all the same (KIP-511).
        frame.writeInt16BE(ApiKey.API_VERSIONS, 4)
        frame.writeInt16BE(this.#pick([5, 99, 32_767, -1]), 6)
        return frame
      case 4: {
        const { key, version } = versions[this.#draw(versions.length)]!
        const clientId = this.#pick([null, '', 'x'.repeat(32_767), '\u0000', '{"a":1}', '__admin_client', '%s%n'])
        return this.#frame(key, version, this.#grammar.request(key, version), clientId)
      }
      default:
        return this.#withHeaderTags(frame)
    }
  }

  /** Tagged fields in the header: right in a flexible one, garbage in any other. */
  #withHeaderTags(frame: Buffer): Buffer {
    const end = 14 + Math.max(0, frame.readInt16BE(12))
    if (end > frame.length) return frame
    const tags = this.#pick([
      '01009001',
      '0200000100',
      '010000',
      'ffffffff0f',
      '0100ffffffff0f',
      '01ffffffff0f00',
      '020500050100',
    ])
    return this.#resized(Buffer.concat([frame.subarray(0, end), Buffer.from(tags, 'hex'), frame.subarray(end)]))
  }

  /** No frame at all. */
  #garbage(): Buffer {
    switch (this.#draw(6)) {
      case 0:
        return this.#random.bytes(1 + this.#draw(300))
      case 1: {
        const size = Buffer.alloc(4 + this.#draw(20))
        size.writeInt32BE(this.#pick([-1, 0, 1, 7, 104_857_600, 104_857_601, 2_147_483_647, -2_147_483_648]), 0)
        return size
      }
      case 2:
        // A TLS client, and one of the secure shell.
        return Buffer.from(this.#pick(['16030100a5010000a10303', '5353482d322e30']), 'hex')
      case 3:
        return Buffer.alloc(1 + this.#draw(100), this.#pick([0, 0xff, 0x80, 0x20]))
      case 4: {
        // The answer of a broker.
        const answer = Buffer.alloc(12)
        answer.writeInt32BE(8, 0)
        return answer
      }
      default:
        return Buffer.from(this.#request().subarray(4 + this.#draw(8)))
    }
  }

  #oneIn(count: number): boolean {
    return count > 0 && this.#draw(count) === 0
  }

  #draw(count: number): number {
    return this.#random.uint32() % count
  }

  #pick<T>(values: readonly T[]): T {
    return values[this.#draw(values.length)]!
  }
}
