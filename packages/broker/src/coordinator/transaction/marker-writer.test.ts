import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { GROUP_METADATA_TOPIC } from '../../metadata/internal-topics.ts'
import type { PartitionManager } from '../../partition/partition-manager.ts'
import { MarkerWriter } from './marker-writer.ts'

const MARKER = { producerId: 7, producerEpoch: 1, commit: true, coordinatorEpoch: 0, transactionVersion: 2 }

function writer(endTransaction: () => Promise<number>) {
  const clock = new SimulatedClock()
  const timers = new SimulatedTimers(clock)
  const partitions = { find: () => ({}) } as unknown as PartitionManager
  return { timers, markers: new MarkerWriter({ partitions, groups: { endTransaction }, clock, timers }) }
}

test('a partition of offsets that commits nothing is given up after the time that was asked for', async () => {
  const { timers, markers } = writer(() => new Promise(() => undefined))
  const written = markers.write(MARKER, GROUP_METADATA_TOPIC, 0, 2_000)
  timers.advance(2_000)
  expect(await written).toBe(ErrorCode.REQUEST_TIMED_OUT)
})

test('a partition of offsets without a coordinator is one without a leader, and leaves no timer behind', async () => {
  const { timers, markers } = writer(() => Promise.resolve(ErrorCode.NOT_COORDINATOR))
  expect(await markers.write(MARKER, GROUP_METADATA_TOPIC, 0, 2_000)).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
  expect(timers.pendingCount).toBe(0)
})
