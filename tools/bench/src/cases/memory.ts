import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { BenchCase, BenchContext, Figures } from '../bench-case.ts'
import { kafkaScript, startKafka, startMillrace } from '../broker.ts'
import { undisturbed } from '../measure.ts'
import { type ResidentMemory, residentMemory } from '../process-stats.ts'
import { run } from '../run.ts'
import { createTopic, type Variant } from '../variant.ts'

/** Resident memory of a fresh broker: five seconds after its start, and the most while Kafka's producer and consumer load it. */
export function memoryCase(): BenchCase {
  return {
    group: 'resident memory',
    name: 'idle, then 1 KB records',
    variants: ['kafka', 'millrace'],
    async prepare(context: BenchContext, variant: Variant) {
      return { run: () => undisturbed(() => measure(context, variant)), dispose: async () => undefined }
    },
  }
}

async function measure(
  { root, peers, work, scale }: BenchContext,
  { broker: { kind }, ...variant }: Variant,
): Promise<Figures> {
  const directory = join(work, `memory-${kind}-${process.pid}`)
  const broker = await (kind === 'kafka' ? startKafka(peers, directory) : startMillrace(root, directory))
  try {
    await delay(5000)
    const idle = residentMemory(broker.pid)
    let loaded: ResidentMemory = idle
    const sample = () => {
      const now = residentMemory(broker.pid)
      loaded = {
        anonymousMb: Math.max(loaded.anonymousMb, now.anonymousMb),
        fileMb: Math.max(loaded.fileMb, now.fileMb),
      }
    }
    const topic = await createTopic({ ...variant, broker })
    const count = Math.ceil(1e6 * scale)
    const address = ['--bootstrap-server', broker.bootstrap, '--topic', topic, '--num-records', count]
    const load = [
      '--record-size',
      1000,
      '--throughput',
      -1,
      '--command-property',
      'acks=all',
      'batch.size=65536',
      'linger.ms=5',
    ]
    await run(kafkaScript(peers, 'producer-perf'), [...address, ...load], { sample })
    await run(kafkaScript(peers, 'consumer-perf'), [...address, '--timeout', 30_000], { sample })
    return {
      idleAnonymousMb: idle.anonymousMb,
      idleFileMb: idle.fileMb,
      loadedAnonymousMb: loaded.anonymousMb,
      loadedFileMb: loaded.fileMb,
    }
  } finally {
    await broker.stop()
  }
}
