import { ExhaustiveChoices, SimulatedDisk, type Uuid } from '@millrace/base'
import { expect, test } from 'vitest'
import { DurableMark } from './durable-mark.ts'

const FIRST = 'Zm9vYmFyYmF6cXV4MTIzNA' as Uuid
const SECOND = 'AAAAAAAAAAAAAAAAAAAAAQ' as Uuid

function diskWithDirectory(): SimulatedDisk {
  const disk = new SimulatedDisk()
  disk.makeDirectory('/data')
  disk.syncDirectory('/')
  return disk
}

/** A mark of a directory without logs. */
function newMark(disk: SimulatedDisk): DurableMark {
  const mark = new DurableMark(disk, '/data')
  mark.complete()
  return mark
}

test('what was noted and synced is there after a crash, whatever else was lost', () => {
  const disk = diskWithDirectory()
  const mark = newMark(disk)
  mark.note(FIRST, 0, 10, 0, 1000)
  mark.note(SECOND, 3, 20, 5, 2000)
  mark.syncNow()
  mark.note(FIRST, 0, 11, 0, 1100)
  mark.write()
  const choices = new ExhaustiveChoices()
  const seen = new Set<number>()
  do {
    const found = new DurableMark(disk.crashed(choices), '/data')
    expect(found.isComplete).toBe(true)
    seen.add(found.get(FIRST, 0)!.durableOffset)
    expect(found.get(SECOND, 3)).toMatchObject({ durableOffset: 20, segmentBaseOffset: 5, positionBytes: 2000 })
  } while (choices.next())
  expect([...seen].sort()).toEqual([10, 11])
})

test('a lowered entry never comes back higher', () => {
  const disk = diskWithDirectory()
  const mark = newMark(disk)
  for (let offset = 1; offset < 5; offset++) {
    mark.note(FIRST, 0, offset * 10, 0, offset * 1000)
    mark.syncNow()
  }
  mark.lowerNow(FIRST, 0, 15, 0, 1500, 0)
  const choices = new ExhaustiveChoices()
  do {
    expect(new DurableMark(disk.crashed(choices), '/data').get(FIRST, 0)!.durableOffset).toBe(15)
  } while (choices.next())
  // Neither record may name more, since either could be the one that is left.
  for (const position of [0, 64]) {
    const copy = disk.crashed(new ExhaustiveChoices())
    copy.corrupt('/data/durable-mark', 64 + position + 40, 0xff)
    expect(new DurableMark(copy, '/data').get(FIRST, 0)!.durableOffset).toBe(15)
  }
})

test('the place of a removed log is used again, and the new one is what is found', () => {
  const disk = diskWithDirectory()
  const mark = newMark(disk)
  for (let offset = 1; offset < 8; offset++) {
    mark.note(FIRST, 0, offset, 0, offset)
    mark.write()
  }
  mark.remove(FIRST, 0)
  mark.note(SECOND, 1, 3, 0, 300)
  mark.syncNow()
  const found = new DurableMark(disk.killed(), '/data')
  expect(found.get(FIRST, 0)).toBe(null)
  expect(found.get(SECOND, 1)!.durableOffset).toBe(3)
  expect(disk.stat('/data/durable-mark')!.sizeBytes).toBe(64 + 2 * 64)
})

test('an entry of which both records are damaged is counted as unreadable', () => {
  const disk = diskWithDirectory()
  const mark = newMark(disk)
  mark.note(FIRST, 0, 10, 0, 1000)
  mark.syncNow()
  mark.note(FIRST, 0, 20, 0, 2000)
  mark.syncNow()
  disk.corrupt('/data/durable-mark', 64 + 33, 1)
  const half = new DurableMark(disk.killed(), '/data')
  expect(half.unreadableCount).toBe(0)
  expect([10, 20]).toContain(half.get(FIRST, 0)!.durableOffset)
  disk.corrupt('/data/durable-mark', 64 + 64 + 33, 1)
  const none = new DurableMark(disk.killed(), '/data')
  expect(none.unreadableCount).toBe(1)
  expect(none.isComplete).toBe(false)
  expect(none.get(FIRST, 0)).toBe(null)
})

test('a file that is no mark is started again and says so', () => {
  const disk = diskWithDirectory()
  const file = disk.openFile('/data/durable-mark', { create: true })
  file.write(Buffer.alloc(200, 7), 0, 200, 0)
  const mark = new DurableMark(disk, '/data')
  expect(mark.isComplete).toBe(false)
  mark.note(FIRST, 0, 1, 0, 1)
  mark.complete()
  expect(new DurableMark(disk.killed(), '/data').isComplete).toBe(true)
})

test('a mark is complete once all entries of the logs that were found are synced, not before', () => {
  const disk = diskWithDirectory()
  const forks: SimulatedDisk[] = []
  disk.onChange = () => forks.push(disk.copy())
  const mark = new DurableMark(disk, '/data')
  mark.assume(FIRST, 0, 60)
  mark.note(SECOND, 0, 10, 0, 1000)
  mark.complete()
  disk.onChange = () => undefined
  forks.push(disk.copy())
  let completeCount = 0
  for (const fork of forks) {
    const choices = new ExhaustiveChoices()
    do {
      const found = new DurableMark(fork.crashed(choices), '/data')
      if (!found.isComplete) continue
      completeCount++
      expect(found.get(FIRST, 0)).toMatchObject({ durableOffset: 60, isAssumed: true })
      expect(found.get(SECOND, 0)).toMatchObject({ durableOffset: 10, isAssumed: false })
    } while (choices.next())
  }
  expect(forks.length).toBeGreaterThan(3)
  expect(completeCount).toBeGreaterThan(0)
  expect(new DurableMark(disk.killed(), '/data').isComplete).toBe(true)
})

test('noted entries need a sync until one that began after the write has ended', async () => {
  const disk = diskWithDirectory()
  const mark = new DurableMark(disk, '/data')
  expect(mark.needsSync).toBe(false)
  mark.note(FIRST, 0, 1, 0, 1)
  const syncing = mark.sync()
  mark.note(FIRST, 0, 2, 0, 2)
  mark.write()
  await syncing
  expect(mark.needsSync).toBe(true)
  await mark.sync()
  expect(mark.needsSync).toBe(false)
})
