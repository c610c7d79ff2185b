import { DiskError } from '@millrace/base'
import { expect, test } from 'vitest'
import { settleAll } from './settle-all.ts'

const temporary = new DiskError('DISK_OTHER', 'open', '/data/a', 'EMFILE')
const final = new DiskError('DISK_IO', 'sync', '/data/b', 'EIO')

test('a final error is told before one that may be tried again, whichever came first', async () => {
  for (const errors of [
    [temporary, final],
    [final, temporary],
    [temporary, temporary, final],
  ]) {
    await expect(settleAll(errors, (error) => Promise.reject(error))).rejects.toBe(final)
  }
  await expect(settleAll([temporary], (error) => Promise.reject(error))).rejects.toBe(temporary)
})

test('a final error is told at once, while others have not ended', async () => {
  let end = (): void => undefined
  const never = new Promise<void>((resolve) => {
    end = resolve
  })
  await expect(settleAll([0, 1], (slot) => (slot === 0 ? never : Promise.reject(final)))).rejects.toBe(final)
  // What may be tried again waits for them: they may bring one that may not.
  const both = settleAll([0, 1], (slot) =>
    slot === 0 ? never.then(() => Promise.reject(final)) : Promise.reject(temporary),
  )
  end()
  await expect(both).rejects.toBe(final)
})

test('a task that throws at once keeps no other from being begun and heard', async () => {
  const begun: DiskError[] = []
  const settled = settleAll([temporary, final], (error) => {
    begun.push(error)
    throw error
  })
  await expect(settled).rejects.toBe(final)
  expect(begun).toEqual([temporary, final])
})

test('where nothing fails it ends when all have ended', async () => {
  const ended: number[] = []
  await settleAll([3, 1, 2], async (count) => {
    for (let turn = 0; turn < count; turn++) await Promise.resolve()
    ended.push(count)
  })
  expect(ended).toEqual([1, 2, 3])
})
