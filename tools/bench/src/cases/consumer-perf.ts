import type { BenchCase, BenchContext, Figures } from '../bench-case.ts'
import { kafkaScript } from '../broker.ts'
import { cpuPerGb, undisturbed } from '../measure.ts'
import { run } from '../run.ts'
import { createTopic, deleteTopic, type Variant } from '../variant.ts'
import { producerPerf } from './producer-perf.ts'

interface Load {
  readonly count: number
  readonly sizeBytes: number
  /** How often the topic is read in a run. */
  readonly times: number
}

async function consumerPerf(
  peers: string,
  { broker }: Variant,
  topic: string,
  { count, sizeBytes, times }: Load,
): Promise<Figures> {
  const bounds = ['--num-records', count, '--hide-header', '--timeout', 30_000]
  const args = ['--bootstrap-server', broker.bootstrap, '--topic', topic, ...bounds]
  const { result, cpu } = await cpuPerGb(broker.pids, count * sizeBytes * times, async () => {
    const speeds: { whole: number; fetch: number }[] = []
    for (let time = 0; time < times; time++) {
      speeds.push(speedsOf((await run(kafkaScript(peers, 'consumer-perf'), args)).stdout, count))
    }
    return speeds
  })
  // Of equal amounts: the harmonic mean.
  const meanOf = (figure: 'whole' | 'fetch') => times / result.reduce((sum, speed) => sum + 1 / speed[figure], 0)
  return { mbPerSecond: meanOf('fetch'), wholeMbPerSecond: meanOf('whole'), ...cpu }
}

/** MB per second. The fetch figure leaves out the time to join the group. MB are 2^20 in this tool. */
function speedsOf(stdout: string, count: number): { whole: number; fetch: number } {
  const line = stdout.split('\n').findLast((text) => text.split(',').length >= 9)
  const fields = (line ?? '').split(',').map((field) => Number(field.trim()))
  if (!((fields[4] ?? 0) >= count)) throw new Error(`consumer-perf read too little:\n${stdout.slice(-1000)}`)
  return { whole: ((fields[3] ?? 0) * 2 ** 20) / 1e6, fetch: ((fields[8] ?? 0) * 2 ** 20) / 1e6 }
}

export function consumerPerfCases(): BenchCase[] {
  // The topics of both brokers must find room in the page cache.
  const loads = [
    { sizeBytes: 100, codec: 'none', bytes: 300e6, times: 1 },
    { sizeBytes: 1000, codec: 'none', bytes: 400e6, times: 3 },
    { sizeBytes: 1000, codec: 'lz4', bytes: 400e6, times: 3 },
    { sizeBytes: 10_000, codec: 'none', bytes: 400e6, times: 4 },
  ]
  return loads.map(({ sizeBytes, codec, bytes, times }) => ({
    group: 'consumer-perf',
    name: `${sizeBytes} B, ${codec}`,
    variants: ['kafka', 'millrace'],
    async prepare({ peers, scale }: BenchContext, variant: Variant) {
      const topic = await createTopic(variant)
      const load = { sizeBytes, count: Math.ceil((bytes * scale) / sizeBytes), times }
      await producerPerf(peers, variant, topic, { sizeBytes, codec, acks: '1', count: load.count })
      await consumerPerf(peers, variant, topic, { ...load, times: 1 })
      return {
        run: () => undisturbed(() => consumerPerf(peers, variant, topic, load)),
        dispose: () => deleteTopic(variant, topic),
      }
    },
  }))
}
