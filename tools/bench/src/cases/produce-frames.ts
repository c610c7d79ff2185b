import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BenchCase, BenchContext, Figures } from '../bench-case.ts'
import { produceFrame } from '../frames.ts'
import { undisturbed } from '../measure.ts'
import { cpuBetween, cpuSecondsOf } from '../process-stats.ts'
import { run } from '../run.ts'
import { createTopic, deleteTopic, leaderPorts, type Variant } from '../variant.ts'
import { buildGenerator } from './small-requests.ts'

interface Shape {
  readonly valueBytes: number
  readonly recordCount: number
}

/** As a producer has them: so many connections to each node, so many requests outstanding on each. */
const CONNECTIONS = 4
const DEPTH = 5

/**
 * Batches that were encoded before, with acks=all, to the leader of each partition. A client that makes its batches takes a core for a
 * hundred megabytes a second of small records, of two that there are: what it leaves is no measure of the brokers.
 */
export function produceFramesCases(): BenchCase[] {
  const shapes: Shape[] = [
    { valueBytes: 100, recordCount: 140 },
    { valueBytes: 100, recordCount: 560 },
    { valueBytes: 1000, recordCount: 60 },
  ]
  return shapes.map(({ valueBytes, recordCount }) => ({
    group: 'produce, encoded before',
    name: `${valueBytes} B, ${recordCount} a batch, acks=all`,
    variants: ['kafka', 'millrace-cached', 'millrace'],
    async prepare(context: BenchContext, variant: Variant) {
      const generator = await buildGenerator(context)
      const topic = await createTopic(variant)
      const loads = (await leaderPorts(variant, topic)).map((port, partition) => {
        const frame = join(context.scratch, `${topic}-${partition}.frame`)
        writeFileSync(frame, produceFrame(topic, -1, valueBytes, recordCount, partition))
        return [port, frame, CONNECTIONS, DEPTH]
      })
      const load = (seconds: number) => generate(generator, variant, loads, seconds, valueBytes * recordCount)
      await load(Math.max(1, 3 * context.scale))
      return {
        run: () => undisturbed(() => load(Math.max(2, 6 * context.scale))),
        dispose: () => deleteTopic(variant, topic),
      }
    },
  }))
}

async function generate(
  program: string,
  { broker }: Variant,
  loads: readonly (readonly (string | number)[])[],
  seconds: number,
  batchBytes: number,
): Promise<Figures> {
  let bytes = 0
  let bytesPerSecond = 0
  const before = cpuSecondsOf(broker.pids)
  const outputs = await Promise.all(loads.map((args) => run(program, [...args, seconds])))
  const { user, system } = cpuBetween(before, cpuSecondsOf(broker.pids))
  for (const { stdout } of outputs) {
    const { rps, n, err } = JSON.parse(stdout)
    if (err > 0) throw new Error(`${err} of ${n} batches failed`)
    bytes += n * batchBytes
    bytesPerSecond += rps * batchBytes
  }
  const gigabytes = bytes / 1e9
  return {
    mbPerSecond: bytesPerSecond / 1e6,
    userPerGb: user / gigabytes,
    systemPerGb: system / gigabytes,
    cpuPerGb: (user + system) / gigabytes,
  }
}
