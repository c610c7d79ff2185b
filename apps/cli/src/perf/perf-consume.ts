import type { Consumer } from '@millrace/client'
import { ExitCode } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { type PartitionRange, resolveRanges } from '../consume/consume-range.ts'
import { readRanges } from '../consume/range-reader.ts'
import { orAborted } from '../io/or-aborted.ts'
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
      maxPartitionFetchBytes: requireBytes('--fetch-size', options.fetchSize ?? '1MiB', 1),
      allowAutoCreateTopics: false,
      autoOffsetReset: 'earliest',
    })
    let records = 0
    let bytes = 0
    let goal = 0
    const bar = new ProgressBar(stderr, clock, timers, () => {
      return { count: records, bytes, totalCount: goal, totalBytes: null }
    })
    let elapsedMs = 0
    let usedMs = 0
    try {
      const ranges = (await orAborted(wholeRanges(consumer, topic!), signal)) ?? []
      // Markers and removed records have offsets too: there may be fewer records.
      goal = Math.min(
        wanted,
        ranges.reduce((sum, range) => sum + offsetCountOf(range), 0),
      )
      const startMs = clock.monotonicMs()
      const startCpuMs = cpuMs()
      await readRanges(consumer, ranges, signal, (some) => {
        for (const { sizeBytes } of some) bytes += sizeBytes
        records += some.length
        return Promise.resolve(records < wanted)
      })
      elapsedMs = clock.monotonicMs() - startMs
      usedMs = cpuMs() - startCpuMs
    } finally {
      await bar.end()
      await consumer.close({ timeoutMs: context.options.timeoutMs })
    }
    await printResult(context, {
      records,
      bytes,
      elapsedMs,
      cpuMs: usedMs,
      failedRecords: 0,
      latency: null,
      latencyOf: '',
    })
    return context.isInterrupted ? ExitCode.INTERRUPTED : ExitCode.OK
  },
}

/** All that the partitions of a topic have now. */
async function wholeRanges(consumer: Consumer, topic: string): Promise<PartitionRange[]> {
  const partitions = await consumer.partitionsOf(topic, { unknownLimitMs: UNKNOWN_TOPIC_LIMIT_MS })
  const places = partitions.map((partition) => ({ topic, partition }))
  return resolveRanges(consumer, places, 'earliest', 'latest')
}

function offsetCountOf({ startOffset, endOffset }: PartitionRange): number {
  return Number(endOffset! - startOffset)
}
