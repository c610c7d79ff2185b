import type { Figures } from '../bench-case.ts'
import { percentile } from '../percentile.ts'
import { cpuBetween, cpuSecondsOf } from '../process-stats.ts'
import { CommittedReader } from './committed-reader.ts'
import { type Committed, type Generation, TransactionalProducer } from './transactional-producer.ts'

export interface LoadShape {
  readonly producerCount: number
  readonly recordCount: number
  readonly generation: Generation
}

const VALUE_BYTES = 100

let idCount = 0

/** Producers that end one transaction after the other, each in a partition of its own, and a reader of each partition. */
export class RawLoad {
  readonly #producers: TransactionalProducer[]
  readonly #readers: CommittedReader[]

  private constructor(producers: TransactionalProducer[], readers: CommittedReader[]) {
    this.#producers = producers
    this.#readers = readers
  }

  /** To a topic with a partition for each producer, which has nothing in it yet. */
  static async start(port: number, topic: string, shape: LoadShape): Promise<RawLoad> {
    const { producerCount, recordCount, generation } = shape
    const numbers = Array.from({ length: producerCount }, (_, number) => number)
    const readers = numbers.map((partition) => new CommittedReader(port, topic, partition))
    const producers = numbers.map(
      (partition) =>
        new TransactionalProducer(
          port,
          `bench-${process.pid}-${++idCount}`,
          { topic, partition, recordCount, valueBytes: VALUE_BYTES, generation },
          (lastOffset, produceMs) => readers[partition]!.expect(lastOffset, produceMs),
        ),
    )
    const load = new RawLoad(producers, readers)
    try {
      for (const reader of readers) await reader.whenServed()
      for (const producer of producers) await producer.init()
    } catch (error) {
      load.close()
      throw error
    }
    return load
  }

  async run(seconds: number, pids: readonly number[]): Promise<Figures> {
    const before = cpuSecondsOf(pids)
    const busyBefore = this.#busyCount
    const startMs = performance.now()
    let isOver = false
    const reading = Promise.all(this.#readers.map((reader) => reader.readUntil(() => isOver)))
    const producing = Promise.all(
      this.#producers.map((producer) => produceUntil(producer, startMs + seconds * 1000)),
    ).finally(() => {
      isOver = true
    })
    const [committed, visible] = await Promise.all([producing, reading])
    const all = committed.flat()
    const lastMs = Math.max(...committed.map((own) => own.at(-1)!.endMs))
    const { user, system } = cpuBetween(before, cpuSecondsOf(pids))
    const commitMs = all.map(({ beginMs, endMs }) => endMs - beginMs).sort((a, b) => a - b)
    const visibleMs = visible.flat().sort((a, b) => a - b)
    const millisecondsPerCommit = (cpuSeconds: number) => (cpuSeconds * 1000) / all.length
    return {
      commitsPerSecond: (all.length * 1000) / (lastMs - startMs),
      commitP50Ms: percentile(commitMs, 0.5),
      commitP99Ms: percentile(commitMs, 0.99),
      visibleP50Ms: percentile(visibleMs, 0.5),
      visibleP99Ms: percentile(visibleMs, 0.99),
      cpuMsPerCommit: millisecondsPerCommit(user + system),
      userMsPerCommit: millisecondsPerCommit(user),
      systemMsPerCommit: millisecondsPerCommit(system),
      busyPerCommit: (this.#busyCount - busyBefore) / all.length,
    }
  }

  close(): void {
    for (const producer of this.#producers) producer.close()
    for (const reader of this.#readers) reader.close()
  }

  get #busyCount(): number {
    return this.#producers.reduce((sum, { busyCount }) => sum + busyCount, 0)
  }
}

/** One transaction at least. */
async function produceUntil(producer: TransactionalProducer, endMs: number): Promise<Committed[]> {
  const committed: Committed[] = []
  do committed.push(await producer.transact())
  while (performance.now() < endMs)
  return committed
}
