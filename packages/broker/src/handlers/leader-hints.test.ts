import {
  createFetchRequest,
  createFetchRequestFetchPartition,
  createFetchRequestFetchTopic,
  createListOffsetsPartition,
  createListOffsetsRequest,
  createListOffsetsTopic,
  ErrorCode,
  fetchApi,
  listOffsetsApi,
} from '@millrace/protocol'
import { afterEach, describe, expect, it } from 'vitest'
import { ReplicaCluster, TOPIC, TOPIC_ID } from '../replication/testing/replica-cluster.ts'
import type { ReplicaNode } from '../replication/testing/replica-node.ts'
import { exchange } from './testing/exchange.ts'

let cluster: ReplicaCluster | null = null

async function start(): Promise<ReplicaCluster> {
  cluster = await ReplicaCluster.start()
  return cluster
}

afterEach(async () => {
  await cluster?.stop()
  cluster = null
})

async function fetch(node: ReplicaNode, version: number, currentLeaderEpoch = -1) {
  const partitions = [createFetchRequestFetchPartition({ partition: 0, fetchOffset: 0, currentLeaderEpoch })]
  const name = version < 13 ? { topic: TOPIC } : { topicId: TOPIC_ID }
  const topics = [createFetchRequestFetchTopic({ ...name, partitions })]
  const request = createFetchRequest({ maxWaitMs: 0, minBytes: 1, maxBytes: 1_000, topics })
  const answer = await exchange(node.handler(fetchApi), fetchApi, request, version)
  return { answer, partition: answer.responses[0]!.partitions[0]! }
}

describe('who asks the wrong broker', () => {
  it('is told by Fetch who leads, and from version 16 on where that is', async () => {
    const nodes = await start()
    const leader = nodes.leaderOf(0)!
    const other = nodes.liveNodes.find((node) => node !== leader)!
    // Up to version 10 only leaders may be read from; so older readers are refused, and have no place for a hint.
    expect((await fetch(other, 10)).partition.errorCode).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    nodes.controller.moveLeader(TOPIC, 0, 0)
    await nodes.advance(5)
    const moved = nodes.leaderOf(0)!
    const hint = { leaderId: moved.nodeId, leaderEpoch: 1 }
    const named = await fetch(other, 12, 0)
    expect(named.partition).toMatchObject({ errorCode: ErrorCode.FENCED_LEADER_EPOCH, currentLeader: hint })
    expect(named.answer.nodeEndpoints).toEqual([])
    const located = await fetch(other, 16, 0)
    expect(located.partition.currentLeader).toMatchObject(hint)
    expect(located.answer.nodeEndpoints).toMatchObject([{ nodeId: moved.nodeId, host: 'node', port: moved.nodeId }])
  })
})

describe('a new leader', () => {
  it('tells the end only once it knows what was committed before', async () => {
    const nodes = await start()
    nodes.produce(0)
    const old = nodes.leaderOf(0)!
    const others = nodes.liveNodes.filter((node) => node !== old)
    const logs = others.map((node) => node.partition(TOPIC, 0)!.log)
    // The watermark comes with the answer after the one that brings the record.
    for (let ms = 0; ms < 50 && logs.some(({ durableOffset }) => durableOffset === 0); ms++) await nodes.advance(1)
    for (const a of [1, 2, 3]) for (const b of [1, 2, 3]) if (a !== b) nodes.network.cut(a, b)
    expect(logs.map(({ durableOffset, highWatermark }) => [durableOffset, highWatermark])).toEqual([
      [1, 0],
      [1, 0],
    ])
    nodes.controller.moveLeader(TOPIC, 0, 0)
    await nodes.advance(5)
    const leader = nodes.leaderOf(0)!
    const ask = async (timestamp: number, version: number) => {
      const partitions = [createListOffsetsPartition({ partitionIndex: 0, timestamp })]
      const topics = [createListOffsetsTopic({ name: TOPIC, partitions })]
      const request = createListOffsetsRequest({ replicaId: -1, topics })
      const answer = await exchange(leader.handler(listOffsetsApi), listOffsetsApi, request, version)
      const { errorCode, offset } = answer.topics[0]!.partitions[0]!
      return { errorCode, offset }
    }
    expect(await ask(-1, 5)).toEqual({ errorCode: ErrorCode.OFFSET_NOT_AVAILABLE, offset: -1 })
    expect(await ask(-1, 4)).toEqual({ errorCode: ErrorCode.LEADER_NOT_AVAILABLE, offset: -1 })
    expect(await ask(-2, 5)).toEqual({ errorCode: 0, offset: 0 })
    nodes.network.heal()
    await nodes.advance(300)
    expect(await ask(-1, 5)).toEqual({ errorCode: 0, offset: 1 })
  })
})
