import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { plan } from './testing/crash-writer.ts'
import { hardState, LogFixture } from './testing/log-fixture.ts'

const WRITER = fileURLToPath(new URL('./testing/crash-writer.ts', import.meta.url))

/**
 * Method: a child process writes what a seed says and tells of each durable write; it is killed after a number of them, and what is found
 * must be the log after the last write told of, or one later. The page cache survives a kill, so this shows atomicity, not syncing:
 * that the commit syncs is LMDB's promise without `overlappingSync` (see `lmdb-database.ts`).
 */
describe('A log whose process is killed while it writes', () => {
  it.each([
    [1, 1],
    [2, 9],
    [3, 10],
    [4, 14],
    [5, 21],
  ])(
    'seed %i, after %i writes',
    async (seed, killAfter) => {
      const log = new LogFixture()
      const child = spawn(process.execPath, [WRITER, log.path, String(seed)], { stdio: ['ignore', 'pipe', 'inherit'] })
      const exit = once(child, 'exit')
      let told = 0
      for await (const line of createInterface({ input: child.stdout })) {
        told = Number(line)
        // Lines after this one are those that it wrote before it was dead.
        if (told === killAfter) child.kill('SIGKILL')
      }
      const [, signal] = await exit
      expect(signal).toBe('SIGKILL')
      expect(told).toBeGreaterThanOrEqual(killAfter)

      for (let life = 0; life < 2; life++) {
        const store = await log.open({ create: false })
        const found = store.hardState.term
        expect([told, told + 1]).toContain(found)
        let expected = null
        for (const step of plan(seed)) {
          expected = step
          if (step.write.hardState.term === found) break
        }
        expect(store.hardState).toEqual(hardState(found, found))
        expect(store.findings).toEqual([])
        expect(store.lastIndex).toBe(expected!.log.length)
        const read = store.entries(store.firstIndex, store.lastIndex + 1, Number.MAX_SAFE_INTEGER)
        expect(read).toEqual(expected!.log.slice(store.firstIndex - 1))
        if (store.snapshot !== null) {
          expect(store.firstIndex).toBeLessThanOrEqual(store.snapshot.index + 1)
          expect(store.readSnapshot(store.snapshot.index, 0, 1_000_000)?.data.length).toBe(600_000)
        }
        await store.close()
      }
      log.remove()
    },
    120_000,
  )
})
