import { SimulatedDisk } from '@millrace/base'
import { expect, test } from 'vitest'
import { EntryFile } from './entry-file.ts'

const PATH = '/0.index'

function append(file: EntryFile, value: number): void {
  // By way of the slot first: it may replace the bytes.
  const slot = file.appendSlot()
  file.heldBytes.writeInt32BE(value, slot)
}

test('entries that were flushed and dropped are read from the file again', async () => {
  const disk = new SimulatedDisk()
  const file = new EntryFile(disk, PATH, 4, true)
  for (let value = 0; value < 40; value++) append(file, value)
  file.flush()
  await file.sync()
  file.drop()
  expect(file.heldSizeBytes).toBe(0)
  expect(file.readEntry(7)?.readInt32BE(0)).toBe(7)
  file.loadNow()
  expect(file.heldBytes.readInt32BE(4 * 39)).toBe(39)
})

test('what changes the file is told from what is in memory only', () => {
  const disk = new SimulatedDisk()
  const file = new EntryFile(disk, PATH, 4, true)
  const change = (act: () => void): boolean => {
    const { changeCount } = file
    const before = disk.stat(PATH) === null ? Buffer.alloc(0) : disk.readFile(PATH)
    act()
    const isChanged = file.changeCount !== changeCount
    expect(disk.stat(PATH) === null || disk.readFile(PATH).equals(before)).toBe(!isChanged)
    return isChanged
  }
  const appendOne = (): void => append(file, 7)
  const flush = (): void => file.flush()
  const told = [
    appendOne,
    flush,
    flush,
    appendOne,
    () => file.truncateTo(1),
    () => file.drop(),
    () => file.truncateTo(0),
  ]
  expect(told.map(change)).toEqual([false, true, false, false, false, false, true])
})

test('a file that was closed before its sync is synced by the next one', async () => {
  const disk = new SimulatedDisk()
  const file = new EntryFile(disk, PATH, 4, true)
  append(file, 1)
  file.flush()
  file.close()
  expect(file.needsSync).toBe(true)
  await file.sync()
  expect(file.needsSync).toBe(false)
  disk.syncDirectory('/')
  expect(disk.crashed({ choose: (count) => count - 1 }).stat(PATH)?.sizeBytes).toBe(4)
})

test.each(['written and not synced', 'with entries in memory', 'empty'])(
  'a file that was given up %s is not made again, whatever is asked of it',
  async (state) => {
    const disk = new SimulatedDisk()
    const file = new EntryFile(disk, PATH, 4, true)
    if (state !== 'empty') append(file, 1)
    if (state === 'written and not synced') file.flush()
    file.abandon()
    if (disk.stat(PATH) !== null) disk.rename(PATH, `${PATH}.deleted`)
    expect(file.needsSync).toBe(false)
    file.create()
    file.flush()
    await file.sync()
    file.syncNow()
    file.syncFound()
    await file.sync()
    file.truncateTo(0)
    expect(disk.stat(PATH)).toBeNull()
  },
)

/** A disk that is full from the second entry of a write on, in the middle of the third. */
function fillUpAmid(disk: SimulatedDisk): void {
  disk.fault = (operation) => (operation === 'write' ? 'DISK_FULL' : null)
  disk.shortWrite = (_, sizeBytes) => Math.min(10, sizeBytes - 2)
}

test('what a write left of an entry is gone with the next flush, also where no entry follows', () => {
  const disk = new SimulatedDisk()
  const file = new EntryFile(disk, PATH, 4, true)
  for (let value = 1; value <= 5; value++) append(file, value)
  fillUpAmid(disk)
  expect(() => file.flush()).toThrow('ENOSPC')
  expect(disk.peek(PATH).length).toBe(10)
  disk.fault = () => null
  file.truncateTo(1)
  file.flush()
  expect(disk.peek(PATH)).toEqual(Buffer.from([0, 0, 0, 1]))
  expect(file.isFlushed).toBe(true)
})

test('a file that is cut to where its last whole write ended keeps nothing of the next one', () => {
  const disk = new SimulatedDisk()
  const file = new EntryFile(disk, PATH, 4, true)
  append(file, 1)
  file.flush()
  for (let value = 2; value <= 5; value++) append(file, value)
  fillUpAmid(disk)
  expect(() => file.flush()).toThrow('ENOSPC')
  disk.fault = () => null
  file.truncateTo(1)
  expect(disk.peek(PATH)).toEqual(Buffer.from([0, 0, 0, 1]))
})

test('a file that is found with a part of an entry loses it', () => {
  const disk = new SimulatedDisk()
  const half = disk.openFile(PATH, { create: true })
  half.write(Buffer.from([0, 0, 0, 1, 9]), 0, 5, 0)
  const file = new EntryFile(disk, PATH, 4, false)
  expect(file.count).toBe(1)
  expect(file.needsSync).toBe(true)
  file.flush()
  expect(disk.peek(PATH)).toEqual(Buffer.from([0, 0, 0, 1]))
})

test('a file that was given up after half a write has nothing left to be written', () => {
  const disk = new SimulatedDisk()
  const file = new EntryFile(disk, PATH, 4, true)
  append(file, 1)
  fillUpAmid(disk)
  expect(() => file.flush()).toThrow('ENOSPC')
  file.abandon()
  expect(file.needsSync).toBe(false)
})
