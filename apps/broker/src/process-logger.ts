import { type Logger, type LoggerLevels, ROOT_LOGGER } from '@millrace/broker'
import type { Logger as PinoLogger } from 'pino'
import { type LogOutput, standardErrorOutput } from './log-output.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'

const LEVELS: readonly LogLevel[] = ['debug', 'info', 'warn', 'error']
/** Lines kept while the real logger is not loaded. */
const MAX_BUFFERED_LINES = 1_000

interface Line {
  level: LogLevel
  message: string
  fields: Record<string, unknown>
  timeMs: number
}

/**
 * JSON lines on standard error, through pino. Loading pino takes longer than the rest of the start allows, so lines of the first
 * moments wait until `load` is called, after the broker serves or once its start takes long; `flushNow` writes them without it when the process has to end.
 */
export class ProcessLogger implements Logger, LoggerLevels {
  readonly #startLevel: LogLevel
  #level: LogLevel
  #buffered: Line[] = []
  #dropped = 0
  #pino: PinoLogger | null = null
  #loading: Promise<void> | null = null
  readonly #output: LogOutput
  /** When the line that is handed to pino was logged; null: now. */
  #lineTimeMs: number | null = null

  /** `output` takes whole lines; standard error if left out. */
  constructor(level: LogLevel, output: LogOutput = standardErrorOutput()) {
    this.#startLevel = level
    this.#level = level
    this.#output = output
  }

  debug(message: string, fields: Record<string, unknown> = {}): void {
    this.#log('debug', message, fields)
  }

  info(message: string, fields: Record<string, unknown> = {}): void {
    this.#log('info', message, fields)
  }

  warn(message: string, fields: Record<string, unknown> = {}): void {
    this.#log('warn', message, fields)
  }

  error(message: string, fields: Record<string, unknown> = {}): void {
    this.#log('error', message, fields)
  }

  /** There is one logger, the root. */
  levels(): ReadonlyMap<string, string> {
    return new Map([[ROOT_LOGGER, this.#level.toUpperCase()]])
  }

  /** Kafka's names; FATAL counts as error, TRACE as debug. */
  setLevel(_logger: string, level: string): void {
    const wanted = level === 'FATAL' ? 'error' : level === 'TRACE' ? 'debug' : level.toLowerCase()
    this.#level = LEVELS.find((known) => known === wanted) ?? this.#startLevel
    if (this.#pino !== null) this.#pino.level = this.#level
  }

  unsetLevel(_logger: string): void {
    this.setLevel(ROOT_LOGGER, this.#startLevel)
  }

  /** Loads pino and hands it what waited. Asked for again it is the same load. */
  load(): Promise<void> {
    this.#loading ??= this.#load()
    return this.#loading
  }

  /** The process is about to end: writes what waits, lines of the first moments as plain JSON, on this thread. */
  flushNow(): void {
    for (const { level, message, fields, timeMs } of this.#take()) {
      this.#output.write(`${JSON.stringify({ level, time: timeMs, ...fields, msg: message }, plain)}\n`)
    }
    this.#output.flush()
  }

  async #load(): Promise<void> {
    // A CommonJS package: bundled, it has its default export only.
    const { default: pino } = await import('pino')
    const logger = pino(
      {
        level: this.#level,
        base: null,
        // As in `flushNow`: one shape of lines, whoever wrote them and whenever.
        formatters: { level: (level) => ({ level }) },
        timestamp: () => `,"time":${this.#lineTimeMs ?? Date.now()}`,
      },
      { write: (line: string) => this.#output.write(line) },
    )
    for (const { level, message, fields, timeMs } of this.#take()) {
      this.#lineTimeMs = timeMs
      logger[level](fields, message)
    }
    this.#lineTimeMs = null
    this.#pino = logger
  }

  #take(): Line[] {
    const lines = this.#buffered
    this.#buffered = []
    if (this.#dropped > 0) {
      const fields = { lines: this.#dropped }
      lines.push({ level: 'warn', message: 'log lines of the start were dropped', fields, timeMs: Date.now() })
      this.#dropped = 0
    }
    return lines
  }

  #log(level: LogLevel, message: string, fields: Record<string, unknown>): void {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(this.#level)) return
    if (this.#pino !== null) this.#pino[level](fields, message)
    else if (this.#buffered.length < MAX_BUFFERED_LINES)
      this.#buffered.push({ level, message, fields, timeMs: Date.now() })
    else this.#dropped++
  }
}

/** JSON knows no bigint; last words must not fail for one. */
function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? Number(value) : value
}
