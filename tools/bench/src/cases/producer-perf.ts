import type { BenchCase, BenchContext, Figures } from '../bench-case.ts'
import { kafkaScript } from '../broker.ts'
import { cpuPerGb, undisturbed } from '../measure.ts'
import { run } from '../run.ts'
import { createTopic, deleteTopic, type Variant, type VariantName } from '../variant.ts'

interface Load {
  readonly sizeBytes: number
  readonly codec: string
  readonly acks: string
  readonly count: number
}

const summary =
  /(\d+) records sent, ([\d.]+) records\/sec \(([\d.]+) MB\/sec\), ([\d.]+) ms avg latency, .* (\d+) ms 50th, .* (\d+) ms 99th/g

/** Sends records with Kafka's producer, as fast as it can. Also fills topics for what reads them. */
export async function producerPerf(
  peers: string,
  { broker }: Variant,
  topic: string,
  { sizeBytes, codec, acks, count }: Load,
): Promise<Figures> {
  const load = ['--num-records', count, '--record-size', sizeBytes, '--throughput', -1]
  const settings = [
    `acks=${acks}`,
    `compression.type=${codec}`,
    'batch.size=65536',
    'linger.ms=5',
    'buffer.memory=67108864',
  ]
  const args = ['--bootstrap-server', broker.bootstrap, '--topic', topic, ...load, '--command-property', ...settings]
  const { result, cpu } = await cpuPerGb(broker.pids, count * sizeBytes, () =>
    run(kafkaScript(peers, 'producer-perf'), args),
  )
  const last = [...result.stdout.matchAll(summary)].at(-1)
  if (!last) throw new Error(`producer-perf said nothing of its end:\n${result.stdout.slice(-1000)}`)
  return {
    mbPerSecond: (Number(last[2]) * sizeBytes) / 1e6,
    averageMs: Number(last[4]),
    p50Ms: Number(last[5]),
    p99Ms: Number(last[6]),
    ...cpu,
  }
}

/** Bytes of values in a run: small records cost more time a byte. */
const bytesOf: Record<number, number> = { 100: 60e6, 1000: 200e6, 10000: 400e6 }

export function producerPerfCases(): BenchCase[] {
  return [100, 1000, 10_000].flatMap((sizeBytes) =>
    ['none', 'lz4', 'zstd'].flatMap((codec) => ['1', 'all'].map((acks) => producerPerfCase(sizeBytes, codec, acks))),
  )
}

function producerPerfCase(sizeBytes: number, codec: string, acks: string): BenchCase {
  // Syncing every append makes Kafka so slow that one figure per size says it all.
  const flush: VariantName[] = codec === 'none' && acks === 'all' ? ['kafka-flush'] : []
  return {
    group: 'producer-perf',
    name: `${sizeBytes} B, ${codec}, acks=${acks}`,
    variants: ['kafka', 'millrace-cached', 'millrace', ...flush],
    async prepare({ peers, scale }: BenchContext, variant: Variant) {
      const topic = await createTopic(variant)
      const slower = variant.name === 'kafka-flush' ? 0.3 : 1
      const load = {
        sizeBytes,
        codec,
        acks,
        count: Math.ceil(((bytesOf[sizeBytes] ?? 0) * scale * slower) / sizeBytes),
      }
      await producerPerf(peers, variant, topic, { ...load, count: Math.ceil(load.count / 4) })
      return {
        run: () => undisturbed(() => producerPerf(peers, variant, topic, load)),
        dispose: () => deleteTopic(variant, topic),
      }
    },
  }
}
