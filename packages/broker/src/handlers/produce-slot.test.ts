import { ErrorCode, produceApi, Reader, Writer } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { TOPIC, TOPIC_ID } from '../replication/testing/replica-cluster.ts'
import { TestController } from '../replication/testing/test-controller.ts'
import { LeaderHints } from './leader-hints.ts'
import { ProduceSlot } from './produce-slot.ts'

/** What a producer is told that asked a broker for a partition that node 2 leads. */
function answerOf(version: number, errorCode: number, listener = 'PLAINTEXT') {
  const controller = new TestController()
  controller.register(2)
  controller.unfence(2)
  controller.createTopic(TOPIC, TOPIC_ID, [2, 1], 1)
  const slot = new ProduceSlot({ apiKey: 0, apiVersion: version, correlationId: 7, clientId: '' }, 1, 0)
  slot.hintBy(new LeaderHints(() => controller.image), listener)
  slot.add(TOPIC, TOPIC_ID, 0).errorCode = errorCode
  const writer = new Writer()
  slot.encode(writer)
  const bytes = Buffer.from(writer.toBuffer())
  const headerBytes = 4 + 4 + (produceApi.responseHeaderVersion(version) > 0 ? 1 : 0)
  const answer = produceApi.decodeResponse(new Reader(bytes, headerBytes), version)
  return { leader: answer.responses[0]!.partitionResponses[0]!.currentLeader, nodes: answer.nodeEndpoints }
}

describe('the answer to a producer', () => {
  it.each([10, 11, 12, 13])('of version %i says who leads instead, and where that is', (version) => {
    const { leader, nodes } = answerOf(version, ErrorCode.NOT_LEADER_OR_FOLLOWER)
    expect(leader).toMatchObject({ leaderId: 2, leaderEpoch: 0 })
    expect(nodes).toMatchObject([{ nodeId: 2, host: 'node', port: 2, rack: null }])
  })

  it('says nothing of leaders in older versions, after other errors, or where the listener has none', () => {
    const silent = { leader: { leaderId: -1, leaderEpoch: -1 }, nodes: [] }
    expect(answerOf(9, ErrorCode.NOT_LEADER_OR_FOLLOWER)).toMatchObject(silent)
    expect(answerOf(12, ErrorCode.NOT_ENOUGH_REPLICAS)).toMatchObject(silent)
    expect(answerOf(12, ErrorCode.NOT_LEADER_OR_FOLLOWER, 'OTHER')).toMatchObject(silent)
  })
})
