import type { CompressionType } from '@millrace/client'
import { ExitCode, usageError } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { Pacer } from '../io/pacer.ts'
import { ProgressBar } from '../io/progress-bar.ts'
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
    const { clock, timers, signal, random, stderr } = context.io
    const total = requireWhole('--records', options.records ?? '1000000', 1)
    const sizeBytes = requireBytes('--size', options.size ?? '100')
    const perSecond = options.rate === undefined ? Number.POSITIVE_INFINITY : requireWhole('--rate', options.rate, 1)
    const keys = options.keys === undefined ? null : keyList(requireWhole('--keys', options.keys, 1, 1_000_000))
    const payloads = Array.from({ length: PAYLOAD_COUNT }, () => payload(random.bytes(sizeBytes), options.compressible))
    let failedRecords = 0
    let firstError: unknown = null
    const fail = (error: unknown, recordCount: number): void => {
      failedRecords += recordCount
      firstError ??= error
    }
    const producer = context.producer({
      compressionType: (options.compression ?? 'none') as CompressionType,
      acks: acksOf(options.acks),
      batchSize: requireBytes('--batch-size', options.batchSize ?? '64KiB'),
      lingerMs: requireDuration('--linger', options.linger ?? '0'),
      // Records of the size asked for are sent: whether they are too large is the broker's to say.
      maxRequestSize: Math.max(1_048_576, sizeBytes + RECORD_OVERHEAD_BYTES),
      onDeliveryError: (error, _topic, _partition, recordCount) => fail(error, recordCount),
    })
    const latency = new LatencyHistogram()
    let count = 0
    await producer.ready(topic!)
    const progress = () => ({ count, bytes: count * sizeBytes, totalCount: total, totalBytes: null })
    const bar = new ProgressBar(stderr, clock, timers, progress)
    const startMs = clock.monotonicMs()
    const startCpuMs = cpuMs()
    const pacer = new Pacer(clock, timers, signal, perSecond)
    try {
      while (count < total && !signal.aborted) {
        const pause = pacer.pace()
        if (pause !== null) await pause
        const key = keys?.[count % keys.length] ?? null
        const record = { topic: topic!, key, value: payloads[count % PAYLOAD_COUNT]! }
        if (count % TIMED_ONE_OF === 0) {
          const sentMs = clock.monotonicMs()
          producer.send(record).then(
            () => latency.record(clock.monotonicMs() - sentMs),
            (error: unknown) => fail(error, 1),
          )
        } else {
          while (!producer.post(record)) await producer.ready(topic!)
        }
        count++
      }
      await producer.flush()
    } finally {
      await bar.end()
      await producer.close({ timeoutMs: context.options.timeoutMs })
    }
    const elapsedMs = clock.monotonicMs() - startMs
    const latencyOf = 'acknowledged after'
    const records = count - failedRecords
    await printResult(context, {
      records,
      bytes: records * sizeBytes,
      elapsedMs,
      cpuMs: cpuMs() - startCpuMs,
      failedRecords,
      latency,
      latencyOf,
    })
    if (failedRecords > 0) {
      await context.complain(firstError)
      return failedRecords === count ? ExitCode.ERROR : ExitCode.PARTIAL
    }
    return signal.aborted ? ExitCode.INTERRUPTED : ExitCode.OK
  },
}

function payload(bytes: Buffer, compressible: boolean | undefined): Buffer {
  if (compressible)
    for (let position = 0; position < bytes.length; position++) bytes[position] = 65 + (bytes[position]! % LETTERS)
  return bytes
}

function keyList(count: number): string[] {
  return Array.from({ length: count }, (_, number) => `key-${number}`)
}

/** The `acks` of a text. Throws a usage error. */
export function acksOf(text: string | undefined): 0 | 1 | 'all' {
  if (text === undefined || text === 'all' || text === '-1') return 'all'
  if (text === '0' || text === '1') return text === '0' ? 0 : 1
  throw usageError(`--acks ${text}: must be all, 1 or 0`)
}
