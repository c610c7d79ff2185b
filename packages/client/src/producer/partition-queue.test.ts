import { expect, test } from 'vitest'
import { PartitionQueue, type QueuedBatch, SendEvidence } from './partition-queue.ts'
import type { ProducerIdentity } from './producer-identity.ts'

/** Goal: what may be concluded from OUT_OF_ORDER_SEQUENCE_NUMBER when earlier sendings of the batches have an unknown outcome. */

function batchOf(): QueuedBatch {
  return {
    recordCount: 1,
    baseSequence: -1,
    identity: null,
    place: 0,
    state: 'open',
    abandoned: false,
    evidence: new SendEvidence(),
  }
}

/** Three batches that were sent to node 1 and lost with the connection. */
function threeLost() {
  const identities: ProducerIdentity[] = [0, 1].map((producerEpoch) => ({ producerId: 7, producerEpoch }))
  const queue = new PartitionQueue({ current: () => identities[0]!, after: () => identities[1]! }, 5)
  const batches = [batchOf(), batchOf(), batchOf()] as const
  for (const batch of batches) queue.push(batch)
  for (const batch of batches) {
    expect(queue.peek(1)).toBe(batch)
    queue.take(batch, 1)
  }
  for (const batch of batches) queue.onRetriable(batch, true)
  return { queue, batches }
}

/** Sends the batch that comes next to the node, where it is refused. */
function refuseNext(queue: PartitionQueue<QueuedBatch>, nodeId: number): QueuedBatch {
  const batch = queue.peek(nodeId)!
  queue.take(batch, nodeId)
  queue.onOutOfOrder(batch)
  return batch
}

test('a refused batch is not sent under a new epoch while a later one may be stored, which would prove it stored', () => {
  const { queue, batches } = threeLost()
  expect(refuseNext(queue, 1)).toBe(batches[0])
  expect(refuseNext(queue, 1)).toBe(batches[1])
  expect(queue.peek(1)).toBe(batches[2])
  queue.take(batches[2], 1)
  expect(queue.onStored(batches[2])).toEqual([batches[0], batches[1]])
  expect(queue.isEmpty).toBe(true)
})

test('once all that may be stored were refused, none is: they get new numbers in order', () => {
  const { queue, batches } = threeLost()
  for (const batch of batches) expect(refuseNext(queue, 1)).toBe(batch)
  expect(queue.unsettled()).toEqual([])
  expect(queue.peek(1)).toBe(batches[0])
  expect(batches.map(({ identity, baseSequence }) => [identity!.producerEpoch, baseSequence])).toEqual([
    [1, 0],
    [1, 1],
    [1, 2],
  ])
})

test('a refusal before the append leaves nothing in doubt behind it', () => {
  const { queue, batches } = threeLost()
  for (const { evidence } of batches.slice(1)) evidence.mayBeStored = false
  expect(refuseNext(queue, 1)).toBe(batches[0])
  expect(queue.peek(1)).toBe(batches[0])
  expect(batches[0].identity!.producerEpoch).toBe(1)
})

test('what was refused before the append is not stored because a later one is: a log that forgot the producer takes any number', () => {
  const { queue, batches } = threeLost()
  for (const { evidence } of batches.slice(0, 2)) evidence.mayBeStored = false
  for (const batch of batches) queue.take(batch, 1)
  for (const batch of batches.slice(0, 2)) queue.onRetriable(batch, false)
  expect(queue.onStored(batches[2])).toEqual([])
  expect(queue.batches).toEqual(batches.slice(0, 2))
  // Behind the stored one their numbers are of no use any more.
  expect(refuseNext(queue, 1)).toBe(batches[0])
  expect(queue.peek(1)).toBe(batches[0])
  expect(batches.slice(0, 2).map(({ identity, baseSequence }) => [identity!.producerEpoch, baseSequence])).toEqual([
    [1, 0],
    [1, 1],
  ])
})

test('what one leader refused says nothing of the log of another', () => {
  const { queue, batches } = threeLost()
  expect(refuseNext(queue, 1)).toBe(batches[0])
  expect(refuseNext(queue, 1)).toBe(batches[1])
  expect(queue.peek(2)).toBe(batches[0])
  expect(batches[0].identity!.producerEpoch).toBe(0)
})

test('where the one that the broker may remember was given up, those before it cannot be settled', () => {
  const { queue, batches } = threeLost()
  queue.giveUp(batches[2])
  expect(refuseNext(queue, 1)).toBe(batches[0])
  expect(refuseNext(queue, 1)).toBe(batches[1])
  expect(queue.unsettled()).toEqual([batches[0], batches[1]])
  expect(queue.peek(1)).toBeNull()
  for (const batch of queue.unsettled()) queue.giveUp(batch)
  expect(queue.isEmpty).toBe(true)
})

test('one that is stored for certain is asked for once more, to learn where, and leaves no gap when it is given up', () => {
  const { queue, batches } = threeLost()
  queue.peek(1)
  queue.take(batches[0], 1)
  queue.peek(1)
  queue.take(batches[1], 1)
  queue.onRetriable(batches[0], true)
  expect(queue.onStored(batches[1])).toEqual([])
  expect(batches[0].evidence.isStored).toBe(true)
  expect(queue.peek(1)).toBe(batches[0])
  queue.giveUp(batches[0])
  queue.take(queue.peek(1)!, 1)
  queue.onStored(batches[2])
  const next = batchOf()
  queue.push(next)
  expect(queue.peek(1)).toBe(next)
  queue.take(next, 1)
  expect(next).toMatchObject({ baseSequence: 3, identity: { producerEpoch: 0 } })
})
