import { SeededRandom } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { encodeBatch } from '../metadata/record-codec.ts'
import { emptyImage } from '../metadata/reducer.ts'
import { encodeSnapshot, readSnapshot } from '../metadata/snapshot-codec.ts'
import type { QuorumListener } from '../quorum/quorum.ts'
import {
  cluster as brokersOf,
  idOf,
  imageOf,
  partition,
  testConfigRules,
  testSettings,
  topic,
} from '../testing/cluster.ts'
import { PeerChannel } from '../transport/peer-transport.ts'
import { ControllerNode } from './controller-node.ts'
import { decodeFrame, encodeFrame } from './peer-protocol.ts'
import { ControllerCluster } from './testing/controller-cluster.ts'
import { directoryIdOf, FakeQuorum } from './testing/fake-quorum.ts'

const topics = (count: number, prefix = 't') => ({
  validateOnly: false,
  topics: Array.from({ length: count }, (_, slot) => ({
    name: `${prefix}${slot}`,
    numPartitions: 3,
    replicationFactor: 3,
    assignments: [],
    configs: [],
  })),
})

describe('snapshots', () => {
  test('one that is due holds the applied image; a node that begins with it goes on from there', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    await cluster.form(1)
    await cluster.result(cluster.broker(1).node.request('createTopics', topics(300), 5000), 5000)
    const quorum = cluster.fake.quorums.get(2)!
    quorum.deliver((listener) => listener.onSnapshotDue())
    quorum.deliver((listener) => listener.onSnapshotDue())
    await cluster.advance(100)
    expect(quorum.snapshots.length).toBe(1)
    const [snapshot] = quorum.snapshots
    expect(readSnapshot(snapshot!.data).topics.size).toBe(300)

    await cluster.result(cluster.broker(1).node.request('createTopics', topics(2, 'later'), 1000))
    cluster.fake.kill(3)
    await cluster.advance(300)
    const restarted = cluster.start(3, (own) => own.install(snapshot!.index, snapshot!.data))
    await cluster.result(restarted.register())
    await cluster.advance(600)
    expect(restarted.image!.topics.size).toBe(302)
    expect(restarted.image!.offset).toBe(cluster.broker(1).image!.offset)
    expect(restarted.image!.brokers.get(3)!.fenced).toBe(false)
  })

  test('a leadership that ended while one was read is not taken up afterwards', async () => {
    const t = idOf(1)
    const image = imageOf(...brokersOf(1, 2), topic('t', t), partition(t, 0, [1, 9]))
    const cluster = new ControllerCluster([1])
    const proposals: Buffer[] = []
    cluster.start(2, (quorum) => {
      quorum.install(4, Buffer.concat([...encodeSnapshot(image)]))
      // It leads again by now, with entries that this node has not applied: a proposal would not follow them.
      quorum.propose = (data) => proposals.push(data)
      quorum.deliver((listener) => {
        listener.onElected(3)
        listener.onDeposed(3)
      })
      cluster.fake.term = 5
      cluster.fake.leaderId = 2
    })
    await cluster.advance(20)
    expect(cluster.broker(2).node.image.topics.size).toBe(1)
    expect(proposals).toEqual([])
  })

  test('of another cluster, or damaged, they end the node', async () => {
    const other = Buffer.concat([...encodeSnapshot({ ...emptyImage('other'), offset: 5 })])
    for (const data of [other, Buffer.from('MRSN and something'), Buffer.alloc(0)]) {
      const cluster = new ControllerCluster([1])
      const broker = cluster.start(2, (quorum) => quorum.install(4, data))
      await cluster.advance(10)
      expect(broker.fatal).toBeInstanceOf(Error)
    }
  })
})

describe('a log that no controller wrote', () => {
  test.each([
    ['bytes', Buffer.from('nonsense that is long enough')],
    ['a gap', encodeBatch({ baseOffset: 1000, records: [{ type: 'NoOpRecord' }] })],
    ['a contradiction', null],
  ])('ends the node: %s', async (_, data) => {
    const cluster = new ControllerCluster([1, 2, 3])
    await cluster.form(1)
    const { offset } = cluster.broker(2).image!
    const records = [{ type: 'RemoveTopicRecord', topicId: directoryIdOf(9) }] as const
    cluster.fake.append('command', data ?? encodeBatch({ baseOffset: offset, records }))
    await cluster.advance(20)
    expect(cluster.broker(2).fatal).toBeInstanceOf(Error)
    const asked = cluster.broker(2).node.request('readBarrier', {}, 100)
    await expect(asked).rejects.toMatchObject({ code: 'CONTROLLER_UNAVAILABLE' })
  })
})

test('no event comes from inside the call that starts it', async () => {
  const cluster = new ControllerCluster([])
  const broker = cluster.start(1)
  expect(broker.image).toBeNull()
  await cluster.advance(1)
  expect(broker.image).toMatchObject({ clusterId: 'cluster', offset: 0 })
})

describe('between nodes', () => {
  test('a node that has not started leads nothing: others may know it from its life before', async () => {
    const { fake } = new ControllerCluster([1])
    const sent: Buffer[] = []
    const node = new ControllerNode({
      nodeId: 2,
      clusterId: 'cluster',
      openQuorum: () => new FakeQuorum(fake, 2, {} as QuorumListener),
      transport: {
        connected: new Set([1]),
        setPeers: () => undefined,
        send: (_, __, payload) => sent.push(payload) > 0,
        close: async () => undefined,
      },
      clock: fake.clock,
      timers: fake.timers,
      random: new SeededRandom(2),
      configRules: testConfigRules,
      settings: () => testSettings,
    })
    const request = encodeFrame({ kind: 'request', id: 7, name: 'readBarrier', request: {}, timeoutMs: 1000 })
    node.onMessage(1, PeerChannel.CONTROLLER, request!)
    expect(sent.map((payload) => decodeFrame(payload))).toEqual([
      { kind: 'answer', id: 7, outcome: { status: 'notController', mayBeDone: false, leaderId: null, term: 0 } },
    ])
    await node.close()
  })

  test('frames that cannot be read are reported and do no harm', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    await cluster.form(1)
    cluster.fake.transports.get(2)!.send(1, PeerChannel.CONTROLLER, Buffer.from([1, 0, 0x7b]))
    await cluster.advance(10)
    expect(cluster.problems.length).toBe(1)
    const result = await cluster.result(cluster.broker(2).node.request('createTopics', topics(1), 1000))
    expect(result[0]!.errorCode).toBe(0)
  })

  test('answers wait for room; requests too', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    await cluster.form(1)
    const [one, two] = [cluster.fake.transports.get(1)!, cluster.fake.transports.get(2)!]
    one.full.add(2)
    const asked = cluster.broker(2).node.request('createTopics', topics(1), 5000)
    await cluster.advance(100)
    expect(cluster.broker(1).image!.topics.size).toBe(1)
    one.full.delete(2)
    one.events!.onWritable(2)
    expect((await cluster.result(asked))[0]!.errorCode).toBe(0)

    two.full.add(1)
    const later = cluster.broker(2).node.request('readBarrier', {}, 5000)
    await cluster.advance(200)
    two.full.delete(1)
    expect(await cluster.result(later)).toEqual({ offset: cluster.broker(1).image!.offset })
  })

  test('a fault while a request is prepared is answered, here and there, and takes no room for good', async () => {
    let isBroken = false
    const cluster = new ControllerCluster([1, 2, 3], {
      settings: () => {
        if (isBroken) throw new Error('a fault')
        return testSettings
      },
    })
    await cluster.form(1)
    isBroken = true
    for (const id of [2, 1]) {
      const asked = cluster.broker(id).node.request('createTopics', topics(200), 5000)
      await expect(cluster.result(asked, 5)).rejects.toMatchObject({ errorCode: -1 })
    }
    expect(cluster.problems).toContainEqual(new Error('a fault'))
  })

  test('a request too large to be sent is refused', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    await cluster.form(1)
    const huge = topics(1, 'x'.repeat(16 * 1024 * 1024))
    await expect(cluster.broker(2).node.request('createTopics', huge, 1000)).rejects.toMatchObject({ errorCode: 44 })
  })

  test('the connection is lost while the controller has the request: done once, or told that it is uncertain', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    await cluster.form(1)
    cluster.fake.commitDelayMs = 100
    const create = cluster.broker(2).node.request('createTopics', topics(1), 5000)
    const barrier = cluster.broker(2).node.request('readBarrier', {}, 5000)
    await cluster.advance(10)
    cluster.fake.transports.get(2)!.setLink(1, false)
    await expect(cluster.result(create)).rejects.toMatchObject({ code: 'CONTROLLER_UNAVAILABLE', mayBeDone: true })
    cluster.fake.transports.get(2)!.setLink(1, true)
    expect((await cluster.result(barrier)).offset).toBeGreaterThan(0)
  })

  test('a frozen controller keeps no repeatable request from its successor', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    await cluster.form(1)
    cluster.fake.frozen.add(1)
    const barrier = cluster.broker(2).node.request('readBarrier', {}, 10_000)
    await cluster.advance(600)
    cluster.fake.elect(3)
    expect((await cluster.result(barrier)).offset).toBeGreaterThan(0)
    await cluster.advance(1500)
    expect(cluster.broker(3).image!.brokers.get(1)!.fenced).toBe(true)
    expect(cluster.broker(3).image!.brokers.get(2)!.fenced).toBe(false)
  })

  test('a controller that is cut off from all others fences nobody early', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    await cluster.form(1)
    const transport = cluster.fake.transports.get(1)!
    transport.setLink(2, false)
    transport.setLink(3, false)
    await cluster.advance(1000)
    const fenced = [...cluster.broker(1).image!.brokers.values()].filter((broker) => broker.fenced)
    expect(fenced).toEqual([])
  })
})

describe('the life of a broker', () => {
  test('a restarted one is registered at once, fenced, then comes into service; its old heartbeats are stale', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    await cluster.form(1)
    const former = cluster.broker(3)
    cluster.fake.kill(3)
    await cluster.advance(20)
    const restarted = cluster.start(3)
    await cluster.result(restarted.register(), 200)
    expect(restarted.epoch).toBeGreaterThan(former.epoch)
    await cluster.advance(400)
    expect(cluster.broker(1).image!.brokers.get(3)).toMatchObject({ fenced: false, epoch: restarted.epoch })
    restarted.heartbeatInit = { brokerEpoch: former.epoch }
    await cluster.advance(400)
    // The node drops the answer to a heartbeat of another registration than its newest one.
    expect(restarted.answers.at(-1)).toMatchObject({ errorCode: 77 })
  })

  test('a second process with the id of a living broker is refused', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    await cluster.form(1)
    const { incarnationId } = cluster.broker(1)
    await expect(cluster.result(cluster.broker(3).register({ incarnationId }))).rejects.toThrow(/"code":101/)
  })

  test('a controlled shutdown ends when all know the new leaders', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    await cluster.form(1)
    await cluster.result(cluster.broker(1).node.request('createTopics', topics(3), 1000))
    const stopping = cluster.broker(2)
    stopping.heartbeatInit = { wantShutDown: true }
    await cluster.advance(1500)
    expect(stopping.answers.at(-1)).toMatchObject({ shouldShutDown: true, isFenced: true })
    const isFirst = stopping.answers.find((answer) => answer.shouldShutDown) === stopping.answers[0]
    expect(isFirst).toBe(false)
    for (const topic of cluster.broker(1).image!.topics.values()) {
      for (const partition of topic.partitions) {
        expect(partition.leader).not.toBe(2)
        expect(partition.isr).toEqual(partition.isr.filter((id) => id !== 2))
      }
    }
  })

  test('the next controller hears of all brokers at once', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    await cluster.form(1)
    cluster.fake.elect(2)
    await cluster.advance(20)
    expect(cluster.broker(3).answers.length).toBeGreaterThan(0)
    await cluster.advance(5000)
    expect([...cluster.broker(2).image!.brokers.values()].every((broker) => !broker.fenced)).toBe(true)
    expect(cluster.broker(3).leaders.at(-1)).toBe(2)
  })
})

describe('the log', () => {
  test('begins with the bootstrap records once, whoever is elected how often', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    cluster.fake.commitDelayMs = 50
    cluster.fake.elect(1)
    await cluster.advance(60)
    // The bootstrap records are proposed and not committed.
    cluster.fake.elect(2)
    await cluster.advance(200)
    cluster.fake.elect(3)
    await cluster.advance(1000)
    const levels = cluster.broker(1).records.filter((record) => record.type === 'FeatureLevelRecord')
    expect(levels.map((record) => record.name).sort()).toEqual([
      'eligible.leader.replicas.version',
      'group.version',
      'metadata.version',
    ])
  })

  test('moves while nothing happens', async () => {
    const cluster = new ControllerCluster([1])
    cluster.fake.elect(1)
    await cluster.advance(3000)
    const noOps = cluster.broker(1).records.filter((record) => record.type === 'NoOpRecord')
    expect(noOps.length).toBeGreaterThanOrEqual(4)
    expect(noOps.length).toBeLessThanOrEqual(6)
  })

  test('gives all nodes equal images, over elections and deaths', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    await cluster.form(1)
    for (const [round, leader] of [2, 3, 1, 3].entries()) {
      await cluster.result(cluster.broker(1).node.request('createTopics', topics(120, `r${round}-`), 5000), 5000)
      if (round % 2 === 0) cluster.fake.depose(true)
      cluster.fake.elect(leader)
      await cluster.advance(100)
    }
    const names = cluster.broker(3).image!.topics
    await cluster.result(
      cluster
        .broker(2)
        .node.request(
          'deleteTopics',
          { topics: [...names.values()].slice(0, 250).map(({ id }) => ({ name: null, topicId: id })) },
          5000,
        ),
      5000,
    )
    await cluster.advance(100)
    const [one, two, three] = [1, 2, 3].map((id) => Buffer.concat([...encodeSnapshot(cluster.broker(id).image!)]))
    expect(one!.equals(two!) && two!.equals(three!)).toBe(true)
    expect(cluster.broker(1).image!.topics.size).toBe(230)
    expect(cluster.problems).toEqual([])
  })
})

describe('questions about the quorum', () => {
  test('DescribeQuorum tells ends and times of the others', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    await cluster.form(2)
    const answer = await cluster.result(cluster.broker(3).node.request('describeQuorum', {}, 1000))
    expect(answer).toMatchObject({ leaderId: 2, leaderEpoch: 1 })
    expect(answer.highWatermark).toBe(cluster.fake.log.length + 1)
    expect(answer.peers.map(({ id }) => id)).toEqual([2, 1, 3])
    const nowMs = cluster.fake.clock.wallMs()
    for (const peer of answer.peers) {
      expect(nowMs - peer.lastCaughtUpMs).toBeLessThan(1000)
      expect(peer.logEndOffset).toBeLessThanOrEqual(answer.highWatermark)
    }
  })

  test('changes of voters are checked before the quorum is asked', async () => {
    const cluster = new ControllerCluster([1, 2, 3])
    await cluster.form(1)
    const voter = (id: number, host = 'h', port = 9) => ({ id, directoryId: directoryIdOf(Math.abs(id)), host, port })
    const add = (...init: Parameters<typeof voter>) =>
      cluster.result(cluster.broker(2).node.request('addVoter', voter(...init), 1000))
    expect(await add(-1)).toMatchObject({ code: 42 })
    expect(await add(4, '')).toMatchObject({ code: 42 })
    expect(await add(4, 'h', 70_000)).toMatchObject({ code: 42 })
    expect(await add(3)).toMatchObject({ code: 126 })
    expect(await add(4)).toBe(null)
    const remove = (id: number, directoryId = directoryIdOf(id)) =>
      cluster.result(cluster.broker(3).node.request('removeVoter', { id, directoryId }, 1000))
    expect(await remove(4, directoryIdOf(5))).toMatchObject({ code: 127 })
    expect(await remove(4)).toBe(null)
    const update = cluster.broker(2).node.request('updateVoter', voter(3), 1000)
    expect(await cluster.result(update)).toMatchObject({ code: 7 })
  })
})
