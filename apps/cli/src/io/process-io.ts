import { writeSync } from 'node:fs'
import { RealClock, RealRandom, RealTimers } from '@millrace/base'
import type { CliIo, CliOutput } from './cli-io.ts'

const DEFAULT_COLUMNS = 80

/** The real process. The first Ctrl-C asks the command to end, the second ends the process. */
export function processIo(): CliIo {
  const ending = new AbortController()
  let asked = false
  const onSignal = () => {
    if (asked) process.exit(130)
    asked = true
    ending.abort()
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  return {
    stdout: new StreamOutput(process.stdout, () => ending.abort(), endForOutput),
    stderr: new StreamOutput(
      process.stderr,
      () => undefined,
      () => process.exit(1),
    ),
    stdin: process.stdin,
    isStdinTty: process.stdin.isTTY === true,
    env: process.env,
    clock: new RealClock(),
    timers: new RealTimers(),
    random: new RealRandom(),
    signal: ending.signal,
  }
}

function endForOutput(error: NodeJS.ErrnoException): never {
  writeSync(process.stderr.fd, `millrace: cannot write the output: ${error.code ?? error.message}\n`)
  process.exit(1)
}

/** A standard stream. A reader that went away (`| head`) is no failure: the command is asked to end. */
class StreamOutput implements CliOutput {
  readonly #stream: NodeJS.WriteStream
  #closed = false

  constructor(stream: NodeJS.WriteStream, onClosed: () => void, onFailed: (error: NodeJS.ErrnoException) => void) {
    this.#stream = stream
    stream.on('error', (error: NodeJS.ErrnoException) => {
      // A full disk behind `> file`: what was asked for cannot be delivered, and nothing that was not shown is committed.
      if (error.code !== 'EPIPE') onFailed(error)
      this.#closed = true
      onClosed()
    })
  }

  get isTty(): boolean {
    return this.#stream.isTTY === true
  }

  get columns(): number {
    // 0 where the terminal does not tell its size.
    return this.#stream.columns || DEFAULT_COLUMNS
  }

  write(text: string | Buffer): Promise<void> {
    if (this.#closed || text.length === 0) return Promise.resolve()
    if (this.#stream.write(text)) return Promise.resolve()
    return new Promise((resolve) => {
      const go = () => {
        this.#stream.off('drain', go)
        this.#stream.off('close', go)
        this.#stream.off('error', go)
        resolve()
      }
      this.#stream.on('drain', go)
      this.#stream.on('close', go)
      this.#stream.on('error', go)
    })
  }
}
