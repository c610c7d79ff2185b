import { ErrorCode } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { batchOf } from '../testing/batches.ts'
import { valuesIn } from '../testing/data-client.ts'
import { TestBroker } from '../testing/test-broker.ts'

describe('DeleteRecords', () => {
  it.each([0, 1, 2])('version %i raises the log start and tells it', async (version) => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t')
      await client.produce('t', batchOf(['a', 'b', 'c']))
      await client.produce('t', batchOf(['d']))
      expect(await client.deleteRecords('t', 2, version)).toMatchObject({ errorCode: 0, lowWatermark: 2 })
      expect((await client.fetchFrom('t', 1)).errorCode).toBe(ErrorCode.OFFSET_OUT_OF_RANGE)
      expect(valuesIn((await client.fetchFrom('t', 2)).records)).toEqual(['a', 'b', 'c', 'd'])
      // Never back.
      expect(await client.deleteRecords('t', 1, version)).toMatchObject({ errorCode: 0, lowWatermark: 2 })
      expect(await client.deleteRecords('t', -1, version)).toMatchObject({ errorCode: 0, lowWatermark: 4 })
      expect((await client.produce('t', batchOf(['e']))).baseOffset).toBe(4)
      expect((await client.produce('t', batchOf(['f']))).logStartOffset).toBe(4)
    })
  })

  it('to nowhere is out of range, and up to what waits for its sync is done when that is over', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      await client.produce('t', batchOf(['a']))
      const { promise, resolve } = Promise.withResolvers<void>()
      broker.disk.settle = (operation) => (operation.startsWith('sync') ? promise : Promise.resolve())
      await client.produce('t', batchOf(['b']), { acks: 1 })
      for (const offset of [3, -2, 2n ** 60n, -(2n ** 60n)]) {
        expect(await client.deleteRecords('t', offset)).toMatchObject({
          errorCode: ErrorCode.OFFSET_OUT_OF_RANGE,
          lowWatermark: -1,
        })
      }
      const waiting = [2, -1].map((offset) => broker.connect().deleteRecords('t', offset))
      await broker.idle()
      expect((await broker.connect().listOffset('t', -2)).offset).toBe(0)
      resolve()
      for (const answer of await Promise.all(waiting)) expect(answer).toMatchObject({ errorCode: 0, lowWatermark: 2 })
    })
  })

  it('is not for compacted and internal topics', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('compacted', 1, { 'cleanup.policy': 'compact' })
      await client.createTopic('both', 1, { 'cleanup.policy': 'compact,delete' })
      await client.createTopic('__consumer_offsets', 1, { 'cleanup.policy': 'compact' })
      expect((await client.deleteRecords('compacted', 0)).errorCode).toBe(ErrorCode.POLICY_VIOLATION)
      expect((await client.deleteRecords('both', 0)).errorCode).toBe(0)
      expect((await client.deleteRecords('__consumer_offsets', 0)).errorCode).toBe(ErrorCode.INVALID_TOPIC_EXCEPTION)
      expect((await client.deleteRecords('gone', 0)).errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    })
  })
})
