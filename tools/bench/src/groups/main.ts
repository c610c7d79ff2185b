import { createMetadataRequest, createMetadataRequestTopic, metadataApi } from '@millrace/protocol'
import type { BenchCase, BenchContext, Figures } from '../bench-case.ts'
import { CoordinatorKind, coordinatorOf } from '../coordinator.ts'
import { undisturbed } from '../measure.ts'
import { percentile } from '../percentile.ts'
import { cpuBetween, cpuSecondsOf } from '../process-stats.ts'
import { ProtocolWire } from '../protocol-wire.ts'
import { runSideBySide } from '../side-by-side.ts'
import { createTopicWith, deleteTopic, type Variant, type VariantName } from '../variant.ts'
import type { GroupPlan } from './member.ts'
import { type GroupProtocol, WatchedGroup } from './watched-group.ts'

const help = `npm run bench:groups -- [options]

A group whose members all join at once, and which then loses many of them at once, on Millrace and on Apache Kafka, in both protocols. All members
are in this process, a connection each, and speak the protocol and nothing else. Members are lost in two ways: they take their leave, or
their connections just end and the session timeout has to find out. Measured: the time until all partitions are spread evenly among
all members and stay so, and what the broker spends meanwhile.

  --members N       members that join (500)
  --lost N          members that are lost (100)
  --partitions N    of the topic that they subscribe to (1000)
`

const GROUP = 'joining and losing members'
const VARIANTS: readonly VariantName[] = ['kafka', 'millrace-cached', 'millrace']
const HEARTBEAT_MS = 1000
const SESSION_TIMEOUT_MS = 6000
/** A consumer group's next assignment may wait for so long: the default of both. */
const ASSIGNMENT_INTERVAL_MS = 1000
/** In what is settled nothing changes for so long: whoever has not heard of something yet hears it by then. */
const QUIET_MS = 2 * HEARTBEAT_MS + ASSIGNMENT_INTERVAL_MS
const SETTLE_LIMIT_MS = 120_000
/** Of each protocol. */
const WARM_UP_RUNS = 5

/** The same for all brokers. Without a delay the first member to come would be given everything, to lose it again. */
const SETTINGS = [
  'group.initial.rebalance.delay.ms=100',
  `group.consumer.min.session.timeout.ms=${SESSION_TIMEOUT_MS}`,
  `group.consumer.session.timeout.ms=${SESSION_TIMEOUT_MS}`,
  `group.consumer.min.heartbeat.interval.ms=${HEARTBEAT_MS}`,
  `group.consumer.heartbeat.interval.ms=${HEARTBEAT_MS}`,
  'offsets.topic.num.partitions=8',
]

type Way = 'leave' | 'vanish'

let groupCount = 0

function groupCases(memberCount: number, lostCount: number, partitionCount: number): BenchCase[] {
  const protocols: GroupProtocol[] = ['classic', 'consumer']
  const ways: Way[] = ['leave', 'vanish']
  return protocols.flatMap((protocol) =>
    ways.map((way) => ({
      group: GROUP,
      name: `${protocol}: ${memberCount} join, ${lostCount} ${way}`,
      variants: VARIANTS,
      async prepare({ scale }: BenchContext, variant: Variant) {
        const members = Math.max(2, Math.round(memberCount * scale))
        const lost = Math.max(1, Math.round(lostCount * scale))
        const partitions = Math.max(members, Math.round(partitionCount * scale))
        const topic = await createTopicWith(variant.broker, {}, partitions)
        const topicId = await topicIdOf(variant.broker.port, topic)
        const once = () => runGroup(protocol, way, lost, variant, { topic, topicId, partitions, members })
        await once()
        return { run: () => undisturbed(once), dispose: () => deleteTopic(variant, topic) }
      },
    })),
  )
}

interface Size {
  readonly topic: string
  readonly topicId: GroupPlan['topicId']
  readonly partitions: number
  readonly members: number
}

async function runGroup(
  protocol: GroupProtocol,
  way: Way,
  lostCount: number,
  { broker }: Variant,
  { topic, topicId, partitions, members }: Size,
  quietMs = QUIET_MS,
): Promise<Figures> {
  const groupId = `bench-${process.pid}-${++groupCount}`
  await coordinatorOf(broker.port, CoordinatorKind.GROUP, groupId)
  const plan: GroupPlan = {
    ...{ port: broker.port, groupId, topic, topicId, partitionCount: partitions, memberCount: members },
    ...{ sessionTimeoutMs: SESSION_TIMEOUT_MS, heartbeatMs: HEARTBEAT_MS },
  }
  const group = new WatchedGroup(protocol, plan, quietMs, broker.pids)
  try {
    await group.connect()
    const joining = await spent(broker.pids, group, () => group.start())
    const settling = await spent(broker.pids, group, () => group.lose(lostCount, way))
    await group.end()
    const heartbeatsMs = group.heartbeatsMs.toSorted((a, b) => a - b)
    return {
      joinSeconds: joining.seconds,
      joinCpuSeconds: joining.user + joining.system,
      userJoinSeconds: joining.user,
      systemJoinSeconds: joining.system,
      settleSeconds: settling.seconds,
      settleCpuSeconds: settling.user + settling.system,
      userSettleSeconds: settling.user,
      systemSettleSeconds: settling.system,
      heartbeatP50Ms: percentile(heartbeatsMs, 0.5),
      heartbeatP99Ms: percentile(heartbeatsMs, 0.99),
    }
  } finally {
    group.close()
  }
}

/** Time and CPU of the broker from the begin of something until the group has settled after it. */
async function spent(pids: readonly number[], group: WatchedGroup, begin: () => Promise<void> | void) {
  const before = cpuSecondsOf(pids)
  const startMs = performance.now()
  const [settled] = await Promise.all([group.settled(SETTLE_LIMIT_MS), begin()])
  return { seconds: (settled.atMs - startMs) / 1000, ...cpuBetween(before, settled.cpu) }
}

async function topicIdOf(port: number, name: string): Promise<GroupPlan['topicId']> {
  const wire = new ProtocolWire(port)
  try {
    const { topics } = await wire.call(
      metadataApi,
      12,
      createMetadataRequest({ topics: [createMetadataRequestTopic({ name })] }),
    )
    return topics[0]!.topicId
  } finally {
    wire.close()
  }
}

/** Members come and go, without the time that a run gives them to settle. */
async function warmUp(_context: BenchContext, variant: Variant): Promise<void> {
  const [members, partitions] = [200, 400]
  const topic = await createTopicWith(variant.broker, {}, partitions)
  const topicId = await topicIdOf(variant.broker.port, topic)
  for (const protocol of ['classic', 'consumer'] as const) {
    for (let times = 0; times < WARM_UP_RUNS; times++) {
      await runGroup(protocol, 'leave', 50, variant, { topic, topicId, partitions, members }, 0)
    }
  }
  await deleteTopic(variant, topic)
}

await runSideBySide({
  help,
  marks: {
    begin: '<!-- groups: npm run bench:groups writes from here -->',
    end: '<!-- groups: to here -->',
  },
  variants: VARIANTS,
  settings: SETTINGS,
  options: {
    members: { type: 'string', default: '500' },
    lost: { type: 'string', default: '100' },
    partitions: { type: 'string', default: '1000' },
  },
  warmUp,
  cases: ({ members, lost, partitions }) => groupCases(Number(members), Number(lost), Number(partitions)),
})
