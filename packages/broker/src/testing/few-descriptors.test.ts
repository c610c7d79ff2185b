import { ErrorCode } from '@millrace/protocol'
import { expect, it } from 'vitest'
import { batchOf } from './batches.ts'
import { valuesIn } from './data-client.ts'
import { TestBroker } from './test-broker.ts'

const PARTITION_COUNT = 100
/** Of these, 256 are kept for everything else, and half of the rest for clients: 64 segments may be open. */
const DESCRIPTOR_LIMIT = 256 + 2 * 64

it('a broker with more busy partitions than descriptors refuses what clients try again, and goes on', async () => {
  const broker = await TestBroker.start({ descriptorLimit: DESCRIPTOR_LIMIT })
  const client = broker.connect()
  await client.createTopic('t', PARTITION_COUNT)
  let waiting = Array.from({ length: PARTITION_COUNT }, (_, partition) => partition)
  const acceptedCounts: number[] = []
  while (waiting.length > 0 && acceptedCounts.length < 10) {
    // All in one turn: none of them can be synced before the last one comes.
    const answers = await Promise.all(
      waiting.map(async (partition) => ({ partition, ...(await client.produce('t', batchOf(['a']), { partition })) })),
    )
    const refused = answers.filter(({ errorCode }) => errorCode !== ErrorCode.NONE)
    expect(new Set(refused.map(({ errorCode }) => errorCode)).size).toBeLessThanOrEqual(1)
    for (const { errorCode } of refused) expect(errorCode).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
    acceptedCounts.push(waiting.length - refused.length)
    waiting = refused.map(({ partition }) => partition)
    await broker.advance(100)
  }
  expect(waiting).toEqual([])
  for (let partition = 0; partition < PARTITION_COUNT; partition++) {
    const read = await client.fetch([{ topic: 't', partition, fetchOffset: 0 }], {}, 12)
    expect(valuesIn(read.responses[0]!.partitions[0]!.records)).toEqual(['a'])
  }
  const told = broker.logger.lines.filter(({ level }) => level === 'error').map(({ message }) => message)
  const line = 'no descriptor was left for a file: what needs one is refused, and may be tried again'
  expect(told).toEqual(acceptedCounts.length > 1 ? [line] : [])
  await broker.stop()
  expect(broker.fatalErrors).toEqual([])
})
