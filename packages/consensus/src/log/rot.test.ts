import { spawnSync } from 'node:child_process'
import { statSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Entry } from '../raft/types.ts'
import { batch, entriesAfter, hardState, LogFixture, pointOf } from './testing/log-fixture.ts'
import type { RotResult } from './testing/rot-reader.ts'

const READER = fileURLToPath(new URL('./testing/rot-reader.ts', import.meta.url))
const META_BYTES = 176
const PAGE_BYTES = 4096

/**
 * Goal: one wrong bit anywhere in the file never makes the node believe something else: it finds what was written, or less and does not
 * vote, or does not start. Method: a child process opens copies with one bit flipped each. LMDB's inner pages carry no checksums, so that
 * some flips there end the child by a signal: it does not start either.
 */
describe('A quorum log file with one wrong bit', () => {
  let log: LogFixture
  let entries: Entry[]

  beforeAll(async () => {
    log = new LogFixture()
    const store = await log.open()
    entries = entriesAfter(null, 200, 2, () => Buffer.alloc(60, 'x'))
    for (let from = 0; from < 200; from += 20) {
      await store.write(batch({ hardState: hardState(4 + from, 3), entries: entries.slice(from, from + 20) }))
    }
    await store.saveSnapshot(pointOf(entries[99]!), Buffer.alloc(30_000, 'snapshot'), 90)
    await store.write(batch({ hardState: hardState(900, 2) }))
    await store.write(batch({ hardState: hardState(901, 3) }))
    await store.close()
  })

  afterAll(() => log.remove())

  it.each([
    ['first meta page', 0, META_BYTES, 5],
    ['second meta page', PAGE_BYTES, PAGE_BYTES + META_BYTES, 5],
    ['transaction number', 152, 160, 1],
    ['transaction number of the other', PAGE_BYTES + 152, PAGE_BYTES + 160, 1],
    ['other pages', 2 * PAGE_BYTES, Number.POSITIVE_INFINITY, 1873],
  ])(
    '%s',
    (_, from, to, step) => {
      const end = Math.min(to, statSync(log.path).size)
      let seen = 0
      for (let position = from; position < end; ) {
        const args = [READER, log.path, String(end), String(position), String(step)]
        const child = spawnSync(process.execPath, args, { encoding: 'utf8' })
        const lines = child.stdout.trim().split('\n')
        for (const line of lines) {
          const result = JSON.parse(line) as RotResult | { readonly position: number }
          position = result.position + step
          if (!('code' in result)) continue
          seen++
          expect(['LOG_DAMAGED', 'LOG_DISK_IO', null]).toContain(result.code)
          if (result.code !== null) continue
          expect([result.term, result.voteId], line).toEqual([901, 3])
          if (!result.mayVote) continue
          expect([result.lastIndex, result.lastChain], line).toEqual([200, entries[199]!.chain.toString('hex')])
        }
        if (child.status !== 0) expect(['SIGSEGV', 'SIGBUS', 'SIGABRT'], child.stderr).toContain(child.signal)
      }
      expect(seen).toBeGreaterThan(5)
    },
    120_000,
  )
})
