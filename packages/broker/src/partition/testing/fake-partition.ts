import type { PartitionImage } from '@millrace/consensus'
import { TopicCounters } from '../../metrics/topic-metrics.ts'
import { Partition } from '../partition.ts'
import type { PartitionSettings } from '../partition-settings.ts'
import { FakeLog } from './fake-log.ts'

export const TEST_NODE_ID = 1

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
  )
  return { partition, log }
}
