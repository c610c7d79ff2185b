import { type SeededRandom, type Uuid, ZERO_UUID } from '@millrace/base'
import * as protocol from '@millrace/protocol'
import { CodecId, MAX_NAME_BYTES, MAX_STRING_BYTES } from '@millrace/protocol'
import {
  allMessages,
  isNullable,
  isPresent,
  isPrimitive,
  type Primitive,
  type ResolvedField,
  type ResolvedMessage,
  type ResolvedStruct,
} from '@millrace/protocol/schema'
import { batchOf, START_MS } from './batches.ts'

/** The longest texts that a string can hold: whatever is put before or behind them is too much. */
const LONGEST = ['x'.repeat(MAX_STRING_BYTES), 'ü'.repeat(MAX_STRING_BYTES >> 1)]
/** The longest names that are taken. */
const LONGEST_NAMES = ['x'.repeat(MAX_NAME_BYTES), 'ü'.repeat(MAX_NAME_BYTES / 2)]

/** In a flood, so many elements have records of their own: hundreds of thousands would be compressed for many seconds. */
const OWN_RECORDS_MAX = 1_000

type Fields = Record<string, unknown>

const TOPICS = ['t', 'u', 'compacted', '__consumer_offsets', 'gone', 'new', '', '.', '..', 'a/b', 'ä', '__proto__']
const GROUPS = ['g', 'h', '', 'constructor', 'x'.repeat(300)]
const MEMBERS = ['', 'm', 'test-0000']
const CONFIG_NAMES = [
  'retention.ms',
  'max.message.bytes',
  'cleanup.policy',
  'compression.type',
  'segment.bytes',
  'none',
]
const CONFIG_VALUES = ['', '0', '-1', '100', '1048588', 'compact', 'delete', 'compact,delete', 'gzip', 'zstd', 'NaN']
const INT32 = [-2147483648, -3, -2, -1, 0, 1, 2, 3, 5, 100, 1000, 70_000, 2147483647]
const INT64 = [-(2n ** 63n), -6, -5, -4, -3, -2, -1, 0, 1, 2, 7, START_MS, 2n ** 53n, 2n ** 63n - 1n]

/**
 * Makes requests that are right in form and often in meaning: values come from small pools by the name of their field, so that requests
 * hit the same topics, groups and sessions, mixed with extremes. Equal random sources give equal requests.
 */
export class RequestGrammar {
  readonly #random: SeededRandom
  readonly #requests = new Map<number, ResolvedMessage>()
  /** Ids that fields of type uuid may have. */
  readonly topicIds: Uuid[] = [ZERO_UUID]
  /** Fetch sessions that may exist. */
  readonly sessionIds: number[] = [0]
  /** Elements that one array of the request at hand is still to have; 0: none. */
  #floodCount = 0
  /** Inside of that array: makes names that differ. */
  #serial = -1
  #floodPrefix = ''
  /** Those of the last element that had its own. */
  #floodRecords: Buffer | null = null

  constructor(random: SeededRandom) {
    this.#random = random
    for (const message of allMessages()) if (message.kind === 'request') this.#requests.set(message.key, message)
  }

  request(apiKey: number, version: number): Fields {
    const message = this.#requests.get(apiKey)!
    return this.#struct(message, message.root, version)
  }

  /** A request in which one array has `count` elements, whose names begin so and differ; one without arrays is as any other. */
  flood(apiKey: number, version: number, count: number, prefix: string): Fields {
    this.#floodCount = count
    this.#floodPrefix = prefix
    const request = this.request(apiKey, version)
    this.#floodCount = 0
    return request
  }

  pick<T>(values: readonly T[]): T {
    return values[this.#random.uint32() % values.length]!
  }

  chance(share: number): boolean {
    return this.#random.uint32() < share * 2 ** 32
  }

  #struct(message: ResolvedMessage, struct: ResolvedStruct, version: number): Fields {
    const fields = (protocol as unknown as Record<string, () => Fields>)[`create${struct.typeName}`]!()
    for (const field of struct.fields) {
      if (isPresent(field, version)) fields[field.name] = this.#field(message, field, version)
    }
    if (version >= message.flexibleFrom && this.chance(0.05)) {
      fields.unknownTaggedFields = [{ tag: 5000, data: Buffer.from('tag') }]
    }
    return fields
  }

  #field(message: ResolvedMessage, field: ResolvedField, version: number): unknown {
    if (isNullable(field, version) && this.#floodCount === 0 && this.chance(0.15)) return null
    const one = () =>
      isPrimitive(field.type)
        ? this.#primitive(message, field.type, field.name)
        : this.#struct(message, field.type, version)
    if (!field.isArray) return one()
    if (this.#floodCount > 0 && this.chance(0.7)) return this.#flooded(one)
    // The flood is deeper down: a way there is needed.
    if (this.#floodCount > 0) return [one()]
    return Array.from({ length: this.pick([0, 1, 1, 1, 2, 3]) }, one)
  }

  #flooded(one: () => unknown): unknown[] {
    const count = this.#floodCount
    this.#floodCount = 0
    const elements: unknown[] = []
    for (this.#serial = 0; this.#serial < count; this.#serial++) elements.push(one())
    this.#serial = -1
    return elements
  }

  #primitive(message: ResolvedMessage, type: Primitive, name: string): unknown {
    switch (type) {
      case 'bool':
        return this.chance(0.5)
      case 'int8':
        return this.pick([-128, -1, 0, 1, 2, 4, 8, 32, 127])
      case 'int16':
        return this.pick([-32768, -1, -1, 0, 1, 2, 32767])
      case 'uint16':
        return this.pick([0, 1, 65_535])
      case 'int32':
        return this.#int32(name)
      case 'uint32':
        return this.pick([0, 1, 4294967295])
      case 'int64':
        return this.pick(INT64)
      case 'float64':
        return this.pick([Number.NaN, 0, -1, Number.POSITIVE_INFINITY])
      case 'uuid':
        return this.pick(this.topicIds)
      case 'string':
        return this.#string(message, name)
      case 'bytes':
        return this.#random.bytes(this.#random.uint32() % 40)
      case 'records':
        return this.#records()
    }
  }

  #int32(name: string): number {
    // Mostly small, so that requests reach what they name; extremes otherwise.
    if (name === 'sessionId') return this.pick(this.sessionIds)
    if (this.#serial >= 0 && /partition/i.test(name) && this.chance(0.5)) return this.#serial
    if (this.chance(0.7)) return this.pick([-1, 0, 0, 0, 1, 1, 2, 10])
    return this.pick(INT32)
  }

  #string(message: ResolvedMessage, name: string): string {
    if (this.#serial >= 0 && this.chance(0.95)) return `${this.#floodPrefix}${this.#serial}`
    if (this.chance(0.03)) return this.pick(name === 'value' || this.chance(0.1) ? LONGEST : LONGEST_NAMES)
    if (/group|^key$|coordinatorKey/i.test(name)) return this.pick(GROUPS)
    if (/member|instance/i.test(name)) return this.pick(MEMBERS)
    if (/resourceName/.test(name)) return this.pick([...TOPICS, '1', '0'])
    if (/Config/.test(message.name) || name === 'value') {
      if (name === 'value') return this.pick(CONFIG_VALUES)
      if (name === 'name' || /configurationKeys/.test(name)) return this.pick(CONFIG_NAMES)
    }
    if (/protocol|software/i.test(name)) return this.pick(['consumer', 'range', '', 'x-1'])
    if (/topic|name/i.test(name)) return this.pick(TOPICS)
    return this.pick(['', 'a', 'consumer', 'ü', 'x'.repeat(1000)])
  }

  #records(): Buffer {
    if (this.#serial >= OWN_RECORDS_MAX && this.#floodRecords !== null) return this.#floodRecords
    this.#floodRecords = this.#newRecords()
    return this.#floodRecords
  }

  #newRecords(): Buffer {
    const records = Array.from({ length: 1 + (this.#random.uint32() % 4) }, (_, n) => ({
      key: this.chance(0.5) ? `k${n}` : null,
      value: this.chance(0.9) ? 'v'.repeat(this.#random.uint32() % 300) : null,
      timestamp: this.pick([START_MS, START_MS, 0, -1, 4_000_000_000_000]),
    }))
    const producer = this.chance(0.4)
      ? { producerId: this.pick([0, 1, 1000]), producerEpoch: this.pick([0, 1]), baseSequence: this.pick([0, 1, 2]) }
      : {}
    const codec = this.pick([CodecId.NONE, CodecId.GZIP, CodecId.SNAPPY, CodecId.LZ4, CodecId.ZSTD])
    const batch = batchOf(records, { codec, ...producer, transactional: this.chance(0.1), control: this.chance(0.05) })
    if (this.chance(0.2)) batch[this.#random.uint32() % batch.length]! ^= 1 << (this.#random.uint32() % 8)
    if (this.chance(0.05)) return Buffer.concat([batch, batch])
    return batch
  }
}

/** Damages a frame: bits, bytes, lengths, cuts. The size prefix mostly stays true, so that the damage gets past it. */
export function mutateFrame(frame: Buffer, random: SeededRandom): Buffer {
  let bytes = Buffer.from(frame)
  const at = (from: number) => from + (random.uint32() % Math.max(1, bytes.length - from))
  for (let round = 1 + (random.uint32() % 3); round > 0; round--) {
    const position = at(8)
    switch (random.uint32() % 6) {
      case 0:
        bytes[position]! ^= 1 << (random.uint32() % 8)
        break
      case 1:
        bytes[position] = [0, 1, 0x7f, 0x80, 0xff][random.uint32() % 5]!
        break
      case 2:
        bytes = bytes.subarray(0, Math.max(12, position))
        break
      case 3:
        bytes = Buffer.concat([
          bytes.subarray(0, position),
          random.bytes(1 + (random.uint32() % 9)),
          bytes.subarray(position),
        ])
        break
      case 4:
        if (position + 4 <= bytes.length)
          bytes.writeInt32BE([2147483647, -1, -2, 65_536][random.uint32() % 4]!, position)
        break
      default:
        bytes = Buffer.concat([bytes.subarray(0, 12), random.bytes(random.uint32() % 60)])
    }
    bytes = Buffer.from(bytes)
  }
  if (random.uint32() % 20 > 0) bytes.writeInt32BE(bytes.length - 4, 0)
  return bytes
}
