import { SeededRandom, SimulatedClock, type SimulatedDisk, SimulatedTimers } from '@millrace/base'
import { ErrorCode } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { batchOf, sequencedBatch } from './testing/batches.ts'
import { valuesIn } from './testing/data-client.ts'
import { MemoryNetwork } from './testing/memory-network.ts'
import { TestBroker } from './testing/test-broker.ts'

/** Fills a broker, then ends it one way or another, and gives what the next one finds. */
async function filled(end: (broker: TestBroker) => Promise<SimulatedDisk>): Promise<SimulatedDisk> {
  const broker = await TestBroker.start({ seed: 3 })
  const client = broker.connect()
  await client.createTopic('t', 2)
  await client.createTopic('gone')
  await client.produce('gone', batchOf(['lost']))
  await client.produce('t', batchOf(['a', 'b', 'c']))
  await client.produce('t', sequencedBatch(['d'], 0))
  await client.produce('t', sequencedBatch(['e'], 1))
  await client.produce('t', batchOf(['other']), { partition: 1 })
  await client.deleteRecords('t', 1)
  await client.deleteTopic('gone')
  await client.alterTopic('t', { 'max.message.bytes': '500' })
  return end(broker)
}

async function check(disk: SimulatedDisk, logStartOffset: number): Promise<void> {
  await TestBroker.run({ disk, seed: 4 }, async (client) => {
    const read = await client.fetchFrom('t', logStartOffset, 12)
    expect(read).toMatchObject({ errorCode: 0, highWatermark: 5, logStartOffset })
    expect(valuesIn(read.records)).toEqual(['a', 'b', 'c', 'd', 'e'])
    expect((await client.fetchFrom('gone', 0, 12)).errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    // A snapshot keeps the last batch of each producer, as Kafka's does.
    expect(await client.produce('t', sequencedBatch(['e'], 1))).toMatchObject({ errorCode: 0, baseOffset: 4 })
    const gap = await client.produce('t', sequencedBatch(['g'], 3))
    expect(gap.errorCode).toBe(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER)
    expect((await client.produce('t', sequencedBatch(['f'], 2))).baseOffset).toBe(5)
    const large = await client.produce('t', batchOf(['x'.repeat(500)]))
    expect(large.errorCode).toBe(ErrorCode.MESSAGE_TOO_LARGE)
    expect((await client.listOffset('t', -1, { partition: 1 })).offset).toBe(1)
  })
}

describe('a broker that starts again', () => {
  it('after a clean stop has everything', async () => {
    const disk = await filled(async (broker) => {
      await broker.stop()
      broker.assertSound()
      return broker.disk
    })
    await check(disk.killed(), 1)
  })

  it('after its process was killed has everything that was acknowledged', async () => {
    const disk = await filled(async (broker) => broker.kill())
    await TestBroker.run({ disk, seed: 4 }, async (client) => {
      expect((await client.listOffset('t', -1)).offset).toBe(5)
    })
  })

  it.each([1, 2, 3, 4, 5, 6, 7, 8])(
    'after a loss of power has everything that was acknowledged (seed %i)',
    async (seed) => {
      const random = new SeededRandom(seed)
      const disk = await filled(async (broker) => broker.crash((count) => random.uint32() % count))
      await TestBroker.run({ disk, seed: 4 }, async (client) => {
        const start = Number((await client.listOffset('t', -2)).offset)
        expect([0, 1]).toContain(start)
        const read = await client.fetchFrom('t', start, 12)
        expect(valuesIn(read.records)).toEqual(['a', 'b', 'c', 'd', 'e'])
        expect(await client.produce('t', sequencedBatch(['e'], 1))).toMatchObject({ errorCode: 0, baseOffset: 4 })
        expect((await client.produce('t', sequencedBatch(['f'], 2))).baseOffset).toBe(5)
        expect((await client.fetchFrom('gone', 0, 12)).errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
      })
    },
  )

  it('keeps every acknowledged record through one loss of power after another, under load', async () => {
    const random = new SeededRandom(11)
    let disk: SimulatedDisk | null = null
    const acknowledged: string[] = []
    for (let life = 0; life < 8; life++) {
      const broker: TestBroker = await TestBroker.start(disk === null ? {} : { disk })
      const client = broker.connect()
      if (life === 0) await client.createTopic('t')
      let stored: (string | null)[] = []
      for (let offset = 0; ; offset = stored.length) {
        const { records } = await client.fetchFrom('t', offset, 12)
        const more = valuesIn(records)
        if (more.length === 0) break
        stored = [...stored, ...more]
      }
      expect(stored.filter((value) => acknowledged.includes(value!))).toEqual(acknowledged)
      const pending: Promise<void>[] = []
      for (let n = 0; n < 20; n++) {
        const value = `${life}-${n}`
        const sent = client.produce('t', batchOf([value])).then(({ errorCode }) => {
          if (errorCode === 0) acknowledged.push(value)
        })
        sent.catch(() => undefined)
        pending.push(sent)
        if (random.uint32() % 3 === 0) await new Promise((resolve) => setImmediate(resolve))
      }
      disk = broker.crash((count) => random.uint32() % count)
    }
    expect(acknowledged.length).toBeGreaterThan(40)
  })

  it('keeps what its topics are to keep, however long it takes to learn their settings', async () => {
    const before = await TestBroker.start()
    const client = before.connect()
    await client.createTopic('kept', 1, { 'retention.ms': '-1' })
    await client.createTopic('usual')
    for (const topic of ['kept', 'usual']) await client.produce(topic, batchOf([{ value: 'old', timestamp: 1000 }]))
    await before.stop()

    const clock = new SimulatedClock()
    const timers = new SimulatedTimers(clock)
    const network = new MemoryNetwork()
    const { listen } = network
    const listenLate = async (...options: Parameters<typeof listen>) => {
      for (let second = 0; second < 20; second++) {
        timers.advance(1000)
        await new Promise((resolve) => setImmediate(resolve))
      }
      return listen(...options)
    }
    Object.defineProperty(network, 'listen', { value: listenLate })
    const settings = { 'log.retention.check.interval.ms': '100' }
    const disk = before.disk.killed()
    await TestBroker.run({ disk, clock, timers, network, settings }, async (again, broker) => {
      for (let second = 0; second < 5; second++) await broker.advance(1000)
      expect((await again.listOffset('kept', -2)).offset).toBe(0)
      expect((await again.listOffset('usual', -2)).offset).toBe(1)
    })
  })
})
