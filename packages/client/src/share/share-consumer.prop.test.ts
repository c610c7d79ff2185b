import { ApiKey, type ShareAcknowledgeRequest, type ShareFetchRequest } from '@millrace/protocol'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { FakeCluster } from '../testing/fake-cluster.ts'
import { fill, numbered } from '../testing/fake-records.ts'
import { Acknowledgements } from './acknowledgements.ts'
import { ShareConsumer } from './share-consumer.ts'

/**
 * Goal: whatever is lost, every record is accepted in the end, and what the client says was accepted was. Method: members take records,
 * say this or that of them, come and go, while connections break with their sessions, leaders and the coordinator move.
 */

const PARTITIONS = 2
const RECORDS = 20

test('runs are what was said, in as few words as the protocol allows', () => {
  const types = fc.constantFrom('accept' as const, 'release' as const, 'reject' as const, 'gap' as const)
  fc.assert(
    fc.property(fc.dictionary(fc.integer({ min: 0, max: 60 }).map(String), types), (said) => {
      const acknowledgements = new Acknowledgements()
      for (const [offset, type] of Object.entries(said)) acknowledgements.add(Number(offset), type)
      const heard: Record<string, number> = {}
      let last = -1
      for (const { firstOffset, lastOffset, acknowledgeTypes } of acknowledgements.runs()) {
        // Neighbours belong together.
        expect(firstOffset).toBeGreaterThan(last === -1 ? -1 : last + 1)
        last = lastOffset
        const isUniform = acknowledgeTypes.length === 1
        if (!isUniform) expect(acknowledgeTypes).toHaveLength(lastOffset - firstOffset + 1)
        for (let offset = firstOffset; offset <= lastOffset; offset++) {
          heard[offset] = acknowledgeTypes[isUniform ? 0 : offset - firstOffset]!
        }
      }
      const numbers = { gap: 0, accept: 1, release: 2, reject: 3 }
      expect(heard).toEqual(Object.fromEntries(Object.entries(said).map(([offset, type]) => [offset, numbers[type]])))
    }),
  )
})

async function run(seed: number, percent: number): Promise<void> {
  const cluster = new FakeCluster({ brokers: 2, seed })
  const random = cluster.world.random.fork('chaos')
  const chance = (of: number) => random.uint32() % 100 < of
  for (const [slot, partition] of cluster.createTopic('t', PARTITIONS).partitions.entries()) {
    fill(partition, numbered(RECORDS, slot * 100), 3)
  }
  const group = cluster.shareGroup('s')
  group.deliveryLimit = 1000
  group.lockDurationMs = 800
  let isFaulty = true
  for (const apiKey of [ApiKey.SHARE_FETCH, ApiKey.SHARE_ACKNOWLEDGE]) {
    cluster.intercept(apiKey, async (request) => {
      if (!isFaulty || !chance(percent)) return null
      const { memberId } = request.body as ShareFetchRequest | ShareAcknowledgeRequest
      if (chance(50)) await cluster.answer(request)
      group.endSession(request.nodeId, memberId!)
      return 'break'
    })
  }
  const accepted = new Set<string>()
  const handedOut = new Set<string>()
  let isOver = false
  const member = async (isExplicit: boolean) => {
    const consumer = new ShareConsumer({
      ...cluster.clientOptions,
      groupId: 's',
      shareAcknowledgementMode: isExplicit ? 'explicit' : 'implicit',
      maxPollRecords: 4,
      fetchMaxWaitMs: 30,
      requestTimeoutMs: 500,
      retryBackoffMs: 10,
      retryBackoffMaxMs: 50,
      onAcknowledgements: ({ partition, offsets, error }) => {
        if (error === null && !isExplicit) for (const offset of offsets) accepted.add(`${partition}/${offset}`)
      },
    })
    consumer.subscribe('t')
    const rounds = 5 + (random.uint32() % 30)
    for (let round = 0; round < rounds && !isOver; round++) {
      for (const record of await consumer.poll({ timeoutMs: 100 })) {
        handedOut.add(record.value!.toString())
        if (isExplicit) consumer.acknowledge(record, chance(50) ? 'accept' : chance(50) ? 'release' : 'renew')
      }
      if (chance(10)) await consumer.commit()
      if (chance(5)) {
        await consumer.unsubscribe()
        consumer.subscribe('t')
      }
    }
    await consumer.close()
  }
  const lives = [0, 1, 2].map(async (slot) => {
    while (!isOver) await member(slot === 0)
  })
  for (let step = 0; step < 10; step++) {
    await cluster.world.pass(random.uint32() % 300)
    const kind = random.uint32() % 3
    if (kind === 0) cluster.moveCoordinator(1 + (random.uint32() % 2))
    if (kind === 1) cluster.partition('t', random.uint32() % PARTITIONS).moveTo(1 + (random.uint32() % 2))
  }
  isFaulty = false
  for (let round = 0; round < 200 && group.count('acknowledged') < PARTITIONS * RECORDS; round++) {
    await cluster.world.pass(100)
  }
  isOver = true
  await cluster.world.run(Promise.all(lives))
  expect(group.count('acknowledged')).toBe(PARTITIONS * RECORDS)
  expect(handedOut.size).toBe(PARTITIONS * RECORDS)
  for (const key of accepted) expect(group.stateOf(cluster.topics.get('t')!.topicId, key)).toBe('acknowledged')
}

test('every record is accepted in the end, and what is said to be accepted is', async () => {
  await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 2 ** 30 }), fc.integer({ min: 0, max: 40 }), run), {
    numRuns: 12,
  })
}, 60_000)
