import type { Admin, ClientOptions, Consumer, ConsumerOptions, Producer, ProducerOptions } from '@millrace/client'
import type { CliIo } from '../io/cli-io.ts'
import { type Column, type OutputFormat, type Row, renderData, renderRows, type Value } from '../io/output-format.ts'
import { explain } from './cli-error.ts'

/** Options of every command that talks to a cluster. */
export interface GlobalOptions {
  bootstrapServers: string
  output: OutputFormat
  timeoutMs: number
}

/** Makes clients; tests give fakes. */
export interface ClientFactory {
  admin(options: ClientOptions): Admin
  producer(options: ProducerOptions): Producer
  consumer(options: ConsumerOptions): Consumer
}

/** What a command works with. */
export class CliContext {
  readonly io: CliIo
  readonly options: GlobalOptions
  readonly #clients: ClientFactory

  constructor(io: CliIo, options: GlobalOptions, clients: ClientFactory) {
    this.io = io
    this.options = options
    this.#clients = clients
  }

  /** Somebody wants the command to end before it is done. A reader that went away has what it wanted. */
  get isInterrupted(): boolean {
    return this.io.signal.aborted && !this.io.stdout.isClosed
  }

  /** Settings of every client. */
  get clientOptions(): ClientOptions {
    const { bootstrapServers, timeoutMs } = this.options
    return { bootstrapServers, clientId: 'millrace-cli', defaultApiTimeoutMs: timeoutMs }
  }

  producer(options: Partial<ProducerOptions>): Producer {
    return this.#clients.producer({ ...this.clientOptions, ...options })
  }

  consumer(options: Partial<ConsumerOptions>): Consumer {
    return this.#clients.consumer({ ...this.clientOptions, ...options })
  }

  /** Runs with an admin client that is closed afterwards, and at Ctrl-C, which makes its calls reject. */
  async withAdmin<T>(run: (admin: Admin) => Promise<T>): Promise<T> {
    const admin = this.#clients.admin(this.clientOptions)
    const { signal } = this.io
    const close = () => void admin.close()
    if (signal.aborted) close()
    signal.addEventListener('abort', close)
    try {
      return await run(admin)
    } finally {
      signal.removeEventListener('abort', close)
      await admin.close()
    }
  }

  /** Prints rows in the format asked for. */
  async printRows(rows: readonly Row[], columns: readonly Column[]): Promise<void> {
    await this.io.stdout.write(renderRows(rows, columns, this.options.output))
  }

  /** Prints a value as JSON or YAML, or the given text where a table is asked for. */
  async printValue(value: Value, text: () => string): Promise<void> {
    const { output } = this.options
    await this.io.stdout.write(output === 'table' ? text() : renderData(value, output))
  }

  /** Says something beside the output. */
  async note(text: string): Promise<void> {
    await this.io.stderr.write(`${text}\n`)
  }

  /** Says what failed, with a hint; the command goes on. */
  async complain(error: unknown): Promise<void> {
    const { message, hint } = explain(error, this.options.bootstrapServers)
    await this.note(`millrace: ${message}${hint === null ? '' : `\n  ${hint}`}`)
  }
}
