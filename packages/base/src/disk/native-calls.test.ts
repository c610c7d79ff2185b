import { closeSync, openSync, readFileSync } from 'node:fs'
import { expect, test } from 'vitest'
import { nativeCalls } from './native-calls.ts'

const ENOTSUP = 95
const EBADF = 9

test.runIf(process.platform === 'linux')(
  'a file system that cannot reserve space says so, and nothing is written instead',
  async () => {
    // A file of procfs, which knows no fallocate: a write to it would change the name of this thread.
    const path = '/proc/self/comm'
    const before = readFileSync(path, 'utf8')
    const fd = openSync(path, 'r+')
    try {
      expect(await nativeCalls()!.allocate(fd, 0, 4096)).toBe(ENOTSUP)
      expect(readFileSync(path, 'utf8')).toBe(before)
    } finally {
      closeSync(fd)
    }
  },
)

test.runIf(process.platform === 'linux')('a refusal keeps its reason', async () => {
  expect(await nativeCalls()!.allocate(-1, 0, 4096)).toBe(EBADF)
})
