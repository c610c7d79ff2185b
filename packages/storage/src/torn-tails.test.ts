import { type DiskOperation, RandomChoices, SeededRandom, SimulatedDisk } from '@millrace/base'
import { setBaseOffset, setPartitionLeaderEpoch } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { ReadResult } from './index.ts'
import { append, fill, logOf, type Opened, open, turns } from './testing/log-driver.ts'
import { batchOf, TOPIC_ID } from './testing/storage-harness.ts'

/** Goal: what a start cuts off as torn never comes back, neither behind what is appended in its place nor instead of it. */

const CONFIG = { segmentBytes: 1 << 20, indexIntervalBytes: 200, retentionMs: -1 }
const PAGE_BYTES = 1024
/** Batches that were synced. */
const SYNCED = 5
/** Crashes that are drawn. */
const OUTCOMES = 300

/** Two batches stand behind what was synced: how large each record is, and what it says behind its name. */
interface Tail {
  valueBytes: number
  filler: (name: string) => string
}

const textOf = (tail: Tail, name: string): string => `${name}.`.padEnd(tail.valueBytes, tail.filler(name))

/** Nothing that goes to the thread pool to be synced ends. */
const neverSynced = (operation: DiskOperation): Promise<void> =>
  operation === 'sync' ? new Promise(() => undefined) : Promise.resolve()

/** A log on the disk as a loss of power left it, which took some bytes of the first of both batches. */
async function torn(tail: Tail, lostStart: number, lostEnd: number): Promise<SimulatedDisk> {
  const disk = new SimulatedDisk({ finePageBytes: PAGE_BYTES })
  const opened = await open(disk, CONFIG)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, SYNCED)
  opened.timers.advance(2000)
  await turns()
  const { logPath, writtenBytes } = log.segments.active
  const [first, second] = ['lost 0', 'lost 1'].map((name, number) => {
    const batch = Buffer.from(batchOf([textOf(tail, name)]))
    setBaseOffset(batch, 0, SYNCED + number)
    setPartitionLeaderEpoch(batch, 0, 1)
    return batch
  })
  const bytes = Buffer.concat([first!.fill(0, lostStart, lostEnd), second!])
  if (tail === ALIGNED) expect((writtenBytes + first!.length) % PAGE_BYTES).toBe(0)
  const file = disk.openFile(logPath, { create: false })
  file.write(bytes, 0, bytes.length, writtenBytes)
  file.syncDataNow()
  return disk.killed()
}

async function namesIn(opened: Opened): Promise<string[]> {
  const log = logOf(opened)
  const out = new ReadResult()
  const names: string[] = []
  for (let offset = 0; offset < log.logEndOffset; offset = out.lastOffset + 1) {
    expect(await log.read(offset, 1, log.logEndOffset, true, out)).toBe(true)
    names.push(/(value|lost|new) \d/.exec(Buffer.concat(out.buffers).toString('latin1'))![0])
  }
  return names
}

/** The first one ends where a page does: each may be on the disk without the other. */
const ALIGNED: Tail = { valueBytes: 628, filler: (name) => name }
/** A producer that sends the same again has batches like that. */
const ALIKE: Tail = { valueBytes: 1500, filler: () => '.' }

test.each([
  ['a batch behind a torn one, which lost its end', ALIGNED, 600, 698],
  ['a batch behind a torn one, which lost its beginning', ALIGNED, 0, 100],
  ['a torn batch, which is like the one in its place but for its first bytes,', ALIKE, 1400, 1500],
])('%s does not come back', async (_, tail, lostStart, lostEnd) => {
  const disk = await torn(tail, lostStart, lostEnd)
  disk.settle = neverSynced
  const opened = await open(disk, CONFIG)
  const log = logOf(opened)
  expect(log.logEndOffset).toBe(SYNCED)
  const expected = Array.from({ length: SYNCED }, (_, number) => `value ${number}`)
  for (const name of ['new 0', 'new 1']) {
    expect(append(log, [textOf(tail, name)], 2)).toBe(0)
    expected.push(name)
  }
  opened.manager.flushStaged()
  const random = new SeededRandom(7)
  const ends = new Set<number>()
  for (let outcome = 0; outcome < OUTCOMES; outcome++) {
    const again = await open(disk.crashed(new RandomChoices(random)), CONFIG)
    const { logEndOffset } = logOf(again)
    ends.add(logEndOffset)
    expect(again.errors).toEqual([])
    expect(await namesIn(again)).toEqual(expected.slice(0, logEndOffset))
  }
  expect([...ends].sort()).toEqual([SYNCED, SYNCED + 1, SYNCED + 2])
})
