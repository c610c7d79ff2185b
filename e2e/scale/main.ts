/** Measures what many topics cost a cluster: see `help`. */
import { execFileSync } from 'node:child_process'
import { appendFileSync } from 'node:fs'
import { setTimeout as delay } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { Admin, Producer } from '@millrace/client'
import { type Cluster, type ClusterNode, startCluster } from '../harness/cluster.ts'
import { places } from '../harness/places.ts'
import type { Settings } from '../harness/running-broker.ts'
import { until } from '../harness/until.ts'
import { type Holdings, meanHoldings } from './holdings.ts'
import { ManyTopics } from './many-topics.ts'
import { type Figures, type ScaleRow, summaryTable } from './summary.ts'

const help = `npm run scale -- [options]

Three nodes on this machine, and many topics with three replicas each. Measures, in this order: their creation in one request; what the nodes
hold and do while the partitions lie idle, empty and with a record each; the restart of a node, after SIGTERM and after SIGKILL, until all
replicas are in sync; and the loss (SIGKILL) of the active controller, until a topic can be created and all partitions have a leader.

  --topics N       (1000)
  --partitions N   of each topic (3)
  --rounds N       each with a new cluster (1)
  --seconds N      that nothing happens before and while idle nodes are looked at: logs are closed after 30 to 60 s (65)
  --out FILE       one JSON object a round is appended to it
  --set K=V        a setting of all nodes; may be repeated

With E2E_KAFKA (the folder of the Kafka peer's scripts) it is three nodes of Apache Kafka. All files of all partitions of a Kafka are mapped:
it needs sysctl vm.max_map_count above 65530 for more than some 2000 partitions with records.`

const { values } = parseArgs({
  options: {
    help: { type: 'boolean', short: 'h', default: false },
    topics: { type: 'string', default: '1000' },
    partitions: { type: 'string', default: '3' },
    rounds: { type: 'string', default: '1' },
    seconds: { type: 'string', default: '65' },
    out: { type: 'string' },
    set: { type: 'string', multiple: true, default: [] },
  },
})
const [topicCount, partitions, rounds, seconds] = [values.topics, values.partitions, values.rounds, values.seconds].map(
  Number,
) as [number, number, number, number]
if (
  values.help ||
  [topicCount, partitions, rounds, seconds].some((number) => !Number.isInteger(number) || number < 1)
) {
  console.log(help)
  process.exit(values.help ? 0 : 2)
}

const settings = Object.fromEntries(values.set.map((pair) => pair.split(/=(.*)/s).slice(0, 2)))
const commit = execFileSync('git', ['-C', places.root, 'rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim()
const rows: ScaleRow[] = []
for (let round = 1; round <= rounds; round++) {
  const row = await measure(round, settings)
  rows.push(row)
  if (values.out) appendFileSync(values.out, `${JSON.stringify(row)}\n`)
}
console.log(summaryTable(rows))

async function measure(round: number, settings: Settings): Promise<ScaleRow> {
  const figures: Record<string, number> = {}
  const note = (found: Figures) => {
    for (const [name, value] of Object.entries(found)) figures[name] = Number(value.toPrecision(4))
    console.error(JSON.stringify(found))
  }
  const cluster = await startCluster(settings)
  const topics = new ManyTopics(topicCount, partitions)
  try {
    const before = await idle(cluster)
    note({
      bareKib: before.anonymousKib,
      bareDescriptors: before.descriptors,
      bareMappings: before.mappings,
      bareCpuPercent: before.cpuPercent,
    })
    await withAdmin(cluster.nodes, async (admin) => {
      note({ createdMs: await timed(() => topics.create(admin)) })
      note({ servedMs: figures.createdMs! + (await timed(() => topics.untilServed(admin))) })
    })
    note(costs('empty', before, await idle(cluster), topics))
    await withProducer(cluster, async (producer) => note({ writtenMs: await timed(() => topics.write(producer)) }))
    note(costs('written', before, await idle(cluster), topics))
    note(await restart('stopped', cluster, topics))
    note(await restart('killed', cluster, topics))
    note(await loseController(cluster, topics))
  } finally {
    await cluster.dispose()
  }
  return { system: cluster.kind, topics: topicCount, partitions, round, figures, commit }
}

/** What a node holds after a while in which nothing happened, and how much of a processor it takes. */
async function idle({ nodes }: Cluster): Promise<Holdings & { readonly cpuPercent: number }> {
  await delay(seconds * 1000)
  const startedMs = performance.now()
  const { cpuSeconds } = meanHoldings(nodes)
  await delay(Math.min(10, seconds) * 1000)
  const now = meanHoldings(nodes)
  const elapsedSeconds = (performance.now() - startedMs) / 1000
  return { ...now, cpuPercent: ((now.cpuSeconds - cpuSeconds) / elapsedSeconds) * 100 }
}

/** Every node has a replica of every partition. */
function costs(
  state: string,
  before: Holdings,
  now: Holdings & { readonly cpuPercent: number },
  { partitionCount }: ManyTopics,
): Figures {
  return {
    [`${state}KibPerReplica`]: (now.anonymousKib - before.anonymousKib) / partitionCount,
    [`${state}Descriptors`]: now.descriptors,
    [`${state}Mappings`]: now.mappings,
    [`${state}CpuPercent`]: now.cpuPercent,
  }
}

/** Times are from the signal, and from the start of the new process. */
async function restart(how: 'stopped' | 'killed', cluster: Cluster, topics: ManyTopics): Promise<Figures> {
  const node = cluster.nodes[1]!
  const others = cluster.nodes.filter((one) => one !== node)
  return withAdmin(others, async (admin) => {
    await topics.balance(admin)
    const begunMs = performance.now()
    const gone = how === 'stopped' ? node.stop() : node.kill()
    await topics.untilLedWithout(admin, node.id)
    const ledMs = performance.now() - begunMs
    await gone
    const goneMs = performance.now() - begunMs
    const restartedMs = performance.now()
    await node.restart()
    const readyMs = performance.now() - restartedMs
    await topics.untilInSync(admin)
    return {
      [`${how}GoneMs`]: goneMs,
      [`${how}LedMs`]: ledMs,
      [`${how}ReadyMs`]: readyMs,
      [`${how}InSyncMs`]: performance.now() - restartedMs,
    }
  })
}

/** Times are from the signal. */
async function loseController(cluster: Cluster, topics: ManyTopics): Promise<Figures> {
  const active = await withAdmin(cluster.nodes, async (admin) => {
    const { leaderId } = await admin.describeQuorum()
    return cluster.nodes.find(({ id }) => id === leaderId)!
  })
  const others = cluster.nodes.filter((one) => one !== active)
  return withAdmin(others, async (admin) => {
    await topics.balance(admin)
    const begunMs = performance.now()
    const gone = active.kill()
    const changed = until('a topic can be created', () => canCreate(admin)).then(() => performance.now() - begunMs)
    const led = topics.untilLedWithout(admin, active.id).then(() => performance.now() - begunMs)
    const [controllerChangedMs, controllerLedMs] = await Promise.all([changed, led])
    await gone
    const restartedMs = performance.now()
    await active.restart()
    await topics.untilInSync(admin)
    return { controllerChangedMs, controllerLedMs, controllerInSyncMs: performance.now() - restartedMs }
  })
}

async function canCreate(admin: Admin): Promise<boolean> {
  const wanted = { name: `probe-${performance.now()}`, partitions: 1, replicationFactor: 2 }
  const [created] = await admin.createTopics([wanted], { timeoutMs: 1000 }).catch(() => [])
  return created?.error === null
}

async function withAdmin<T>(nodes: readonly ClusterNode[], use: (admin: Admin) => Promise<T>): Promise<T> {
  const bootstrapServers = nodes.map(({ bootstrap }) => bootstrap)
  const admin = new Admin({ bootstrapServers, requestTimeoutMs: 120_000, metadataMaxAgeMs: 1000, retryBackoffMs: 20 })
  try {
    return await use(admin)
  } finally {
    await admin.close()
  }
}

async function withProducer(cluster: Cluster, use: (producer: Producer) => Promise<void>): Promise<void> {
  const producer = new Producer({ bootstrapServers: cluster.bootstrap })
  try {
    await use(producer)
  } finally {
    await producer.close()
  }
}

async function timed(task: () => Promise<unknown>): Promise<number> {
  const startedMs = performance.now()
  await task()
  return performance.now() - startedMs
}
