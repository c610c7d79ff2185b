import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { withCoresAwake } from '../awake-cores.ts'
import type { BenchCase, BenchContext, Figures } from '../bench-case.ts'
import { produceFrame } from '../frames.ts'
import { undisturbed } from '../measure.ts'
import { cpuBetween, cpuSecondsOf } from '../process-stats.ts'
import { run } from '../run.ts'
import { createTopic, deleteTopic, type Variant } from '../variant.ts'

interface Shape {
  readonly connections: number
  readonly depth: number
  /** With one request at a time, what is measured is mostly how long the cores take to wake up. */
  readonly awake?: boolean
}

/** Requests of one record of 100 B with acks=all, so many connections times so many outstanding on each. */
export function smallRequestCases(): BenchCase[] {
  const shapes: Shape[] = [
    { connections: 1, depth: 1 },
    { connections: 1, depth: 1, awake: true },
    { connections: 1, depth: 64 },
    { connections: 32, depth: 16 },
  ]
  return shapes.map(({ connections, depth, awake }) => ({
    group: 'small requests',
    name: `${connections} × ${depth}${awake ? ', cores awake' : ''}`,
    variants: ['kafka', 'millrace-cached', 'millrace'],
    async prepare(context: BenchContext, variant: Variant) {
      const generator = await buildGenerator(context)
      const topic = await createTopic(variant)
      const frame = join(context.scratch, `${topic}.frame`)
      writeFileSync(frame, produceFrame(topic, -1, 100))
      const load = (seconds: number) =>
        generate(generator, variant, [variant.broker.port, frame, connections, depth, seconds])
      const measured = () => load(Math.max(2, 6 * context.scale))
      await load(Math.max(1, 3 * context.scale))
      return {
        run: () => undisturbed(() => (awake ? withCoresAwake(measured) : measured())),
        dispose: () => deleteTopic(variant, topic),
      }
    },
  }))
}

/** A C program that keeps requests outstanding, from a frame of at most 64 KiB. */
export async function buildGenerator({ peers, work }: Pick<BenchContext, 'peers' | 'work'>): Promise<string> {
  const program = join(work, 'small-load')
  if (!existsSync(program)) await run('gcc', ['-O2', '-w', '-o', program, join(peers, 'small/load.c')])
  return program
}

async function generate(program: string, { broker }: Variant, args: (string | number)[]): Promise<Figures> {
  const before = cpuSecondsOf(broker.pids)
  const { stdout } = await run(program, args)
  const { user, system } = cpuBetween(before, cpuSecondsOf(broker.pids))
  const { rps, n, err, p50us, p99us } = JSON.parse(stdout)
  if (err > 0) throw new Error(`${err} of ${n} small requests failed`)
  const microseconds = (seconds: number) => (seconds * 1e6) / n
  return {
    requestsPerSecond: rps,
    p50Us: p50us,
    p99Us: p99us,
    userUsPerRequest: microseconds(user),
    systemUsPerRequest: microseconds(system),
    cpuUsPerRequest: microseconds(user + system),
  }
}
