import type { Timer } from '@millrace/base'
import { ClientClosedError, TimeoutError } from '../errors/client-errors.ts'
import type { ClientPorts } from '../ports/client-ports.ts'

interface Waiter {
  sizeBytes: number
  resolve: () => void
  reject: (error: unknown) => void
  timer: Timer
}

/** The bytes a producer may hold unsent (`buffer.memory`). Who finds none waits in line; nobody overtakes. */
export class BufferMemory {
  readonly totalBytes: number
  readonly #ports: ClientPorts
  readonly #waiters: Waiter[] = []
  #freeBytes: number
  #closed = false

  constructor(totalBytes: number, ports: ClientPorts) {
    this.totalBytes = totalBytes
    this.#ports = ports
    this.#freeBytes = totalBytes
  }

  get freeBytes(): number {
    return this.#freeBytes
  }

  /** Someone waits: batches should leave without lingering. */
  get isExhausted(): boolean {
    return this.#waiters.length > 0
  }

  /** Takes the bytes if they are free and nobody waits. Hot path. */
  tryReserve(sizeBytes: number): boolean {
    if (this.#waiters.length > 0 || sizeBytes > this.#freeBytes) return false
    this.#freeBytes -= sizeBytes
    return true
  }

  /** Takes the bytes once they are free; rejects with {@link TimeoutError} if that takes too long. */
  reserve(sizeBytes: number, timeoutMs: number): Promise<void> {
    if (this.#closed) return Promise.reject(new ClientClosedError('producer'))
    if (this.tryReserve(sizeBytes)) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        sizeBytes,
        resolve,
        reject,
        timer: this.#ports.timers.setTimer(timeoutMs, () => {
          this.#waiters.splice(this.#waiters.indexOf(waiter), 1)
          reject(new TimeoutError(`no buffer memory became free within ${timeoutMs} ms`, timeoutMs))
          this.#wake()
        }),
      }
      this.#waiters.push(waiter)
    })
  }

  release(sizeBytes: number): void {
    this.#freeBytes += sizeBytes
    this.#wake()
  }

  /** Rejects who waits. */
  close(): void {
    this.#closed = true
    for (const waiter of this.#waiters.splice(0)) {
      waiter.timer.cancel()
      waiter.reject(new ClientClosedError('producer'))
    }
  }

  #wake(): void {
    for (;;) {
      const waiter = this.#waiters[0]
      if (waiter === undefined || waiter.sizeBytes > this.#freeBytes) return
      this.#waiters.shift()
      this.#freeBytes -= waiter.sizeBytes
      waiter.timer.cancel()
      waiter.resolve()
    }
  }
}
