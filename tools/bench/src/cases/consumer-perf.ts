import type { BenchCase, BenchContext, Figures } from '../bench-case.ts'
import { kafkaScript } from '../broker.ts'
import { cpuPerGb, undisturbed } from '../measure.ts'
import { run } from '../run.ts'
import { createTopic, deleteTopic, type Variant } from '../variant.ts'
import { producerPerf } from './producer-perf.ts'

async function consumerPerf(
  peers: string,
  { broker }: Variant,
  topic: string,
  count: number,
  sizeBytes: number,
): Promise<Figures> {
  const bounds = ['--num-records', count, '--hide-header', '--timeout', 30_000]
  const args = ['--bootstrap-server', broker.bootstrap, '--topic', topic, ...bounds]
  const { result, cpu } = await cpuPerGb(broker.pid, count * sizeBytes, () =>
    run(kafkaScript(peers, 'consumer-perf'), args),
  )
  const line = result.stdout.split('\n').findLast((text) => text.split(',').length >= 9)
  const fields = (line ?? '').split(',').map((field) => Number(field.trim()))
  if (!((fields[4] ?? 0) >= count)) throw new Error(`consumer-perf read too little:\n${result.stdout.slice(-1000)}`)
  // The fetch figure leaves out the time to join the group. MB are 2^20 in this tool.
  return {
    mbPerSecond: ((fields[8] ?? 0) * 2 ** 20) / 1e6,
    wholeMbPerSecond: ((fields[3] ?? 0) * 2 ** 20) / 1e6,
    ...cpu,
  }
}

export function consumerPerfCases(): BenchCase[] {
  const loads = [
    { sizeBytes: 100, codec: 'none', bytes: 300e6 },
    { sizeBytes: 1000, codec: 'none', bytes: 1.2e9 },
    { sizeBytes: 1000, codec: 'lz4', bytes: 1.2e9 },
    { sizeBytes: 10_000, codec: 'none', bytes: 1.6e9 },
  ]
  return loads.map(({ sizeBytes, codec, bytes }) => ({
    group: 'consumer-perf',
    name: `${sizeBytes} B, ${codec}`,
    variants: ['kafka', 'millrace'],
    async prepare({ peers, scale }: BenchContext, variant: Variant) {
      const topic = await createTopic(variant)
      const count = Math.ceil((bytes * scale) / sizeBytes)
      await producerPerf(peers, variant, topic, { sizeBytes, codec, acks: '1', count })
      await consumerPerf(peers, variant, topic, count, sizeBytes)
      return {
        run: () => undisturbed(() => consumerPerf(peers, variant, topic, count, sizeBytes)),
        dispose: () => deleteTopic(variant, topic),
      }
    },
  }))
}
