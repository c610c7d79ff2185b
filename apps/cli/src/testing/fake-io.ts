import { SeededRandom, SimulatedClock, SimulatedTimers } from '@millrace/base'
import type { Admin, Consumer, Producer } from '@millrace/client'
import { runCommandLine } from '../command/command-line.ts'
import type { CliIo, CliOutput } from '../io/cli-io.ts'

class TextOutput implements CliOutput {
  readonly isTty: boolean
  readonly columns = 100
  readonly #writesTaken: number
  readonly #onClosed: () => void
  #writeCount = 0
  text = ''

  constructor(isTty: boolean, writesTaken = Number.POSITIVE_INFINITY, onClosed: () => void = () => undefined) {
    this.isTty = isTty
    this.#writesTaken = writesTaken
    this.#onClosed = onClosed
  }

  get isClosed(): boolean {
    return this.#writeCount > this.#writesTaken
  }

  write(text: string | Buffer): Promise<void> {
    this.#writeCount++
    if (this.isClosed) this.#onClosed()
    else this.text += text.toString()
    return Promise.resolve()
  }
}

export interface FakeRunOptions {
  stdin?: string
  env?: Record<string, string>
  isTty?: boolean
  isStdinTty?: boolean
  admin?: Partial<Admin>
  producer?: Partial<Producer>
  consumer?: Partial<Consumer>
  signal?: AbortSignal
  /** Left out: one that stands still. */
  clock?: SimulatedClock
  /** On that clock; left out: timers that never fire. */
  timers?: SimulatedTimers
  /** The reader of standard output goes away after so many writes. */
  stdoutWritesTaken?: number
  /** Gets the options of each client that is made, with its callbacks. */
  onClient?: (clientOptions: object) => void
}

export interface FakeRun {
  exitCode: number
  stdout: string
  stderr: string
  /** Options that clients were made with. */
  clientOptions: object[]
}

const NOW_MS = Date.UTC(2026, 10, 21, 10, 0, 0)

/** Runs a command line with fake clients. */
export async function runFake(args: readonly string[], options: FakeRunOptions = {}): Promise<FakeRun> {
  const clock = options.clock ?? new SimulatedClock(NOW_MS)
  const ending = new AbortController()
  options.signal?.addEventListener('abort', () => ending.abort())
  if (options.signal?.aborted) ending.abort()
  const stdout = new TextOutput(options.isTty ?? false, options.stdoutWritesTaken, () => ending.abort())
  const stderr = new TextOutput(options.isTty ?? false)
  const io: CliIo = {
    stdout,
    stderr,
    stdin: chunksOf(options.stdin ?? ''),
    isStdinTty: options.isStdinTty ?? false,
    env: options.env ?? {},
    clock,
    timers: options.timers ?? new SimulatedTimers(clock),
    random: new SeededRandom(1),
    signal: ending.signal,
    turn: () => Promise.resolve(),
  }
  const clientOptions: object[] = []
  const make =
    <T>(client: object | undefined) =>
    (given: object): T => {
      clientOptions.push(given)
      options.onClient?.(given)
      return { close: () => Promise.resolve(), ...client } as T
    }
  const exitCode = await runCommandLine(args, io, {
    admin: make<Admin>(options.admin),
    producer: make<Producer>(options.producer),
    consumer: make<Consumer>(options.consumer),
  })
  return { exitCode, stdout: stdout.text, stderr: stderr.text, clientOptions }
}

async function* chunksOf(text: string): AsyncGenerator<Buffer> {
  if (text !== '') yield Buffer.from(text)
}
