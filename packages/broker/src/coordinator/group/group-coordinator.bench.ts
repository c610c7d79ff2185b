import {
  createHeartbeatRequest,
  createOffsetCommitRequest,
  createOffsetCommitRequestPartition,
  createOffsetCommitRequestTopic,
  type HeartbeatRequest,
  recordCountOf,
} from '@millrace/protocol'
import { test } from 'vitest'
import { CoordinatorFixture, contextOf, PARTITION_COUNT } from '../testing/coordinator-fixture.ts'
import { FakeCoordinatorLog } from '../testing/fake-coordinator-log.ts'

/** Requests that arrive in one turn, each of another group. */
const REQUESTS_PER_TURN = 64

/** Counts records instead of keeping them, so that memory stays flat. */
class CountingLog extends FakeCoordinatorLog {
  #endOffset = 0

  override get logEndOffset(): number {
    return this.#endOffset
  }

  override append(batch: Buffer): number {
    this.#endOffset += recordCountOf(batch, 0)
    return 0
  }
}

test(`a turn of ${REQUESTS_PER_TURN} requests`, async ({ bench }) => {
  const logs = Array.from({ length: PARTITION_COUNT }, (_, partition) => new CountingLog(partition))
  const fixture = await CoordinatorFixture.started({}, logs)
  const groupIds = Array.from({ length: REQUESTS_PER_TURN }, (_, slot) => `group ${slot}`)
  const commits = groupIds.map((groupId) => {
    const partitions = [createOffsetCommitRequestPartition({ partitionIndex: 0, committedOffset: 5 })]
    return createOffsetCommitRequest({
      groupId,
      topics: [createOffsetCommitRequestTopic({ name: 'topic', partitions })],
    })
  })
  const heartbeats: HeartbeatRequest[] = []
  for (const groupId of groupIds) {
    const { join } = await fixture.joinAndSync(`members of ${groupId}`)
    const { memberId, generationId } = join
    heartbeats.push(createHeartbeatRequest({ groupId: `members of ${groupId}`, memberId, generationId }))
  }
  const context = contextOf(8, 9)
  await bench.compare(
    bench('OffsetCommit of one partition', async () => {
      const answers = commits.map((request) => fixture.groups.offsets.commit(request, context))
      fixture.turn.end()
      for (const log of logs) log.commit()
      await Promise.all(answers)
    }),
    bench('Heartbeat', async () => {
      await Promise.all(heartbeats.map((request) => fixture.groups.members.heartbeat(request)))
    }),
  )
})
