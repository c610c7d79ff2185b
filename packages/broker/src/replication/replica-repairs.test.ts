import { ReadResult } from '@millrace/storage'
import { afterEach, describe, expect, it } from 'vitest'
import { ReplicaCluster, TOPIC } from './testing/replica-cluster.ts'
import type { ReplicaNode } from './testing/replica-node.ts'

const KAFKA_STORAGE_ERROR = 56
const RECORDS = 6
const DAMAGED = 2

let cluster: ReplicaCluster | null = null

afterEach(async () => {
  await cluster?.stop()
  cluster = null
})

/** Three replicas of one partition with some records, all in sync; node 1 leads. */
async function start(topicSettings: Readonly<Record<string, string>> = {}): Promise<ReplicaCluster> {
  cluster = await ReplicaCluster.start({ topicSettings: { 'min.insync.replicas': '1', ...topicSettings } })
  await fill(cluster, RECORDS)
  expect(cluster.leaderOf(0)!.nodeId).toBe(1)
  return cluster
}

async function fill(nodes: ReplicaCluster, count: number): Promise<void> {
  for (let n = 0; n < count; n++) {
    nodes.produce(0, 60)
    await nodes.advance(5)
  }
  await nodes.advance(20)
}

function logOf(node: ReplicaNode) {
  return node.partition(TOPIC, 0)!.log
}

function isrOf(nodes: ReplicaCluster): number[] {
  return nodes.controller.image.topics.get(TOPIC)!.partitions[0]!.isr.toSorted()
}

/** A bit of a record turns over on the node's disk, which does not know of it. */
function rot(node: ReplicaNode, offset = DAMAGED): void {
  const { active } = logOf(node).segments
  node.disk.corrupt(active.logPath, active.locate(offset).position + 90, 1)
}

/** The same, and a read notices. */
async function rotAndRead(node: ReplicaNode, offset = DAMAGED): Promise<void> {
  rot(node, offset)
  logOf(node).distrust(offset)
  expect(await errorAt(node, offset)).toBe(KAFKA_STORAGE_ERROR)
}

async function errorAt(node: ReplicaNode, offset: number): Promise<number> {
  const out = new ReadResult()
  return (await logOf(node).read(offset, 1, Number.MAX_SAFE_INTEGER, true, out)) ? 0 : out.errorCode
}

async function expectWhole(nodes: ReplicaCluster, endOffset: number): Promise<void> {
  expect(isrOf(nodes)).toEqual([1, 2, 3])
  const contents = await Promise.all(nodes.liveNodes.map((node) => nodes.read(node, 0, 0, endOffset)))
  for (const content of contents) expect(content.equals(contents[0]!)).toBe(true)
  for (const { replicas, nodeId } of nodes.liveNodes) expect([nodeId, replicas.damagedCount]).toEqual([nodeId, 0])
}

describe('a damaged replica', () => {
  it('that follows leaves the in-sync ones, gets its records again and comes back', async () => {
    const nodes = await start()
    const damaged = nodes.nodes.get(2)!
    await rotAndRead(damaged)
    expect(damaged.replicas.damagedCount).toBe(1)
    await nodes.advance(3)
    expect(isrOf(nodes)).toEqual([1, 3])
    const { result } = nodes.produce(0)!
    await nodes.advance(600)
    expect(await result).toBe(RECORDS)
    await expectWhole(nodes, RECORDS + 1)
    expect(damaged.replicas.repairedCount).toBe(1)
    expect(damaged.logger.messages('error')).toContain('records of a replica are damaged')
    expect(nodes.leaderOf(0)!.nodeId).toBe(1)
  })

  it('that was compacted once gets all of its records again: those in front of the damage may be deleted ones', async () => {
    const nodes = await start()
    const damaged = nodes.nodes.get(2)!
    logOf(damaged).cleanedOffset = 1
    await rotAndRead(damaged)
    await nodes.advance(600)
    await expectWhole(nodes, RECORDS)
    const fields = damaged.logger.lines.find(({ message }) => message.startsWith('damaged records of'))?.fields
    expect(fields).toMatchObject({ from: 0 })
  })

  it('that leads hands leadership to one in sync first', async () => {
    const nodes = await start({ 'min.insync.replicas': '2' })
    const damaged = nodes.nodes.get(1)!
    await rotAndRead(damaged)
    await nodes.advance(600)
    expect(nodes.leaderOf(0)!.nodeId).not.toBe(1)
    await expectWhole(nodes, RECORDS)
    const { result } = nodes.produce(0)!
    await nodes.advance(50)
    expect(await result).toBe(RECORDS)
  })

  it('is found at a start, too', async () => {
    const nodes = await start()
    // Until the durable mark says what is synced.
    await nodes.advance(1_100)
    nodes.crash(2)
    expect(nodes.rot(2, 0)).toBe(true)
    await nodes.restart(2)
    await nodes.advance(600)
    await expectWhole(nodes, RECORDS)
  })

  it('keeps what it has while nobody else is in sync, refuses what is damaged, and is made good later', async () => {
    const nodes = await start()
    for (const other of [2, 3]) nodes.crash(other)
    await nodes.advance(100)
    expect(isrOf(nodes)).toEqual([1])
    const damaged = nodes.nodes.get(1)!
    await rotAndRead(damaged)
    await nodes.advance(1_500)
    expect(nodes.leaderOf(0)).toBe(damaged)
    expect(logOf(damaged).logEndOffset).toBe(RECORDS)
    for (let offset = 0; offset < RECORDS; offset++) {
      expect(await errorAt(damaged, offset)).toBe(offset === DAMAGED ? KAFKA_STORAGE_ERROR : 0)
    }
    const { result } = nodes.produce(0)!
    await nodes.advance(20)
    expect(await result).toBe(RECORDS)
    for (const other of [2, 3]) await nodes.restart(other)
    await nodes.advance(2_000)
    await expectWhole(nodes, RECORDS + 1)
  })

  it('throws nothing away before its leader has answered', async () => {
    const nodes = await start()
    const damaged = nodes.nodes.get(2)!
    nodes.network.cut(1, 2)
    await rotAndRead(damaged)
    await nodes.advance(600)
    expect(isrOf(nodes)).toEqual([1, 3])
    expect(logOf(damaged).logEndOffset).toBe(RECORDS)
    nodes.network.heal()
    await nodes.advance(600)
    await expectWhole(nodes, RECORDS)
  })

  it('throws nothing away while its leader cannot read what it needs', async () => {
    const nodes = await start()
    const damaged = nodes.nodes.get(2)!
    nodes.crash(3)
    await nodes.advance(100)
    rot(nodes.nodes.get(1)!)
    logOf(nodes.nodes.get(1)!).distrust(DAMAGED)
    await rotAndRead(damaged)
    await nodes.advance(1_500)
    expect(logOf(damaged).logEndOffset).toBe(RECORDS)
    // The third one has it, and brings both to rights.
    await nodes.restart(3)
    await nodes.advance(3_000)
    await expectWhole(nodes, RECORDS)
  })

  it('is found by a leader whose follower comes again for what it was given', async () => {
    const nodes = await start()
    const leader = nodes.nodes.get(1)!
    for (const other of [1, 3]) nodes.network.cut(2, other)
    await fill(nodes, 4)
    await nodes.advance(600)
    expect(isrOf(nodes)).toEqual([1, 3])
    rot(leader, RECORDS + 1)
    nodes.network.heal()
    await nodes.advance(1_500)
    expect(leader.logger.messages('error')).toContain('records of a replica are damaged')
    await expectWhole(nodes, RECORDS + 4)
  })

  it('that is the only one is told of, and stays', async () => {
    cluster = await ReplicaCluster.start({ nodeIds: [1], topicSettings: { 'min.insync.replicas': '1' } })
    await fill(cluster, RECORDS)
    const only = cluster.nodes.get(1)!
    await rotAndRead(only)
    await cluster.advance(1_000)
    expect([only.replicas.damagedCount, logOf(only).logEndOffset]).toEqual([1, RECORDS])
  })
})
