import { writeSync } from 'node:fs'

/** Where log lines go. `write` takes one whole line and never throws for what is wrong with the other end. */
export interface LogOutput {
  write(line: string): void
}

const NOTHING = Buffer.alloc(0)

/**
 * Log lines to a file descriptor, in the order logged. A broker does not die of its log: a pipe may be full and not block (it shares the
 * flag with whoever else holds it), its reader may be gone, a file's disk may be full. Then the rest of a line that was cut waits for the
 * next one, lines behind it are lost, and their number is told once there is room again.
 */
export class DescriptorOutput implements LogOutput {
  readonly #writeBytes: (bytes: Buffer) => number
  #rest: Buffer = NOTHING
  #lostCount = 0

  /** `writeBytes` gives how many of the bytes were taken, or throws a system error as `fs.writeSync` does. */
  constructor(descriptor: number, writeBytes: (bytes: Buffer) => number = (bytes) => writeSync(descriptor, bytes)) {
    this.#writeBytes = writeBytes
  }

  write(line: string): void {
    this.#writeRest()
    if (this.#rest.length > 0) {
      this.#lostCount++
      return
    }
    const loss = this.#lostCount === 0 ? '' : lossLine(this.#lostCount)
    this.#lostCount = 0
    this.#rest = Buffer.from(loss + line)
    this.#writeRest()
  }

  #writeRest(): void {
    try {
      while (this.#rest.length > 0) {
        const count = this.#writeBytes(this.#rest)
        if (count === 0) return
        this.#rest = this.#rest.subarray(count)
      }
    } catch (error) {
      // What is left is tried again with the next line.
      if (typeof (error as NodeJS.ErrnoException).errno !== 'number') throw error
    }
  }
}

function lossLine(lines: number): string {
  return `${JSON.stringify({ level: 'warn', time: Date.now(), lines, msg: 'log lines were lost' })}\n`
}
