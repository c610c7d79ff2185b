import type { Producer, ProducerRecord } from '@millrace/client'
import type { CliContext } from '../command/cli-context.ts'
import { ExitCode } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { orAborted } from '../io/or-aborted.ts'
import { Pacer } from '../io/pacer.ts'
import { ProgressBar } from '../io/progress-bar.ts'
import { requireAcks, requireCompression } from '../options/delivery-options.ts'
import { requireDuration } from '../options/durations.ts'
import { requireBytes, requireWhole } from '../options/numbers.ts'
import { LatencyHistogram } from './latency-histogram.ts'
import { cpuMs, printResult } from './perf-report.ts'

/** More than key, length and batch header take. */
export const RECORD_OVERHEAD_BYTES = 1024

interface PerfProduceOptions {
  records: string
  size: string
  rate?: string
  compression?: string
  acks?: string
  batchSize: string
  linger: string
  keys?: string
  compressible?: boolean
}

/** One of so many records is timed: timing costs more than sending. */
const TIMED_ONE_OF = 50
const PAYLOAD_COUNT = 64
const LETTERS = 26

export const perfProduce: CommandDefinition<PerfProduceOptions> = {
  name: 'produce',
  arguments: [['<topic>', 'topic to write to']],
  summary: 'Measure how fast records can be written',
  description: 'Latency is from handing a record to the producer until it is acknowledged, of one record in fifty.',
  options: [
    { flags: '-n, --records <n>', description: 'how many (default: 1000000)' },
    { flags: '-s, --size <bytes>', description: 'bytes per record (default: 100)' },
    { flags: '--rate <n>', description: 'at most n records a second' },
    { flags: '-z, --compression <codec>', description: 'none, gzip, snappy, lz4 or zstd' },
    { flags: '--acks <acks>', description: 'all, 1 or 0 (default: all)' },
    { flags: '--batch-size <bytes>', description: 'bytes at which a batch is full (default: 64KiB)' },
    { flags: '--linger <duration>', description: 'how long a batch waits for more records (default: 0)' },
    { flags: '--keys <n>', description: 'give records one of n keys' },
    { flags: '--compressible', description: 'payloads of few letters, as Kafka’s tool sends' },
  ],
  examples: [
    ['perf produce test', 'a million records of 100 bytes'],
    ['perf produce test -s 1KiB -z lz4 --acks 1', '1 KiB, compressed, leader only'],
    ['perf produce test --rate 1000 -n 10000 -o json', 'latency at a steady rate'],
  ],
  async run(context, [topic], options) {
    const { clock, timers, random, stderr } = context.io
    const total = requireWhole('--records', options.records ?? '1000000', 1)
    const sizeBytes = requireBytes('--size', options.size ?? '100')
    const load: Load = {
      topic: topic!,
      total,
      perSecond: options.rate === undefined ? Number.POSITIVE_INFINITY : requireWhole('--rate', options.rate, 1),
      keys: options.keys === undefined ? null : keyList(requireWhole('--keys', options.keys, 1, 1_000_000)),
      payloads: Array.from({ length: PAYLOAD_COUNT }, () => payload(random.bytes(sizeBytes), options.compressible)),
    }
    const tally = new Tally()
    const producer = context.producer({
      compressionType: requireCompression(options.compression),
      acks: requireAcks(options.acks),
      batchSize: requireBytes('--batch-size', options.batchSize ?? '64KiB', 1),
      lingerMs: requireDuration('--linger', options.linger ?? '0'),
      // Records of the size asked for are sent: whether they are too large is the broker's to say.
      maxRequestSize: Math.max(1_048_576, sizeBytes + RECORD_OVERHEAD_BYTES),
      maxBlockMs: context.options.timeoutMs,
      onDeliveryError: (error, _topic, _partition, recordCount) => tally.fail(error, recordCount),
    })
    const progress = () => ({ count: tally.count, bytes: tally.count * sizeBytes, totalCount: total, totalBytes: null })
    const bar = new ProgressBar(stderr, clock, timers, progress)
    let startMs = clock.monotonicMs()
    let startCpuMs = cpuMs()
    try {
      await orAborted(producer.ready(load.topic), context.io.signal)
      startMs = clock.monotonicMs()
      startCpuMs = cpuMs()
      await send(context, producer, load, tally)
    } finally {
      await bar.end()
      await producer.close({ timeoutMs: context.options.timeoutMs })
    }
    const { count, failedCount, latency } = tally
    const records = count - failedCount
    await printResult(context, {
      records,
      bytes: records * sizeBytes,
      elapsedMs: clock.monotonicMs() - startMs,
      cpuMs: cpuMs() - startCpuMs,
      failedRecords: failedCount,
      latency,
      latencyOf: 'acknowledged after',
    })
    if (failedCount > 0) {
      await context.complain(tally.firstError)
      return failedCount === count ? ExitCode.ERROR : ExitCode.PARTIAL
    }
    return context.isInterrupted ? ExitCode.INTERRUPTED : ExitCode.OK
  },
}

/** What is to be sent. */
interface Load {
  topic: string
  total: number
  /** May be infinite. */
  perSecond: number
  keys: readonly string[] | null
  payloads: readonly Buffer[]
}

/** What became of it. */
class Tally {
  readonly latency = new LatencyHistogram()
  count = 0
  failedCount = 0
  firstError: unknown = null

  fail(error: unknown, recordCount: number): void {
    this.failedCount += recordCount
    this.firstError ??= error
  }
}

/** Sends the load and waits until its fate is known, or until Ctrl-C. */
async function send(context: CliContext, producer: Producer, load: Load, tally: Tally): Promise<void> {
  const { clock, timers, signal } = context.io
  const { topic, total, perSecond, keys, payloads } = load
  const pacer = new Pacer(clock, timers, signal, perSecond)
  while (tally.count < total && !signal.aborted) {
    const pause = pacer.pace()
    if (pause !== null) await pause
    const { count } = tally
    const record = { topic, key: keys?.[count % keys.length] ?? null, value: payloads[count % PAYLOAD_COUNT]! }
    if (count % TIMED_ONE_OF === 0) {
      const sentMs = clock.monotonicMs()
      producer.send(record).then(
        () => tally.latency.record(clock.monotonicMs() - sentMs),
        (error: unknown) => tally.fail(error, 1),
      )
    } else if (!producer.post(record) && !(await postLater(producer, record, signal))) {
      return
    }
    tally.count++
  }
  await orAborted(producer.flush(), signal)
}

/** Posts a record as soon as there is room. False: Ctrl-C came first. */
async function postLater(producer: Producer, record: ProducerRecord, signal: AbortSignal): Promise<boolean> {
  do {
    await orAborted(producer.ready(record.topic), signal)
    if (signal.aborted) return false
  } while (!producer.post(record))
  return true
}

function payload(bytes: Buffer, compressible: boolean | undefined): Buffer {
  if (compressible)
    for (let position = 0; position < bytes.length; position++) bytes[position] = 65 + (bytes[position]! % LETTERS)
  return bytes
}

function keyList(count: number): string[] {
  return Array.from({ length: count }, (_, number) => `key-${number}`)
}
