import type { Socket } from 'node:net'
import { breakOff } from './break-off.ts'
import type { Link } from './link.ts'

/** Bytes under way beyond which the source is not read, as a full window would stop it. */
const WINDOW_BYTES = 1_048_576

/** Bytes, or one of the two ways in which a stream ends. */
interface Item {
  readonly content: Buffer | 'end' | 'reset'
  readonly dueMs: number
}

/** Carries what one socket gives to another, over a link: in order, late, slowly, or not until the link is whole again. */
export class Pipe {
  readonly #source: Socket
  readonly #sink: Socket
  readonly #link: Link
  readonly #unwatch: () => void
  #queue: Item[] = []
  #queuedBytes = 0
  #newestDueMs = 0
  #timer: NodeJS.Timeout | null = null
  #isEnded = false
  #isSinkFull = false

  constructor(source: Socket, sink: Socket, link: Link) {
    this.#source = source
    this.#sink = sink
    this.#link = link
    this.#unwatch = link.watch(() => this.#move())
    source.on('data', (chunk: Buffer) => this.#take(chunk))
    source.on('end', () => this.#take('end'))
    source.on('close', () => this.#take('reset'))
    sink.on('drain', () => {
      this.#isSinkFull = false
      this.#move()
    })
    sink.on('close', () => this.#close())
  }

  /** Tells the sink that nothing more comes, whatever the source goes on to say. */
  halfClose(): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#queue = []
    this.#queuedBytes = 0
    this.#sink.end()
    // Read and dropped, so that its sender notices nothing of a full window.
    this.#source.resume()
  }

  #take(content: Item['content']): void {
    if (this.#isEnded) return
    const nowMs = performance.now()
    const sizeBytes = typeof content === 'string' ? 0 : content.length
    const { delayMs, bytesPerSecond } = this.#link
    const sendMs = bytesPerSecond > 0 ? (sizeBytes / bytesPerSecond) * 1000 : 0
    const arrivalMs = nowMs + delayMs
    this.#newestDueMs = Math.max(arrivalMs, this.#newestDueMs) + sendMs
    this.#queue.push({ content, dueMs: this.#newestDueMs })
    this.#queuedBytes += sizeBytes
    this.#move()
  }

  #move(): void {
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
    while (this.#queue.length > 0 && !this.#link.isCut && !this.#isSinkFull) {
      const { content, dueMs } = this.#queue[0]!
      const waitMs = dueMs - performance.now()
      if (waitMs > 0) {
        this.#timer = setTimeout(() => this.#move(), Math.ceil(waitMs))
        break
      }
      this.#queue.shift()
      this.#deliver(content)
    }
    const isFull = this.#queuedBytes > WINDOW_BYTES || this.#isSinkFull
    if (isFull || (this.#link.isCut && this.#queuedBytes > 0)) this.#source.pause()
    else this.#source.resume()
  }

  #deliver(content: Item['content']): void {
    if (content === 'reset') {
      this.#isEnded = true
      // After an orderly end there is nothing left to break.
      if (!this.#sink.writableEnded || !this.#source.readableEnded) breakOff(this.#sink)
      return
    }
    if (content === 'end') {
      this.#sink.end()
      return
    }
    this.#queuedBytes -= content.length
    if (this.#sink.writable) this.#isSinkFull = !this.#sink.write(content)
  }

  #close(): void {
    this.#isEnded = true
    this.#unwatch()
    this.#queue = []
    if (this.#timer !== null) clearTimeout(this.#timer)
    this.#timer = null
  }
}
