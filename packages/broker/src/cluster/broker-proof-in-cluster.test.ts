import { SeededRandom } from '@millrace/base'
import {
  createFetchRequest,
  createFetchRequestFetchPartition,
  createFetchRequestFetchTopic,
  createFetchRequestReplicaState,
  createListOffsetsPartition,
  createListOffsetsRequest,
  createListOffsetsTopic,
  createSaslAuthenticateRequest,
  createSaslHandshakeRequest,
  ErrorCode,
  fetchApi,
  listOffsetsApi,
  saslAuthenticateApi,
  saslHandshakeApi,
} from '@millrace/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { STANDARD_AUTHORIZER } from '../config/definitions/security-definitions.ts'
import { brokerRecord, idOf, topicRecords } from '../handlers/testing/images.ts'
import { BrokerConnection } from '../replication/broker-connection.ts'
import { BROKER_PROOF_MECHANISM, encodeBrokerHello } from '../replication/broker-proof.ts'
import { batchOf } from '../testing/batches.ts'
import { TestBroker } from '../testing/test-broker.ts'
import { ScriptedController } from './testing/scripted-controller.ts'

/** Who may fetch as a replica: broker 1 leads a partition that broker 2 follows, and one record is there that 2 has not taken yet. */

const TOPIC = idOf(1)
const SECRET = 'known to all nodes of it'
/** Where who sends the record comes from. */
const ADMIN = '10.0.0.1'

let broker: TestBroker

afterEach(() => broker.stop())

async function start(secret: string | null, more: Readonly<Record<string, string>> = {}): Promise<void> {
  const controller = new ScriptedController()
  const settings = { ...more, ...(secret === null ? {} : { 'controller.peer.secret': secret }) }
  const cluster = { port: controller, clusterId: 'cluster-1' }
  broker = await TestBroker.start({ cluster, settings, principals: { [ADMIN]: 'User:admin' } })
  controller.commit(brokerRecord(2), ...topicRecords('t', TOPIC, [1, 2]))
  expect((await broker.connect(ADMIN).produce('t', batchOf(['not committed']), { acks: 1 })).errorCode).toBe(
    ErrorCode.NONE,
  )
}

function fetchAs(replicaId: number, version = 17) {
  const partitions = [createFetchRequestFetchPartition({ partition: 0, fetchOffset: 0, partitionMaxBytes: 1_000 })]
  const { brokerEpoch: replicaEpoch } = brokerRecord(replicaId) as { brokerEpoch: number }
  const replica =
    version < 15 ? { replicaId } : { replicaState: createFetchRequestReplicaState({ replicaId, replicaEpoch }) }
  const topic = createFetchRequestFetchTopic(version < 13 ? { topic: 't', partitions } : { topicId: TOPIC, partitions })
  return createFetchRequest({ ...replica, maxBytes: 1_000, topics: [topic] })
}

function connectAs(brokerId: number, init: { secret?: string; targetId?: number; clusterId?: string } = {}) {
  const { secret = SECRET, targetId = 1, clusterId = 'cluster-1' } = init
  const proof = { secret: Buffer.from(secret), brokerId, targetId, clusterId, random: new SeededRandom(9) }
  const { timers, network, port } = broker
  const options = {
    connect: network.connectPeer,
    timers,
    host: 'h',
    port,
    clientId: 'c',
    maxAnswerBytes: 10_000,
    proof,
  }
  return BrokerConnection.open(options, 1_000)
}

describe('with a secret', () => {
  beforeEach(() => start(SECRET))

  test('a client that says it is a replica is refused, whatever it knows of it, and counts for nothing', async () => {
    const client = broker.connect()
    for (const version of [12, 14, 17]) {
      const [topic] = (await client.call(fetchApi, version, fetchAs(2, version))).responses
      expect(topic!.partitions[0]).toMatchObject({ errorCode: ErrorCode.TOPIC_AUTHORIZATION_FAILED, records: null })
    }
    expect((await client.listOffset('t', -1)).offset).toBe(0)
  })

  test('a broker that proved itself fetches as itself, and not as another', async () => {
    const connection = await connectAs(2)
    const answer = async (replicaId: number) =>
      (await connection.call(fetchApi, fetchAs(replicaId), 1_000)).responses[0]!.partitions[0]!
    expect(await answer(2)).toMatchObject({ errorCode: ErrorCode.NONE, highWatermark: 0 })
    expect((await answer(2)).records!.length).toBeGreaterThan(60)
    expect(await answer(1)).toMatchObject({ errorCode: ErrorCode.TOPIC_AUTHORIZATION_FAILED })
    connection.close()
  })

  test.each([
    ['another secret', { secret: 'not the one that they know' }],
    ['another cluster', { clusterId: 'cluster-2' }],
    ['meant for another', { targetId: 3 }],
  ])('a proof is refused, and its reason logged here only: %s', async (reason, init) => {
    await expect(connectAs(2, init)).rejects.toThrow('takes this broker for none of its cluster')
    const told = broker.logger.lines.filter(({ message }) => message.startsWith('a broker could not prove'))
    expect(told).toMatchObject([{ level: 'warn', fields: { reason, brokerId: 2 } }])
  })

  test('a proof of another connection is worth nothing, and one step cannot be left out', async () => {
    const client = broker.connect()
    const step = (authBytes: Buffer) =>
      client.call(saslAuthenticateApi, 2, createSaslAuthenticateRequest({ authBytes }))
    expect((await step(Buffer.alloc(32))).errorCode).toBe(ErrorCode.ILLEGAL_SASL_STATE)
    const begin = createSaslHandshakeRequest({ mechanism: BROKER_PROOF_MECHANISM })
    expect((await client.call(saslHandshakeApi, 1, begin)).errorCode).toBe(ErrorCode.NONE)
    const hello = encodeBrokerHello({ brokerId: 2, targetId: 1, clusterId: 'cluster-1' }, Buffer.alloc(32))
    expect((await step(hello)).authBytes).toHaveLength(33)
    expect((await step(Buffer.alloc(32))).errorCode).toBe(ErrorCode.SASL_AUTHENTICATION_FAILED)
    expect((await step(Buffer.alloc(32))).errorCode).toBe(ErrorCode.ILLEGAL_SASL_STATE)
  })

  test('clients that want to authenticate are told that nobody does here, as by Kafka on PLAINTEXT', async () => {
    const request = createSaslHandshakeRequest({ mechanism: 'PLAIN' })
    const answer = await broker.connect().call(saslHandshakeApi, 1, request)
    expect(answer).toMatchObject({ errorCode: ErrorCode.ILLEGAL_SASL_STATE, mechanisms: [] })
  })
})

describe('with an authorizer', () => {
  const authorizer = { 'authorizer.class.name': STANDARD_AUTHORIZER }
  const codeOf = async (replicaId: number) => {
    const [topic] = (await broker.connect().call(fetchApi, 17, fetchAs(replicaId))).responses
    return topic!.partitions[0]!.errorCode
  }

  test('a broker that proved itself needs no ACL for what followers ask', async () => {
    await start(SECRET, { ...authorizer, 'super.users': 'User:admin' })
    // Anonymous as it is, it would get neither.
    expect(await codeOf(-1)).toBe(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    const connection = await connectAs(2)
    const [topic] = (await connection.call(fetchApi, fetchAs(2), 1_000)).responses
    expect(topic!.partitions[0]).toMatchObject({ errorCode: ErrorCode.NONE })
    const partitions = [createListOffsetsPartition({ partitionIndex: 0, timestamp: -1 })]
    const wanted = [createListOffsetsTopic({ name: 't', partitions })]
    const found = await connection.call(
      listOffsetsApi,
      createListOffsetsRequest({ replicaId: 2, topics: wanted }),
      1_000,
    )
    expect(found.topics[0]!.partitions[0]).toMatchObject({ errorCode: ErrorCode.NONE, offset: 1 })
    connection.close()
  })

  test('nobody becomes a broker by being allowed everything', async () => {
    await start(SECRET, { ...authorizer, 'super.users': 'User:ANONYMOUS;User:admin' })
    expect(await codeOf(-1)).toBe(ErrorCode.NONE)
    expect(await codeOf(2)).toBe(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
  })

  test('without a secret a replica needs the permission to act for the cluster', async () => {
    await start(null, { ...authorizer, 'super.users': 'User:admin' })
    expect(await codeOf(2)).toBe(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    await broker.stop()
    await start(null, { ...authorizer, 'super.users': 'User:ANONYMOUS;User:admin' })
    expect(await codeOf(2)).toBe(ErrorCode.NONE)
  })
})

test('without a secret nothing can be proved: who says that it is a replica is taken for it', async () => {
  await start(null)
  const [topic] = (await broker.connect().call(fetchApi, 17, fetchAs(2))).responses
  expect(topic!.partitions[0]).toMatchObject({ errorCode: ErrorCode.NONE })
  await expect(connectAs(2)).rejects.toThrow('does not know controller.peer.secret')
})

test('a broker takes no other one for its leader that does not know the secret', async () => {
  await start('this one knows another secret')
  await expect(connectAs(2)).rejects.toThrow('another controller.peer.secret')
})
