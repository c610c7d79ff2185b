import {
  createOffsetForLeaderEpochRequest,
  createOffsetForLeaderPartition,
  createOffsetForLeaderTopic,
  ErrorCode,
  offsetForLeaderEpochApi,
} from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { batchOf } from '../testing/batches.ts'
import { TestBroker } from '../testing/test-broker.ts'

describe('OffsetForLeaderEpoch', () => {
  it.each([2, 3, 4])('version %i tells where an epoch ends', async (version) => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      await client.produce('t', batchOf(['a', 'b']))
      const ask = async (topic: string, leaderEpoch: number, currentLeaderEpoch = -1, partition = 0) => {
        const partitions = [createOffsetForLeaderPartition({ partition, leaderEpoch, currentLeaderEpoch })]
        const topics = [createOffsetForLeaderTopic({ topic, partitions })]
        const request = createOffsetForLeaderEpochRequest({ topics })
        return (await client.call(offsetForLeaderEpochApi, version, request)).topics[0]!.partitions[0]!
      }
      expect(await ask('t', 0)).toMatchObject({ errorCode: 0, leaderEpoch: 0, endOffset: 2 })
      expect(await ask('t', 0, 0)).toMatchObject({ errorCode: 0, leaderEpoch: 0, endOffset: 2 })
      expect(await ask('t', 1)).toMatchObject({ errorCode: 0, leaderEpoch: -1, endOffset: -1 })
      expect(await ask('t', -1)).toMatchObject({ errorCode: 0, leaderEpoch: -1, endOffset: -1 })
      const none = { leaderEpoch: -1, endOffset: -1 }
      expect(await ask('t', 0, 7)).toMatchObject({ errorCode: ErrorCode.UNKNOWN_LEADER_EPOCH, ...none })
      expect(await ask('t', 0, -1, 3)).toMatchObject({ errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ...none })
      expect(await ask('gone', 0)).toMatchObject({ errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ...none })
    })
  })
})
