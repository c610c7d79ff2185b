import {
  createIncrementalAlterConfigsRequest,
  createIncrementalAlterConfigsRequestAlterableConfig,
  createIncrementalAlterConfigsRequestAlterConfigsResource,
  ErrorCode,
  incrementalAlterConfigsApi,
} from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { batchOf, START_MS } from './batches.ts'
import { type DataClient, valuesIn } from './data-client.ts'
import { TestBroker } from './test-broker.ts'

const BROKER_RESOURCE = 4

/** Sets a broker's setting; no name means all brokers. */
async function alterBroker(client: DataClient, resourceName: string, name: string, value: string): Promise<number> {
  const configs = [createIncrementalAlterConfigsRequestAlterableConfig({ name, value, configOperation: 0 })]
  const resources = [
    createIncrementalAlterConfigsRequestAlterConfigsResource({ resourceType: BROKER_RESOURCE, resourceName, configs }),
  ]
  const request = createIncrementalAlterConfigsRequest({ resources })
  return (await client.call(incrementalAlterConfigsApi, 1, request)).responses[0]!.errorCode
}

describe('a setting that changes at run time', () => {
  it('of all brokers reaches the topics that have none of their own', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('plain')
      await client.createTopic('own', 1, { 'max.message.bytes': '2000' })
      expect(await alterBroker(client, '', 'message.max.bytes', '300')).toBe(0)
      const codeOf = async (topic: string) => (await client.produce(topic, batchOf(['x'.repeat(500)]))).errorCode
      expect(await codeOf('plain')).toBe(ErrorCode.MESSAGE_TOO_LARGE)
      expect(await codeOf('own')).toBe(0)
    })
  })

  it('of retention removes what has become too old, and readers learn of it', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t', 1, { 'internal.segment.bytes': '200', 'file.delete.delay.ms': '1000' })
      for (let n = 0; n < 5; n++) await client.produce('t', batchOf([`${n}`.repeat(100)]))
      const late = batchOf([{ value: 'late', timestamp: START_MS + 10 * 60_000 }])
      await client.produce('t', late)
      expect(await client.alterTopic('t', { 'retention.ms': '60000' })).toBe(0)
      for (let minute = 0; minute < 10; minute++) await broker.advance(60_000)
      const reader = broker.connect()
      expect((await reader.listOffset('t', -2)).offset).toBe(5)
      expect((await reader.fetchFrom('t', 4)).errorCode).toBe(ErrorCode.OFFSET_OUT_OF_RANGE)
      expect(valuesIn((await reader.fetchFrom('t', 5)).records)).toEqual(['late'])
      // The only segment that is left goes too, and the log goes on where it ended.
      for (let minute = 0; minute < 15; minute++) await broker.advance(60_000)
      const again = broker.connect()
      expect(await again.fetchFrom('t', 6)).toMatchObject({ errorCode: 0, logStartOffset: 6, highWatermark: 6 })
      expect((await again.produce('t', batchOf(['next']))).baseOffset).toBe(6)
    })
  })

  it('of write caching changes what an acknowledgement waits for', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      const { promise, resolve } = Promise.withResolvers<void>()
      broker.disk.settle = (operation, path) =>
        operation.startsWith('sync') && path.includes('/t-0') ? promise : Promise.resolve()
      const waiting = client.produce('t', batchOf(['a']))
      await broker.idle()
      expect(client.outstandingCount).toBe(1)
      const admin = broker.connect()
      expect(await admin.alterTopic('t', { 'write.caching': 'true' })).toBe(0)
      expect((await admin.produce('t', batchOf(['b']))).errorCode).toBe(0)
      expect((await waiting).errorCode).toBe(0)
      resolve()
    })
  })

  it('of the least number of replicas asks no more than a partition can have', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t', 1, { 'min.insync.replicas': '3' })
      expect((await client.produce('t', batchOf(['a']), { acks: -1 })).errorCode).toBe(0)
    })
  })
})
