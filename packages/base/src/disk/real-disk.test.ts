import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { SimulatedClock } from '../clock/simulated-clock.ts'
import { DiskError } from '../errors.ts'
import { SimulatedTimers } from '../timers/simulated-timers.ts'
import { CollectionNudge } from './collection-nudge.ts'
import { RealDisk } from './real-disk.ts'

let directory = ''

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-real-disk-'))
})

afterEach(() => {
  rmSync(directory, { recursive: true })
})

test('a directory is made with its parents, for the owner only, and may be there already', () => {
  const disk = new RealDisk()
  const path = `${directory}/a/b/c`
  disk.makeDirectory(path)
  disk.makeDirectory(path)
  disk.makeDirectory(`${path}/`)
  expect(statSync(path).mode & 0o777).toBe(0o700)
  expect(statSync(`${directory}/a`).mode & 0o777).toBe(0o700)
})

test('a file in the way of a directory is an error that names the system error', () => {
  writeFileSync(`${directory}/file`, '')
  const disk = new RealDisk()
  expect(() => disk.makeDirectory(`${directory}/file`)).toThrow(`make directory ${directory}/file: EEXIST`)
  expect(() => disk.makeDirectory(`${directory}/file/below`)).toThrow('ENOTDIR')
})

test('a parent that takes no entries is an error and no endless loop', () => {
  expect(() => new RealDisk().makeDirectory('/proc/millrace/data')).toThrow(DiskError)
})

test.runIf(process.platform === 'linux')(
  'a mapping that was let go is looked after until the collector has it unmapped',
  async () => {
    const timers = new SimulatedTimers(new SimulatedClock())
    const nudge = new CollectionNudge({ timers })
    const disk = new RealDisk({ nudge })
    const path = join(directory, 'mapped')
    writeFileSync(path, Buffer.alloc(1 << 20))
    const isMapped = () => readFileSync('/proc/self/maps', 'latin1').includes(path)
    const file = disk.openFile(path, { create: false })
    const open = () => {
      const mapping = file.map(1 << 20)!
      expect(mapping.view(0, 10).length).toBe(10)
      return mapping
    }
    open().release()
    file.close()
    disk.removeFile(path)
    expect(isMapped()).toBe(true)
    timers.advance(60_000)
    // Incremental: it takes some turns of the loop.
    while (isMapped()) await new Promise((resolve) => setImmediate(resolve))
    nudge.close()
  },
)
