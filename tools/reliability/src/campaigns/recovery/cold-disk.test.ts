import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { coldDiskMibPerSecond } from './cold-disk.ts'

test('the oldest segments of the topic are read, where others follow them', () => {
  const directory = mkdtempSync(join(tmpdir(), 'cold-disk-'))
  try {
    for (const name of ['t-0', 't-1', 'other-0']) mkdirSync(join(directory, name))
    for (const name of ['t-0', 't-1']) {
      writeFileSync(join(directory, name, '00000000000000000000.log'), Buffer.alloc(3_000_000))
    }
    // A start reads the only segment there is: it must stay where it is, in no cache.
    expect(coldDiskMibPerSecond(directory, 't')).toBeNull()
    writeFileSync(join(directory, 't-1', '00000000000000000100.log'), Buffer.alloc(10))
    expect(coldDiskMibPerSecond(directory, 't')).toBeGreaterThan(0)
    expect(coldDiskMibPerSecond(directory, 'absent')).toBeNull()
  } finally {
    rmSync(directory, { recursive: true })
  }
})
