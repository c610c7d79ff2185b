import type { LogIndex, SnapshotPoint, VoterSet } from '../raft/types.ts'
import type { LmdbDatabase } from './lmdb-database.ts'
import { checksumOf, readSafeInteger, seal, snapshotKey, unseal, writeSafeInteger } from './record-format.ts'

/** Chunks are written in transactions of their own, so that the log's writes get in between. */
export const SNAPSHOT_CHUNK_BYTES = 256 * 1024
const VERSION = 1
const CHECKSUM_BYTES = 16
const FIXED_BYTES = 1 + 8 + 4

/** Stored under chunk number 0. Layout: version u8, size u64, chunk size u32, a checksum of 16 bytes per chunk, point as JSON. */
export interface SnapshotHeader {
  readonly point: SnapshotPoint
  readonly sizeBytes: number
  readonly chunkBytes: number
  readonly checksums: readonly Buffer[]
}

export function chunksOf(data: Buffer): Buffer[] {
  const chunks: Buffer[] = []
  for (let position = 0; position < data.length; position += SNAPSHOT_CHUNK_BYTES) {
    chunks.push(data.subarray(position, position + SNAPSHOT_CHUNK_BYTES))
  }
  return chunks
}

export function encodeHeader(header: SnapshotHeader): Buffer {
  const fixed = Buffer.alloc(FIXED_BYTES)
  fixed[0] = VERSION
  writeSafeInteger(fixed, 1, header.sizeBytes)
  fixed.writeUInt32BE(header.chunkBytes, 9)
  const point = { ...header.point, chain: header.point.chain.toString('base64') }
  return seal('snapshot', Buffer.concat([fixed, ...header.checksums, Buffer.from(JSON.stringify(point))]))
}

/** Null: damaged. */
export function decodeHeader(sealed: Buffer): SnapshotHeader | null {
  const bytes = unseal('snapshot', sealed)
  if (bytes === null || bytes[0] !== VERSION) return null
  const sizeBytes = readSafeInteger(bytes, 1)
  const chunkBytes = bytes.readUInt32BE(9)
  const count = Math.ceil(sizeBytes / chunkBytes)
  const checksums: Buffer[] = []
  for (let number = 0; number < count; number++) {
    const position = FIXED_BYTES + number * CHECKSUM_BYTES
    checksums.push(bytes.subarray(position, position + CHECKSUM_BYTES))
  }
  const point = JSON.parse(bytes.toString('utf8', FIXED_BYTES + count * CHECKSUM_BYTES)) as StoredPoint
  return { point: { ...point, chain: Buffer.from(point.chain, 'base64') }, sizeBytes, chunkBytes, checksums }
}

interface StoredPoint {
  readonly index: LogIndex
  readonly term: number
  readonly chain: string
  readonly voters: VoterSet
  readonly votersIndex: LogIndex
}

/** The header of the snapshot at `index`; null if it is absent or damaged. */
export function readHeader(database: LmdbDatabase, index: LogIndex): SnapshotHeader | null {
  const sealed = database.get(snapshotKey(index, 0))
  const header = sealed === null ? null : decodeHeader(sealed)
  return header !== null && header.point.index === index ? header : null
}

/** Chunk `number`, from 0; null if it is absent or damaged. */
export function readChunk(database: LmdbDatabase, header: SnapshotHeader, number: number): Buffer | null {
  const chunk = database.get(snapshotKey(header.point.index, number + 1))
  return chunk !== null && checksumOf('chunk', chunk).equals(header.checksums[number]!) ? chunk : null
}

/** The header if it and every chunk is what was written. Yields the bytes of each chunk that it has verified. */
export function* verifiedSnapshot(
  database: LmdbDatabase,
  index: LogIndex,
): Generator<number, SnapshotHeader | null, void> {
  if (index === 0) return null
  const header = readHeader(database, index)
  if (header === null) return null
  for (let number = 0; number < header.checksums.length; number++) {
    const chunk = readChunk(database, header, number)
    if (chunk === null) return null
    yield chunk.length
  }
  return header
}
