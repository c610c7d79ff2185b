import { createReadStream } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'
import type { Producer, ProducerOptions, ProducerRecord, RecordMetadata } from '@millrace/client'
import type { Command } from 'commander'
import type { CliContext } from '../command/cli-context.ts'
import { CliError, ExitCode, usageError } from '../command/cli-error.ts'
import { type CommandDefinition, type Dispatch, toCommand } from '../command/command-definition.ts'
import { toJsonLine } from '../io/output-format.ts'
import { Pacer, sleep } from '../io/pacer.ts'
import { ProgressBar, type ProgressState } from '../io/progress-bar.ts'
import { WaitNotice } from '../io/wait-notice.ts'
import { requireAcks, requireCompression } from '../options/delivery-options.ts'
import { formatDuration, requireDuration, requireTime } from '../options/durations.ts'
import { formatBytes, formatNumber, requireBytes, requireWhole } from '../options/numbers.ts'
import { DeliveryReports } from './delivery-reports.ts'
import { splitLines } from './line-splitter.ts'
import { parseHeaders, parseRecord, type RecordFormat, resolveEscapes } from './record-parser.ts'

/** For records that are under way when the command is told to end: who ends it does not wait for brokers that do not answer. */
const END_GRACE_MS = 2000

interface ProduceOptions {
  key?: string
  keySeparator?: string
  header: string[]
  partition?: string
  timestamp?: string
  json?: boolean
  null?: string
  file: string[]
  wholeFiles?: boolean
  compression?: string
  acks?: string
  linger?: string
  batchSize?: string
  maxRecord?: string
  rate?: string
  report?: boolean
  ignoreErrors?: boolean
}

/** What became of the records. */
class Tally {
  count = 0
  bytes = 0
  failedCount = 0
  skippedCount = 0
  firstError: unknown = null
  totalBytes: number | null = null

  fail(error: unknown, recordCount: number): void {
    this.failedCount += recordCount
    this.firstError ??= error
  }

  progress(): ProgressState {
    return { count: this.count, bytes: this.bytes, totalCount: null, totalBytes: this.totalBytes }
  }
}

const definition: CommandDefinition<ProduceOptions> = {
  name: 'produce',
  arguments: [
    ['<topic>', 'topic to write to'],
    ['[values...]', 'records; left out: one record per line of standard input or of the files'],
  ],
  summary: 'Write records from the command line, standard input or files',
  description: 'Shows progress on a terminal. Separators may be typed as \\t, \\n, \\0 or \\x1f.',
  options: [
    { flags: '-k, --key <key>', description: 'key of every record' },
    { flags: '-K, --key-separator <text>', description: 'lines are KEY, this text, VALUE' },
    { flags: '-H, --header <name=value>', description: 'a header of every record; may be repeated', repeatable: true },
    { flags: '-p, --partition <n>', description: 'partition (default: by key, else in turn)' },
    { flags: '--timestamp <time>', description: 'timestamp of every record (default: now)' },
    {
      flags: '--json',
      description:
        'lines are objects: {"key", "value", "headers", "partition", "timestamp"}, or "valueBase64" for bytes',
    },
    { flags: '--null <text>', description: 'a key or value that is exactly this text is null' },
    { flags: '-f, --file <path>', description: 'read from a file; may be repeated', repeatable: true },
    { flags: '--whole-files', description: 'each file is one record' },
    { flags: '-z, --compression <codec>', description: 'none, gzip, snappy, lz4 or zstd' },
    { flags: '--acks <acks>', description: 'all, 1 or 0 (default: all)' },
    { flags: '--linger <duration>', description: 'how long a batch waits for more records (default: 5ms)' },
    { flags: '--batch-size <bytes>', description: 'bytes at which a batch is full (default: 64KiB)' },
    { flags: '--max-record <bytes>', description: 'longest record (default: 1MiB)' },
    { flags: '--rate <n>', description: 'at most n records a second' },
    { flags: '--report', description: 'print where each record was stored' },
    { flags: '--ignore-errors', description: 'pass over lines that are no records' },
  ],
  examples: [
    ['produce orders hello world', 'two records'],
    ['produce orders -k 42 \'{"id":42}\' -H source=cli', 'with key and header'],
    ['produce orders -K : < orders.txt', 'lines as KEY:VALUE'],
    ['produce orders -f big.log -z zstd', 'a file, with a progress bar'],
    ['consume a --from beginning -e --json | millrace produce b --json', 'copy a topic'],
  ],
  run: runProduce,
}

/** `millrace produce`. */
export function produceCommand(dispatch: Dispatch): Command {
  return toCommand(definition, dispatch)
}

async function runProduce(context: CliContext, [topic, ...values]: string[], options: ProduceOptions): Promise<number> {
  const { clock, timers, signal, stdout, stderr } = context.io
  const format = recordFormat(topic!, options, clock.wallMs())
  const tally = new Tally()
  const notice = new WaitNotice(context.io)
  const producer = context.producer(producerOptions(context, options, tally, notice))
  // A line that redraws itself would overwrite what is being typed or reported.
  const isTyped = context.io.isStdinTty && values.length === 0 && options.file.length === 0
  const isReported = options.report === true && stdout.isTty
  const bar = isTyped || isReported ? null : new ProgressBar(stderr, clock, timers, () => tally.progress())
  const startMs = clock.monotonicMs()
  try {
    await notice.during(`topic ${topic}`, producer.partitionCount(topic!))
    const perSecond = options.rate === undefined ? Number.POSITIVE_INFINITY : requireWhole('--rate', options.rate, 1)
    const pacer = new Pacer(clock, timers, signal, perSecond)
    const delivery = new Delivery(context, producer, options.report === true, tally, notice)
    for await (const record of recordsOf(context, values, options, format, tally)) {
      const pause = pacer.pace()
      if (pause !== null) await pause
      if (signal.aborted) break
      await delivery.deliver(record)
    }
    await notice.during('acknowledgements', delivery.done())
  } finally {
    await closeProducer(context, producer)
    await bar?.end()
  }
  return summarize(context, tally, notice, clock.monotonicMs() - startMs)
}

/** Sends what is left, for as long as a call may take; once the command is to end, for {@link END_GRACE_MS}. */
async function closeProducer(context: CliContext, producer: Producer): Promise<void> {
  const { timers, signal } = context.io
  const flushed = new AbortController()
  const isOver = sleep(timers, context.options.timeoutMs, AbortSignal.any([signal, flushed.signal]))
  if (!signal.aborted) await Promise.race([producer.flush(), isOver])
  flushed.abort()
  await producer.close({ timeoutMs: END_GRACE_MS })
}

/** Hands records to the producer, and reports where they were stored if that is asked for. */
class Delivery {
  readonly #context: CliContext
  readonly #producer: Producer
  readonly #tally: Tally
  readonly #notice: WaitNotice
  readonly #reports: DeliveryReports<RecordMetadata> | null
  #reportedBytes = 0

  constructor(context: CliContext, producer: Producer, isReported: boolean, tally: Tally, notice: WaitNotice) {
    this.#context = context
    this.#producer = producer
    this.#tally = tally
    this.#notice = notice
    const { stdout } = context.io
    this.#reports = isReported ? new DeliveryReports((stored) => stdout.write(reportLine(context, stored))) : null
  }

  async deliver(record: ProducerRecord): Promise<void> {
    const { signal } = this.#context.io
    if (this.#reports !== null) {
      const room = this.#reports.room()
      if (room !== null) await this.#notice.during('acknowledgements', room)
      if (!signal.aborted) this.#send(record, this.#reports)
      return
    }
    while (!this.#producer.post(record)) {
      await this.#notice.during('acknowledgements', this.#producer.ready(record.topic))
      if (signal.aborted) return
    }
    this.#tally.count++
  }

  #send(record: ProducerRecord, reports: DeliveryReports<RecordMetadata>): void {
    const tally = this.#tally
    tally.count++
    const sending = this.#producer.send(record).catch((error: unknown) => {
      tally.fail(error, 1)
      return null
    })
    reports.add(sending, tally.bytes - this.#reportedBytes)
    this.#reportedBytes = tally.bytes
  }

  /** Resolves when the outcome of every record is known, and reported. */
  async done(): Promise<void> {
    await this.#producer.flush()
    await this.#reports?.done()
  }
}

function reportLine(
  context: CliContext,
  stored: { topic: string; partition: number; offset: bigint; timestamp: number },
): string {
  if (context.options.output === 'json') return `${toJsonLine({ ...stored })}\n`
  return `${stored.topic}-${stored.partition}@${stored.offset}\n`
}

async function* recordsOf(
  context: CliContext,
  values: readonly string[],
  options: ProduceOptions,
  format: RecordFormat,
  tally: Tally,
): AsyncGenerator<ProducerRecord> {
  if (values.length > 0) {
    for (const value of values) yield* parsed(Buffer.from(value), options, format, tally, 'argument')
    return
  }
  const maxBytes = maxRecordBytes(options)
  if (options.file.length === 0) {
    yield* linesOf(context.io.stdin, 'standard input', maxBytes, options, format, tally)
    return
  }
  const sizes = await Promise.all(options.file.map(sizeOf))
  tally.totalBytes = sizes.reduce((sum, size) => sum + size, 0)
  for (const path of options.file) {
    if (options.wholeFiles) yield* parsed(await readFile(path), options, format, tally, path)
    else yield* linesOf(createReadStream(path), path, maxBytes, options, format, tally)
  }
}

async function* linesOf(
  chunks: AsyncIterable<Buffer>,
  source: string,
  maxBytes: number,
  options: ProduceOptions,
  format: RecordFormat,
  tally: Tally,
): AsyncGenerator<ProducerRecord> {
  let number = 0
  for await (const line of splitLines(chunks, maxBytes)) {
    yield* parsed(line, options, format, tally, `${source}, line ${++number}`)
  }
}

/** The record of one line, or none if it is passed over. */
function* parsed(
  line: Buffer,
  options: ProduceOptions,
  format: RecordFormat,
  tally: Tally,
  place: string,
): Generator<ProducerRecord> {
  tally.bytes += line.length + 1
  try {
    yield parseRecord(line, format)
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    if (!options.ignoreErrors)
      throw new CliError(`${place}: ${error.message}`, { hint: '--ignore-errors passes over such lines.' })
    tally.skippedCount++
  }
}

async function sizeOf(path: string): Promise<number> {
  const status = await stat(path).catch((error: NodeJS.ErrnoException) => {
    throw new CliError(`cannot read ${path}: ${error.code ?? String(error)}`, { cause: error })
  })
  if (status.isDirectory()) throw new CliError(`cannot read ${path}: it is a directory`)
  return status.size
}

function recordFormat(topic: string, options: ProduceOptions, nowMs: number): RecordFormat {
  if (options.json && options.keySeparator !== undefined)
    throw usageError('--json and --key-separator exclude each other')
  if (options.wholeFiles && options.file.length === 0) throw usageError('--whole-files needs --file')
  return {
    topic,
    keySeparator: options.keySeparator === undefined ? null : Buffer.from(resolveEscapes(options.keySeparator)),
    fixedKey: options.key ?? null,
    isJson: options.json === true,
    nullMarker: options.null === undefined ? null : Buffer.from(options.null),
    headers: parseHeaders(options.header),
    partition: options.partition === undefined ? null : requireWhole('--partition', options.partition, 0),
    timestamp: options.timestamp === undefined ? null : requireTime('--timestamp', options.timestamp, nowMs),
  }
}

function producerOptions(
  context: CliContext,
  options: ProduceOptions,
  tally: Tally,
  notice: WaitNotice,
): Partial<ProducerOptions> {
  const maxRequestSize = maxRecordBytes(options)
  const lingerMs = options.linger === undefined ? 5 : requireDuration('--linger', options.linger)
  return {
    lingerMs,
    batchSize: options.batchSize === undefined ? 65_536 : requireBytes('--batch-size', options.batchSize, 1),
    compressionType: requireCompression(options.compression),
    acks: requireAcks(options.acks),
    maxRequestSize,
    bufferMemory: Math.max(33_554_432, 2 * maxRequestSize),
    maxBlockMs: context.options.timeoutMs,
    requestTimeoutMs: context.options.timeoutMs,
    deliveryTimeoutMs: lingerMs + 4 * context.options.timeoutMs + 5000,
    onDeliveryError: (error, _topic, _partition, recordCount) => tally.fail(error, recordCount),
    onRetry: (error) => notice.onRetry(error),
  }
}

function maxRecordBytes({ maxRecord }: ProduceOptions): number {
  return maxRecord === undefined ? 1_048_576 : requireBytes('--max-record', maxRecord, 1)
}

async function summarize(context: CliContext, tally: Tally, notice: WaitNotice, elapsedMs: number): Promise<number> {
  const { count, bytes, failedCount, skippedCount } = tally
  if (context.io.stderr.isTty) {
    const skipped = skippedCount > 0 ? `, ${formatNumber(skippedCount)} lines passed over` : ''
    const stored = `${formatNumber(count - failedCount)} records (${formatBytes(bytes)})`
    await context.note(`${stored} in ${formatDuration(elapsedMs)}${skipped}`)
  }
  if (failedCount > 0) {
    await context.note(`millrace: ${formatNumber(failedCount)} of ${formatNumber(count)} records were not delivered`)
    if (context.isInterrupted) {
      // That they were broken off says nothing about why they were still under way.
      if (notice.lastError !== null) await context.complain(notice.lastError)
      return ExitCode.INTERRUPTED
    }
    await context.complain(tally.firstError)
    return failedCount === count ? ExitCode.ERROR : ExitCode.PARTIAL
  }
  return context.isInterrupted ? ExitCode.INTERRUPTED : ExitCode.OK
}
