import { writeSync } from 'node:fs'
import type { Readable } from 'node:stream'
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
    stdin: chunksOf(process.stdin, ending.signal),
    isStdinTty: process.stdin.isTTY === true,
    env: process.env,
    clock: new RealClock(),
    timers: new RealTimers(),
    random: new RealRandom(),
    signal: ending.signal,
    turn: () => new Promise((resolve) => setImmediate(resolve)),
  }
}

/** The chunks of a stream, up to the signal: whoever waits for input at Ctrl-C has to get on. Closes the stream. */
async function* chunksOf(stream: Readable, signal: AbortSignal): AsyncGenerator<Buffer> {
  const end = () => stream.destroy()
  signal.addEventListener('abort', end)
  if (signal.aborted) end()
  try {
    yield* stream
  } catch (error) {
    // Destroyed by us: what came so far is all there is.
    if (!signal.aborted) throw error
  } finally {
    signal.removeEventListener('abort', end)
  }
}

function endForOutput(error: NodeJS.ErrnoException): never {
  writeSync(process.stderr.fd, `millrace: cannot write the output: ${error.code ?? error.message}\n`)
  process.exit(1)
}

/** A standard stream. A reader that went away (`| head`) is no failure: the command is asked to end. */
class StreamOutput implements CliOutput {
  readonly #stream: NodeJS.WriteStream
  readonly #onClosed: () => void
  readonly #onFailed: (error: NodeJS.ErrnoException) => void
  #closed = false

  constructor(stream: NodeJS.WriteStream, onClosed: () => void, onFailed: (error: NodeJS.ErrnoException) => void) {
    this.#stream = stream
    this.#onClosed = onClosed
    this.#onFailed = onFailed
    stream.on('error', (error: NodeJS.ErrnoException) => this.#onError(error))
  }

  get isTty(): boolean {
    return this.#stream.isTTY === true
  }

  get columns(): number {
    // 0 where the terminal does not tell its size.
    return this.#stream.columns || DEFAULT_COLUMNS
  }

  get isClosed(): boolean {
    return this.#closed
  }

  write(text: string | Buffer): Promise<void> {
    if (this.#closed || text.length === 0) return Promise.resolve()
    return new Promise((resolve) => {
      // Not when there is room for more: whether the text reached somebody decides about what is committed.
      this.#stream.write(text, (error) => {
        if (error) this.#onError(error)
        resolve()
      })
    })
  }

  #onError(error: NodeJS.ErrnoException): void {
    if (this.#closed) return
    // A full disk behind `> file`: what was asked for cannot be delivered, and nothing that was not shown is committed.
    if (error.code !== 'EPIPE') this.#onFailed(error)
    this.#closed = true
    this.#onClosed()
  }
}
