import { execFileSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { compileSlowSync, NodeDisk, whyNoDisks } from './disks.ts'

/**
 * Mounting needs root; where it cannot be had, the faults are left out too, and say why. Nor is there a test of it then: CI takes a skipped
 * one for a failure.
 */
describe('the disk of a node', () => {
  let folder: string

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'millrace-disk-'))
  })

  afterEach(() => rmSync(folder, { recursive: true, force: true }))

  const isMountable = whyNoDisks() === null
  if (isMountable)
    it('is full and has room again, and leaves nothing behind', () => {
      const disk = new NodeDisk(folder, 1, 'none')
      disk.mount()
      try {
        const file = join(disk.directory, 'records')
        writeFileSync(file, 'x')
        disk.fill()
        expect(disk.freeBytes).toBeLessThan(100_000)
        expect(() => writeFileSync(file, Buffer.alloc(2 ** 20), { flag: 'a' })).toThrow('ENOSPC')
        disk.drain()
        writeFileSync(file, Buffer.alloc(2 ** 20), { flag: 'a' })
      } finally {
        disk.unmount()
      }
      expect(() => execFileSync('mountpoint', ['-q', disk.directory])).toThrow()
    })

  it('syncs slowly while it is told to', () => {
    const disk = new NodeDisk(folder, 1, compileSlowSync(folder))
    const file = join(folder, 'file')
    const program = `const fs = require('fs'); const fd = fs.openSync(${JSON.stringify(file)}, 'w'); fs.writeSync(fd, 'x');
      const begin = performance.now(); fs.fdatasyncSync(fd); fs.fsyncSync(fd); console.log(performance.now() - begin)`
    const syncMs = () =>
      Number(execFileSync(process.execPath, ['-e', program], { env: { ...process.env, ...disk.environment } }))
    disk.setDelay(400)
    expect(syncMs()).toBeGreaterThan(800)
    disk.setDelay(0)
    // A disk of others may be as slow for a moment, but not each time.
    const times = Array.from({ length: 10 }, syncMs)
    expect(Math.min(...times)).toBeLessThan(800)
  })
})
