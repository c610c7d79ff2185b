import { ExitCode } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { ProgressBar } from '../io/progress-bar.ts'
import { requireBytes, requireWhole } from '../options/numbers.ts'
import { UNKNOWN_TOPIC_LIMIT_MS } from '../topic/topic-names.ts'
import { cpuMs, printResult } from './perf-report.ts'

interface PerfConsumeOptions {
  records?: string
  fetchSize: string
}

export const perfConsume: CommandDefinition<PerfConsumeOptions> = {
  name: 'consume',
  arguments: [['<topic>', 'topic to read']],
  summary: 'Measure how fast records can be read',
  description: 'Reads all partitions from the beginning up to the present end, without a group.',
  options: [
    { flags: '-n, --records <n>', description: 'end after so many (default: all there are)' },
    { flags: '--fetch-size <bytes>', description: 'bytes per partition and fetch (default: 1MiB)' },
  ],
  examples: [
    ['perf consume test', 'everything there is'],
    ['perf consume test -n 1000000 -o json', 'a million records, as JSON'],
  ],
  async run(context, [topic], options) {
    const { clock, timers, signal, stderr } = context.io
    const wanted =
      options.records === undefined ? Number.POSITIVE_INFINITY : requireWhole('--records', options.records, 1)
    const consumer = context.consumer({
      maxPollRecords: 5000,
      maxPartitionFetchBytes: requireBytes('--fetch-size', options.fetchSize ?? '1MiB'),
      allowAutoCreateTopics: false,
    })
    let records = 0
    let bytes = 0
    try {
      const partitions = await consumer.partitionsOf(topic!, { unknownLimitMs: UNKNOWN_TOPIC_LIMIT_MS })
      const places = partitions.map((partition) => ({ topic: topic!, partition }))
      const [starts, ends] = await Promise.all([
        consumer.findOffsets(places, 'earliest'),
        consumer.findOffsets(places, 'latest'),
      ])
      const left = new Map(ends.map(({ partition, offset }) => [partition, offset]))
      const total = ends.reduce((sum, { offset }, slot) => sum + Number(offset - starts[slot]!.offset), 0)
      for (const [slot, { partition, offset }] of starts.entries())
        if (offset >= ends[slot]!.offset) left.delete(partition)
      const goal = Math.min(wanted, total)
      const bar = new ProgressBar(stderr, clock, timers, () => ({
        count: records,
        bytes,
        totalCount: goal,
        totalBytes: null,
      }))
      const startMs = clock.monotonicMs()
      const startCpuMs = cpuMs()
      consumer.assign(starts.map(({ partition, offset }) => ({ topic: topic!, partition, start: offset })))
      while (left.size > 0 && records < goal && !signal.aborted) {
        for (const batch of await consumer.poll({ signal, timeoutMs: 1000 })) {
          for (const record of batch.records) bytes += record.sizeBytes
          records += batch.records.length
          const end = left.get(batch.partition)
          if (end !== undefined && batch.nextOffset >= end) left.delete(batch.partition)
        }
      }
      const elapsedMs = clock.monotonicMs() - startMs
      await bar.end()
      const usedMs = cpuMs() - startCpuMs
      await printResult(context, {
        records,
        bytes,
        elapsedMs,
        cpuMs: usedMs,
        failedRecords: 0,
        latency: null,
        latencyOf: '',
      })
    } finally {
      await consumer.close({ timeoutMs: context.options.timeoutMs })
    }
    return signal.aborted ? ExitCode.INTERRUPTED : ExitCode.OK
  },
}
