import { type DiskError, SeededRandom, SimulatedClock, SimulatedDisk, SimulatedTimers, type Uuid } from '@millrace/base'
import { DirectoryId, type MetadataImage, type PartitionImage } from '@millrace/consensus'
import { BatchBuilder, ErrorCode } from '@millrace/protocol'
import { AppendResult, LogManager } from '@millrace/storage'
import { afterEach, describe, expect, it } from 'vitest'
import { Configuration } from '../config/configuration.ts'
import { RecordingLogger } from '../coordinator/testing/recording-logger.ts'
import { TopicMetrics } from '../metrics/topic-metrics.ts'
import { Turn } from '../network/turn.ts'
import { TestController } from '../replication/testing/test-controller.ts'
import type { Partition, ReplicationPorts } from './partition.ts'
import { PartitionCoordinatorLog } from './partition-coordinator-log.ts'
import { PartitionManager } from './partition-manager.ts'
import { PartitionSettings } from './partition-settings.ts'

const TOPIC_ID = 'MAAAAAAAAAAAAAAAAAAAAA' as Uuid
const OTHER_DIRECTORY = 'MBBBBBBBBBBBBBBBBBBBBA' as Uuid

let logs: LogManager | null = null

afterEach(async () => {
  await logs?.shutdown()
  logs = null
})

/** Node 1 with two directories, one of several. */
async function setUp(init: Partial<PartitionImage> = {}) {
  const logger = new RecordingLogger()
  const clock = new SimulatedClock()
  const timers = new SimulatedTimers(clock)
  const settings = new Map([
    ['listeners', 'PLAINTEXT://127.0.0.1:0'],
    ['log.dirs', '/a,/b'],
  ])
  const config = new PartitionSettings(new Configuration(settings, logger).topicDefaults)
  const opened = await LogManager.open({
    disk: new SimulatedDisk({ random: new SeededRandom(1) }),
    clock,
    timers,
    random: new SeededRandom(2),
    logger,
    directories: ['/a', '/b'],
    nodeId: 1,
    clusterId: 'cluster',
    producerIdExpirationMs: 1_000,
    retentionCheckIntervalMs: 1_000_000,
    checkpointIntervalMs: 1_000_000,
    defaultConfig: config.log,
    configOf: () => config.log,
    onDurable: () => undefined,
    onDamaged: () => undefined,
    onDirectoryFailed: (_, error: DiskError) => {
      throw error
    },
  })
  logs = opened
  const hosted: number[] = []
  const dropped: number[] = []
  const life = { isKnown: true }
  const overrides: Partial<PartitionSettings> = {}
  const ports: ReplicationPorts = {
    context: { clock, maxLagMs: 1_000, brokerEpochOf: () => 1, isActive: () => true },
    events: { onIsrProposed: () => undefined, onFollowerDurable: () => undefined },
  }
  const manager = new PartitionManager({
    nodeId: 1,
    logs: opened,
    turn: new Turn(
      (callback) => setImmediate(callback),
      () => opened.flushStaged(),
      clock,
    ),
    timers,
    logger,
    metrics: new TopicMetrics(),
    settingsOf: () => Object.assign(Object.create(config), overrides),
    onAckScan: () => undefined,
    onPlaced: () => undefined,
    cluster: {
      ports,
      mayLead: () => life.isKnown,
      directoryPath: (id) => opened.directories().find((directory) => directory.id === id)?.path ?? null,
      onHosted: ({ partition }) => hosted.push(partition),
      onDropped: ({ partition }) => dropped.push(partition),
      onMoved: () => undefined,
      onMovedAway: () => undefined,
    },
    clock,
    moveSettings: () => ({ replicaAlterLogDirsIoMaxBytesPerSecond: 1e9, numReplicaAlterLogDirsThreads: null }),
    onFault: (error) => {
      throw error
    },
  })
  const controller = new TestController()
  controller.createTopic('t', TOPIC_ID, [1, 2], 1)
  const imageWith = (change: Partial<PartitionImage>): MetadataImage => {
    const topic = controller.image.topics.get('t')!
    const changed = { ...topic, partitions: [{ ...topic.partitions[0]!, ...init, ...change }] }
    return { ...controller.image, topics: new Map([['t', changed]]), topicsById: new Map([[TOPIC_ID, changed]]) }
  }
  manager.start(imageWith({}), new Map())
  const apply = (change: Partial<PartitionImage>): void => manager.apply(imageWith(change), new Set(['t']))
  return {
    manager,
    apply,
    imageWith,
    hosted,
    dropped,
    life,
    overrides,
    logs: opened,
    find: (): Partition | null => manager.find('t', 0),
  }
}

describe('partitions of a node in a cluster', () => {
  it('lead, follow, and wait without a leader, as the metadata says', async () => {
    const { apply, find, hosted } = await setUp()
    expect(find()!.leading).not.toBeNull()
    apply({ leader: 2, leaderEpoch: 1, partitionEpoch: 1 })
    expect([find()!.isFollower, find()!.leading]).toEqual([true, null])
    apply({ leader: -1, leaderEpoch: 2, partitionEpoch: 2 })
    expect([find()!.isFollower, find()!.isLeader, find()!.checkLeader(-1)]).toEqual([
      false,
      false,
      ErrorCode.NOT_LEADER_OR_FOLLOWER,
    ])
    expect(hosted).toEqual([0, 0, 0])
  })

  it('give a coordinator that is elected in the turn in which they took records these as well', async () => {
    const { find, manager } = await setUp()
    const log = new PartitionCoordinatorLog(find()!, manager)
    const builder = new BatchBuilder()
    builder.append(0, Buffer.from('key'), Buffer.from('value'))
    const batch = Buffer.from(builder.build())
    expect(log.append(Buffer.from(batch))).toBe(0)
    expect(find()!.log.writtenOffset).toBe(0)
    const chunks: Buffer[] = []
    for await (const chunk of log.read(0, log.logEndOffset)) chunks.push(chunk)
    expect(Buffer.concat(chunks)).toHaveLength(batch.length)
  })

  it('hear of another leader at once, also where many logs must be made first', async () => {
    const { manager, imageWith } = await setUp()
    const apply = (partitionOf: (partition: number) => Partial<PartitionImage>): void => {
      const image = imageWith({})
      const topic = image.topics.get('t')!
      const partitions = Array.from({ length: 151 }, (_, partition) => ({
        ...topic.partitions[0]!,
        partition,
        ...partitionOf(partition),
      }))
      manager.apply({ ...image, topics: new Map([['t', { ...topic, partitions }]]) }, new Set(['t']))
    }
    apply((partition) => (partition === 150 ? {} : { replicas: [2, 3], isr: [2, 3], leader: 2 }))
    expect(manager.find('t', 150)!.isLeader).toBe(true)
    apply(() => ({ leader: 2, leaderEpoch: 1, partitionEpoch: 1 }))
    expect(manager.find('t', 149)).toBeNull()
    expect(manager.find('t', 150)!.isLeader).toBe(false)
  })

  it('get few logs in a turn, however many changes of the metadata come in it, and all in the end', async () => {
    const { manager, imageWith } = await setUp()
    const base = imageWith({}).topics.get('t')!
    const topicOf = (number: number) => ({
      name: `topic-${number}`,
      id: `T${String(number).padStart(20, '0')}A` as Uuid,
      partitions: Array.from({ length: 10 }, (_, partition) => ({ ...base.partitions[0]!, partition })),
    })
    const topics = Array.from({ length: 30 }, (_, number) => topicOf(number))
    const count = (): number => [...manager.all()].length
    const perTurn: number[] = []
    for (let end = 3; end <= topics.length; end += 3) {
      const known = new Map([base, ...topics.slice(0, end)].map((topic) => [topic.name, topic]))
      manager.apply({ ...imageWith({}), topics: known }, new Set(topics.slice(end - 3, end).map(({ name }) => name)))
    }
    for (let before = 0; count() > before; await new Promise((resolve) => setImmediate(resolve))) {
      perTurn.push(count() - before)
      before = count()
    }
    expect(perTurn.reduce((sum, made) => sum + made)).toBe(301)
    // One was there before.
    expect(Math.max(...perTurn)).toBeLessThanOrEqual(101)
  })

  it('tell those who wait that the leadership is over', async () => {
    const { apply, find } = await setUp()
    const partition = find()!
    const ended = new Promise((resolve) => partition.awaitHighWatermark({ requiredOffset: 5, onCommitted: resolve }))
    apply({ leader: 2, leaderEpoch: 1, partitionEpoch: 1 })
    expect(await ended).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
  })

  it('commit what waited for more replicas once fewer are enough', async () => {
    const { apply, find, manager, overrides, logs: all } = await setUp({ isr: [1] })
    Object.assign(overrides, { minInsyncReplicas: 2 })
    manager.updateConfigs(null)
    const builder = new BatchBuilder()
    builder.append(0, Buffer.from('key'), Buffer.from('value'))
    const batch = Buffer.from(builder.build())
    const partition = find()!
    expect(partition.log.append(batch, 0, batch.length, 'coordinator', 0, new AppendResult())).toBe(0)
    all.flushStaged()
    while (partition.log.durableOffset < 1) await new Promise((resolve) => setImmediate(resolve))
    apply({ isr: [1], partitionEpoch: 1 })
    expect(partition.log.highWatermark).toBe(0)
    Object.assign(overrides, { minInsyncReplicas: 1 })
    manager.updateConfigs(null)
    expect(partition.log.highWatermark).toBe(1)
  })

  it('go with their logs when a reassignment takes them away, and begin empty when they come back', async () => {
    const { apply, find, dropped, logs: all, manager } = await setUp()
    const { log } = find()!
    apply({ replicas: [2, 3], isr: [2, 3], leader: 2, leaderEpoch: 1, partitionEpoch: 1, directories: [] })
    expect([find(), dropped, log.failed]).toEqual([null, [0], true])
    expect(manager.absenceCode('t', 0)).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    apply({ replicas: [1, 2], isr: [2], leader: 2, leaderEpoch: 1, partitionEpoch: 2 })
    expect(find()!.log).not.toBe(log)
    expect(all.log('t', 0)).toBe(find()!.log)
  })

  it('are put where the metadata has them', async () => {
    const { apply, find, logs: all } = await setUp({ replicas: [2, 3] })
    expect(find()).toBeNull()
    const directory = all.directories()[1]!
    apply({ replicas: [1, 2], directories: [directory.id, DirectoryId.UNASSIGNED] })
    expect(find()!.log.directory).toBe(directory.path)
  })

  it('are not made anew elsewhere when their directory is not online', async () => {
    const { apply, find, manager } = await setUp({ replicas: [2, 3] })
    apply({ replicas: [1, 2], directories: [OTHER_DIRECTORY, DirectoryId.UNASSIGNED] })
    expect(find()).toBeNull()
    expect(manager.absenceCode('t', 0)).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
    expect(manager.absenceCode('t', 7)).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  })

  it('are not begun anew where nobody else has them and their directory is lost, but are where others have them', async () => {
    const only = await setUp({ directories: [DirectoryId.LOST], replicas: [1], isr: [], leader: -1 })
    expect(only.find()).toBeNull()
    expect(only.manager.absenceCode('t', 0)).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
    await logs?.shutdown()
    const shared = await setUp({ directories: [DirectoryId.LOST, OTHER_DIRECTORY], isr: [2], leader: 2 })
    expect(shared.find()!.isFollower).toBe(true)
  })

  it('do not go on with a leadership of an earlier life', async () => {
    const { apply, find, life } = await setUp({ replicas: [2, 3] })
    life.isKnown = false
    apply({ replicas: [1, 2], leader: 1, leaderEpoch: 4, partitionEpoch: 3 })
    expect([find()!.isLeader, find()!.leading]).toEqual([false, null])
    life.isKnown = true
    apply({ replicas: [1, 2], leader: 1, leaderEpoch: 4, partitionEpoch: 3 })
    expect([find()!.isLeader, find()!.leading]).toEqual([false, null])
    apply({ replicas: [1, 2], leader: 1, leaderEpoch: 5, partitionEpoch: 4 })
    expect(find()!.leading!.leaderEpoch).toBe(5)
  })

  it('give up what they lead when the metadata forgets this life, and wait for another epoch', async () => {
    const { apply, find, life } = await setUp()
    const partition = find()!
    const ended = new Promise((resolve) => partition.awaitHighWatermark({ requiredOffset: 5, onCommitted: resolve }))
    for (const isKnown of [false, true]) {
      life.isKnown = isKnown
      apply({})
      expect([partition.isLeader, partition.leading]).toEqual([false, null])
    }
    expect(await ended).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    apply({ leaderEpoch: 1, partitionEpoch: 1 })
    expect(partition.leading!.leaderEpoch).toBe(1)
  })

  it('leave what the metadata says later than the controller’s own answer', async () => {
    const { apply, find } = await setUp({ isr: [1] })
    const partition = find()!
    partition.onFollowerFetch(2, 1, 0, 0)
    const { proposal } = partition.leading!
    const committed = { isr: [1, 2], leaderEpoch: 0, partitionEpoch: 2, leaderRecoveryState: 0 as const }
    partition.onIsrCommitted(proposal!, committed)
    apply({ isr: [1], partitionEpoch: 1 })
    expect([partition.isrCount, partition.partitionEpoch]).toEqual([2, 2])
    apply({ isr: [1], partitionEpoch: 3 })
    expect([partition.isrCount, partition.partitionEpoch]).toEqual([1, 3])
  })
})
