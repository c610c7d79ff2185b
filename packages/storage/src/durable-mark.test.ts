import { ExhaustiveChoices, SimulatedDisk, type Uuid } from '@millrace/base'
import { describe, expect, test } from 'vitest'
import { DurableMark } from './durable-mark.ts'
import { overwriteFile } from './testing/log-driver.ts'

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

test('a lowered recovery point ends the clean stop in both records, and leaves what is durable', () => {
  const disk = diskWithDirectory()
  const mark = newMark(disk)
  for (const offset of [10, 20]) {
    mark.note(FIRST, 0, offset, 0, offset * 100)
    mark.noteRecoveryPoint(FIRST, 0, offset, 77)
    mark.noteClean(FIRST, 0, true, 77)
    mark.syncNow()
  }
  mark.lowerRecoveryPointNow(FIRST, 0, 0, 5)
  const lowered = { recoveryPoint: 0, fingerprint: 5, clean: false, noProducers: false, durableOffset: 20 }
  for (const position of [0, 64]) {
    const copy = disk.crashed(new ExhaustiveChoices())
    copy.corrupt('/data/durable-mark', 64 + position + 40, 0xff)
    expect(new DurableMark(copy, '/data').get(FIRST, 0)).toMatchObject(lowered)
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

const PATH = '/data/durable-mark'
const HEADER_BYTES = 64
const ENTRY_BYTES = 128

/** A synced mark with entries of this many partitions, of which one was removed again. */
function fullMark(count: number): SimulatedDisk {
  const disk = diskWithDirectory()
  const mark = newMark(disk)
  for (let partition = 0; partition < count; partition++) mark.note(FIRST, partition, partition * 10, 0, 100)
  mark.syncNow()
  mark.remove(FIRST, 1)
  mark.syncNow()
  return disk
}

/** What is found in a mark with other contents. */
function found(disk: SimulatedDisk, contents: Buffer): DurableMark {
  const copy = disk.copy()
  overwriteFile(copy, PATH, contents)
  return new DurableMark(copy, '/data')
}

describe('entries that are missing', () => {
  test('are noticed wherever the file was cut', () => {
    const disk = fullMark(4)
    const contents = disk.peek(PATH)
    expect(contents.length).toBe(HEADER_BYTES + 4 * ENTRY_BYTES)
    expect(found(disk, contents)).toMatchObject({ isComplete: true, damage: null })
    for (let sizeBytes = 1; sizeBytes < contents.length; sizeBytes++) {
      const mark = found(disk, contents.subarray(0, sizeBytes))
      expect(mark.isComplete, `cut to ${sizeBytes}`).toBe(false)
      expect(mark.damage, `cut to ${sizeBytes}`).not.toBeNull()
      const wholeCount = Math.floor((sizeBytes - HEADER_BYTES) / ENTRY_BYTES)
      for (const partition of [0, 2, 3]) {
        // Of an entry that was cut through nobody knows which record was the newer.
        expect(mark.get(FIRST, partition) !== null, `${partition} of ${sizeBytes}`).toBe(partition < wholeCount)
      }
    }
  })

  test('are noticed where they were wiped out', () => {
    const disk = fullMark(4)
    for (let number = 0; number < 4; number++) {
      const contents = disk.peek(PATH)
      contents.fill(0, HEADER_BYTES + number * ENTRY_BYTES, HEADER_BYTES + (number + 1) * ENTRY_BYTES)
      expect(found(disk, contents)).toMatchObject({ isComplete: false, unreadableCount: 1 })
    }
  })

  test('are noticed where as many new ones hide how few are left', () => {
    const disk = fullMark(4)
    const mark = new DurableMark(disk, '/data')
    // In the place of the one that was removed, and behind all others; the header counts them with the sync after the next.
    for (let partition = 7; partition < 10; partition++) mark.note(SECOND, partition, 10, 0, 100)
    mark.write()
    const contents = disk.peek(PATH)
    expect(contents.readUInt32BE(8)).toBe(4)
    contents.fill(0, HEADER_BYTES, HEADER_BYTES + ENTRY_BYTES)
    expect(found(disk, contents)).toMatchObject({ isComplete: false, unreadableCount: 1 })
  })

  test('are noticed also behind a place that a crash left without a record', () => {
    const disk = fullMark(4)
    const mark = new DurableMark(disk, '/data')
    for (let partition = 7; partition < 11; partition++) mark.note(SECOND, partition, 10, 0, 100)
    mark.write()
    const crashed = disk.killed()
    const contents = crashed.peek(PATH)
    // The fifth never reached the disk, those behind it did.
    contents.fill(0, HEADER_BYTES + 4 * ENTRY_BYTES, HEADER_BYTES + 5 * ENTRY_BYTES)
    overwriteFile(crashed, PATH, contents)
    const again = new DurableMark(crashed, '/data')
    expect(again).toMatchObject({ isComplete: true, damage: null })
    again.complete()
    const whole = crashed.peek(PATH)
    expect(whole.readUInt32BE(8)).toBe(7)
    expect(new DurableMark(crashed.killed(), '/data')).toMatchObject({ isComplete: true, damage: null })
    for (let number = 0; number < 7; number++) {
      const wiped = Buffer.from(whole)
      wiped.fill(0, HEADER_BYTES + number * ENTRY_BYTES, HEADER_BYTES + (number + 1) * ENTRY_BYTES)
      expect(found(crashed, wiped)).toMatchObject({ isComplete: false, unreadableCount: 1 })
    }
    // The place is one of those that new logs get.
    again.note(FIRST, 20, 5, 0, 50)
    again.syncNow()
    expect(crashed.peek(PATH).length).toBe(whole.length)
    expect(new DurableMark(crashed.killed(), '/data').get(FIRST, 20)?.durableOffset).toBe(5)
  })

  test('are missed until a start has made up for them, also if one before was cut short', () => {
    const disk = fullMark(4)
    overwriteFile(disk, PATH, disk.peek(PATH).subarray(0, HEADER_BYTES + 2 * ENTRY_BYTES))
    const first = new DurableMark(disk, '/data')
    // Of other logs: there are as many entries again as there were, and not those.
    first.assume(SECOND, 7, 5)
    first.assume(SECOND, 8, 5)
    first.syncNow()
    const second = new DurableMark(disk.killed(), '/data')
    expect(second).toMatchObject({ isComplete: false, damage: 'a start that found it damaged was cut short' })
    second.complete()
    expect(new DurableMark(disk.killed(), '/data')).toMatchObject({ isComplete: true, damage: null })
  })

  test('are never missed for a crash', () => {
    const disk = diskWithDirectory()
    const forks: SimulatedDisk[] = []
    const mark = newMark(disk)
    disk.onChange = () => forks.push(disk.fork())
    for (let partition = 0; partition < 6; partition++) {
      mark.note(FIRST, partition, 10, 0, 100)
      if (partition % 3 === 1) mark.write()
      if (partition % 3 === 2) mark.syncNow()
      if (partition === 4) mark.remove(FIRST, 0)
    }
    disk.onChange = () => undefined
    forks.push(disk.fork())
    for (const fork of forks) {
      const choices = new ExhaustiveChoices()
      do {
        expect(new DurableMark(fork.crashed(choices), '/data')).toMatchObject({ isComplete: true, damage: null })
      } while (choices.next())
    }
    expect(forks.length).toBeGreaterThan(10)
  })
})

test('the header counts entries once they are on the disk, with the next sync', async () => {
  const disk = diskWithDirectory()
  const mark = newMark(disk)
  mark.note(FIRST, 0, 10, 0, 100)
  await mark.sync()
  expect(mark.needsSync).toBe(true)
  await mark.sync()
  expect(mark.needsSync).toBe(false)
  expect(disk.peek(PATH).readUInt32BE(8)).toBe(1)
})

test('a mark of the version before, without a count, is read and gets one', () => {
  const disk = fullMark(3)
  const contents = disk.peek(PATH)
  contents.writeUInt32BE(2, 4)
  contents.fill(0, 8, HEADER_BYTES)
  overwriteFile(disk, PATH, contents)
  const mark = new DurableMark(disk, '/data')
  expect(mark).toMatchObject({ isComplete: true, damage: null })
  expect(mark.get(FIRST, 2)!.durableOffset).toBe(20)
  mark.complete()
  const upgraded = disk.peek(PATH)
  expect([upgraded.readUInt32BE(4), upgraded.readUInt32BE(8)]).toEqual([3, 3])
  expect(found(disk, upgraded.subarray(0, HEADER_BYTES + ENTRY_BYTES)).unreadableCount).toBe(2)
})

test('a mark of a later version is refused, and says so', () => {
  const disk = fullMark(3)
  const contents = disk.peek(PATH)
  contents.writeUInt32BE(4, 4)
  const mark = found(disk, contents)
  expect(mark).toMatchObject({ isComplete: false, damage: 'it is no mark, or of a version that is not known' })
  expect(mark.get(FIRST, 0)).toBeNull()
})

test('the recovery point that a crash may leave is that of the last record that was synced', async () => {
  const disk = diskWithDirectory()
  const mark = newMark(disk)
  mark.note(FIRST, 0, 100, 0, 100)
  mark.noteRecoveryPoint(FIRST, 0, 50, 0)
  expect(mark.syncedRecoveryPoint(FIRST, 0)).toBe(0)
  mark.syncNow()
  expect(mark.syncedRecoveryPoint(FIRST, 0)).toBe(50)
  mark.noteRecoveryPoint(FIRST, 0, 60, 0)
  const syncing = mark.sync()
  mark.noteRecoveryPoint(FIRST, 0, 70, 0)
  mark.write()
  await syncing
  expect(mark.syncedRecoveryPoint(FIRST, 0)).toBe(60)
  mark.lowerNow(FIRST, 0, 40, 0, 40, 0)
  expect(mark.syncedRecoveryPoint(FIRST, 0)).toBe(40)
  expect(new DurableMark(disk.killed(), '/data').syncedRecoveryPoint(FIRST, 0)).toBe(0)
})
