import { SimulatedDisk } from '@millrace/base'
import { expect, test } from 'vitest'
import { clipRanges, mergeRanges, readDamagedRanges, writeDamagedRanges } from './damaged-ranges.ts'
import { type Log, ReadResult } from './index.ts'
import { append, fill, open, overwriteFile, turns } from './testing/log-driver.ts'
import { TOPIC_ID } from './testing/storage-harness.ts'

const PATH = '/data/topic-0/damaged-ranges'
const KAFKA_STORAGE_ERROR = 56

/** A log of 60 records whose second segment vanished while the broker was down; `bases` are those of all its segments. */
async function loseSegment(disk: SimulatedDisk): Promise<number[]> {
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 60)
  const bases = log.segments.all.map(({ baseOffset }) => baseOffset)
  await opened.manager.shutdown()
  disk.removeFile(`/data/topic-0/${String(bases[1]).padStart(20, '0')}.log`)
  return bases
}

/** The error of a read of one record, 0 if it was read. */
async function errorAt(log: Log, offset: number): Promise<number> {
  const out = new ReadResult()
  return (await log.read(offset, 1, Number.MAX_SAFE_INTEGER, true, out)) ? 0 : out.errorCode
}

async function expectRefused(log: Log, startOffset: number, endOffset: number): Promise<void> {
  for (let offset = 0; offset < 60; offset++) {
    const lost = offset >= startOffset && offset < endOffset
    expect(await errorAt(log, offset), `read of ${offset}`).toBe(lost ? KAFKA_STORAGE_ERROR : 0)
  }
}

test('a lost segment is refused to readers by every later start', async () => {
  const disk = new SimulatedDisk()
  const bases = await loseSegment(disk)
  const first = await open(disk)
  expect(first.errors).toContain('segment is shorter than what was synced')
  await expectRefused(first.manager.log('topic', 0)!, bases[1]!, bases[2]!)
  await first.manager.shutdown()
  for (let round = 0; round < 2; round++) {
    const again = await open(disk)
    expect(again.warnings).toEqual([])
    await expectRefused(again.manager.log('topic', 0)!, bases[1]!, bases[2]!)
    await again.manager.shutdown()
  }
  const used = await open(disk)
  const log = used.manager.log('topic', 0)!
  await fill(used, log, 90)
  await log.checkpointer.complete()
  used.timers.advance(2000)
  await turns()
  const killed = await open(disk.killed())
  await expectRefused(killed.manager.log('topic', 0)!, bases[1]!, bases[2]!)
})

test('ranges that cannot be read are found again in the log', async () => {
  for (const contents of ['', 'nonsense', '0\n2\n13 26\ncrc32c 1\n']) {
    const disk = new SimulatedDisk()
    const bases = await loseSegment(disk)
    await (await open(disk)).manager.shutdown()
    overwriteFile(disk, PATH, Buffer.from(contents))
    const again = await open(disk)
    expect(again.warnings).toContain('damaged ranges unreadable, walking the log')
    await expectRefused(again.manager.log('topic', 0)!, bases[1]!, bases[2]!)
    expect(readDamagedRanges(disk, '/data/topic-0')).toEqual([{ startOffset: bases[1], endOffset: bases[2] }])
  }
})

test('what is appended after a truncation is read, although it was lost before', async () => {
  const disk = new SimulatedDisk()
  const bases = await loseSegment(disk)
  const opened = await open(disk)
  const log = opened.manager.log('topic', 0)!
  log.truncateTo(bases[1]! - 1)
  expect(disk.stat(PATH)).toBeNull()
  await turns()
  await fill(opened, log, 40)
  for (let offset = 0; offset < 40; offset++) expect(await errorAt(log, offset)).toBe(0)
  await opened.manager.shutdown()
  const again = await open(disk)
  for (let offset = 0; offset < 40; offset++) expect(await errorAt(again.manager.log('topic', 0)!, offset)).toBe(0)
})

test.each([
  ['a segment between others is lost', (disk: SimulatedDisk, paths: string[]) => disk.removeFile(paths[1]!)],
  ['the first batch is damaged', (disk: SimulatedDisk, paths: string[]) => disk.corrupt(paths[0]!, 90, 1)],
  [
    'a batch of the second segment is damaged',
    (disk: SimulatedDisk, paths: string[]) => disk.corrupt(paths[1]!, 700, 1),
  ],
  ['the last batch of a segment is damaged', (disk: SimulatedDisk, paths: string[]) => damageEnd(disk, paths[1]!)],
  ['the last batch of all is damaged', (disk: SimulatedDisk, paths: string[]) => damageEnd(disk, paths.at(-1)!)],
])('%s: cut where the damage begins, the log is whole again', async (_, damage) => {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 60)
  const paths = log.segments.all.map(({ logPath }) => logPath)
  await opened.manager.shutdown()
  damage(disk, paths)
  const damaged = await open(disk)
  const recovered = damaged.manager.log('topic', 0)!
  for (let offset = 0; offset < 60; offset++) await errorAt(recovered, offset)
  const startOffset = Math.min(...recovered.faultyRanges.map((range) => range.startOffset))
  expect(startOffset).toBeLessThan(60)
  if (startOffset > recovered.logStartOffset) recovered.truncateTo(startOffset)
  else recovered.truncateFullyAndStartAt(recovered.logStartOffset)
  expect([recovered.logEndOffset, recovered.faultyRanges]).toEqual([startOffset, []])
  await turns()
  await fill(damaged, recovered, 60)
  for (const again of [damaged, await open(disk.killed())]) {
    const whole = again.manager.log('topic', 0)!
    expect(whole.faultyRanges).toEqual([])
    for (let offset = whole.logStartOffset; offset < 60; offset++) expect(await errorAt(whole, offset)).toBe(0)
  }
})

/** A bit of the last record of the file. */
function damageEnd(disk: SimulatedDisk, path: string): void {
  disk.corrupt(path, disk.stat(path)!.sizeBytes - 10, 1)
}

test('the file goes once the log starts behind what was lost', async () => {
  const disk = new SimulatedDisk()
  const bases = await loseSegment(disk)
  const opened = await open(disk)
  const log = opened.manager.log('topic', 0)!
  log.setHighWatermark(60)
  log.raiseLogStart(bases[3]!)
  await opened.manager.shutdown()
  const again = await open(disk)
  expect(again.manager.log('topic', 0)!.faultyRanges).toEqual([])
  expect(disk.stat(PATH)).toBeNull()
})

test('a full disk does not keep the rest of a damaged log from being read', async () => {
  const disk = new SimulatedDisk()
  const bases = await loseSegment(disk)
  disk.fault = (_, path) => (path.startsWith(PATH) ? 'DISK_FULL' : null)
  const opened = await open(disk)
  expect(opened.errors).toContain('damage could not be noted down: a later start may not know of it')
  await expectRefused(opened.manager.log('topic', 0)!, bases[1]!, bases[2]!)
  expect(append(opened.manager.log('topic', 0)!, ['goes on'])).toBe(0)
})

/** A log whose checkpoints are written, killed, and its durable mark lost. */
async function loseMark(): Promise<{ killed: SimulatedDisk; log: Log }> {
  const disk = new SimulatedDisk()
  const opened = await open(disk)
  const log = opened.manager.createLog('topic', 0, TOPIC_ID)
  await fill(opened, log, 60)
  await log.checkpointer.complete()
  opened.timers.advance(61_000)
  await turns()
  const killed = disk.killed()
  killed.removeFile('/data/durable-mark')
  return { killed, log }
}

test('with the durable mark lost, damage of what a checkpoint calls synced is kept, and not taken for a torn tail', async () => {
  const { killed, log } = await loseMark()
  const [first, second] = log.segments.all
  killed.corrupt(first!.logPath, first!.sizeBytes >> 1, 1)
  const again = await open(killed)
  const recovered = again.manager.log('topic', 0)!
  expect(recovered.logEndOffset).toBe(60)
  expect(await errorAt(recovered, second!.baseOffset)).toBe(0)
  expect(recovered.faultyRanges.length).toBe(1)
})

test('with the durable mark lost, zeros behind a closed segment are not part of it', async () => {
  const { killed, log } = await loseMark()
  const closed = log.segments.at(1)
  const contents = killed.readFile(closed.logPath)
  overwriteFile(killed, closed.logPath, Buffer.concat([contents, Buffer.alloc(4096)]))
  const again = await open(killed)
  const recovered = again.manager.log('topic', 0)!
  expect(recovered.faultyRanges).toEqual([])
  for (let offset = 0; offset < 60; offset++) expect(await errorAt(recovered, offset)).toBe(0)
  expect(killed.stat(closed.logPath)?.sizeBytes).toBe(contents.length)
})

test('ranges are merged and cut to the log', () => {
  const ranges = [
    { startOffset: 30, endOffset: 40 },
    { startOffset: 0, endOffset: 10 },
    { startOffset: 10, endOffset: 12 },
    { startOffset: 35, endOffset: 50 },
  ]
  expect(mergeRanges(ranges)).toEqual([
    { startOffset: 0, endOffset: 12 },
    { startOffset: 30, endOffset: 50 },
  ])
  expect(clipRanges(ranges, 5, 38)).toEqual([
    { startOffset: 30, endOffset: 38 },
    { startOffset: 5, endOffset: 10 },
    { startOffset: 10, endOffset: 12 },
    { startOffset: 35, endOffset: 38 },
  ])
})

test('the file holds what was written into it', () => {
  const disk = new SimulatedDisk()
  disk.makeDirectory('/data/topic-0')
  const ranges = [
    { startOffset: 3, endOffset: 2 ** 53 - 1 },
    { startOffset: 0, endOffset: 1 },
  ]
  writeDamagedRanges(disk, '/data/topic-0', ranges)
  expect(readDamagedRanges(disk, '/data/topic-0')).toEqual(ranges)
  writeDamagedRanges(disk, '/data/topic-0', [])
  expect(disk.stat(PATH)).toBeNull()
})
