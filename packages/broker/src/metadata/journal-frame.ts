import { crc32c, crc32cUpdate } from '@millrace/protocol'

/**
 * A frame of the metadata journal: 24 bytes of header and a payload of JSON text. Integers are big endian.
 *
 * | at | bytes | what |
 * | --- | --- | --- |
 * | 0 | 4 | magic |
 * | 4 | 4 | size of the payload |
 * | 8 | 8 | sequence: number of the frame in the file, from 0 |
 * | 16 | 4 | count of records in the payload |
 * | 20 | 4 | CRC-32C of the 20 bytes before it and of the payload |
 */
export const FRAME_HEADER_BYTES = 24

/** `MMJ1`. */
const MAGIC = Buffer.from('MMJ1', 'latin1')

/** More is a damaged size: no group of writes is cut larger than a fraction of this. */
const MAX_PAYLOAD_BYTES = 256 * 1024 * 1024

export interface Frame {
  readonly sequence: number
  readonly recordCount: number
  /** View of the payload. */
  readonly payload: Buffer
  /** Position behind the frame. */
  readonly end: number
}

export function encodeFrame(sequence: number, recordCount: number, payload: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length)
  MAGIC.copy(frame)
  frame.writeUInt32BE(payload.length, 4)
  frame.writeUInt32BE(Math.floor(sequence / 2 ** 32), 8)
  frame.writeUInt32BE(sequence >>> 0, 12)
  frame.writeUInt32BE(recordCount, 16)
  payload.copy(frame, FRAME_HEADER_BYTES)
  frame.writeUInt32BE(checksum(frame, 0, frame.length), 20)
  return frame
}

/** The frame at `position`, or null if there is none that is whole and undamaged. */
export function decodeFrame(file: Buffer, position: number): Frame | null {
  if (position + FRAME_HEADER_BYTES > file.length) return null
  if (MAGIC.compare(file, position, position + MAGIC.length) !== 0) return null
  const payloadSize = file.readUInt32BE(position + 4)
  const end = position + FRAME_HEADER_BYTES + payloadSize
  if (payloadSize > MAX_PAYLOAD_BYTES || end > file.length) return null
  if (file.readUInt32BE(position + 20) !== checksum(file, position, end)) return null
  return {
    sequence: file.readUInt32BE(position + 8) * 2 ** 32 + file.readUInt32BE(position + 12),
    recordCount: file.readUInt32BE(position + 16),
    payload: file.subarray(position + FRAME_HEADER_BYTES, end),
    end,
  }
}

/** Position of the next undamaged frame behind `position`, or -1. JSON holds no raw zero bytes, so no payload looks like one. */
export function findFrame(file: Buffer, position: number): number {
  let candidate = file.indexOf(MAGIC, position)
  while (candidate !== -1 && decodeFrame(file, candidate) === null) candidate = file.indexOf(MAGIC, candidate + 1)
  return candidate
}

function checksum(buffer: Buffer, start: number, end: number): number {
  return crc32cUpdate(crc32c(buffer, start, start + 20), buffer, start + FRAME_HEADER_BYTES, end)
}
