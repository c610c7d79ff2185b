import { describe, expect, it } from 'vitest'
import { batchOf } from '../testing/batches.ts'
import { valuesIn } from '../testing/data-client.ts'
import { TestBroker } from '../testing/test-broker.ts'

describe('Produce', () => {
  it.each([3, 5, 7, 8, 9, 10, 12, 13])('version %i stores a batch that Fetch gives back', async (version) => {
    const broker = await TestBroker.start()
    const client = broker.connect()
    await client.createTopic('t')
    const answer = await client.produce('t', batchOf(['a', 'b']), { version })
    expect(answer).toMatchObject({ errorCode: 0, baseOffset: 0, logAppendTimeMs: -1 })
    const fetched = await client.fetchFrom('t', 0)
    expect(valuesIn(fetched.records)).toEqual(['a', 'b'])
    await broker.stop()
    expect(broker.fatalErrors).toEqual([])
  })
})
