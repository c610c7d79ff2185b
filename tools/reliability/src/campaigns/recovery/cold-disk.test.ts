import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { coldDiskMibPerSecond } from './cold-disk.ts'

test('the oldest segments of the topic are read, each to its end', () => {
  const directory = mkdtempSync(join(tmpdir(), 'cold-disk-'))
  try {
    for (const name of ['t-0', 't-1', 'other-0']) mkdirSync(join(directory, name))
    for (const name of ['t-0', 't-1']) {
      writeFileSync(join(directory, name, '00000000000000000000.log'), Buffer.alloc(3_000_000))
    }
    expect(coldDiskMibPerSecond(directory, 't')).toBeGreaterThan(0)
    // It has none, and is not looked into.
    expect(coldDiskMibPerSecond(directory, 'absent')).toBe(0)
    expect(() => coldDiskMibPerSecond(directory, 'other')).toThrow('ENOENT')
  } finally {
    rmSync(directory, { recursive: true })
  }
})
