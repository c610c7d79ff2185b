import { checkDamagedNote } from '@millrace/storage/testing'
import { beforeAll, expect, test } from 'vitest'
import { type GoodMoves, makeGoodMoves, runMoveCase } from './move-case.ts'
import { filesUnder } from './simulated-files.ts'

let moves: GoodMoves

beforeAll(async () => {
  moves = await makeGoodMoves()
})

test('with damaged notes of moves a start finds the log that counts, or is refused', async () => {
  let refusedCount = 0
  for (let seed = 0; seed < 100; seed++) {
    const { complaints, refused } = await runMoveCase(moves, seed)
    expect(complaints, `seed ${seed}`).toEqual([])
    if (refused) refusedCount++
  }
  expect(refusedCount).toBeGreaterThan(0)
  expect(refusedCount).toBeLessThan(100)
})

test('the checker finds a log whose records are gone', async () => {
  const point = moves.points.find(({ expected }) => expected.durableOffset > expected.logStartOffset)!
  const disk = point.disk.fork()
  for (const directory of ['/a', '/b'])
    for (const path of filesUnder(disk, directory)) if (path.endsWith('.log')) disk.removeFile(path)
  await expect(checkDamagedNote(disk, point.expected)).rejects.toThrow(/S1/)
})
