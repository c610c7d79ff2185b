import { RandomChoices, SeededRandom, SimulatedDisk } from '@millrace/base'
import { expect, test } from 'vitest'
import { append, logOf, open, settle, turns } from './testing/log-driver.ts'
import { TOPIC_ID } from './testing/storage-harness.ts'

test('what is torn off a segment that gets appends again, since its successor never got a file, is no corruption', async () => {
  const disk = new SimulatedDisk({ finePageBytes: 256 })
  const first = await open(disk)
  const log = first.manager.createLog('topic', 0, TOPIC_ID)
  const held: (() => void)[] = []
  disk.settle = () => new Promise((resolve) => held.push(resolve))
  for (let count = 0; count < 5; count++) {
    append(log, ['value'.padEnd(200, '.')])
    first.manager.flushStaged()
  }
  // The sync of the last ones begins behind it: the mark names the log's end in the new segment.
  log.roll(5)
  disk.settle = () => Promise.resolve()
  for (const wake of held) wake()
  await turns()
  await settle(first, log)
  const random = new SeededRandom(1)
  for (let outcome = 0; outcome < 12; outcome++) {
    const killed = disk.fork().killed()
    const second = await open(killed)
    await settle(second, logOf(second))
    expect(logOf(second).segments.active.baseOffset).toBe(0)
    killed.settle = () => new Promise(() => undefined)
    for (let count = 0; count < 3; count++) append(logOf(second), ['unsynced'.padEnd(300, '.')])
    second.manager.flushStaged()
    const third = await open(killed.crashed(new RandomChoices(random)))
    expect(third.errors).toEqual([])
    expect(logOf(third).logEndOffset).toBeGreaterThanOrEqual(5)
    expect(logOf(third).faultyRanges).toEqual([])
  }
})
