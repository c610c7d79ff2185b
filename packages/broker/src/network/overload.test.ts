import { createMetadataRequest, metadataApi } from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { batchOf } from '../testing/batches.ts'
import { TestBroker } from '../testing/test-broker.ts'
import { requestFrame } from '../testing/test-client.ts'

const MIB = 1024 * 1024

describe('a broker whose clients ask for more than they take', () => {
  it('closes a client that takes nothing of its answer, and not one that takes it slowly', async () => {
    await TestBroker.run({ settings: { 'answer.read.timeout.ms': '20000' } }, async (client, broker) => {
      await client.createTopic('t', 100)
      const ask = requestFrame(metadataApi, 12, createMetadataRequest({ topics: null }))
      const deaf = broker.openSocket()
      const slow = broker.openSocket()
      for (const socket of [deaf, slow]) {
        socket.stopReading()
        socket.send(ask)
      }
      await broker.idle()
      expect(deaf.unreadBytes).toBeGreaterThan(1000)
      for (let second = 0; second < 60 && !deaf.isClosed; second += 5) {
        await broker.advance(5000)
        slow.resumeReading()
        slow.stopReading()
        slow.send(ask)
      }
      expect([deaf.isClosed, slow.isClosed]).toEqual([true, false])
    })
  })

  it('works on one large answer of a connection at a time, however many are asked for', async () => {
    await TestBroker.run({}, async (client, broker) => {
      await client.createTopic('t', 1000)
      const ask = requestFrame(metadataApi, 12, createMetadataRequest({ topics: null }))
      const greedy = broker.openSocket()
      greedy.stopReading()
      greedy.send(Buffer.concat(Array.from({ length: 600 }, () => ask)))
      for (let turn = 0; turn < 20; turn++) await broker.idle()
      const oneBytes = greedy.unreadBytes
      expect(oneBytes).toBeGreaterThan(8 * MIB)
      expect(oneBytes).toBeLessThan(9 * MIB)
      let answered = 0
      greedy.onBytes = (bytes) => {
        answered += bytes.length
      }
      greedy.resumeReading()
      for (let turn = 0; turn < 20; turn++) await broker.idle()
      expect(answered).toBeGreaterThan(oneBytes + MIB)
    })
  })

  it('closes those who let answers lie the longest when all of them together are too much', async () => {
    await TestBroker.run({ settings: { 'queued.max.response.bytes': String(MIB) } }, async (client, broker) => {
      await client.createTopic('t', 1000)
      const ask = requestFrame(metadataApi, 12, createMetadataRequest({ topics: null }))
      const deaf = Array.from({ length: 100 }, () => broker.openSocket())
      for (const socket of deaf) {
        socket.stopReading()
        socket.send(ask)
        await broker.idle()
      }
      const open = deaf.filter((socket) => !socket.isClosed)
      const heldBytes = open.reduce((sum, socket) => sum + socket.unreadBytes, 0)
      expect(heldBytes).toBeLessThanOrEqual(MIB)
      expect(heldBytes).toBeGreaterThan(MIB / 2)
      // The youngest are left.
      expect(deaf.slice(-open.length)).toEqual(open)
      expect((await client.produce('t', batchOf(['a']))).errorCode).toBe(0)
    })
  })

  it('answers the oldest waiting fetches early when they name too many partitions', async () => {
    await TestBroker.run({ settings: { 'fetch.purgatory.max.partitions': '250' } }, async (client, broker) => {
      await client.createTopic('t', 100)
      const wanted = Array.from({ length: 100 }, (_, partition) => ({ topic: 't', partition, fetchOffset: 0 }))
      const waiting = [broker.connect(), broker.connect(), broker.connect()]
      const answers = waiting.map((one) => one.fetch(wanted, { maxWaitMs: 100_000 }))
      await broker.idle()
      expect((await answers[0]!).responses[0]!.partitions).toHaveLength(100)
      expect(waiting.map(({ outstandingCount }) => outstandingCount)).toEqual([0, 1, 1])
      await client.produce('t', batchOf(['a']))
      await Promise.all(answers)
    })
  })

  it('serves Kafka clients while HTTP clients have used up their connections', async () => {
    await TestBroker.run({ settings: { 'http.max.connections': '2' } }, async (client, broker) => {
      const sockets = [broker.openSocket(), broker.openSocket(), broker.openSocket()]
      for (const socket of sockets) socket.send(Buffer.from('GET'))
      await broker.idle()
      expect(sockets.map(({ isClosed }) => isClosed)).toEqual([false, false, true])
      await client.createTopic('t')
      sockets[0]!.close()
      await broker.idle()
      const next = broker.openSocket()
      next.send(Buffer.from('GET'))
      await broker.idle()
      expect(next.isClosed).toBe(false)
    })
  })
})
