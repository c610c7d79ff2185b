import { ControllerUnavailableError } from '@millrace/consensus'
import {
  createCreatableTopic,
  createCreateTopicsRequest,
  createFindCoordinatorRequest,
  createHeartbeatRequest,
  createMetadataRequest,
  createPartitionProduceData,
  createProduceRequest,
  createTopicProduceData,
  createTopicsApi,
  ErrorCode,
  findCoordinatorApi,
  heartbeatApi,
  metadataApi,
  produceApi,
} from '@millrace/protocol'
import { beforeEach, describe, expect, test } from 'vitest'
import { brokerRecord, idOf, partitionRecord, topicRecords } from '../handlers/testing/images.ts'
import { batchOf } from '../testing/batches.ts'
import type { DataClient } from '../testing/data-client.ts'
import { TestBroker } from '../testing/test-broker.ts'
import { BrokerState } from './broker-lifecycle.ts'
import { ScriptedController } from './testing/scripted-controller.ts'

const TOPIC = idOf(1)
const OFFSETS = idOf(2)

let controller: ScriptedController

beforeEach(() => {
  controller = new ScriptedController()
})

function start(): Promise<TestBroker> {
  return TestBroker.start({ cluster: { port: controller, clusterId: 'cluster-1' } })
}

/** Runs a test against a broker whose cluster the test plays. */
async function run(body: (client: DataClient, broker: TestBroker) => Promise<void>): Promise<void> {
  const broker = await start()
  await body(broker.connect(), broker)
  await broker.stop()
  broker.assertSound()
}

async function groupHeartbeat(client: DataClient): Promise<number> {
  const request = createHeartbeatRequest({ groupId: 'g', generationId: 1, memberId: 'nobody' })
  return (await client.call(heartbeatApi, 4, request)).errorCode
}

describe('start', () => {
  test('knows all that was committed before it registers, and serves once it is let in', () =>
    run(async (_, broker) => {
      const [first] = controller.heartbeats
      expect(first).toMatchObject({ brokerId: 1, wantFence: true })
      expect(controller.heartbeats.at(-1)).toMatchObject({ wantFence: false })
      expect(first?.appliedOffset).toBeGreaterThan(first!.brokerEpoch)
      expect(await broker.metrics()).toContain(`brokerstate ${BrokerState.RUNNING}`)
    }))

  test('logs of topics that it hears of first are no strays', async () => {
    const first = await start()
    controller.commit(...topicRecords('t', TOPIC, [1]))
    expect((await first.connect().produce('t', batchOf(['a']))).errorCode).toBe(ErrorCode.NONE)
    await first.stop()
    const again = new ScriptedController()
    const early = again.start.bind(again)
    again.start = (events) => {
      early(events)
      again.commit(...topicRecords('t', TOPIC, [1]))
    }
    const second = await TestBroker.start({ cluster: { port: again, clusterId: 'cluster-1' }, disk: first.disk })
    const client = second.connect()
    // What the life before led is not gone on with.
    expect((await client.produce('t', batchOf(['b']))).errorCode).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    again.commit(partitionRecord(TOPIC, 0, [1], { leaderEpoch: 4, partitionEpoch: 6 }))
    expect((await client.listOffset('t', -1)).offset).toBe(1)
    await second.stop()
    second.assertSound()
  })
})

describe('leadership', () => {
  test('is served by the epochs of the metadata, and not after it has gone elsewhere', () =>
    run(async (client) => {
      controller.commit(brokerRecord(2), ...topicRecords('t', TOPIC, [1]))
      expect((await client.produce('t', batchOf(['a']))).errorCode).toBe(ErrorCode.NONE)
      controller.commit(partitionRecord(TOPIC, 0, [1, 2], { leader: 2, isr: [2], leaderEpoch: 4, partitionEpoch: 6 }))
      expect((await client.produce('t', batchOf(['b']))).errorCode).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    }))

  test('elsewhere has DeleteRecords refused as what others lead', () =>
    run(async (client) => {
      controller.commit(brokerRecord(2), ...topicRecords('t', TOPIC, [2]))
      expect((await client.deleteRecords('t', 0)).errorCode).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    }))

  test('that has gone elsewhere is where producers are sent', () =>
    run(async (client) => {
      controller.commit(brokerRecord(2), ...topicRecords('t', TOPIC, [1]))
      controller.commit(partitionRecord(TOPIC, 0, [1, 2], { leader: 2, isr: [2], leaderEpoch: 4, partitionEpoch: 6 }))
      const topic = createTopicProduceData({
        name: 't',
        partitionData: [createPartitionProduceData({ index: 0, records: batchOf(['a']) })],
      })
      const request = createProduceRequest({ acks: 1, timeoutMs: 1000, topicData: [topic] })
      const { responses, nodeEndpoints } = await client.call(produceApi, 12, request)
      expect(responses[0]!.partitionResponses).toMatchObject([
        { errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER, currentLeader: { leaderId: 2, leaderEpoch: 4 } },
      ])
      expect(nodeEndpoints).toMatchObject([{ nodeId: 2 }])
    }))

  test('of an offsets partition makes its coordinator, and the loss of it ends that at once', () =>
    run(async (client, broker) => {
      expect(await groupHeartbeat(client)).toBe(ErrorCode.NOT_COORDINATOR)
      controller.commit(brokerRecord(2), ...topicRecords('__consumer_offsets', OFFSETS, [1]))
      await broker.idle()
      expect(await groupHeartbeat(client)).toBe(ErrorCode.UNKNOWN_MEMBER_ID)
      const request = createFindCoordinatorRequest({ keyType: 0, coordinatorKeys: ['g'] })
      expect((await client.call(findCoordinatorApi, 4, request)).coordinators).toMatchObject([{ nodeId: 1 }])
      controller.commit(partitionRecord(OFFSETS, 0, [1, 2], { leader: 2, isr: [2], leaderEpoch: 4, partitionEpoch: 6 }))
      expect(await groupHeartbeat(client)).toBe(ErrorCode.NOT_COORDINATOR)
      expect((await client.call(findCoordinatorApi, 4, request)).coordinators).toMatchObject([{ nodeId: 2 }])
    }))
})

describe('requests', () => {
  const request = createCreateTopicsRequest({
    topics: [createCreatableTopic({ name: 't', numPartitions: 1, replicationFactor: 1 })],
    timeoutMs: 1234,
  })

  test('go to the controller with the time that the client gives', () =>
    run(async (client, broker) => {
      const answer = client.call(createTopicsApi, 7, request)
      await broker.idle()
      const asked = controller.take('createTopics')
      expect(asked.timeoutMs).toBe(1234)
      expect(asked.request).toEqual({
        validateOnly: false,
        topics: [{ name: 't', numPartitions: 1, replicationFactor: 1, assignments: [], configs: [] }],
      })
      controller.commit(...topicRecords('t', TOPIC, [1]))
      const created = { name: 't', topicId: TOPIC, errorCode: 0, errorMessage: null }
      asked.answer([{ ...created, numPartitions: 1, replicationFactor: 1, configs: [] }])
      expect((await answer).topics).toMatchObject([{ name: 't', errorCode: 0, topicId: TOPIC }])
    }))

  test('without a controller end with REQUEST_TIMED_OUT', () =>
    run(async (client, broker) => {
      const answer = client.call(createTopicsApi, 7, request)
      await broker.idle()
      controller.take('createTopics').reject(new ControllerUnavailableError('nobody', false))
      expect((await answer).topics).toMatchObject([{ name: 't', errorCode: ErrorCode.REQUEST_TIMED_OUT }])
    }))

  test('Metadata names all brokers that serve', () =>
    run(async (client) => {
      controller.commit(brokerRecord(2), brokerRecord(3, { fenced: true }))
      const { brokers, clusterId } = await client.call(metadataApi, 12, createMetadataRequest({ topics: [] }))
      expect(brokers.map(({ nodeId }) => nodeId).sort()).toEqual([1, 2])
      expect(clusterId).toBe('cluster-1')
    }))
})

describe('stop', () => {
  test('hands the leaderships over first, and serves until then', async () => {
    const broker = await start()
    controller.commit(...topicRecords('t', TOPIC, [1]))
    controller.releases = false
    const client = broker.connect()
    const stopped = broker.stop()
    await broker.idle()
    expect(controller.heartbeats.at(-1)).toMatchObject({ wantShutDown: true })
    expect((await client.produce('t', batchOf(['a']))).errorCode).toBe(ErrorCode.NONE)
    controller.releases = true
    await broker.advance(20)
    await stopped
    expect(controller.isClosed).toBe(true)
    broker.assertSound()
  })

  const NOT_TAKEN_OVER = 'the cluster did not take over all leaderships of this broker in time'

  /** A stop that the controller does not grant. */
  async function stopUnreleased(broker: TestBroker): Promise<readonly string[]> {
    controller.releases = false
    const stopped = broker.stop()
    await broker.advance(11_000)
    await stopped
    return broker.logger.lines.map(({ message }) => message)
  }

  test('warns of leaderships that nobody took over though another broker could have', async () => {
    const broker = await start()
    controller.commit(brokerRecord(2))
    controller.events!.onActiveController(2)
    expect(await stopUnreleased(broker)).toContain(NOT_TAKEN_OVER)
  })

  test('of the last broker says nothing of those who could take over', async () => {
    const broker = await start()
    controller.events!.onActiveController(1)
    expect(await stopUnreleased(broker)).not.toContain(NOT_TAKEN_OVER)
  })

  test('without a controller says nothing of those who could take over', async () => {
    const broker = await start()
    controller.commit(brokerRecord(2))
    controller.events!.onActiveController(null)
    expect(await stopUnreleased(broker)).not.toContain(NOT_TAKEN_OVER)
  })
})

test('the log says which node is the active controller, this one too', () =>
  run(async (_, broker) => {
    for (const id of [1, 2]) controller.events!.onActiveController(id)
    const messages = broker.logger.lines.map(({ message }) => message)
    expect(messages.filter((message) => message.startsWith('the active controller is'))).toEqual([
      'the active controller is this node',
      'the active controller is node 2',
    ])
  }))
