import { ApiKey, ErrorCode, RecordReader } from '@millrace/protocol'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FakeCluster } from '../testing/fake-cluster.ts'
import { refusedProduce } from '../testing/refused-produce.ts'
import { Producer } from './producer.ts'

/**
 * Goal: with idempotence, records that were acknowledged are in the log once and in order, whatever happens between. Method: the
 * whole producer against a cluster that loses requests and answers, breaks connections and moves leaders at random.
 */

const RECORD_COUNT = 60

function chaos(cluster: FakeCluster, percent: number): void {
  const random = cluster.world.random.fork('chaos')
  const chance = (of: number) => random.uint32() % 100 < of
  cluster.intercept(ApiKey.PRODUCE, async (request) => {
    if (!chance(percent)) return null
    const kind = random.uint32() % 4
    if (kind === 0) return 'break'
    if (kind === 1) {
      await cluster.answer(request)
      return 'break'
    }
    for (const { partitions } of cluster.topics.values()) {
      if (kind === 2) for (const partition of partitions) partition.restoreAt(1 + (random.uint32() % 2))
    }
    return refusedProduce(request, ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND)
  })
}

async function run(seed: number, percent: number, deliveryTimeoutMs: number): Promise<void> {
  const cluster = new FakeCluster({ brokers: 2, seed })
  const { partitions } = cluster.createTopic('t', 2)
  const producer = new Producer({
    ...cluster.clientOptions,
    batchSize: 200,
    retryBackoffMs: 10,
    retryBackoffMaxMs: 50,
    requestTimeoutMs: 1000,
    deliveryTimeoutMs,
  })
  chaos(cluster, percent)
  const acknowledged = new Set<string>()
  const sends: Promise<void>[] = []
  for (let number = 0; number < RECORD_COUNT; number++) {
    const value = String(number)
    const sent = producer.send({ topic: 't', partition: number % 2, value })
    sends.push(
      sent.then(
        () => {
          acknowledged.add(value)
        },
        () => undefined,
      ),
    )
    if (number % 5 === 0) await cluster.world.pass(cluster.world.random.uint32() % 20)
  }
  await cluster.world.run(Promise.all(sends))
  await cluster.world.run(producer.close())
  const seen: string[] = []
  const reader = new RecordReader()
  for (const { batches } of partitions) {
    let last = -1
    for (const { bytes } of batches) {
      reader.open(bytes, 0)
      while (reader.next()) {
        const value = reader.value()!.toString()
        expect(Number(value)).toBeGreaterThan(last)
        last = Number(value)
        seen.push(value)
      }
    }
  }
  expect(new Set(seen).size).toBe(seen.length)
  for (const value of acknowledged) expect(seen).toContain(value)
}

describe('an idempotent producer among failures', () => {
  test('stores each acknowledged record once and in order', async () => {
    const seeds = fc.integer({ min: 1, max: 2 ** 30 })
    await fc.assert(
      fc.asyncProperty(seeds, fc.integer({ min: 0, max: 70 }), (seed, percent) => run(seed, percent, 600_000)),
      { numRuns: 30 },
    )
  })

  test('keeps that when records run out of time', async () => {
    const seeds = fc.integer({ min: 1, max: 2 ** 30 })
    await fc.assert(
      fc.asyncProperty(seeds, fc.integer({ min: 30, max: 90 }), (seed, percent) => run(seed, percent, 1100)),
      { numRuns: 30 },
    )
  })
})
