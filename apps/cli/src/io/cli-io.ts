import type { Clock, Random, Timers } from '@millrace/base'

/** Where a command writes. */
export interface CliOutput {
  /** Whether a person looks at it: decides about progress bars and nothing else. */
  readonly isTty: boolean
  readonly columns: number
  /** The reader went away (`| head`). What was asked to be written since then, and maybe just before, has reached nobody. */
  readonly isClosed: boolean
  /** Resolves when all of it is written. After the reader went away nothing is written and no error comes. */
  write(text: string | Buffer): Promise<void>
}

/** The world of a command: tests give their own. */
export interface CliIo {
  readonly stdout: CliOutput
  readonly stderr: CliOutput
  /** Chunks of standard input. */
  readonly stdin: AsyncIterable<Buffer>
  /** Standard input is typed by hand. */
  readonly isStdinTty: boolean
  readonly env: Readonly<Record<string, string | undefined>>
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  /** Aborts at Ctrl-C, at SIGTERM and when standard output was closed: finish what is begun and end. */
  readonly signal: AbortSignal
  /** Lets the process see to signals and the like: for work that waits for nothing else. */
  turn(): Promise<void>
}
