import { DirectoryId } from '@millrace/consensus'
import { afterEach, describe, expect, it } from 'vitest'
import { sequencedBatch } from '../testing/batches.ts'
import { ReplicaCluster, type ReplicaClusterOptions, TOPIC, TOPIC_ID } from './testing/replica-cluster.ts'

let cluster: ReplicaCluster | null = null

async function start(options: ReplicaClusterOptions = {}): Promise<ReplicaCluster> {
  cluster = await ReplicaCluster.start(options)
  return cluster
}

afterEach(async () => {
  await cluster?.stop()
  cluster = null
})

function ends(nodes: ReplicaCluster, partition = 0): number[] {
  return nodes.liveNodes.map((node) => node.partition(TOPIC, partition)!.log.logEndOffset)
}

describe('replicas', () => {
  it('acknowledge what is durable on all that are in sync', async () => {
    const nodes = await start()
    const { result } = nodes.produce(0)!
    await nodes.advance(20)
    expect(await result).toBe(0)
    expect(ends(nodes)).toEqual([1, 1, 1])
    expect(nodes.liveNodes.map((node) => node.partition(TOPIC, 0)!.log.durableOffset)).toEqual([1, 1, 1])
  })

  it('follow a leader that has no room for their sessions', async () => {
    const nodes = await start({ maxFetchSessions: 0 })
    const { result } = nodes.produce(0)!
    await nodes.advance(20)
    expect(await Promise.race([result, nodes.idle()])).toBe(0)
  })

  it('go on under a new leader, which has all that was acknowledged', async () => {
    const nodes = await start()
    for (let n = 0; n < 5; n++) nodes.produce(0)
    await nodes.advance(20)
    const before = nodes.leaderOf(0)!
    nodes.crash(before.nodeId)
    await nodes.advance(100)
    const after = nodes.leaderOf(0)!
    expect(after.nodeId).not.toBe(before.nodeId)
    const { result } = nodes.produce(0)!
    await nodes.advance(50)
    expect(await result).toBe(5)
    await nodes.restart(before.nodeId)
    await nodes.advance(300)
    expect(ends(nodes)).toEqual([6, 6, 6])
    expect(nodes.controller.image.topics.get(TOPIC)!.partitions[0]!.isr.toSorted()).toEqual([1, 2, 3])
  })

  it('cut away what a leader alone had, by its epoch', async () => {
    const nodes = await start()
    nodes.produce(0)
    await nodes.advance(20)
    const old = nodes.leaderOf(0)!
    for (const other of [1, 2, 3]) if (other !== old.nodeId) nodes.network.cut(old.nodeId, other)
    const lost = old.produce(TOPIC, 0, await nodes.read(old, 0, 0, 1))
    await nodes.advance(10)
    nodes.controller.moveLeader(TOPIC, 0, 0)
    expect(await Promise.race([lost, nodes.advance(50).then(() => 'waits')])).toBe(-6)
    nodes.network.heal()
    const { result } = nodes.produce(0)!
    await nodes.advance(700)
    expect(await result).toBe(1)
    expect(ends(nodes)).toEqual([2, 2, 2])
    const contents = await Promise.all(nodes.liveNodes.map((node) => nodes.read(node, 0, 0, 2)))
    expect(contents[1]!.equals(contents[0]!)).toBe(true)
    expect(contents[2]!.equals(contents[0]!)).toBe(true)
  })

  it('give up an epoch that they led and wrote nothing in', async () => {
    const nodes = await start()
    const [first, second] = [1, 2].map((id) => nodes.nodes.get(id)!)
    expect(nodes.leaderOf(0)).toBe(first)
    nodes.network.cut(1, 2)
    nodes.network.cut(1, 3)
    nodes.produce(0)
    await nodes.advance(5)
    nodes.controller.moveLeader(TOPIC, 0, 0)
    await nodes.advance(5)
    expect(nodes.leaderOf(0)).toBe(second)
    nodes.controller.moveLeader(TOPIC, 0, 0)
    await nodes.advance(5)
    nodes.network.heal()
    await nodes.advance(200)
    expect(nodes.leaderOf(0)).toBe(first)
    expect(ends(nodes)).toEqual([1, 1, 1])
    expect(nodes.liveNodes.map((node) => node.partition(TOPIC, 0)!.log.epochOf(0))).toEqual([0, 0, 0])
    nodes.controller.moveLeader(TOPIC, 0, 0)
    await nodes.advance(200)
    expect(nodes.leaderOf(0)).toBe(second)
    // By that it would have mended itself, had it not been made the leader before.
    expect(second!.logger.messages('info')).not.toContain('log is cut to agree with its leader')
    expect(ends(nodes)).toEqual([1, 1, 1])
  })

  it('leave the in-sync set when they lag and come back when they have caught up', async () => {
    const nodes = await start()
    const leader = nodes.leaderOf(0)!.nodeId
    const slow = [1, 2, 3].find((id) => id !== leader)!
    for (const other of [1, 2, 3]) if (other !== slow) nodes.network.cut(slow, other)
    const { result } = nodes.produce(0)!
    await nodes.advance(50)
    expect(nodes.leaderOf(0)!.partition(TOPIC, 0)!.log.highWatermark).toBe(0)
    await nodes.advance(700)
    expect(await result).toBe(0)
    expect(nodes.controller.image.topics.get(TOPIC)!.partitions[0]!.isr).not.toContain(slow)
    nodes.network.heal()
    await nodes.advance(500)
    expect(nodes.controller.image.topics.get(TOPIC)!.partitions[0]!.isr).toContain(slow)
  })

  it('refuse acks=all while too few are in sync', async () => {
    const nodes = await start()
    const leader = nodes.leaderOf(0)!.nodeId
    for (const other of [1, 2, 3]) if (other !== leader) nodes.crash(other)
    await nodes.advance(100)
    expect(await nodes.produce(0)!.result).toBe(-19)
  })

  it('store nothing of a producer behind what was refused for want of them, which it sends again', async () => {
    const nodes = await start()
    const leader = nodes.leaderOf(0)!
    const send = (sequence: number, producer = {}) =>
      leader.produce(TOPIC, 0, sequencedBatch([`${sequence}`], sequence, producer))
    const others = [1, 2, 3].filter((id) => id !== leader.nodeId)
    for (const other of others) nodes.crash(other)
    await nodes.advance(100)
    expect([await send(0), await send(1)]).toEqual([-19, -19])
    for (const other of others) await nodes.restart(other)
    await nodes.advance(500)
    // Under way before the answers of the others had come.
    expect(await send(2)).toBe(-45)
    const results = [0, 1, 2].map((sequence) => send(sequence))
    // One that it may have forgotten, and did not refuse, goes on where it was.
    const forgotten = send(9, { producerId: 8 })
    await nodes.advance(50)
    expect(await Promise.all([...results, forgotten])).toEqual([0, 1, 2, 3])
  })

  it.each([
    ['leader', { leaderReplicationThrottledRate: 100 }],
    ['follower', { followerReplicationThrottledRate: 100 }],
  ])('catch up no faster than the %s may, while they are not in sync', async (side, settings) => {
    const topicSettings = { 'min.insync.replicas': '1', [`${side}.replication.throttled.replicas`]: '*' }
    const nodes = await start({ settings, topicSettings })
    const leader = nodes.leaderOf(0)!.nodeId
    const slow = [1, 2, 3].find((id) => id !== leader)!
    for (const other of [1, 2, 3]) if (other !== slow) nodes.network.cut(slow, other)
    for (let n = 0; n < 10; n++) {
      nodes.produce(0, 2_000)
      await nodes.advance(5)
    }
    await nodes.advance(700)
    expect(nodes.controller.image.topics.get(TOPIC)!.partitions[0]!.isr).not.toContain(slow)
    nodes.network.heal()
    await nodes.advance(1_000)
    const ends = new Map(nodes.liveNodes.map((node) => [node.nodeId, node.partition(TOPIC, 0)!.log.logEndOffset]))
    expect(ends.get(leader)).toBe(10)
    expect(ends.get(slow)).toBeGreaterThan(0)
    expect(ends.get(slow)).toBeLessThan(5)
    // The third one is in sync and must stay so.
    expect([...ends.values()].filter((end) => end === 10)).toHaveLength(2)
  })

  it('take in a replica that a reassignment adds, and let go of one that it removes', async () => {
    const nodes = await start({ nodeIds: [1, 2, 3, 4], topicSettings: { 'min.insync.replicas': '1' } })
    nodes.produce(0)
    await nodes.advance(20)
    const change = (init: { replicas: number[]; isr?: number[] }): void =>
      nodes.controller.commit({
        type: 'PartitionChangeRecord',
        topicId: TOPIC_ID,
        partitionId: 0,
        directories: init.replicas.map(() => DirectoryId.UNASSIGNED),
        ...init,
      })
    change({ replicas: [1, 2, 3], isr: [1, 2, 3] })
    await nodes.advance(20)
    expect(nodes.nodes.get(4)!.partition(TOPIC, 0)).toBeNull()
    change({ replicas: [1, 2, 3, 4] })
    await nodes.advance(200)
    expect(nodes.nodes.get(4)!.partition(TOPIC, 0)!.log.logEndOffset).toBe(1)
    expect(nodes.controller.image.topics.get(TOPIC)!.partitions[0]!.isr).toContain(4)
  })

  it('begin anew where their leader’s log begins, if that is beyond their end', async () => {
    const nodes = await start({ topicSettings: { 'min.insync.replicas': '1' } })
    const leader = nodes.leaderOf(0)!
    const slow = [1, 2, 3].find((id) => id !== leader.nodeId)!
    for (const other of [1, 2, 3]) if (other !== slow) nodes.network.cut(slow, other)
    await nodes.advance(700)
    for (let n = 0; n < 5; n++) nodes.produce(0)
    await nodes.advance(50)
    const { log } = leader.partition(TOPIC, 0)!
    expect(log.highWatermark).toBe(5)
    log.raiseLogStart(3)
    nodes.network.heal()
    await nodes.advance(600)
    const behind = nodes.nodes.get(slow)!.partition(TOPIC, 0)!.log
    expect([behind.logStartOffset, behind.logEndOffset]).toEqual([3, 5])
    expect(nodes.controller.image.topics.get(TOPIC)!.partitions[0]!.isr).toContain(slow)
  })
})
