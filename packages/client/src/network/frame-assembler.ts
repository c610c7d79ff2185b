import { BaseError } from '@millrace/base'

/** A frame length that is negative or above the limit: the stream cannot be read on. */
export class FrameSizeError extends BaseError {
  constructor(sizeBytes: number, limitBytes: number) {
    super('FRAME_SIZE', `answer of ${sizeBytes} bytes is outside [4, ${limitBytes}]`)
  }
}

/**
 * Cuts a byte stream into frames: int32 length, then as many bytes. Chunks are borrowed, frames are the receiver's own: record
 * bytes stay views into them, so each frame has its own memory. Allocates a frame's memory only once its length was checked.
 */
export class FrameAssembler {
  readonly #maxFrameBytes: number
  readonly #onFrame: (frame: Buffer) => void
  readonly #lengthBytes: Buffer = Buffer.alloc(4)
  #lengthFilled = 0
  #frame: Buffer | null = null
  #frameFilled = 0

  /** `onFrame` gets the bytes after the length. Frames have at least 4 bytes (the correlation id) and at most `maxFrameBytes`. */
  constructor(maxFrameBytes: number, onFrame: (frame: Buffer) => void) {
    this.#maxFrameBytes = maxFrameBytes
    this.#onFrame = onFrame
  }

  /** Takes the next bytes of the stream. Throws {@link FrameSizeError}, and whatever `onFrame` throws; neither can be resumed. */
  push(chunk: Buffer): void {
    let position = 0
    while (position < chunk.length) {
      if (this.#frame === null) {
        position = this.#readLength(chunk, position)
        continue
      }
      const frame = this.#frame
      const sizeBytes = Math.min(frame.length - this.#frameFilled, chunk.length - position)
      chunk.copy(frame, this.#frameFilled, position, position + sizeBytes)
      position += sizeBytes
      this.#frameFilled += sizeBytes
      if (this.#frameFilled === frame.length) {
        this.#frame = null
        this.#onFrame(frame)
      }
    }
  }

  #readLength(chunk: Buffer, start: number): number {
    let position = start
    while (this.#lengthFilled < 4 && position < chunk.length)
      this.#lengthBytes[this.#lengthFilled++] = chunk[position++]!
    if (this.#lengthFilled < 4) return position
    this.#lengthFilled = 0
    const sizeBytes = this.#lengthBytes.readInt32BE(0)
    if (sizeBytes < 4 || sizeBytes > this.#maxFrameBytes) throw new FrameSizeError(sizeBytes, this.#maxFrameBytes)
    // The pool of small buffers is left alone: a view kept by a consumer would pin its neighbours.
    this.#frame = sizeBytes > 2048 ? Buffer.allocUnsafeSlow(sizeBytes) : Buffer.allocUnsafe(sizeBytes)
    this.#frameFilled = 0
    return position
  }
}
