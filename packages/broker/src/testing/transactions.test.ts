import {
  createFetchRequest,
  createFindCoordinatorRequest,
  ErrorCode,
  type FetchResponsePartitionData,
  fetchApi,
  findCoordinatorApi,
  RecordReader,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import type { DataClient } from './data-client.ts'
import { TestBroker, type TestBrokerOptions } from './test-broker.ts'
import { committedOffset, inTime, TransactionalProducer } from './transaction-client.ts'

/** Goal: transactions through a whole broker, by clients of before KIP-890 and by those that go by it. */

const SETTINGS = { 'transaction.state.log.num.partitions': '2' }
const READ_COMMITTED = 1

function run(
  body: (client: DataClient, broker: TestBroker) => Promise<void>,
  options: TestBrokerOptions = {},
): Promise<void> {
  return TestBroker.run({ ...options, settings: { ...SETTINGS, ...options.settings } }, async (client, broker) => {
    if (!broker.topicIds.has('t')) await client.createTopic('t', 2)
    await body(client, broker)
  })
}

async function fetchCommitted(client: DataClient, topic: string, fetchOffset = 0): Promise<FetchResponsePartitionData> {
  const request = createFetchRequest({
    ...client.fetchRequest([{ topic, fetchOffset }]),
    isolationLevel: READ_COMMITTED,
  })
  return (await client.call(fetchApi, 17, request)).responses[0]!.partitions[0]!
}

/** What a consumer of committed records makes of an answer: control batches and aborted ones left out. */
async function committedValues(client: DataClient, topic: string): Promise<(string | undefined)[]> {
  const { records, abortedTransactions, errorCode } = await fetchCommitted(client, topic)
  expect(errorCode).toBe(0)
  const bytes = records === null ? Buffer.alloc(0) : Buffer.concat([records].flat())
  const aborted = [...(abortedTransactions ?? [])]
  const open = new Set<unknown>()
  const values: (string | undefined)[] = []
  const reader = new RecordReader()
  for (let position = 0; position + 61 <= bytes.length; ) {
    const sizeBytes = 12 + bytes.readInt32BE(position + 8)
    const producerId = Number(bytes.readBigInt64BE(position + 43))
    const baseOffset = Number(bytes.readBigInt64BE(position))
    for (const transaction of aborted) {
      if (Number(transaction.firstOffset) <= baseOffset) open.add(Number(transaction.producerId))
    }
    const isControl = (bytes.readInt16BE(position + 21) & 0x20) !== 0
    if (isControl) {
      if (open.delete(producerId))
        aborted.splice(
          0,
          aborted.length,
          ...aborted.filter((one) => Number(one.producerId) !== producerId || Number(one.firstOffset) > baseOffset),
        )
    } else {
      reader.open(bytes, position)
      while (reader.next()) if (!open.has(producerId)) values.push(reader.value()?.toString())
    }
    position += sizeBytes
  }
  return values
}

/** Markers are written after the answer. */
async function settled(broker: TestBroker): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await broker.idle()
}

async function producer(
  client: DataClient,
  broker: TestBroker,
  isOld: boolean,
  id = 'tx',
): Promise<TransactionalProducer> {
  const opened = new TransactionalProducer(client, id, isOld)
  await opened.ready(broker)
  return opened
}

describe.each([
  ['of a client from before KIP-890', true],
  ['of a client by KIP-890', false],
])('a transaction %s', (_, isOld) => {
  test('is seen as it is committed, by all of its records at once', () =>
    run(async (client, broker) => {
      const tx = await producer(client, broker, isOld)
      for (const value of ['a', 'b']) {
        if (isOld) expect(await tx.enlist('t')).toEqual([0])
        expect((await tx.produce('t', [value])).errorCode).toBe(0)
      }
      expect(await committedValues(client, 't')).toEqual([])
      expect((await client.listOffset('t', -1, { isolationLevel: 1 })).offset).toBe(0)
      expect((await client.listOffset('t', -1)).offset).toBe(2)
      expect(await tx.end(true)).toBe(0)
      await settled(broker)
      expect(await committedValues(client, 't')).toEqual(['a', 'b'])
      expect((await client.listOffset('t', -1, { isolationLevel: 1 })).offset).toBe(3)
      expect(await tx.describe()).toMatchObject({ transactionState: 'CompleteCommit', topics: [] })
    }))

  test('is not seen if it is aborted, and the next one is', () =>
    run(async (client, broker) => {
      const tx = await producer(client, broker, isOld)
      for (const commit of [false, true, false]) {
        if (isOld) expect(await tx.enlist('t')).toEqual([0])
        expect((await tx.produce('t', [commit ? 'kept' : 'dropped'])).errorCode).toBe(0)
        expect(await tx.end(commit)).toBe(0)
        await settled(broker)
      }
      expect(await committedValues(client, 't')).toEqual(['kept'])
      expect((await fetchCommitted(client, 't')).abortedTransactions).toMatchObject([
        { firstOffset: 0 },
        { firstOffset: 4 },
      ])
    }))

  test('gives its epoch away with each end by KIP-890, and keeps it before', () =>
    run(async (client, broker) => {
      const tx = await producer(client, broker, isOld)
      const epochs = []
      for (let count = 0; count < 3; count++) {
        if (isOld) expect(await tx.enlist('t')).toEqual([0])
        expect((await inTime(broker, tx.produce('t', ['a']))).errorCode).toBe(0)
        expect(await tx.end(true)).toBe(0)
        await settled(broker)
        epochs.push(tx.producerEpoch)
      }
      expect(epochs).toEqual(isOld ? [0, 0, 0] : [1, 2, 3])
    }))

  test('that takes offsets along shows them when it is committed, and says before that they are not stable', () =>
    run(async (client, broker) => {
      await client.call(findCoordinatorApi, 4, createFindCoordinatorRequest({ coordinatorKeys: ['g'] }))
      const tx = await producer(client, broker, isOld)
      for (const [commit, offset, wanted] of [
        [false, 5, -1],
        [true, 6, 6],
      ] as const) {
        if (isOld) expect(await tx.addOffsets('g')).toBe(0)
        expect(await tx.commitOffset('g', 't', offset)).toBe(0)
        expect(await committedOffset(client, 'g', 't')).toBe(-1)
        expect(await committedOffset(client, 'g', 't', true)).toBe(-ErrorCode.UNSTABLE_OFFSET_COMMIT)
        expect(await tx.end(commit)).toBe(0)
        await settled(broker)
        expect(await committedOffset(client, 'g', 't', true)).toBe(wanted)
      }
    }))

  test('without any partition ends', () =>
    run(async (client, broker) => {
      await client.call(findCoordinatorApi, 4, createFindCoordinatorRequest({ coordinatorKeys: ['g'] }))
      const tx = await producer(client, broker, isOld)
      // Before it began: only KIP-890 has an abort for that, to be sure of the epoch.
      expect(await tx.end(false)).toBe(isOld ? ErrorCode.INVALID_TXN_STATE : 0)
      await settled(broker)
      expect((await tx.describe()).transactionState).toBe(isOld ? 'Empty' : 'CompleteAbort')
      if (!isOld) return
      expect(await tx.addOffsets('g')).toBe(0)
      expect(await tx.end(false)).toBe(0)
      await settled(broker)
      expect((await tx.describe()).transactionState).toBe('CompleteAbort')
      expect(await tx.init()).toBe(0)
    }))

  test('is aborted when it runs out of time, and its producer fenced', () =>
    run(async (client, broker) => {
      const tx = new TransactionalProducer(client, 'tx', isOld)
      tx.timeoutMs = 5_000
      await tx.ready(broker)
      if (isOld) expect(await tx.enlist('t')).toEqual([0])
      expect((await tx.produce('t', ['late'])).errorCode).toBe(0)
      for (let step = 0; step < 3; step++) await broker.advance(10_000)
      await settled(broker)
      expect(await committedValues(client, 't')).toEqual([])
      expect((await client.listOffset('t', -1, { isolationLevel: 1 })).offset).toBe(2)
      expect((await tx.produce('t', ['more'])).errorCode).toBe(ErrorCode.INVALID_PRODUCER_EPOCH)
      expect(await tx.end(true)).toBe(isOld ? ErrorCode.PRODUCER_FENCED : ErrorCode.INVALID_TXN_STATE)
    }))

  test('is aborted when another producer begins with its id, which then is alone with it', () =>
    run(async (client, broker) => {
      const zombie = await producer(client, broker, isOld)
      if (isOld) expect(await zombie.enlist('t')).toEqual([0])
      expect((await zombie.produce('t', ['of the zombie'])).errorCode).toBe(0)
      const next = new TransactionalProducer(broker.connect(), 'tx', isOld)
      expect(await next.init()).toBe(ErrorCode.CONCURRENT_TRANSACTIONS)
      await next.ready(broker)
      expect((await zombie.produce('t', ['more'])).errorCode).toBe(ErrorCode.INVALID_PRODUCER_EPOCH)
      expect(await zombie.end(true)).toBe(ErrorCode.PRODUCER_FENCED)
      if (isOld) expect(await next.enlist('t')).toEqual([0])
      expect((await next.produce('t', ['of the next'])).errorCode).toBe(0)
      expect(await next.end(true)).toBe(0)
      await settled(broker)
      expect(await committedValues(client, 't')).toEqual(['of the next'])
    }))

  test('goes on after the process was killed', async () => {
    const broker = await TestBroker.start({ settings: SETTINGS })
    const client = broker.connect()
    await client.createTopic('t', 2)
    const tx = await producer(client, broker, isOld)
    if (isOld) expect(await tx.enlist('t')).toEqual([0])
    expect((await tx.produce('t', ['before'])).errorCode).toBe(0)
    const disk = broker.kill()
    await TestBroker.run({ disk, settings: SETTINGS, clock: broker.clock }, async (client, again) => {
      await again.idle()
      const same = new TransactionalProducer(client, 'tx', isOld)
      Object.assign(same, { producerId: tx.producerId, producerEpoch: tx.producerEpoch })
      same.sequences.set('t/0', 1)
      expect((await same.produce('t', ['after'])).errorCode).toBe(0)
      expect(await same.end(true)).toBe(0)
      await settled(again)
      again.topicIds.set('t', broker.topicIds.get('t')!)
      expect(await committedValues(client, 't')).toEqual(['before', 'after'])
    })
  })
})
