import {
  addPartitionsToTxnApi,
  createAddPartitionsToTxnRequest,
  createAddPartitionsToTxnTopic,
  createAddPartitionsToTxnTransaction,
  createDescribeProducersRequest,
  createDescribeProducersRequestTopicRequest,
  createListTransactionsRequest,
  createWritableTxnMarker,
  createWritableTxnMarkerTopic,
  createWriteTxnMarkersRequest,
  describeProducersApi,
  ErrorCode,
  type ListTransactionsRequest,
  listTransactionsApi,
  type WritableTxnMarker,
  writeTxnMarkersApi,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { sequencedBatch } from './batches.ts'
import type { DataClient } from './data-client.ts'
import { TestBroker, type TestBrokerOptions } from './test-broker.ts'
import { inTime, TransactionalProducer } from './transaction-client.ts'

/** Goal: what brokers and administrators ask about transactions, and what nobody may do to them, in a whole broker. */

const SETTINGS = { 'transaction.state.log.num.partitions': '2' }

function run(
  body: (client: DataClient, broker: TestBroker) => Promise<void>,
  options: TestBrokerOptions = {},
): Promise<void> {
  return TestBroker.run({ ...options, settings: { ...SETTINGS, ...options.settings } }, async (client, broker) => {
    await client.createTopic('t', 2)
    await body(client, broker)
  })
}

async function ready(client: DataClient, broker: TestBroker, id = 'tx', isOld = false): Promise<TransactionalProducer> {
  const producer = new TransactionalProducer(client, id, isOld)
  await producer.ready(broker)
  return producer
}

async function mark(
  client: DataClient,
  marker: Partial<WritableTxnMarker>,
  topic = 't',
  partition = 0,
): Promise<number> {
  const topics = [createWritableTxnMarkerTopic({ name: topic, partitionIndexes: [partition] })]
  const request = createWriteTxnMarkersRequest({ markers: [createWritableTxnMarker({ topics, ...marker })] })
  return (await client.call(writeTxnMarkersApi, 1, request)).markers[0]!.topics[0]!.partitions[0]!.errorCode
}

describe('records of a transaction', () => {
  test('are refused where the producer has not told its coordinator of the partition', () =>
    run(async (client, broker) => {
      const tx = await ready(client, broker, 'tx', true)
      expect((await tx.produce('t', ['a'])).errorCode).toBe(ErrorCode.INVALID_TXN_STATE)
      expect(await tx.enlist('t', [1])).toEqual([0])
      expect((await tx.produce('t', ['a'])).errorCode).toBe(ErrorCode.INVALID_TXN_STATE)
      expect((await tx.produce('t', ['a'], { partition: 1 })).errorCode).toBe(0)
      expect(await tx.end(true)).toBe(0)
      await inTime(broker, Promise.resolve())
      // A record of the transaction that is over comes late.
      expect((await tx.produce('t', ['late'], { partition: 1 })).errorCode).toBe(ErrorCode.INVALID_TXN_STATE)
      expect((await client.listOffset('t', -1, { isolationLevel: 1, partition: 1 })).offset).toBe(2)
    }))

  test('are believed where transaction.partition.verification.enable says so, of old clients', () =>
    run(
      async (client, broker) => {
        const tx = await ready(client, broker, 'tx', true)
        expect((await tx.produce('t', ['a'])).errorCode).toBe(0)
      },
      { settings: { 'transaction.partition.verification.enable': 'false' } },
    ))

  test('are refused without a transactional id, or with one of another producer', () =>
    run(async (client, broker) => {
      const tx = await ready(client, broker)
      const other = await ready(client, broker, 'other')
      const nameless = await tx.produce('t', ['a'], { transactionalId: null })
      expect(nameless.errorCode).toBe(ErrorCode.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
      const wrong = await tx.produce('t', ['a'], { transactionalId: other.transactionalId })
      expect(wrong.errorCode).toBe(ErrorCode.INVALID_PRODUCER_ID_MAPPING)
      expect((await client.listOffset('t', -1)).offset).toBe(0)
    }))
})

describe('AddPartitionsToTxn', () => {
  test('adds nothing if one partition is not there', () =>
    run(async (client, broker) => {
      const tx = await ready(client, broker, 'tx', true)
      expect(await tx.enlist('t', [0, 7])).toEqual([
        ErrorCode.OPERATION_NOT_ATTEMPTED,
        ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
      ])
      expect((await tx.describe()).transactionState).toBe('Empty')
    }))

  test('adds no partition of a topic of the broker itself, whoever asks', () =>
    run(async (client, broker) => {
      const tx = await ready(client, broker, 'tx', true)
      expect(await tx.enlist('__transaction_state')).toEqual([ErrorCode.TOPIC_AUTHORIZATION_FAILED])
      const { transactionalId, producerId, producerEpoch } = tx
      const topics = [createAddPartitionsToTxnTopic({ name: '__transaction_state', partitions: [0] })]
      const transaction = createAddPartitionsToTxnTransaction({ transactionalId, producerId, producerEpoch, topics })
      const request = createAddPartitionsToTxnRequest({ transactions: [transaction] })
      const answer = await client.call(addPartitionsToTxnApi, 5, request)
      const [result] = answer.resultsByTransaction[0]!.topicResults[0]!.resultsByPartition
      expect(result!.partitionErrorCode).toBe(ErrorCode.TOPIC_AUTHORIZATION_FAILED)
    }))
})

describe('WriteTxnMarkers', () => {
  test('ends a transaction by hand, and then its coordinator’s marker is taken as well', () =>
    run(async (client, broker) => {
      const tx = await ready(client, broker)
      expect((await tx.produce('t', ['a'])).errorCode).toBe(0)
      const { producerId, producerEpoch } = tx
      const marker = { producerId: BigInt(producerId), producerEpoch, coordinatorEpoch: 0, transactionResult: false }
      expect(await mark(client, marker)).toBe(0)
      expect((await client.listOffset('t', -1, { isolationLevel: 1 })).offset).toBe(2)
      expect(await tx.end(false)).toBe(0)
      for (let turn = 0; turn < 4; turn++) await broker.idle()
      expect((await tx.describe()).transactionState).toBe('CompleteAbort')
    }))

  test('of a coordinator that was replaced, or for an epoch that is over, is refused', () =>
    run(async (client, broker) => {
      const tx = await ready(client, broker)
      expect((await tx.produce('t', ['a'])).errorCode).toBe(0)
      const producerId = BigInt(tx.producerId)
      const marker = { producerId, producerEpoch: tx.producerEpoch, transactionResult: true }
      expect(await mark(client, { ...marker, coordinatorEpoch: 5 })).toBe(0)
      expect(await mark(client, { ...marker, coordinatorEpoch: 4 })).toBe(ErrorCode.TRANSACTION_COORDINATOR_FENCED)
      expect(await mark(client, { ...marker, coordinatorEpoch: 6, producerEpoch: 9 })).toBe(0)
      expect(await mark(client, { ...marker, coordinatorEpoch: 7, producerEpoch: 8 })).toBe(
        ErrorCode.INVALID_PRODUCER_EPOCH,
      )
    }))

  test('reaches no partition that is not there, or not for clients', () =>
    run(async (client, broker) => {
      await ready(client, broker)
      const marker = { producerId: 1n, producerEpoch: 0, coordinatorEpoch: 0, transactionResult: true }
      expect(await mark(client, marker, 't', 9)).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
      expect(await mark(client, marker, '__transaction_state')).toBe(ErrorCode.INVALID_TOPIC_EXCEPTION)
      expect(await mark(client, { ...marker, producerId: -1n })).toBe(ErrorCode.INVALID_REQUEST)
    }))
})

describe('ListTransactions', () => {
  const list = async (client: DataClient, wanted: Partial<ListTransactionsRequest>) => {
    const answer = await client.call(listTransactionsApi, 2, createListTransactionsRequest(wanted))
    const ids = answer.transactionStates.map(({ transactionalId }) => transactionalId).sort()
    return { ...answer, ids }
  }

  test('finds ids by state, producer, age and name', () =>
    run(async (client, broker) => {
      const old = await ready(client, broker, 'old-1')
      expect((await old.produce('t', ['a'])).errorCode).toBe(0)
      await broker.advance(5_000)
      const young = await ready(client, broker, 'young-1')
      expect((await young.produce('t', ['a'], { partition: 1 })).errorCode).toBe(0)
      await ready(client, broker, 'idle')

      expect((await list(client, {})).ids).toEqual(['idle', 'old-1', 'young-1'])
      expect((await list(client, { stateFilters: ['Ongoing'] })).ids).toEqual(['old-1', 'young-1'])
      expect(await list(client, { stateFilters: ['Empty', 'Dead', 'Nothing'] })).toMatchObject({
        ids: ['idle'],
        unknownStateFilters: ['Nothing'],
      })
      expect((await list(client, { producerIdFilters: [BigInt(young.producerId)] })).ids).toEqual(['young-1'])
      expect((await list(client, { stateFilters: ['Ongoing'], durationFilter: 3_000n })).ids).toEqual(['old-1'])
      expect((await list(client, { transactionalIdPattern: '(old|young)-[0-9]' })).ids).toEqual(['old-1', 'young-1'])
      expect((await list(client, { transactionalIdPattern: '(' })).errorCode).toBe(ErrorCode.INVALID_REGULAR_EXPRESSION)
    }))

  test('takes turns where there are many, and others are served meanwhile', () =>
    run(async (client, broker) => {
      await ready(client, broker, 'first')
      const waits: Promise<unknown>[] = []
      for (let number = 0; number < 2_500; number++) {
        waits.push(new TransactionalProducer(client, `x-${number}`).init())
        if (number % 100 === 99) await Promise.all(waits.splice(0))
      }
      expect((await list(client, {})).ids).toHaveLength(2_501)
    }))
})

describe('DescribeProducers', () => {
  test('tells of very many producers of one partition, where their transactions begin among it', () =>
    run(async (client, broker) => {
      const waits: Promise<unknown>[] = []
      for (let producerId = 100_000; producerId < 102_500; producerId++) {
        waits.push(client.produce('t', sequencedBatch(['a'], 0, { producerId })))
        if (waits.length === 100) await Promise.all(waits.splice(0))
      }
      const tx = await ready(client, broker)
      expect((await tx.produce('t', ['a'])).errorCode).toBe(0)
      const topics = [createDescribeProducersRequestTopicRequest({ name: 't', partitionIndexes: [0] })]
      const answer = await client.call(describeProducersApi, 0, createDescribeProducersRequest({ topics }))
      const { activeProducers } = answer.topics[0]!.partitions[0]!
      expect(activeProducers).toHaveLength(2_501)
      const open = activeProducers.filter(({ currentTxnStartOffset }) => Number(currentTxnStartOffset) >= 0)
      expect(open).toMatchObject([{ currentTxnStartOffset: 2_500 }])
    }))
})

test('transactions without a record take no producer the room that it needs', () =>
  run(
    async (client, broker) => {
      for (let number = 0; number < 10; number++) {
        const tx = await ready(client, broker, `empty-${number}`, true)
        expect(await tx.enlist('t', [0, 1])).toEqual([0, 0])
        expect(await tx.end(true)).toBe(0)
        for (let turn = 0; turn < 4; turn++) await broker.idle()
      }
      const honest = await ready(client, broker, 'honest', true)
      expect(await honest.enlist('t')).toEqual([0])
      expect((await inTime(broker, honest.produce('t', ['a']))).errorCode).toBe(ErrorCode.NONE)
      expect(await honest.end(true)).toBe(0)
    },
    { settings: { 'producer.id.max.count': '10' } },
  ))
