import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { dirname } from 'node:path'
import { describe, expect, it } from 'vitest'
import { holdingsOf } from './holdings.ts'
import { type ScaleRow, summaryTable } from './summary.ts'

describe('a summary', () => {
  it('has medians of the rounds of each system, and a dash for what one of them has no figure of', () => {
    const row = (system: ScaleRow['system'], round: number, figures: ScaleRow['figures']): ScaleRow => {
      return { system, topics: 10, partitions: 3, round, figures, commit: 'c' }
    }
    const rows = [
      row('millrace', 1, { createdMs: 100, idleCpuPercent: 0.25 }),
      row('millrace', 2, { createdMs: 300, idleCpuPercent: 0.75 }),
      row('kafka', 1, { createdMs: 900 }),
    ]
    expect(summaryTable(rows).split('\n')).toEqual([
      '| figure | millrace | kafka |',
      '| --- | --: | --: |',
      '| createdMs | 200 (100–300) | 900 |',
      '| idleCpuPercent | 0.50 (0.25–0.75) | – |',
    ])
  })
})

describe('holdings', () => {
  it('are those of the process, whatever its name', async () => {
    const held = 'const held = Buffer.alloc(2 ** 26, 1); console.log(held.length); process.stdin.resume()'
    const child = spawn(process.execPath, ['--title=a) S 1 (b', '-e', held], { stdio: ['pipe', 'pipe', 'inherit'] })
    await once(child.stdout, 'data')
    const { anonymousKib, descriptors, mappings, cpuSeconds } = holdingsOf(
      child.pid!,
      dirname(dirname(process.execPath)),
    )
    child.stdin.end()
    await once(child, 'exit')
    expect(anonymousKib).toBeGreaterThan(2 ** 16)
    expect(descriptors).toBeGreaterThan(2)
    // The program itself.
    expect(mappings).toBeGreaterThan(1)
    expect(mappings).toBeLessThan(10)
    expect(cpuSeconds).toBeGreaterThan(0)
    expect(cpuSeconds).toBeLessThan(60)
  })
})
