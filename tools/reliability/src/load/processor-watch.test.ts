import { spawnSync } from 'node:child_process'
import { availableParallelism } from 'node:os'
import { expect, test } from 'vitest'
import { monotonicMs } from './monotonic.ts'
import { ProcessorWatch } from './processor-watch.ts'

test('a processor that a busier task of higher priority holds is told of, or why that cannot be watched', async () => {
  const mayWatch =
    spawnSync('chrt', ['--fifo', '51', 'true']).status === 0 && spawnSync('taskset', ['--version']).status === 0
  if (!mayWatch) {
    await expect(ProcessorWatch.start()).rejects.toThrow('needs chrt and taskset')
    return
  }
  const watch = await ProcessorWatch.start()
  try {
    const startMs = monotonicMs()
    const last = String(availableParallelism() - 1)
    const busy = 'const end = performance.now() + 50; while (performance.now() < end);'
    spawnSync('chrt', ['--fifo', '60', 'taskset', '--cpu-list', last, process.execPath, '--eval', busy])
    const endMs = monotonicMs()
    let longestMs = 0
    // The probe tells when it runs again, and that may take this process a moment to read.
    while (longestMs < 50 && monotonicMs() < endMs + 20_000) {
      await new Promise((resolve) => setImmediate(resolve))
      for (const each of watch.take()) {
        expect(each.endMs).toBeGreaterThan(startMs - 60_000)
        longestMs = Math.max(longestMs, each.endMs - each.startMs)
      }
    }
    expect(longestMs).toBeGreaterThanOrEqual(50)
  } finally {
    await watch.stop()
  }
})
