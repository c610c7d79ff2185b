import { createFetchResponse, ErrorCode } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { RecordingLogger } from '../coordinator/testing/recording-logger.ts'
import { fakePartition } from '../partition/testing/fake-partition.ts'
import { FollowerReplica } from './follower-replica.ts'
import { type FollowerFetchParameters, FollowerSession } from './follower-session.ts'

const PARAMETERS: FollowerFetchParameters = {
  replicaId: 1,
  brokerEpoch: 12,
  maxWaitMs: 500,
  minBytes: 1,
  maxBytes: 1_000,
  partitionMaxBytes: 100,
}

function setUp(count: number) {
  const made = Array.from({ length: count }, (_, partition) => {
    const { partition: followed, log } = fakePartition({ image: { partition, leader: 2, replicas: [1, 2] } })
    return { log, replica: new FollowerReplica(followed, new RecordingLogger()) }
  })
  const session = new FollowerSession()
  const replicas = made.map(({ replica }) => replica)
  const request = (wanted = replicas) => {
    const asked = session.request(wanted, PARAMETERS)
    return {
      asked,
      named: asked.topics.flatMap(({ partitions }) => partitions.map(({ partition }) => partition)),
      forgotten: asked.forgottenTopicsData.flatMap(({ partitions }) => partitions),
    }
  }
  return { session, replicas, logs: made.map(({ log }) => log), request }
}

describe('a follower’s session', () => {
  it('names all at first, then only what changed', () => {
    const { session, logs, request } = setUp(3)
    const first = request()
    expect(first.named).toEqual([0, 1, 2])
    expect(first.asked).toMatchObject({ sessionId: 0, sessionEpoch: 0, maxWaitMs: 500 })
    expect(first.asked.replicaState).toMatchObject({ replicaId: 1, replicaEpoch: 12 })
    session.onAnswer(createFetchResponse({ sessionId: 9 }))
    logs[1]!.fill(4)
    const second = request()
    expect(second.asked).toMatchObject({ sessionId: 9, sessionEpoch: 1 })
    expect(second.asked.topics[0]!.partitions).toMatchObject([{ partition: 1, fetchOffset: 4, currentLeaderEpoch: 3 }])
    expect(session.sentOffset(setUp(1).replicas[0]!)).toBe(-1)
  })

  it('takes out who must not be fetched now, and puts it in again', () => {
    const { session, replicas, request } = setUp(2)
    request()
    session.onAnswer(createFetchResponse({ sessionId: 9 }))
    const without = request([replicas[0]!])
    expect([without.named, without.forgotten]).toEqual([[], [1]])
    session.onAnswer(createFetchResponse({ sessionId: 9 }))
    expect(request().named).toEqual([1])
  })

  it('does not forget a partition that is followed in a later epoch', () => {
    const { session, replicas, request } = setUp(1)
    request()
    session.onAnswer(createFetchResponse({ sessionId: 9 }))
    const { partition } = replicas[0]!
    partition.leaderEpoch = 4
    const again = request([new FollowerReplica(partition, new RecordingLogger())])
    expect([again.named, again.forgotten]).toEqual([[0], []])
    expect(again.asked.topics[0]!.partitions[0]!.currentLeaderEpoch).toBe(4)
  })

  it('begins anew when the leader does not know it, and ends the old one by that', () => {
    const { session, request } = setUp(2)
    request()
    session.onAnswer(createFetchResponse({ sessionId: 9 }))
    request()
    const lost = createFetchResponse({ errorCode: ErrorCode.FETCH_SESSION_ID_NOT_FOUND })
    expect(session.onAnswer(lost)).toBe(ErrorCode.FETCH_SESSION_ID_NOT_FOUND)
    const again = request()
    expect(again.named).toEqual([0, 1])
    expect(again.asked).toMatchObject({ sessionId: 9, sessionEpoch: 0 })
  })

  it('names all each time while the leader has no room for sessions', () => {
    const { session, request } = setUp(2)
    for (let n = 0; n < 3; n++) {
      const { named, asked } = request()
      expect(named).toEqual([0, 1])
      expect(asked).toMatchObject({ sessionId: 0, sessionEpoch: 0 })
      session.onAnswer(createFetchResponse({ sessionId: 0 }))
    }
  })

  it('knows what it asked for when the answer comes without a session, or nothing of it would ever be stored', () => {
    const { session, replicas, logs, request } = setUp(2)
    logs[0]!.fill(4)
    request()
    session.onAnswer(createFetchResponse({ sessionId: 0 }))
    expect(replicas.map((replica) => session.sentOffset(replica))).toEqual([4, 0])
  })
})
