import { PeerChannel } from './peer-transport.ts'

/** A frame is one binary WebSocket message: version u8, channel u8, payload. */
const VERSION = 1
export const FRAME_HEADER_BYTES = 2

export function encodeFrame(channel: PeerChannel, payload: Buffer): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + payload.length)
  frame[0] = VERSION
  frame[1] = channel
  payload.copy(frame, FRAME_HEADER_BYTES)
  return frame
}

export interface Frame {
  readonly channel: PeerChannel
  /** A copy: the frame may be a view into a larger piece of what the socket gave. */
  readonly payload: Buffer
}

/** Null: not a frame that this version knows; the connection must be closed. */
export function decodeFrame(bytes: Buffer): Frame | null {
  if (bytes.length < FRAME_HEADER_BYTES || bytes[0] !== VERSION) return null
  const channel = bytes[1]
  if (!isChannel(channel)) return null
  const payload = Buffer.allocUnsafeSlow(bytes.length - FRAME_HEADER_BYTES)
  bytes.copy(payload, 0, FRAME_HEADER_BYTES)
  return { channel, payload }
}

function isChannel(code: number | undefined): code is PeerChannel {
  return code !== undefined && Object.values<number>(PeerChannel).includes(code)
}
