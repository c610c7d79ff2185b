import { SeededRandom } from '@millrace/base'
import { beforeAll, describe, expect, test } from 'vitest'
import { CaseRunner } from './case-worker.ts'
import { makeGoodDirectory, openStorage, turns } from './good-logs.ts'
import { type GoodJournal, journalComplaint, makeGoodJournal } from './journal-case.ts'
import { checkStorage } from './log-case.ts'
import { mutateFile } from './mutate-file.ts'
import { filesUnder, overwriteFile } from './simulated-files.ts'

test('cases of all kinds hold, and a number gives the same case again', { timeout: 120_000 }, async () => {
  const runner = await CaseRunner.create(7)
  for (let number = 0; number < 60; number++) {
    const { complaints, paths } = await runner.run(number)
    expect(complaints, `case ${number}`).toEqual([])
    if (number % 20 === 0) expect((await runner.run(number)).paths).toEqual(paths)
  }
})

test('mutations change nearly every file, and lose some', () => {
  const random = new SeededRandom(1)
  const contents = Buffer.from('0\n1\n1 0\n'.repeat(20))
  const other = { older: Buffer.from('older'), foreign: Buffer.alloc(100, 7) }
  const mutated = Array.from({ length: 300 }, () => mutateFile(contents, other, random))
  expect(mutated.filter((bytes) => bytes === null).length).toBeGreaterThan(0)
  expect(mutated.filter((bytes) => bytes?.equals(contents) === true).length).toBeLessThan(30)
  expect(mutated.some((bytes) => bytes?.equals(other.older) === true)).toBe(true)
})

test('without a mark a damaged log may end at its damage, and not before it', async () => {
  const good = await makeGoodDirectory(1, 'cleanly')
  const disk = good.disk.killed().copy()
  const segments = filesUnder(disk, '/data/topic-0').filter((name) => name.endsWith('.log'))
  disk.removeFile(segments[0]!)
  const storage = await openStorage(disk)
  await turns()
  const mark = '/data/durable-mark'
  // It is told that the last segment was damaged, not the first, which is gone.
  const complaints = await checkStorage(storage, good, [mark, segments.at(-1)!])
  expect(complaints.join()).toContain('were refused')
  expect(await checkStorage(storage, good, [mark, segments[0]!])).toEqual([])
  await storage.manager.shutdown()
})

/** A checker that finds nothing wrong with what is wrong would be worth nothing. */
test.each([
  ['another record', (bytes: Buffer) => bytes],
  ['a lost segment', () => null],
])('the checker finds %s', async (what, change) => {
  const good = await makeGoodDirectory(1, 'cleanly')
  const other = await makeGoodDirectory(2, 'cleanly')
  const disk = good.disk.killed().copy()
  const path = filesUnder(disk, '/data/topic-0').find((name) => name.endsWith('.log'))!
  const contents = change(other.disk.readFile(path))
  if (contents === null) disk.removeFile(path)
  else overwriteFile(disk, path, contents)
  const storage = await openStorage(disk)
  await turns()
  // It is told that nothing but an index was damaged.
  const complaints = await checkStorage(storage, good, ['/data/topic-0/00000000000000000000.index'])
  expect(complaints.length, what).toBeGreaterThan(0)
  await storage.manager.shutdown()
})

describe('the checker of journals', () => {
  let good: GoodJournal
  /** Where the frame of the last change, and of the one before, begin. */
  let starts: number[]

  beforeAll(async () => {
    good = await makeGoodJournal('cleanly')
    starts = good.states.flatMap(({ sizeBytes }) => (sizeBytes === null ? [] : [sizeBytes]))
  })

  const stateBefore = (changes: number) => good.states.at(-1 - changes)!.text
  const cut = (position: number) => good.contents.subarray(0, position)
  function flipped(position: number): Buffer {
    const bytes = Buffer.from(good.contents)
    bytes[position]! ^= 1
    return bytes
  }

  test('has several states that the file tells of', () => {
    expect(starts.length).toBeGreaterThan(2)
    expect(starts.at(-1)).toBeLessThan(good.contents.length)
  })

  test('allows all of it, and what a torn end leaves', () => {
    expect(journalComplaint(good, good.contents, stateBefore(0))).toBeNull()
    expect(journalComplaint(good, cut(starts.at(-1)! - 1), stateBefore(1))).toBeNull()
  })

  test('finds metadata that never was, and changes that were whole and are lost', () => {
    expect(journalComplaint(good, good.contents, 'something else')).toContain('never was')
    expect(journalComplaint(good, cut(starts.at(-1)! - 1), stateBefore(2))).toContain('1 changes are lost')
  })

  test('finds damage that was taken for a torn end', () => {
    // Of the last change but one; the last is whole behind it.
    expect(journalComplaint(good, flipped(starts.at(-3)! + 30), stateBefore(2))).toContain('taken for a torn end')
    expect(journalComplaint(good, flipped(starts.at(-3)! + 30), stateBefore(0))).toBeNull()
  })
})
