import { ErrorCode } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { sequencedBatch } from './batches.ts'
import { TestBroker } from './test-broker.ts'

/** Goal: a node remembers as many producers as it may, and what it refuses is what clients try again. */
describe('a node that remembers as many producers as it may', () => {
  it('refuses new ones, tells why, and serves those it knows', async () => {
    await TestBroker.run({ settings: { 'producer.id.max.count': '2' } }, async (client, broker) => {
      await client.createTopic('t', 2)
      expect((await client.produce('t', sequencedBatch(['a'], 0, { producerId: 1 }))).errorCode).toBe(0)
      const onOther = await client.produce('t', sequencedBatch(['a'], 0, { producerId: 1 }), { partition: 1 })
      expect(onOther.errorCode).toBe(0)
      const refused = await client.produce('t', sequencedBatch(['b'], 0, { producerId: 2 }))
      expect(refused.errorCode).toBe(ErrorCode.NOT_ENOUGH_REPLICAS)
      expect(refused.errorMessage).toContain('producer.id.max.count')
      expect(await client.produce('t', sequencedBatch(['c'], 1, { producerId: 1 }))).toMatchObject({
        errorCode: 0,
        baseOffset: 1,
      })
      expect(broker.logger.messages('warn')).toContain(
        'new producers are refused: as many are remembered as may be, or as one client may have',
      )
    })
  })

  it('has room again when others have expired', async () => {
    const settings = { 'producer.id.max.count': '1', 'producer.id.expiration.ms': '60000' }
    await TestBroker.run({ settings }, async (client, broker) => {
      await client.createTopic('t')
      expect((await client.produce('t', sequencedBatch(['a'], 0, { producerId: 1 }))).errorCode).toBe(0)
      const second = () => client.produce('t', sequencedBatch(['b'], 0, { producerId: 2 }))
      expect((await second()).errorCode).toBe(ErrorCode.NOT_ENOUGH_REPLICAS)
      for (let minute = 0; minute < 15; minute++) await broker.advance(60_000)
      const client2 = broker.connect()
      const late = await client2.produce('t', sequencedBatch(['b'], 0, { producerId: 2 }))
      expect(late.errorCode).toBe(0)
    })
  })
})
