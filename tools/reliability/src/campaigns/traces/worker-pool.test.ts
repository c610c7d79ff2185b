import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Task } from './task.ts'
import { WorkerPool } from './worker-pool.ts'

/** Goal: whatever becomes of a process, `run` settles and says so. Method: a program whose tasks end in a way that their seeds name. */
const program = `
import { serveTasks } from ${JSON.stringify(join(import.meta.dirname, 'serve-tasks.ts'))}
const turn = () => new Promise((resolve) => setImmediate(resolve))
serveTasks(async ({ seed }, isAborted) => {
  if (seed === 1) process.kill(process.pid, 'SIGKILL')
  if (seed === 2) await new Promise(() => undefined)
  if (seed === 3) for (;;) {}
  if (seed === 4) for (const endMs = performance.now() + 2500; performance.now() < endMs; isAborted()) await turn()
  if (seed === 5) throw new Error('no such workload')
  if (seed === 6) setTimeout(() => process.exit(9), 0)
  return { figures: { pid: process.pid }, failures: [], digest: '', sampledCount: 0 }
})`

let folder: string
let pool: WorkerPool | null = null
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'millrace-pool-'))
  writeFileSync(join(folder, 'program.mjs'), program)
})
afterAll(() => rmSync(folder, { recursive: true }))
afterEach(() => pool?.end())

function start(silentMsMax = 60_000): WorkerPool {
  pool = new WorkerPool(1, { program: join(folder, 'program.mjs'), silentMsMax })
  return pool
}

const task = (seed: number): Task => ({ kind: 'lies', seed })

test.each([
  [1, 'ended with SIGKILL'],
  [2, 'storage never ended something'],
  [5, 'ended with 1'],
])(
  'a process that does not come to the end of task %i is a failure, and the next task gets another',
  async (seed, how) => {
    const { failures } = await start().run(task(seed))
    expect(failures).toEqual([expect.stringContaining(how)])
    expect(failures[0]).toContain(`"seed":${seed}`)
    expect((await pool!.run(task(0))).failures).toEqual([])
  },
)

test('a process that tells nothing any more is a failure, and one that goes on for long is none', async () => {
  expect((await start(2000).run(task(4))).failures).toEqual([])
  expect((await pool!.run(task(3))).failures).toEqual([expect.stringContaining('told nothing for 2000 ms')])
})

test('a process that ends while it has nothing to do is a failure of the next task, which is done all the same', async () => {
  const first = await start().run(task(6))
  // Until it is gone.
  let last = await pool!.run(task(0))
  while (last.figures.pid === first.figures.pid) last = await pool!.run(task(0))
  expect(last.failures).toEqual([expect.stringMatching(/ended with 9$/)])
})

test('a pool that is ended ends what it does', async () => {
  const running = start().run(task(3))
  pool!.end()
  await expect(running).rejects.toThrow('were ended')
  await expect(pool!.run(task(0))).rejects.toThrow('were ended')
})
