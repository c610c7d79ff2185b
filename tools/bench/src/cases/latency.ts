import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { withCoresAwake } from '../awake-cores.ts'
import type { BenchCase, BenchContext, Figures } from '../bench-case.ts'
import { kafkaScript } from '../broker.ts'
import { fetchFrame, produceFrame } from '../frames.ts'
import { undisturbed } from '../measure.ts'
import { run } from '../run.ts'
import { createTopic, deleteTopic, type Variant, type VariantName } from '../variant.ts'

const variants: VariantName[] = ['kafka', 'millrace-cached', 'millrace', 'kafka-flush']
const kinds = [
  { acks: '1', code: 1 },
  { acks: 'all', code: -1 },
]

/** One record at a time, 100 B, from its sending to the consumer that waits for it: by a probe in C with microseconds. */
export function probeCases(): BenchCase[] {
  const each = [false, true].flatMap((awake) => kinds.map((kind) => ({ ...kind, awake })))
  return each.map(({ acks, code, awake }) => ({
    group: 'end-to-end latency, probe',
    name: `acks=${acks}${awake ? ', cores awake' : ''}`,
    variants,
    async prepare(context: BenchContext, variant: Variant) {
      const program = await buildProbe(context)
      const count = Math.ceil(5000 * context.scale)
      // The probe reads from offset 0, so each run has a topic of its own.
      const once = async (records: number): Promise<Figures> => {
        const topic = await createTopic(variant)
        const files = [join(context.scratch, `${topic}.produce`), join(context.scratch, `${topic}.fetch`)] as const
        const { frame, offsetPosition } = fetchFrame(topic, 5000)
        writeFileSync(files[0], produceFrame(topic, code, 100))
        writeFileSync(files[1], frame)
        const { stdout } = await run(program, [variant.broker.port, ...files, offsetPosition, records, 300])
        await deleteTopic(variant, topic)
        const { acknowledged, consumed } = JSON.parse(stdout)
        return {
          averageUs: consumed.avg,
          p50Us: consumed.p50,
          p99Us: consumed.p99,
          acknowledgedP50Us: acknowledged.p50,
          acknowledgedP99Us: acknowledged.p99,
        }
      }
      await once(count)
      const measured = () => once(count)
      return {
        run: () => undisturbed(() => (awake ? withCoresAwake(measured) : measured())),
        dispose: async () => undefined,
      }
    },
  }))
}

async function buildProbe({ root, work }: BenchContext): Promise<string> {
  const program = join(work, 'latency-probe')
  if (!existsSync(program)) await run('gcc', ['-O2', '-o', program, join(root, 'tools/bench/native/latency.c')])
  return program
}

/** The same by Kafka's tool, which counts whole milliseconds in its percentiles. */
export function toolCases(): BenchCase[] {
  return kinds.map(({ acks }) => ({
    group: 'end-to-end latency, Kafka’s tool',
    name: `acks=${acks}`,
    variants,
    async prepare({ peers, scale }: BenchContext, variant: Variant) {
      const topic = await createTopic(variant)
      const once = async (): Promise<Figures> => {
        const load = ['--num-records', Math.ceil(5000 * scale), '--producer-acks', acks, '--record-size', 100]
        const args = ['--bootstrap-server', variant.broker.bootstrap, '--topic', topic, ...load]
        const { stdout } = await run(kafkaScript(peers, 'e2e-latency'), args)
        const average = /Avg latency: ([\d.]+)/.exec(stdout)?.[1]
        const percentiles = /50th = (\d+), 99th = (\d+)/.exec(stdout)
        if (!average || !percentiles) throw new Error(`e2e-latency gave no figures:\n${stdout.slice(-1000)}`)
        return { averageMs: Number(average), p50Ms: Number(percentiles[1]), p99Ms: Number(percentiles[2]) }
      }
      await once()
      return { run: () => undisturbed(once), dispose: () => deleteTopic(variant, topic) }
    },
  }))
}
