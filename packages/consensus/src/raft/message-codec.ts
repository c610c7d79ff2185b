import type { Uuid } from '@millrace/base'
import { blake3 } from '@noble/hashes/blake3.js'
import { CHAIN_BYTES, ENTRY_KIND_CODES } from './chain.ts'
import { isValidMessage } from './message-check.ts'
import type { Entry, EntryKind, Message, MessageOf, SnapshotPoint } from './types.ts'
import { decodeVoters, encodeVoters } from './voter-set.ts'

/** First byte of every encoded message. */
export const MESSAGE_VERSION = 1

const TYPE_CODES: { readonly [T in Message['type']]: number } = {
  voteRequest: 0,
  voteReply: 1,
  append: 2,
  appendReply: 3,
  heartbeat: 4,
  heartbeatReply: 5,
  snapshotChunk: 6,
  snapshotReply: 7,
  timeoutNow: 8,
  leaderHint: 9,
}
const TYPES: ReadonlyMap<number, Message['type']> = new Map(
  Object.entries(TYPE_CODES).map(([type, code]) => [code, type as Message['type']]),
)
const KINDS: ReadonlyMap<number, EntryKind> = new Map(
  Object.entries(ENTRY_KIND_CODES).map(([kind, code]) => [code, kind as EntryKind]),
)
/** Index, term, kind, chain and length of an entry. */
const ENTRY_HEADER_BYTES = 8 + 8 + 1 + CHAIN_BYTES + 4
const NO_DIRECTORY = Buffer.alloc(16)

/**
 * A message as bytes. Layout: version, type, sender's id (int32) and directory (16), receiver's id (int32) and directory (16, zeros for
 * null), term (uint64), then the fields of the type in the order of {@link Message}: numbers as int64, flags as a byte, chains as 16 bytes, what
 * varies in length behind a uint32. A snapshot's chunk ends with 16 bytes of BLAKE3 over its data: unlike entries it has no chain.
 */
export function encodeMessage(message: Message): Buffer {
  const writer = new MessageWriter(sizeOf(message))
  writer.byte(MESSAGE_VERSION)
  writer.byte(TYPE_CODES[message.type])
  writer.int32(message.from.id)
  writer.uuid(message.from.directoryId)
  writer.int32(message.to.id)
  if (message.to.directoryId === null) writer.raw(NO_DIRECTORY)
  else writer.uuid(message.to.directoryId)
  writer.number(message.term)
  writeBody(writer, message)
  return writer.bytes
}

/** The message in exactly these bytes, which it shares; null if they are not one that {@link encodeMessage} makes of a valid message. */
export function decodeMessage(bytes: Buffer): Message | null {
  const reader = new MessageReader(bytes)
  if (reader.byte() !== MESSAGE_VERSION) return null
  const type = TYPES.get(reader.byte())
  if (type === undefined) return null
  const from = { id: reader.int32(), directoryId: reader.uuid() }
  const toId = reader.int32()
  const toDirectory = reader.raw(16)
  const directoryId = toDirectory.equals(NO_DIRECTORY) ? null : (toDirectory.toString('base64url') as Uuid)
  const envelope = { from, to: { id: toId, directoryId }, term: reader.number() }
  const body = readBody(reader, type)
  if (body === null || reader.isBad || !reader.isAtEnd) return null
  const message = { ...body, ...envelope } as Message
  return toId >= 0 && isValidMessage(message) ? message : null
}

function sizeOf(message: Message): number {
  // An upper bound of what is fixed in any type; what varies is added.
  const fixed = 160
  if (message.type === 'append') {
    return message.entries.reduce((size, { data }) => size + ENTRY_HEADER_BYTES + data.length, fixed)
  }
  if (message.type === 'snapshotChunk') {
    return fixed + encodeVoters(message.snapshot.voters).length + message.data.length
  }
  if (message.type === 'leaderHint') return fixed + encodeVoters(message.voters).length
  return fixed
}

function writeBody(writer: MessageWriter, message: Message): void {
  switch (message.type) {
    case 'voteRequest':
      writer.flag(message.preVote)
      writer.number(message.lastIndex)
      writer.number(message.lastTerm)
      writer.flag(message.transfer)
      return
    case 'voteReply':
      writer.flag(message.preVote)
      writer.flag(message.granted)
      return
    case 'append':
      writeAppend(writer, message)
      return
    case 'appendReply':
      writer.flag(message.success)
      writer.number(message.index)
      writer.number(message.hintIndex)
      writer.number(message.hintTerm)
      writer.number(message.readRound)
      return
    case 'heartbeat':
      writer.number(message.commitIndex)
      writer.number(message.readRound)
      return
    case 'heartbeatReply':
      writer.number(message.readRound)
      writer.number(message.lastIndex)
      return
    case 'snapshotChunk':
      writePoint(writer, message.snapshot)
      writer.number(message.sizeBytes)
      writer.number(message.offset)
      writer.sized(message.data)
      writer.raw(digestOf(message.data))
      return
    case 'snapshotReply':
      writer.number(message.snapshotIndex)
      writer.number(message.nextOffset)
      return
    case 'timeoutNow':
      return
    case 'leaderHint':
      writer.int32(message.leader.id)
      writer.uuid(message.leader.directoryId)
      writer.sized(encodeVoters(message.voters))
      return
  }
}

function readBody(reader: MessageReader, type: Message['type']): object | null {
  switch (type) {
    case 'voteRequest': {
      const preVote = reader.flag()
      const lastIndex = reader.number()
      const lastTerm = reader.number()
      return { type, preVote, lastIndex, lastTerm, transfer: reader.flag() }
    }
    case 'voteReply': {
      const preVote = reader.flag()
      return { type, preVote, granted: reader.flag() }
    }
    case 'append':
      return readAppend(reader)
    case 'appendReply': {
      const success = reader.flag()
      const index = reader.number()
      const hintIndex = reader.number()
      const hintTerm = reader.number()
      return { type, success, index, hintIndex, hintTerm, readRound: reader.number() }
    }
    case 'heartbeat': {
      const commitIndex = reader.number()
      return { type, commitIndex, readRound: reader.number() }
    }
    case 'heartbeatReply': {
      const readRound = reader.number()
      return { type, readRound, lastIndex: reader.number() }
    }
    case 'snapshotChunk':
      return readChunk(reader)
    case 'snapshotReply': {
      const snapshotIndex = reader.number()
      return { type, snapshotIndex, nextOffset: reader.number() }
    }
    case 'timeoutNow':
      return { type }
    case 'leaderHint': {
      const leader = { id: reader.int32(), directoryId: reader.uuid() }
      const voters = decodeVoters(reader.sized())
      return voters === null ? null : { type, leader, voters }
    }
  }
}

function writeAppend(writer: MessageWriter, message: MessageOf<'append'>): void {
  writer.number(message.previousIndex)
  writer.number(message.previousTerm)
  writer.raw(message.previousChain)
  writer.int32(message.entries.length)
  for (const { index, term, kind, chain, data } of message.entries) {
    writer.number(index)
    writer.number(term)
    writer.byte(ENTRY_KIND_CODES[kind])
    writer.raw(chain)
    writer.sized(data)
  }
  writer.number(message.commitIndex)
  writer.number(message.readRound)
}

function readAppend(reader: MessageReader): object | null {
  const previousIndex = reader.number()
  const previousTerm = reader.number()
  const previousChain = reader.raw(CHAIN_BYTES)
  const count = reader.int32()
  if (count < 0 || count * ENTRY_HEADER_BYTES > reader.leftBytes) return null
  const entries: Entry[] = []
  for (let slot = 0; slot < count && !reader.isBad; slot++) {
    const index = reader.number()
    const term = reader.number()
    const kind = KINDS.get(reader.byte())
    if (kind === undefined) return null
    const chain = reader.raw(CHAIN_BYTES)
    entries.push({ index, term, kind, data: reader.sized(), chain })
  }
  const commitIndex = reader.number()
  const readRound = reader.number()
  return { type: 'append', previousIndex, previousTerm, previousChain, entries, commitIndex, readRound }
}

function writePoint(writer: MessageWriter, point: SnapshotPoint): void {
  writer.number(point.index)
  writer.number(point.term)
  writer.raw(point.chain)
  writer.sized(encodeVoters(point.voters))
  writer.number(point.votersIndex)
}

function readChunk(reader: MessageReader): object | null {
  const index = reader.number()
  const term = reader.number()
  const chain = reader.raw(CHAIN_BYTES)
  const voters = decodeVoters(reader.sized())
  const votersIndex = reader.number()
  const sizeBytes = reader.number()
  const offset = reader.number()
  const data = reader.sized()
  const digest = reader.raw(CHAIN_BYTES)
  if (voters === null || reader.isBad || !digest.equals(digestOf(data))) return null
  return { type: 'snapshotChunk', snapshot: { index, term, chain, voters, votersIndex }, sizeBytes, offset, data }
}

function digestOf(data: Buffer): Buffer {
  return Buffer.from(blake3(data, { dkLen: CHAIN_BYTES }))
}

class MessageWriter {
  readonly #buffer: Buffer
  #position: number

  constructor(maxBytes: number) {
    this.#buffer = Buffer.allocUnsafe(maxBytes)
    this.#position = 0
  }

  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.#position)
  }

  byte(value: number): void {
    this.#position = this.#buffer.writeUInt8(value, this.#position)
  }

  flag(value: boolean): void {
    this.byte(value ? 1 : 0)
  }

  int32(value: number): void {
    this.#position = this.#buffer.writeInt32BE(value, this.#position)
  }

  /** A safe integer as int64. */
  number(value: number): void {
    this.int32(Math.floor(value / 2 ** 32))
    this.#position = this.#buffer.writeUInt32BE(value >>> 0, this.#position)
  }

  raw(value: Buffer): void {
    this.#position += value.copy(this.#buffer, this.#position)
  }

  sized(value: Buffer): void {
    this.#position = this.#buffer.writeUInt32BE(value.length, this.#position)
    this.raw(value)
  }

  uuid(value: Uuid): void {
    this.#position += this.#buffer.write(value, this.#position, 16, 'base64url')
  }
}

/** Goes on after an error with harmless values; `isBad` is asked at the end. */
class MessageReader {
  readonly #bytes: Buffer
  #position: number
  #isBad: boolean

  constructor(bytes: Buffer) {
    this.#bytes = bytes
    this.#position = 0
    this.#isBad = false
  }

  get isBad(): boolean {
    return this.#isBad
  }

  get isAtEnd(): boolean {
    return this.#position === this.#bytes.length
  }

  get leftBytes(): number {
    return this.#bytes.length - this.#position
  }

  byte(): number {
    return this.raw(1)[0]!
  }

  flag(): boolean {
    const value = this.byte()
    if (value > 1) this.#isBad = true
    return value === 1
  }

  int32(): number {
    return this.raw(4).readInt32BE(0)
  }

  /** An int64 that is a safe integer. */
  number(): number {
    const bytes = this.raw(8)
    const value = bytes.readInt32BE(0) * 2 ** 32 + bytes.readUInt32BE(4)
    if (!Number.isSafeInteger(value)) this.#isBad = true
    return value
  }

  /** A view, or zeros if there is not so much. Lengths are small constants or were checked. */
  raw(sizeBytes: number): Buffer {
    if (sizeBytes > this.leftBytes) {
      this.#isBad = true
      return Buffer.alloc(Math.min(sizeBytes, 16))
    }
    const start = this.#position
    this.#position += sizeBytes
    return this.#bytes.subarray(start, this.#position)
  }

  sized(): Buffer {
    const sizeBytes = this.raw(4).readUInt32BE(0)
    return this.raw(sizeBytes)
  }

  uuid(): Uuid {
    return this.raw(16).toString('base64url') as Uuid
  }
}
