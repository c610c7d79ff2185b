import { createMetadataRequest, metadataApi } from '@millrace/protocol'
import { expect, it } from 'vitest'
import { batchOf } from './batches.ts'
import { TestBroker } from './test-broker.ts'

/**
 * Goal: requests that were read long ago, and start when an answer before them leaves, are served like any other. They start after the
 * staged records of the turn were written, so theirs are still staged when the watermarks of the turn move.
 * Method: one connection sends all at once, kinds mixed so that each waits for the one before; others write in every turn.
 */
it.each(['true', 'false'])(
  'records of a request that waited behind another are acknowledged (write.caching=%s)',
  async (caching) => {
    await TestBroker.run({ settings: { 'write.caching': caching } }, async (client, broker) => {
      await client.createTopic('t', 2)
      const others = [broker.connect(), broker.connect()]
      for (let round = 0; round < 10; round++) {
        const answers: Promise<{ errorCode: number }>[] = []
        for (let request = 0; request < 5; request++) {
          answers.push(client.produce('t', batchOf([`waiting ${request}`]), { acks: request % 2 === 0 ? -1 : 1 }))
          answers.push(
            client.call(metadataApi, 12, createMetadataRequest({ topics: [] })).then(() => ({ errorCode: 0 })),
          )
        }
        for (let turn = 0; turn < 20; turn++) {
          for (const [partition, other] of others.entries())
            answers.push(other.produce('t', batchOf(['now']), { partition: (partition + round) % 2 }))
          await new Promise((resolve) => setImmediate(resolve))
        }
        await broker.idle()
        expect((await Promise.all(answers)).filter(({ errorCode }) => errorCode !== 0)).toEqual([])
      }
    })
  },
)
