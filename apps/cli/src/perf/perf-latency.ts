import type { Consumer, Producer } from '@millrace/client'
import { CliError, ExitCode } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { orAborted } from '../io/or-aborted.ts'
import { sleep } from '../io/pacer.ts'
import { ProgressBar } from '../io/progress-bar.ts'
import { requireAcks } from '../options/delivery-options.ts'
import { requireDuration } from '../options/durations.ts'
import { requireBytes, requireWhole } from '../options/numbers.ts'
import { LatencyHistogram } from './latency-histogram.ts'
import { RECORD_OVERHEAD_BYTES } from './perf-produce.ts'
import { cpuMs, printResult } from './perf-report.ts'

interface PerfLatencyOptions {
  records?: string
  size?: string
  acks?: string
  pause?: string
  warmup?: string
}

export const perfLatency: CommandDefinition<PerfLatencyOptions> = {
  name: 'latency',
  arguments: [['<topic>', 'topic to write to and read from; its first partition is used']],
  summary: 'Measure how long a record takes from producer to consumer',
  description: 'One record at a time: sent, and waited for at a consumer. The clock has microseconds.',
  options: [
    { flags: '-n, --records <n>', description: 'how many (default: 2000)' },
    { flags: '-s, --size <bytes>', description: 'bytes per record (default: 100)' },
    { flags: '--acks <acks>', description: 'all, 1 or 0 (default: all)' },
    { flags: '--pause <duration>', description: 'pause between records (default: 0)' },
    { flags: '--warmup <n>', description: 'records before those that count (default: 200)' },
  ],
  examples: [
    ['perf latency test', 'a distribution with a picture'],
    ['perf latency test --acks 1 --pause 10ms -o json', 'at a hundred records a second'],
  ],
  async run(context, [topic], options) {
    const { clock, timers, signal, random, stderr } = context.io
    const total = requireWhole('--records', options.records ?? '2000', 1)
    const warmup = requireWhole('--warmup', options.warmup ?? '200', 0)
    const pauseMs = requireDuration('--pause', options.pause ?? '0')
    const value = random.bytes(requireBytes('--size', options.size ?? '100'))
    const maxRequestSize = Math.max(1_048_576, value.length + RECORD_OVERHEAD_BYTES)
    const producer = context.producer({ acks: requireAcks(options.acks), lingerMs: 0, maxRequestSize })
    const consumer = context.consumer({ allowAutoCreateTopics: false, maxPollRecords: 10 })
    const latency = new LatencyHistogram()
    let count = 0
    const bar = new ProgressBar(stderr, clock, timers, () => {
      return { count, bytes: count * value.length, totalCount: total, totalBytes: null }
    })
    let startMs = clock.monotonicMs()
    let startCpuMs = cpuMs()
    try {
      await orAborted(producer.partitionCount(topic!), signal)
      consumer.assign([{ topic: topic!, partition: 0, start: 'latest' }])
      await orAborted(consumer.position({ topic: topic!, partition: 0 }), signal)
      for (let number = -warmup; number < total && !signal.aborted; number++) {
        if (number === 0) {
          startMs = clock.monotonicMs()
          startCpuMs = cpuMs()
        }
        const sentMs = clock.monotonicMs()
        await orAborted(roundTrip(producer, consumer, topic!, value, context.options.timeoutMs), signal)
        if (number >= 0 && !signal.aborted) {
          latency.record(clock.monotonicMs() - sentMs)
          count++
        }
        if (pauseMs > 0) await sleep(timers, pauseMs, signal)
      }
    } finally {
      await bar.end()
      await Promise.all([producer.close({ timeoutMs: 5000 }), consumer.close({ timeoutMs: 5000 })])
    }
    await printResult(context, {
      records: count,
      bytes: count * value.length,
      elapsedMs: clock.monotonicMs() - startMs,
      cpuMs: cpuMs() - startCpuMs,
      failedRecords: 0,
      latency,
      latencyOf: 'end to end',
    })
    return context.isInterrupted ? ExitCode.INTERRUPTED : ExitCode.OK
  },
}

async function roundTrip(
  producer: Producer,
  consumer: Consumer,
  topic: string,
  value: Buffer,
  timeoutMs: number,
): Promise<void> {
  const sent = producer.send({ topic, partition: 0, value })
  const [batches] = await Promise.all([consumer.poll({ timeoutMs }), sent])
  const [batch] = batches
  if (batch === undefined) throw new CliError(`a record did not come back within ${timeoutMs} ms`)
  if (batches.length > 1 || batch.records.length > 1 || batch.records[0]!.value?.equals(value) !== true) {
    throw new CliError(`others write to ${topic} at the same time`, { hint: 'Use a topic of its own.' })
  }
}
