import { SeededRandom, SimulatedClock, SimulatedTimers } from '@millrace/base'
import { expect, it } from 'vitest'
import { RecordingLogger } from '../coordinator/testing/recording-logger.ts'
import type { Partition } from '../partition/partition.ts'
import { BrokerConnectionError } from './broker-connection.ts'
import { ReplicaFetchers } from './replica-fetchers.ts'
import type { ReplicationSettings } from './replication-settings.ts'

it('nothing is followed any more after the end, though metadata still comes while a broker stops', async () => {
  const clock = new SimulatedClock()
  const timers = new SimulatedTimers(clock)
  let openedCount = 0
  const settings = {
    numReplicaFetchers: 1,
    replicaFetchWaitMaxMs: 500,
    replicaFetchBackoffMs: 1000,
    replicaSocketTimeoutMs: 1000,
  }
  const fetchers = new ReplicaFetchers({
    nodeId: 1,
    clock,
    timers,
    random: new SeededRandom(1),
    logger: new RecordingLogger(),
    settings: () => settings as ReplicationSettings,
    brokerEpoch: () => 1,
    open: () => {
      openedCount++
      return Promise.reject(new BrokerConnectionError('nobody is there'))
    },
    onAppended: () => undefined,
    onFault: (error) => {
      throw error
    },
  })
  // Of a partition, what following needs before anything was fetched.
  const log = { logEndOffset: 0, highWatermark: 0, logStartOffset: 0, durableOffset: 0, failed: false, latestEpoch: -1 }
  const partition = { topic: 't', partition: 0, topicId: 'AAAAAAAAAAAAAAAAAAAAAQ', leader: 2, leaderEpoch: 3, log }
  fetchers.close()
  fetchers.follow(partition as unknown as Partition)
  for (let turn = 0; turn < 20; turn++) await Promise.resolve()
  expect(openedCount).toBe(0)
  expect(timers.pendingCount).toBe(0)
})
