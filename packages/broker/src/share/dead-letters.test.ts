import type { Uuid } from '@millrace/base'
import { RecordReader } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { batchOf } from '../testing/batches.ts'
import type { DataClient } from '../testing/data-client.ts'
import { TestBroker } from '../testing/test-broker.ts'
import { alterGroup, initializeShares, ShareClient, storedSummary } from './testing/share-client.ts'
import { AcknowledgeType } from './window/acknowledge.ts'

const GROUP = 'queue'
const DEAD = 'dlq.work'
const STATE_PARTITIONS = { 'share.coordinator.state.topic.num.partitions': '1' }

interface Letter {
  readonly key: string | null
  readonly value: string | null
  readonly headers: Readonly<Record<string, string>>
}

async function lettersOf(client: DataClient): Promise<Letter[]> {
  const { records } = await client.fetchFrom(DEAD, 0)
  const bytes = Buffer.isBuffer(records) ? records : Buffer.concat(records ?? [])
  const letters: Letter[] = []
  const reader = new RecordReader()
  for (let position = 0; position < bytes.length; position += 12 + bytes.readInt32BE(position + 8)) {
    reader.open(bytes, position)
    while (reader.next()) {
      const headers = Object.fromEntries(reader.headers().map(({ key, value }) => [key, value?.toString() ?? '']))
      letters.push({ key: reader.key()?.toString() ?? null, value: reader.value()?.toString() ?? null, headers })
    }
  }
  return letters
}

/** A group that keeps its dead letters, and a member that holds the records `values`. */
async function withLetters(
  body: (scene: { broker: TestBroker; client: DataClient; topicId: Uuid; one: ShareClient }) => Promise<void>,
  {
    values = ['a', 'b', 'c'],
    group = {},
    topic = { 'errors.deadletterqueue.group.enable': 'true' },
  }: {
    values?: readonly string[]
    group?: Readonly<Record<string, string>>
    topic?: Readonly<Record<string, string>> | null
  } = {},
): Promise<void> {
  await TestBroker.run({ settings: STATE_PARTITIONS }, async (client, broker) => {
    const topicId = await client.createTopic('work')
    if (topic !== null) await client.createTopic(DEAD, 2, topic)
    const configs = { 'errors.deadletterqueue.topic.name': DEAD, 'errors.deadletterqueue.copy.record.enable': 'true' }
    expect(await alterGroup(client, GROUP, { ...configs, ...group })).toBe(0)
    await client.createTopic('__share_group_state')
    await initializeShares(broker, client, GROUP, topicId)
    for (const value of values) await client.produce('work', batchOf([{ key: `k${value[0]}`, value }]))
    const one = new ShareClient(broker.connect(), GROUP, 'one')
    const given = one.fetch(topicId, { maxWaitMs: 10 })
    await broker.advance(20)
    expect((await given).values).toEqual(values)
    await body({ broker, client, topicId, one })
  })
}

describe('a record that is given up', () => {
  test('is archived once its dead letter is written, with where it was and why', () =>
    withLetters(async ({ broker, client, topicId, one }) => {
      expect(await one.acknowledge(topicId, 0, 0, [AcknowledgeType.REJECT])).toBe(0)
      expect(await one.acknowledge(topicId, 1, 2, [AcknowledgeType.ACCEPT])).toBe(0)
      await broker.advance(10)
      expect(await lettersOf(client)).toEqual([
        {
          key: 'ka',
          value: 'a',
          headers: {
            '__dlq.errors.topic': 'work',
            '__dlq.errors.partition': '0',
            '__dlq.errors.offset': '0',
            '__dlq.errors.group': GROUP,
            '__dlq.errors.delivery.count': '1',
            '__dlq.errors.message': 'rejected by a consumer',
          },
        },
      ])
      expect(await storedSummary(client, GROUP, topicId)).toMatchObject({ startOffset: 3 })
      expect(await one.fetch(topicId)).toMatchObject({ held: [] })
    }))

  test('gets a letter without key and value unless the group wants a copy', () =>
    withLetters(
      async ({ broker, client, topicId, one }) => {
        await one.acknowledge(topicId, 1, 1, [AcknowledgeType.REJECT])
        await broker.advance(10)
        expect(await lettersOf(client)).toMatchObject([
          { key: null, value: null, headers: { '__dlq.errors.offset': '1' } },
        ])
      },
      { group: { 'errors.deadletterqueue.copy.record.enable': 'false' } },
    ))

  test('at the limit of deliveries, too', () =>
    withLetters(
      async ({ broker, client, topicId, one }) => {
        await one.acknowledge(topicId, 0, 0, [AcknowledgeType.RELEASE])
        await one.fetch(topicId)
        await broker.advance(31_000)
        await broker.advance(100)
        const messages = (await lettersOf(client)).map(({ headers }) => headers['__dlq.errors.message'])
        expect(messages).toEqual(['delivered as often as the limit of the group allows'])
      },
      { group: { 'share.delivery.count.limit': '2' } },
    ))

  test('waits until the topic of its dead letter may be written to', () =>
    withLetters(
      async ({ broker, client, topicId, one }) => {
        await one.acknowledge(topicId, 0, 2, [AcknowledgeType.REJECT])
        await broker.advance(5000)
        expect(await storedSummary(client, GROUP, topicId)).toMatchObject({ startOffset: 0 })
        await client.createTopic(DEAD, 1, { 'errors.deadletterqueue.group.enable': 'true' })
        await broker.advance(31_000)
        await broker.advance(10)
        expect((await lettersOf(client)).map(({ value }) => value)).toEqual(['a', 'b', 'c'])
        expect(await storedSummary(client, GROUP, topicId)).toMatchObject({ startOffset: 3 })
      },
      { topic: null },
    ))

  test('is archived without a letter once the group wants none any more', () =>
    withLetters(
      async ({ broker, client, topicId, one }) => {
        await one.acknowledge(topicId, 0, 2, [AcknowledgeType.REJECT])
        await broker.advance(1000)
        await alterGroup(client, GROUP, { 'errors.deadletterqueue.topic.name': '' })
        await broker.advance(31_000)
        await broker.advance(10)
        expect(await lettersOf(client)).toEqual([])
        expect(await storedSummary(client, GROUP, topicId)).toMatchObject({ startOffset: 3 })
      },
      { topic: { 'errors.deadletterqueue.group.enable': 'false' } },
    ))

  test('goes in batches as large as the topic takes, and without its value if that is too large by itself', () =>
    withLetters(
      async ({ broker, client, topicId, one }) => {
        await one.acknowledge(topicId, 0, 2, [AcknowledgeType.REJECT])
        await broker.advance(10)
        const letters = await lettersOf(client)
        expect(letters.map(({ value }) => value?.length ?? null)).toEqual([300, null, 300])
        expect(letters[1]!.headers['__dlq.errors.message']).toMatch(/too large/)
        expect(await storedSummary(client, GROUP, topicId)).toMatchObject({ startOffset: 3 })
      },
      {
        values: ['a'.repeat(300), 'b'.repeat(5000), 'c'.repeat(300)],
        topic: { 'errors.deadletterqueue.group.enable': 'true', 'max.message.bytes': '800' },
      },
    ))
})

test('a dead letter that no size of batch can hold is left out, and that is told', async () => {
  const started = await TestBroker.start({ settings: STATE_PARTITIONS })
  const client = started.connect()
  const topicId = await client.createTopic('work')
  await client.createTopic(DEAD, 1, { 'errors.deadletterqueue.group.enable': 'true', 'max.message.bytes': '100' })
  await alterGroup(client, GROUP, { 'errors.deadletterqueue.topic.name': DEAD })
  await client.createTopic('__share_group_state')
  await initializeShares(started, client, GROUP, topicId)
  await client.produce('work', batchOf(['a', 'b']))
  const one = new ShareClient(started.connect(), GROUP, 'one')
  const given = one.fetch(topicId, { maxWaitMs: 10 })
  await started.advance(20)
  await given
  await one.acknowledge(topicId, 0, 1, [AcknowledgeType.REJECT])
  await started.advance(10)
  expect(await storedSummary(client, GROUP, topicId)).toMatchObject({ startOffset: 2 })
  const told = started.logger.lines.filter(({ message }) => message.includes('too large for its topic'))
  expect(told).toMatchObject([{ fields: { offset: 0 } }, { fields: { offset: 1 } }])
  await started.stop()
})

test('dead letters that were not written when the broker died are written by the next one', async () => {
  const first = await TestBroker.start({ settings: STATE_PARTITIONS })
  const client = first.connect()
  const topicId = await client.createTopic('work')
  await alterGroup(client, GROUP, {
    'errors.deadletterqueue.topic.name': DEAD,
    'errors.deadletterqueue.copy.record.enable': 'true',
  })
  await client.createTopic('__share_group_state')
  await initializeShares(first, client, GROUP, topicId)
  await client.produce('work', batchOf(['a', 'b']))
  const one = new ShareClient(first.connect(), GROUP, 'one')
  const given = one.fetch(topicId, { maxWaitMs: 10 })
  await first.advance(20)
  await given
  expect(await one.acknowledge(topicId, 0, 0, [AcknowledgeType.REJECT])).toBe(0)
  const second = await TestBroker.start({ settings: STATE_PARTITIONS, disk: first.kill(), seed: 2 })
  const other = second.connect()
  await other.createTopic(DEAD, 1, { 'errors.deadletterqueue.group.enable': 'true' })
  const two = new ShareClient(second.connect(), GROUP, 'two')
  const rest = two.fetch(topicId, { maxWaitMs: 1000 })
  await second.advance(500)
  expect(await rest).toMatchObject({ held: ['1-1×1'] })
  await second.advance(1000)
  expect((await lettersOf(other)).map(({ value }) => value)).toEqual(['a'])
  await second.stop()
  second.assertSound()
})

test('deliveries pause while too many records fail, whoever is there', () =>
  withLetters(
    async ({ broker, client, topicId, one }) => {
      await one.acknowledge(topicId, 0, 1, [AcknowledgeType.REJECT])
      await one.acknowledge(topicId, 2, 2, [AcknowledgeType.RELEASE])
      expect(await one.fetch(topicId)).toMatchObject({ held: [] })
      // The last session ends, and with it the share partition may go: the pause does not.
      await one.close()
      await broker.advance(1000)
      const other = new ShareClient(broker.connect(), GROUP, 'other')
      const waiting = other.fetch(topicId, { maxWaitMs: 20_000 })
      await broker.advance(5000)
      await broker.advance(5000)
      expect(await waiting).toMatchObject({ held: ['2-2×2'] })
      expect((await lettersOf(client)).length).toBe(2)
    },
    { group: { 'share.breaker.failures': '2', 'share.breaker.pause.ms': '10000' } },
  ))
