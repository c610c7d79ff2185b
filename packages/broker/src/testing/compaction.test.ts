import { BatchCursor, ErrorCode, lastOffsetOf } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { batchOf, START_MS } from './batches.ts'
import { type DataClient, recordsIn } from './data-client.ts'
import { TestBroker } from './test-broker.ts'

const COMPACTED = { 'cleanup.policy': 'compact', 'internal.segment.bytes': '2000', 'min.cleanable.dirty.ratio': '0.1' }
const KEYS = 5
const PADDING = '.'.repeat(80)

async function fill(client: DataClient, topic: string, count: number): Promise<void> {
  for (let number = 0; number < count; number++) {
    await client.produce(topic, batchOf([{ key: `key ${number % KEYS}`, value: `${number} ${PADDING}` }]))
  }
}

/** All records from an offset on, as a consumer fetches them. */
async function readAll(
  client: DataClient,
  topic: string,
): Promise<{ offset: number; key: string | null; value: string | null }[]> {
  const records = []
  const { offset: endOffset } = await client.listOffset(topic, -1)
  for (let offset = Number((await client.listOffset(topic, -2)).offset); offset < Number(endOffset); ) {
    const fetched = await client.fetchFrom(topic, offset)
    expect(fetched.errorCode).toBe(ErrorCode.NONE)
    const bytes = Buffer.concat([fetched.records ?? []].flat())
    expect(bytes.length).toBeGreaterThan(0)
    records.push(...recordsIn(bytes))
    // Batches may be empty: where they end is where the next fetch begins.
    const cursor = new BatchCursor(bytes)
    while (cursor.next()) offset = lastOffsetOf(bytes, cursor.position) + 1
  }
  return records
}

/** Until compaction has looked at its logs, and a while longer. */
async function compact(broker: TestBroker): Promise<void> {
  await broker.advance(16_000)
  for (let count = 0; count < 40; count++) await broker.advance(10)
}

describe('a compacted topic', () => {
  it('loses what newer records replace, and nothing else, also over a restart', async () => {
    const broker = await TestBroker.start({})
    const client = broker.connect()
    const topicId = await client.createTopic('t', 1, COMPACTED)
    await fill(client, 't', 100)
    await broker.advance(2_000)
    await compact(broker)
    const records = await readAll(broker.connect(), 't')
    expect(records.length).toBeLessThan(60)
    for (const { offset, value } of records) expect(value).toBe(`${offset} ${PADDING}`)
    expect(new Set(records.slice(-KEYS).map(({ key }) => key)).size).toBe(KEYS)
    const metrics = await broker.metrics()
    expect(metrics).toMatch(/^millrace_cleaner_logs_total [1-9]/m)
    expect(metrics).toMatch(/^kafka_log_logcleanermanager_uncleanable_partitions_count 0$/m)
    const again = await TestBroker.start({ disk: broker.kill() })
    again.topicIds.set('t', topicId)
    expect(await readAll(again.connect(), 't')).toEqual(records)
    await again.stop()
  })

  it('becomes one, and stops being one, when its configuration changes', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t', 1, { ...COMPACTED, 'cleanup.policy': 'delete' })
      await fill(client, 't', 60)
      await broker.advance(2_000)
      await compact(broker)
      expect(await readAll(broker.connect(), 't')).toHaveLength(60)
      expect(await broker.connect().alterTopic('t', { 'cleanup.policy': 'compact,delete' })).toBe(0)
      await compact(broker)
      const { length } = await readAll(broker.connect(), 't')
      expect(length).toBeLessThan(40)
      expect(await broker.connect().alterTopic('t', { 'cleanup.policy': 'delete' })).toBe(0)
      await fill(broker.connect(), 't', 60)
      await compact(broker)
      expect(await readAll(broker.connect(), 't')).toHaveLength(length + 60)
    })
  })

  it('is left alone where compaction is off, and takes no records without a key', async () => {
    await TestBroker.run({ settings: { 'log.cleaner.enable': 'false' } }, async (client, broker) => {
      await client.createTopic('t', 1, COMPACTED)
      await fill(client, 't', 60)
      await broker.advance(2_000)
      await compact(broker)
      expect(await readAll(broker.connect(), 't')).toHaveLength(60)
      const keyless = await broker.connect().produce('t', batchOf([{ value: 'x', timestamp: START_MS }]))
      expect(keyless.errorCode).toBe(ErrorCode.INVALID_RECORD)
    })
  })
})
