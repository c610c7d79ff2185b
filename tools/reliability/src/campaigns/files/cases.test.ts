import { SeededRandom } from '@millrace/base'
import { expect, test } from 'vitest'
import { CaseRunner } from './case-worker.ts'
import { makeGoodDirectory, openStorage, turns } from './good-logs.ts'
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
