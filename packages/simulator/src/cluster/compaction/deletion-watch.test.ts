import type { Partition } from '@millrace/broker'
import { expect, it } from 'vitest'
import { World } from '../../world/world.ts'
import { CompactionGhost } from './compaction-ghost.ts'
import { DeletionWatch } from './deletion-watch.ts'

const STOCK = { name: 'stock', isDeleted: false, deleteRetentionMs: 1_000, minCompactionLagMs: 0 }

/** Key a is written and deleted while the second of two nodes holds the log up to an offset; later it is read, and has only its old record. */
function readAfter(heldOffset: number, fault: string | null = null): () => void {
  const world = new World(1)
  const ghost = new CompactionGhost(world, [STOCK])
  const node = (id: number, durableOffset: number) => ({
    id,
    broker: { partitions: () => [{ topic: 'stock', log: { failed: false, durableOffset } } as unknown as Partition] },
  })
  const watch = new DeletionWatch(world, ghost, [STOCK], () => [node(0, 2), node(1, heldOffset)])
  for (const [offset, value] of [
    [0, '1'],
    [1, null],
  ] as const) {
    ghost.onSend({ topic: 'stock', id: `0-${offset}`, key: 'a', value })
    ghost.onStored(`0-${offset}`, offset)
  }
  watch.observe()
  if (fault !== null) world.fault(fault, 1)
  world.schedule(2_000, 'test', -1, () => undefined)
  world.step()
  const pass = ghost.beginPass('stock', 0)
  ghost.onRead(pass, { offset: 0, id: '0-0', key: 'a', value: '1' }, 0)
  ghost.checkPass(pass, 2)
  return () => watch.checkAtRest(pass)
}

it('finds what was deleted and comes back, once every replica had met the deletion (K4)', () => {
  expect(readAfter(2)).toThrow('K4')
})

it('bears with what a replica keeps that was away, or whose disk or clock was not what it was', () => {
  expect(readAfter(1)).not.toThrow()
  expect(readAfter(2, 'wipe')).not.toThrow()
})
