import type { Uuid } from '@millrace/base'
import { expect, test } from 'vitest'
import { Timeline } from '../runtime/timeline.ts'
import { GroupUsage } from './group-usage.ts'
import { OffsetStore, type StoredOffset } from './offset-store.ts'

/** Goal: offsets of open transactions cost the same however many transactions are open for their partition, and can be taken back. */

function stored(committedOffset: number): StoredOffset {
  const texts = { metadata: '', topicId: 'AAAAAAAAAAAAAAAAAAAAAA' as Uuid }
  const times = { commitTimestampMs: 0, expireTimestampMs: -1 }
  return { value: { committedOffset, leaderEpoch: -1, ...texts, ...times }, recordOffset: committedOffset, owner: null }
}

test('thousands of producers have a transaction open for each of many partitions', () => {
  const timeline = new Timeline()
  const usage = new GroupUsage()
  const store = new OffsetStore(timeline, usage)
  const [producers, partitions] = [6_000, 20]
  // Copies of all that are open would come to some hundred million steps, and as many again to end them.
  for (let producerId = 0; producerId < producers; producerId++) {
    const version = timeline.begin()
    for (let number = 0; number < partitions; number++)
      store.putPending(producerId, 'g', 't', number, stored(producerId))
    timeline.commitThrough(version)
  }
  expect(usage.offsets).toBe(producers * partitions)
  for (let producerId = 0; producerId < producers; producerId++) {
    expect(store.isInOpenTransaction('g', 't', 0)).toBe(true)
    store.endTransaction(producerId, true)
  }
  expect(store.hasOpenTransaction('g')).toBe(false)
  expect(store.committed.get('g', 't', 7)?.recordOffset).toBe(producers - 1)
  // Half a second; with copies twice the limit at least.
}, 8_000)

test('what a producer added to a partition, and what it ended there, can be taken back', () => {
  const timeline = new Timeline()
  const store = new OffsetStore(timeline, new GroupUsage())
  const first = timeline.begin()
  store.putPending(1, 'g', 't', 0, stored(10))
  timeline.commitThrough(first)
  const second = timeline.begin()
  store.putPending(2, 'g', 't', 0, stored(20))
  store.endTransaction(1, false)
  timeline.rollbackFrom(second)
  expect(store.pending(1, 'g', 't', 0)?.recordOffset).toBe(10)
  expect(store.pending(2, 'g', 't', 0)).toBeUndefined()
  store.endTransaction(2, true)
  expect(store.isInOpenTransaction('g', 't', 0)).toBe(true)
  const third = timeline.begin()
  store.delete('g', 't', 0)
  store.putPending(3, 'g', 't', 0, stored(30))
  timeline.rollbackFrom(third)
  expect(store.pending(3, 'g', 't', 0)).toBeUndefined()
  store.endTransaction(1, true)
  expect(store.hasOpenTransaction('g')).toBe(false)
  expect(store.committed.get('g', 't', 0)?.recordOffset).toBe(10)
})
