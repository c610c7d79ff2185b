import { appendFileSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { FileReserve } from './file-reserve.ts'
import { batch, entriesAfter, LogFixture } from './testing/log-fixture.ts'

describe('FileReserve', () => {
  let log: LogFixture

  beforeEach(() => {
    log = new LogFixture()
  })

  afterEach(() => log.remove())

  it('extends a file and leaves what is in it', () => {
    writeFileSync(log.path, 'content')
    const reserve = new FileReserve(log.path)
    reserve.ensure(5)
    expect(statSync(log.path).size).toBe(7)
    reserve.ensure(300_000)
    const { size } = statSync(log.path)
    expect(size).toBeGreaterThanOrEqual(300_000)
    reserve.ensure(size)
    expect(statSync(log.path).size).toBe(size)
    reserve.close()
  })

  it('leaves what LMDB itself has written behind the reserve', () => {
    writeFileSync(log.path, 'a')
    const reserve = new FileReserve(log.path)
    const pages = Buffer.alloc(100_000, 'page')
    appendFileSync(log.path, pages)
    reserve.ensure(200_000)
    expect(readFileSync(log.path).subarray(1, 100_001).equals(pages)).toBe(true)
    expect(statSync(log.path).size).toBeGreaterThanOrEqual(200_000)
    reserve.close()
  })

  it.runIf(process.platform === 'linux')('throws what the system says of a full disk', () => {
    const reserve = new FileReserve('/dev/full')
    expect(() => reserve.ensure(1)).toThrow('ENOSPC')
    reserve.close()
  })

  it('keeps LMDB from growing the file itself', async () => {
    const store = await log.open()
    let last = null
    for (let round = 0; round < 20; round++) {
      const before = statSync(log.path).size
      const entries = entriesAfter(last, 3, 1, () => Buffer.alloc(30_000))
      last = entries.at(-1)!
      await store.write(batch({ entries }))
      const after = statSync(log.path).size
      // By whole steps of the reserve, never by LMDB's pages.
      expect((after - before) % (256 * 1024)).toBe(0)
    }
    await store.close()
  })
})
