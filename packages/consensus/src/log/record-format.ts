import type { Uuid } from '@millrace/base'
import { blake3 } from '@noble/hashes/blake3.js'
import type { EntryKind, HardState, LogIndex, Term } from '../raft/types.ts'

/**
 * Keys and values of the log's one database. Numbers are big-endian, so that keys sort by index; every value begins with a version.
 *
 * | key | value |
 * | --- | --- |
 * | `01` | identity: whose log this is |
 * | `02`, `fe` | state, twice: the copies stand at both ends of the key space, so that one bad page does not take both |
 * | `10 index:u64` | entry: version u8, kind u8, term u64, chain 16, data. The chain is its checksum (it covers the entry before, too) |
 * | `20 index:u64 00000000` | snapshot header, see `snapshot-format.ts` |
 * | `20 index:u64 number:u32` | chunk of the snapshot, from 1: raw bytes, their checksums stand in the header |
 */
export const IDENTITY_KEY = Buffer.from([0x01])
export const STATE_KEYS = [Buffer.from([0x02]), Buffer.from([0xfe])] as const
const ENTRY_PREFIX = 0x10
export const SNAPSHOT_PREFIX = 0x20

export const CHAIN_BYTES = 16
const CHECKSUM_BYTES = 16
const VERSION = 1

export function entryKey(index: LogIndex): Buffer {
  const key = Buffer.alloc(9)
  key[0] = ENTRY_PREFIX
  writeSafeInteger(key, 1, index)
  return key
}

/** `number` 0: the header. */
export function snapshotKey(index: LogIndex, number: number): Buffer {
  const key = Buffer.alloc(13)
  key[0] = SNAPSHOT_PREFIX
  writeSafeInteger(key, 1, index)
  key.writeUInt32BE(number, 9)
  return key
}

/** The snapshot index in a key made by {@link snapshotKey}. */
export function snapshotIndexOf(key: Buffer): LogIndex {
  return readSafeInteger(key, 1)
}

const KINDS: readonly EntryKind[] = ['empty', 'command', 'voters']
export const ENTRY_HEADER_BYTES = 2 + 8 + CHAIN_BYTES

export interface StoredEntry {
  readonly term: Term
  readonly kind: EntryKind
  readonly chain: Buffer
  readonly data: Buffer
}

export function encodeEntry(entry: StoredEntry): Buffer {
  const value = Buffer.allocUnsafeSlow(ENTRY_HEADER_BYTES + entry.data.length)
  value[0] = VERSION
  value[1] = KINDS.indexOf(entry.kind)
  writeSafeInteger(value, 2, entry.term)
  entry.chain.copy(value, 10)
  entry.data.copy(value, ENTRY_HEADER_BYTES)
  return value
}

/** Null: no entry of a version that is known. The chain is not verified here. The fields are views into `value`. */
export function decodeEntry(value: Buffer): StoredEntry | null {
  if (value.length < ENTRY_HEADER_BYTES || value[0] !== VERSION) return null
  const kind = KINDS[value[1]!]
  const term = readSafeInteger(value, 2)
  if (kind === undefined || term < 0) return null
  return { term, kind, chain: value.subarray(10, ENTRY_HEADER_BYTES), data: value.subarray(ENTRY_HEADER_BYTES) }
}

/** Whose log it is. */
export interface LogIdentity {
  readonly clusterId: string
  readonly nodeId: number
  readonly directoryId: Uuid
}

export function encodeIdentity(identity: LogIdentity): Buffer {
  return seal('identity', Buffer.concat([Buffer.from([VERSION]), Buffer.from(JSON.stringify(identity))]))
}

/** Null: damaged. */
export function decodeIdentity(value: Buffer): LogIdentity | null {
  const bytes = unseal('identity', value)
  if (bytes === null || bytes[0] !== VERSION) return null
  return JSON.parse(bytes.toString('utf8', 1)) as LogIdentity // under a checksum: what was written
}

/** A position of the log. */
export interface LogPoint {
  readonly index: LogIndex
  readonly term: Term
  readonly chain: Buffer
}

/** All that is stored about the log beside entries and snapshots; one record, so that its parts always fit one another. */
export interface LogState {
  /** Grows with each write: tells the newer of two copies that differ. */
  readonly sequence: number
  readonly hardState: HardState
  /** The position before the first entry. */
  readonly base: LogPoint
  /** The last entry, or `base`. What vote requests are compared with, whatever can still be read. */
  readonly last: LogPoint
  /** 0: none. */
  readonly snapshotIndex: LogIndex
  /** The one before, kept in case the newest cannot be read. 0: none. */
  readonly previousSnapshotIndex: LogIndex
  /** Entries up to here were acknowledged and then found damaged: no vote until the log is as new as this again. */
  readonly lost: { readonly index: LogIndex; readonly term: Term } | null
}

const POINT_BYTES = 16 + CHAIN_BYTES
const NO_VOTE = -1

export function encodeState(state: LogState): Buffer {
  const value = Buffer.alloc(1 + 8 + 8 + 4 + 16 + 2 * POINT_BYTES + 2 * 8 + 1 + 16)
  value[0] = VERSION
  writeSafeInteger(value, 1, state.sequence)
  writeSafeInteger(value, 9, state.hardState.term)
  value.writeInt32BE(state.hardState.vote?.id ?? NO_VOTE, 17)
  if (state.hardState.vote !== null) uuidBytes(state.hardState.vote.directoryId).copy(value, 21)
  let position = 37
  for (const point of [state.base, state.last]) {
    writeSafeInteger(value, position, point.index)
    writeSafeInteger(value, position + 8, point.term)
    point.chain.copy(value, position + 16)
    position += POINT_BYTES
  }
  for (const index of [state.snapshotIndex, state.previousSnapshotIndex]) {
    writeSafeInteger(value, position, index)
    position += 8
  }
  value[position] = state.lost === null ? 0 : 1
  writeSafeInteger(value, position + 1, state.lost?.index ?? 0)
  writeSafeInteger(value, position + 9, state.lost?.term ?? 0)
  return seal('state', value)
}

/** Null: damaged. */
export function decodeState(sealed: Buffer): LogState | null {
  const value = unseal('state', sealed)
  if (value === null || value[0] !== VERSION) return null
  const voteId = value.readInt32BE(17)
  const vote = { id: voteId, directoryId: Buffer.from(value.subarray(21, 37)).toString('base64url') as Uuid }
  const pointAt = (position: number): LogPoint => ({
    index: readSafeInteger(value, position),
    term: readSafeInteger(value, position + 8),
    chain: Buffer.from(value.subarray(position + 16, position + POINT_BYTES)),
  })
  const indexes = 37 + 2 * POINT_BYTES
  const lost = indexes + 16
  return {
    sequence: readSafeInteger(value, 1),
    hardState: { term: readSafeInteger(value, 9), vote: voteId === NO_VOTE ? null : vote },
    base: pointAt(37),
    last: pointAt(37 + POINT_BYTES),
    snapshotIndex: readSafeInteger(value, indexes),
    previousSnapshotIndex: readSafeInteger(value, indexes + 8),
    lost:
      value[lost] === 0 ? null : { index: readSafeInteger(value, lost + 1), term: readSafeInteger(value, lost + 9) },
  }
}

/** `bytes` and a checksum behind them. `domain` keeps a record of one kind from passing for another. */
export function seal(domain: string, bytes: Buffer): Buffer {
  return Buffer.concat([bytes, checksumOf(domain, bytes)])
}

/** What {@link seal} was given, as a view; null if it is not that. */
export function unseal(domain: string, sealed: Buffer): Buffer | null {
  if (sealed.length < CHECKSUM_BYTES) return null
  const bytes = sealed.subarray(0, sealed.length - CHECKSUM_BYTES)
  return checksumOf(domain, bytes).equals(sealed.subarray(bytes.length)) ? bytes : null
}

/** 16 bytes. */
export function checksumOf(domain: string, bytes: Buffer): Buffer {
  const hash = blake3.create({ dkLen: CHECKSUM_BYTES })
  hash.update(Buffer.from(`millrace raft ${domain} v${VERSION}\0`))
  hash.update(bytes)
  return Buffer.from(hash.digest())
}

function uuidBytes(uuid: Uuid): Buffer {
  const bytes = Buffer.from(uuid, 'base64url')
  if (bytes.length !== 16) throw new TypeError(`not a directory id: ${uuid}`)
  return bytes
}

export function writeSafeInteger(target: Buffer, position: number, value: number): void {
  target.writeUInt32BE(Math.floor(value / 2 ** 32), position)
  target.writeUInt32BE(value % 2 ** 32, position + 4)
}

/** -1: more than a safe integer. */
export function readSafeInteger(source: Buffer, position: number): number {
  const value = source.readUInt32BE(position) * 2 ** 32 + source.readUInt32BE(position + 4)
  return Number.isSafeInteger(value) ? value : -1
}
