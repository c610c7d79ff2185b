import {
  createCreatePartitionsRequest,
  createCreatePartitionsTopic,
  createPartitionsApi,
  ErrorCode,
} from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { batchOf } from './batches.ts'
import { valuesIn } from './data-client.ts'
import { TestBroker } from './test-broker.ts'

/** Goal: what clients are told when something goes away under them: a topic, a disk, the broker. */

function holdSyncs(broker: TestBroker): () => void {
  const { promise, resolve } = Promise.withResolvers<void>()
  broker.disk.settle = (operation) => (operation.startsWith('sync') ? promise : Promise.resolve())
  return () => {
    broker.disk.settle = () => Promise.resolve()
    resolve()
  }
}

describe('a topic that is deleted', () => {
  it('ends the waits of producers with an error, and its successor is not touched', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t')
      const admin = broker.connect()
      let release: () => void = () => undefined
      broker.disk.settle = (operation, path) => {
        if (!operation.startsWith('sync') || !path.includes('t-0')) return Promise.resolve()
        return new Promise((resolve) => {
          const before = release
          release = () => {
            before()
            resolve()
          }
        })
      }
      const waiting = client.produce('t', batchOf(['old']))
      await broker.idle()
      expect(client.outstandingCount).toBe(1)
      expect(await admin.deleteTopic('t')).toBe(0)
      expect((await waiting).errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
      broker.disk.settle = () => Promise.resolve()
      await admin.createTopic('t')
      release()
      await broker.idle()
      expect((await client.produce('t', batchOf(['new']))).baseOffset).toBe(0)
      expect(valuesIn((await client.fetchFrom('t', 0)).records)).toEqual(['new'])
    })
  })

  it('between append and answer of one turn costs nobody the connection', async () => {
    await TestBroker.run({}, async (client, broker) => {
      for (let round = 0; round < 20; round++) {
        await client.createTopic('t')
        const admin = broker.connect()
        const deleted = admin.deleteTopic('t')
        const codes: number[] = []
        for (let n = 0; n < 12; n++) {
          const answers = [client.produce('t', batchOf(['a']), { acks: 1 }), client.produce('t', batchOf(['b']))]
          await new Promise((resolve) => setImmediate(resolve))
          codes.push(...(await Promise.all(answers)).map(({ errorCode }) => errorCode))
        }
        expect(await deleted).toBe(0)
        for (const code of codes) {
          expect([0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.KAFKA_STORAGE_ERROR]).toContain(code)
        }
        expect(codes.at(-1)).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
        admin.close()
      }
    })
  })
})

describe('a topic that grows', () => {
  it('serves its new partitions at once', async () => {
    await TestBroker.run({}, async (client) => {
      await client.createTopic('t', 1)
      const topics = [createCreatePartitionsTopic({ name: 't', count: 3, assignments: null })]
      const request = createCreatePartitionsRequest({ topics, timeoutMs: 1000 })
      expect((await client.call(createPartitionsApi, 3, request)).results[0]!.errorCode).toBe(0)
      expect((await client.produce('t', batchOf(['a']), { partition: 2 })).errorCode).toBe(0)
      expect((await client.listOffset('t', -1, { partition: 1 })).offset).toBe(0)
    })
  })
})

describe('a disk', () => {
  it('that is full refuses records, and takes them again when there is room', async () => {
    const broker = await TestBroker.start()
    const client = broker.connect()
    await client.createTopic('t')
    await client.produce('t', batchOf(['before']))
    broker.disk.fault = (operation) => (operation === 'write' || operation === 'extend' ? 'DISK_FULL' : null)
    // Both are appended before the disk says that it is full.
    const refused = await Promise.all([
      client.produce('t', batchOf(['full']), { acks: 1 }),
      client.produce('t', batchOf(['full'])),
    ])
    refused.push(await client.produce('t', batchOf(['full']), { acks: 1 }))
    for (const { errorCode, baseOffset } of refused) {
      expect([errorCode, baseOffset]).toEqual([ErrorCode.KAFKA_STORAGE_ERROR, -1])
    }
    expect(valuesIn((await client.fetchFrom('t', 0)).records)).toEqual(['before'])
    broker.disk.fault = () => null
    for (let minute = 0; minute < 3; minute++) await broker.advance(60_000)
    expect((await broker.connect().produce('t', batchOf(['after']))).errorCode).toBe(0)
    const values = valuesIn((await broker.connect().fetchFrom('t', 0)).records)
    expect(values.filter((value) => value !== 'full')).toEqual(['before', 'after'])
    expect(broker.fatalErrors).toEqual([])
  })

  it.each(['create', 'write'] as const)(
    'that fails at "%s" while a topic is made leaves it to the other',
    async (failing) => {
      const broker = await TestBroker.start({ settings: { 'log.dirs': '/one,/two' } })
      const client = broker.connect()
      broker.disk.fault = (operation, path) => (operation === failing && path.startsWith('/two') ? 'DISK_OTHER' : null)
      await client.createTopic('t', 4)
      for (let partition = 0; partition < 4; partition++) {
        expect((await client.produce('t', batchOf(['a']), { partition })).errorCode).toBe(0)
      }
      expect(broker.fatalErrors).toEqual([])
      await broker.stop()
      expect(broker.fatalErrors).toEqual([])
    },
  )

  it('that is full when a topic is made gets its partitions later', async () => {
    const broker = await TestBroker.start()
    const client = broker.connect()
    broker.disk.fault = (operation, path) => (operation === 'create' && path.includes('t-') ? 'DISK_FULL' : null)
    await client.createTopic('t', 2)
    const { errorCode } = await client.produce('t', batchOf(['a']), { partition: 1 })
    expect(errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    await broker.advance(11_000)
    broker.disk.fault = () => null
    for (let second = 0; second < 70; second++) await broker.advance(1000)
    for (const partition of [0, 1]) {
      expect((await broker.connect().produce('t', batchOf(['a']), { partition })).errorCode).toBe(0)
    }
    await broker.stop()
    expect(broker.fatalErrors).toEqual([])
  })

  it('that fails while a topic is deleted does not keep the topic, nor its name', async () => {
    const broker = await TestBroker.start({ settings: { 'log.dirs': '/one,/two' } })
    const client = broker.connect()
    await client.createTopic('t', 4)
    await client.createTopic('other', 2)
    broker.disk.fault = (operation, path) => (operation === 'rename' && path.startsWith('/two') ? 'DISK_OTHER' : null)
    expect(await client.deleteTopic('t')).toBe(0)
    expect((await client.fetchFrom('t', 0, 12)).errorCode).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    await client.createTopic('t', 2)
    expect((await client.produce('t', batchOf(['a']))).errorCode).toBe(0)
    expect(broker.fatalErrors).toEqual([])
  })

  it('that fails in one of two directories takes only its own partitions with it', async () => {
    const settings = { 'log.dirs': '/one,/two' }
    const broker = await TestBroker.start({ settings })
    const client = broker.connect()
    await client.createTopic('t', 6)
    for (let partition = 0; partition < 6; partition++) await client.produce('t', batchOf(['a']), { partition })
    broker.disk.fault = (_operation, path) => (path.startsWith('/two') ? 'DISK_OTHER' : null)
    const codes: number[] = []
    for (let partition = 0; partition < 6; partition++) {
      codes.push((await client.produce('t', batchOf(['b']), { partition })).errorCode)
    }
    expect(new Set(codes)).toEqual(new Set([0, ErrorCode.KAFKA_STORAGE_ERROR]))
    const failed = codes.findIndex((code) => code !== 0)
    const fetched = async (version: number) =>
      (await client.fetch([{ topic: 't', partition: failed }], { maxWaitMs: 9999 }, version)).responses[0]!
        .partitions[0]!
    expect((await fetched(17)).errorCode).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
    expect((await fetched(5)).errorCode).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER)
    expect((await client.listOffset('t', -1, { partition: failed })).errorCode).toBe(ErrorCode.KAFKA_STORAGE_ERROR)
    expect(broker.fatalErrors).toEqual([])
  })
})

describe('a broker that stops', () => {
  it('closes connections, leaves no timer behind, and may be stopped again', async () => {
    const broker = await TestBroker.start()
    const client = broker.connect()
    await client.createTopic('t')
    await client.produce('t', batchOf(['a']))
    const parked = client.fetch([{ topic: 't', fetchOffset: 1 }], { maxWaitMs: 99_999 })
    parked.catch(() => undefined)
    const silent = broker.openSocket()
    await broker.idle()
    await Promise.all([broker.stop(), broker.stop()])
    await expect(parked).rejects.toThrow('closed')
    expect(silent.isClosed).toBe(true)
    await broker.idle()
    expect(broker.timers.pendingCount).toBe(0)
    broker.assertSound()
  })

  it('syncs what it acknowledged, also with write caching', async () => {
    const broker = await TestBroker.start()
    const client = broker.connect()
    await client.createTopic('t', 1, { 'write.caching': 'true' })
    for (let n = 0; n < 5; n++) await client.produce('t', batchOf([`${n}`]))
    await broker.stop()
    // The worst that a loss of power can do afterwards.
    await TestBroker.run({ disk: broker.crash((count) => count - 1) }, async (next) => {
      expect(valuesIn((await next.fetchFrom('t', 0, 12)).records)).toEqual(['0', '1', '2', '3', '4'])
    })
  })

  it('while a sync hangs waits for it, and then ends', async () => {
    const broker = await TestBroker.start()
    const client = broker.connect()
    await client.createTopic('t')
    const release = holdSyncs(broker)
    client.produce('t', batchOf(['a'])).catch(() => undefined)
    await broker.idle()
    let stopped = false
    const stopping = broker.stop().then(() => {
      stopped = true
    })
    await broker.idle()
    expect(stopped).toBe(false)
    release()
    await stopping
    broker.assertSound()
  })
})
