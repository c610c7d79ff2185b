import type { BenchCase, BenchContext } from '../bench-case.ts'
import { CoordinatorKind, coordinatorOf } from '../coordinator.ts'
import { undisturbed } from '../measure.ts'
import { runSideBySide } from '../side-by-side.ts'
import { createTopicWith, deleteTopic, type Variant, type VariantName } from '../variant.ts'
import { transactionalPerf } from './perf-tool.ts'
import { type LoadShape, RawLoad } from './raw-load.ts'

const help = `npm run bench:transactions -- [options]

Transactions on Millrace and on Apache Kafka: commits a second, how long a commit takes from the first request of its transaction to the
acknowledgement, and how long records take from being sent to a consumer that reads committed ones only. By producers that encode their
batches once, one and several; and by Kafka's own tool.

  --producers N     how many are "several" (8)
`

const VARIANTS: readonly VariantName[] = ['kafka', 'millrace-cached', 'millrace', 'kafka-flush']
/** Also those of the peer's scripts: few enough that producers share some. */
const SETTINGS = ['transaction.state.log.num.partitions=8', 'offsets.topic.num.partitions=8']
const SECONDS = 6
const WARM_UP_SECONDS = 4
/** For each generation of clients. */
const BROKER_WARM_UP_SECONDS = 15

function rawCases(producerCounts: readonly number[]): BenchCase[] {
  const shapes: LoadShape[] = producerCounts.flatMap((producerCount) =>
    [1, 10, 100].map((recordCount): LoadShape => ({ producerCount, recordCount, generation: 'newer' })),
  )
  const older = producerCounts.map(
    (producerCount): LoadShape => ({ producerCount, recordCount: 1, generation: 'older' }),
  )
  return [...shapes, ...older].map((shape) => ({
    group: shape.generation === 'newer' ? 'transactions' : 'transactions of older clients',
    name: nameOf(shape),
    variants: VARIANTS,
    async prepare({ scale }: BenchContext, variant: Variant) {
      const { load, end } = await begin(variant, shape)
      const { pids } = variant.broker
      await load.run(Math.max(1, WARM_UP_SECONDS * scale), pids)
      return { run: () => undisturbed(() => load.run(Math.max(1, SECONDS * scale), pids)), dispose: end }
    },
  }))
}

async function begin(variant: Variant, shape: LoadShape) {
  const { port } = variant.broker
  await coordinatorOf(port, CoordinatorKind.TRANSACTION, 'bench')
  const topic = await createTopicWith(variant.broker, {}, shape.producerCount)
  const load = await RawLoad.start(port, topic, shape)
  const end = () => {
    load.close()
    return deleteTopic(variant, topic)
  }
  return { load, end }
}

function nameOf({ producerCount, recordCount }: LoadShape): string {
  const producers = producerCount === 1 ? '1 producer' : `${producerCount} producers`
  return `${producers}, ${recordCount === 1 ? '1 record' : `${recordCount} records`}`
}

function toolCases(): BenchCase[] {
  const loads = [
    { transactionMs: 10, recordCount: 200_000 },
    { transactionMs: 100, recordCount: 1_000_000 },
  ]
  return loads.map(({ transactionMs, recordCount }) => ({
    group: 'transactions, Kafka’s tool',
    name: `100 B, a commit each ${transactionMs} ms`,
    variants: VARIANTS,
    async prepare({ peers, scale }: BenchContext, variant: Variant) {
      await coordinatorOf(variant.broker.port, CoordinatorKind.TRANSACTION, 'bench')
      const topic = await createTopicWith(variant.broker, {})
      const once = () => transactionalPerf(peers, variant, topic, transactionMs, Math.ceil(recordCount * scale))
      await once()
      return { run: () => undisturbed(once), dispose: () => deleteTopic(variant, topic) }
    },
  }))
}

async function warmUp(_context: BenchContext, variant: Variant): Promise<void> {
  for (const generation of ['newer', 'older'] as const) {
    const { load, end } = await begin(variant, { producerCount: 16, recordCount: 10, generation })
    await load.run(BROKER_WARM_UP_SECONDS, variant.broker.pids)
    await end()
  }
}

await runSideBySide({
  help,
  marks: {
    begin: '<!-- transactions: npm run bench:transactions writes from here -->',
    end: '<!-- transactions: to here -->',
  },
  variants: VARIANTS,
  settings: SETTINGS,
  options: { producers: { type: 'string', default: '8' } },
  warmUp,
  cases: ({ producers }) => [...rawCases([1, Number(producers)]), ...toolCases()],
})
