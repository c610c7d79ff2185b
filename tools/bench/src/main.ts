import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { Ballast } from './ballast.ts'
import type { BenchCase, BenchContext, ResultRow } from './bench-case.ts'
import { type Broker, startKafka, startMillrace } from './broker.ts'
import { consumerPerfCases } from './cases/consumer-perf.ts'
import { probeCases, toolCases } from './cases/latency.ts'
import { memoryCase } from './cases/memory.ts'
import { produceFramesCases } from './cases/produce-frames.ts'
import { producerPerfCases } from './cases/producer-perf.ts'
import { rdkafkaCases } from './cases/rdkafka.ts'
import { smallRequestCases } from './cases/small-requests.ts'
import { startupCase } from './cases/startup.ts'
import { startKafkaCluster, startMillraceCluster } from './cluster-broker.ts'
import { earlierRuns } from './earlier-runs.ts'
import { machineFacts } from './machine.ts'
import { machineLine, readPage, resultTables, withFigures } from './report.ts'
import { runCase } from './rounds.ts'
import { stopRunning } from './run.ts'
import { parseVariants, topicConfigsOf, type Variant, type VariantName } from './variant.ts'

const root = join(import.meta.dirname, '../../..')

/** Cases about one process say nothing of three. */
const clusterPrefix = 'three nodes: '
const clusterGroups = [
  'rdkafka_performance, produce',
  'produce, encoded before',
  'producer-perf',
  'consumer-perf',
  'end-to-end latency, Kafka’s tool',
]

const knownVariants = Object.keys(topicConfigsOf) as VariantName[]

const help = `npm run bench -- [options]

Measures Millrace beside Apache Kafka 4.3 on this machine: both run, the warm one idle while the other works, and they take turns run by
run. Prints tables of ratios. Wants Java 17, gcc, flock, and the scripts of the Kafka peer.

  --quick           one round at a tenth of the size, brokers not warmed up: only to see that everything runs
  --only TEXT       the cases whose title contains TEXT; may be repeated
  --rounds N        runs of each case and variant (5)
  --scale F         size of the loads as a factor (1)
  --warm-up F       size of the loads that warm the brokers up, as a factor (1): less is kind to us, a cold JVM takes far more CPU
  --cluster         three nodes of each, and topics with three replicas: throughput and latency alone. Figures are of groups
                    whose names begin with "${clusterPrefix}"
  --variants A,B    of ${knownVariants.join(', ')} (all)
  --peers DIR       scripts of the Kafka peer (../shared/peers)
  --work DIR        data and built load programs (~/.cache/millrace-bench)
  --out FILE        one JSON object a run is appended to it
  --resume          takes the runs in --out as made, and does what is missing
  --markdown FILE   a page between whose marks the tables are written, after each case

  npm run bench -- --only 'small requests' --rounds 3
  npm run bench -- --out /tmp/rows.jsonl --markdown docs/benchmarks.md
`

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', short: 'h', default: false },
    quick: { type: 'boolean', default: false },
    cluster: { type: 'boolean', default: false },
    only: { type: 'string', multiple: true, default: [] },
    rounds: { type: 'string' },
    scale: { type: 'string' },
    'warm-up': { type: 'string', default: '1' },
    variants: { type: 'string', default: knownVariants.join(',') },
    peers: { type: 'string', default: join(root, '../shared/peers') },
    work: { type: 'string', default: join(homedir(), '.cache/millrace-bench') },
    out: { type: 'string' },
    resume: { type: 'boolean', default: false },
    markdown: { type: 'string' },
  },
})
if (values.help) {
  console.log(help)
  process.exit(0)
}
if (values.markdown) readPage(values.markdown)
const rounds = Number(values.rounds ?? (values.quick ? 1 : 5))
const wanted = parseVariants(values.variants, knownVariants)
const context: BenchContext = {
  root,
  peers: resolve(values.peers),
  work: resolve(values.work),
  scratch: join(resolve(values.work), `scratch-${process.pid}`),
  scale: Number(values.scale ?? (values.quick ? 0.1 : 1)),
}
const failures: string[] = []

const singleCases: readonly BenchCase[] = [
  ...smallRequestCases(),
  ...rdkafkaCases(),
  ...probeCases(),
  startupCase(),
  memoryCase(),
  ...consumerPerfCases(),
  ...toolCases(),
  ...producerPerfCases(),
]

const allCases = values.cluster
  ? [...singleCases, ...produceFramesCases()]
      .filter(({ group }) => clusterGroups.includes(group))
      .map((bench): BenchCase => ({ ...bench, group: `${clusterPrefix}${bench.group}` }))
  : singleCases

const rows: ResultRow[] = values.resume ? earlierRuns(values.out, allCases, wanted, rounds) : []

const titleOf = ({ group, name }: BenchCase) => `${group} / ${name}`

/** What warms a broker up: much work in little time, and each way of working once. */
const warmUpTitles = [
  'small requests / 32 × 16',
  'rdkafka_performance, produce / 100 B, none, acks=all',
  'rdkafka_performance, produce / 1000 B, none, acks=all',
  'rdkafka_performance, consume / 1000 B, none',
  'producer-perf / 1000 B, none, acks=all',
  'consumer-perf / 1000 B, none',
]

function isDone({ group, name }: BenchCase): boolean {
  return rows.some((row) => row.group === group && row.name === name)
}

/**
 * About a minute of mixed work. A JVM compiles for long: Kafka's CPU per byte was seen to fall to a third over its first gigabytes, and
 * a cold Kafka would flatter the ratio.
 */
async function warmUp(variant: Variant): Promise<void> {
  for (const bench of allCases.filter((one) => warmUpTitles.includes(titleOf(one).replace(clusterPrefix, '')))) {
    const prepared = await bench.prepare({ ...context, scale: Number(values['warm-up']) }, variant)
    for (let times = 0; times < 3; times++) await prepared.run()
    await prepared.dispose()
  }
}

function figures(): string {
  return `${machineLine(facts, rounds, rows)}\n\n${resultTables(rows)}`
}

mkdirSync(context.scratch, { recursive: true })
const facts = await machineFacts(root, context.work)
let ballast: Ballast | undefined
const brokers: Partial<Record<Broker['kind'], Broker>> = {}

async function stopBrokers(): Promise<void> {
  await Promise.all(Object.values(brokers).map((broker) => broker.stop()))
}

// Neither broker may outlive a run that was interrupted.
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => {
    ballast?.drop()
    stopRunning()
    stopBrokers().finally(() => process.exit(130))
  })
}
try {
  const directory = (kind: string) => join(context.work, `${kind}-${process.pid}`)
  if (wanted.some((name) => name.startsWith('kafka')))
    brokers.kafka = await (values.cluster ? startKafkaCluster : startKafka)(context.peers, directory('kafka'))
  if (wanted.some((name) => name.startsWith('millrace')))
    brokers.millrace = await (values.cluster ? startMillraceCluster : startMillrace)(root, directory('millrace'))
  const variants = wanted.map((name): Variant => {
    const broker = brokers[name.startsWith('kafka') ? 'kafka' : 'millrace']
    if (!broker) throw new Error(`there is no variant ${name}`)
    return { name, broker, topicConfigs: topicConfigsOf[name] }
  })
  if (!values.quick) ballast = await Ballast.take(Math.max(...variants.map(({ broker }) => broker.replicas)))
  for (const kind of ['kafka', 'millrace'] as const) {
    const first = variants.find(({ broker }) => broker.kind === kind)
    if (first && !values.quick) await warmUp(first)
  }
  const isWanted = (title: string) => values.only.length === 0 || values.only.some((text) => title.includes(text))
  for (const bench of allCases.filter((one) => isWanted(titleOf(one)) && !isDone(one))) {
    try {
      await runCase(bench, context, variants, rounds, { commit: facts.commit, file: values.out, rows })
    } catch (error) {
      // The other cases of a long run are not lost for it; its own figures are not shown as if they were whole.
      failures.push(titleOf(bench))
      rows.splice(0, rows.length, ...rows.filter(({ group, name }) => group !== bench.group || name !== bench.name))
      console.error(`${titleOf(bench)} failed:`, error)
    }
    // After each case: a run of an hour that is stopped has not been in vain.
    if (values.markdown) writeFileSync(values.markdown, withFigures(readPage(values.markdown), figures()))
  }
} finally {
  await stopBrokers()
  ballast?.drop()
  rmSync(context.scratch, { recursive: true, force: true })
}
console.log(figures())
if (failures.length > 0) {
  console.error(`failed: ${failures.join('; ')}`)
  process.exitCode = 1
}
