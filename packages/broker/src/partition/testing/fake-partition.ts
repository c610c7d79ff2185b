import { assert } from '@millrace/base'
import type { PartitionImage } from '@millrace/consensus'
import { TopicCounters } from '../../metrics/topic-metrics.ts'
import { Partition, type ReplicationPorts } from '../partition.ts'
import type { PartitionSettings } from '../partition-settings.ts'
import { FakeLog } from './fake-log.ts'

export const TEST_NODE_ID = 1
/** Of every other broker. */
export const TEST_BROKER_EPOCH = 7

const PORTS: ReplicationPorts = {
  context: {
    clock: { monotonicMs: () => 0, wallMs: () => 0 },
    maxLagMs: Number.POSITIVE_INFINITY,
    brokerEpochOf: () => TEST_BROKER_EPOCH,
    isActive: () => false,
  },
  events: {
    onIsrProposed: () => assert(false, 'nobody may join'),
    onFollowerDurable: () => undefined,
  },
}

export function partitionImage(overrides: Partial<PartitionImage> = {}): PartitionImage {
  return {
    partition: 0,
    leader: TEST_NODE_ID,
    leaderEpoch: 3,
    partitionEpoch: 0,
    replicas: [TEST_NODE_ID],
    isr: [TEST_NODE_ID],
    elr: [],
    lastKnownElr: [],
    addingReplicas: [],
    removingReplicas: [],
    directories: [],
    leaderRecoveryState: 0,
    ...overrides,
  }
}

/** A led partition over a fake log. */
export function fakePartition(options: { writeCaching?: boolean; image?: Partial<PartitionImage> } = {}): {
  partition: Partition
  log: FakeLog
} {
  const log = new FakeLog()
  log.latestEpoch = 3
  const settings = { minInsyncReplicas: 1, writeCaching: options.writeCaching === true } as PartitionSettings
  const partition = new Partition(
    't',
    partitionImage(options.image),
    log.asLog(),
    settings,
    new TopicCounters(),
    TEST_NODE_ID,
    PORTS,
  )
  return { partition, log }
}
