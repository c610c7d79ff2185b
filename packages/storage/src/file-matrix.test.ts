import { SimulatedClock, SimulatedDisk, SimulatedTimers, type Uuid } from '@millrace/base'
import { buildEndTxnMarker, ControlRecordType } from '@millrace/protocol'
import { expect, test } from 'vitest'
import { AppendResult, type Log, ReadResult } from './index.ts'
import { overwriteFile, turns } from './testing/log-driver.ts'
import { batchOf, type Harness, openStorage, TOPIC_ID } from './testing/storage-harness.ts'

/**
 * The file matrix of `reliability.md` 5.3 for one node: each file of a log and of its directory goes bad in each way while the broker
 * is down. What was stored is read as it was, or refused; never changed, never deleted; what is derived is derived again.
 */

const CONFIG = { segmentBytes: 3000, indexIntervalBytes: 200, retentionMs: -1, fileDeleteDelayMs: 500 }
const NOW = 1_700_000_000_000

interface Original {
  disk: SimulatedDisk
  /** The same, half as long. */
  older: SimulatedDisk
  /** Bytes of the batch that holds each offset. */
  batches: Buffer[]
  facts: unknown
}

interface Opened extends Harness {
  timers: SimulatedTimers
}

async function open(disk: SimulatedDisk): Promise<Opened> {
  const clock = new SimulatedClock(NOW + 1000)
  const timers = new SimulatedTimers(clock)
  return { ...(await openStorage({ disk, clock, timers, config: CONFIG })), timers }
}

function logOf({ manager }: Harness): Log {
  return manager.log('topic', 0)!
}

/** Several segments with plain, idempotent, committed and aborted batches of three epochs. */
function fill(log: Log, count: number, from = 0): void {
  const result = new AppendResult()
  const append = (batch: Buffer, origin: 'client' | 'coordinator'): void => {
    expect(log.append(batch, 0, batch.length, origin, 1 + Math.floor(number / 20), result)).toBe(0)
  }
  let number = from
  for (; number < from + count; number++) {
    const timestamp = NOW + number * 10
    const value = `value ${number}`.padEnd(60 + ((number * 37) % 150), '.')
    const producer = { producerId: 5, producerEpoch: 0 }
    if (number % 10 === 9) {
      const type = number % 20 === 9 ? ControlRecordType.ABORT : ControlRecordType.COMMIT
      append(buildEndTxnMarker({ type, coordinatorEpoch: 0, ...producer, timestamp }), 'coordinator')
    } else if (number % 5 === 1) {
      const baseSequence = Math.floor(number / 10) * 2 + (number % 10 === 1 ? 0 : 1)
      append(batchOf([value], { timestamp, ...producer, baseSequence, transactional: true }), 'client')
    } else {
      append(batchOf([value, value], { timestamp }), 'client')
    }
  }
}

async function factsOf(log: Log): Promise<unknown> {
  const times = []
  for (let number = 0; number < 62; number += 7) {
    times.push(await log.offsetForTimestamp(NOW + number * 10, Number.MAX_SAFE_INTEGER))
  }
  const producers = []
  for (const entry of log.producers()) producers.push([entry.producerId, entry.lastSequence, entry.lastDataOffset])
  return {
    logEndOffset: log.logEndOffset,
    logStartOffset: log.logStartOffset,
    epochs: log.epochs.cache.entries(),
    aborted: log.abortedTransactions(0, log.logEndOffset),
    lastStableOffset: log.lastStableOffset,
    maxTimestamp: await log.offsetOfMaxTimestamp(),
    times,
    producers,
  }
}

async function makeOriginal(stop: 'cleanly' | 'by a kill'): Promise<Original> {
  const disk = new SimulatedDisk()
  const harness = await open(disk)
  const other = harness.manager.createLog('topic', 1, 'AAAAAAAAAAAAAAAAAAAAAQ' as Uuid)
  const log = harness.manager.createLog('topic', 0, TOPIC_ID)
  fill(other, 45)
  fill(log, 30)
  harness.manager.flushStaged()
  await turns()
  await log.checkpointer.complete()
  harness.timers.advance(61_000)
  await turns()
  const older = disk.copy()
  fill(log, 30, 30)
  harness.manager.flushStaged()
  await turns()
  log.setHighWatermark(log.logEndOffset)
  const batches: Buffer[] = []
  const out = new ReadResult()
  for (let offset = 0; offset < log.logEndOffset; offset++) {
    expect(await log.read(offset, 1, log.logEndOffset, true, out)).toBe(true)
    batches.push(Buffer.from(Buffer.concat(out.buffers)))
  }
  const facts = await factsOf(log)
  if (stop === 'cleanly') await harness.manager.shutdown()
  else await log.checkpointer.complete()
  // The durable mark is written and synced at leisure.
  harness.timers.advance(2000)
  await turns()
  return { disk: disk.killed(), older, batches, facts }
}

type Damage = (disk: SimulatedDisk, path: string, contents: Buffer, older: SimulatedDisk) => void

const damages: Record<string, Damage> = {
  absent: (disk, path) => disk.removeFile(path),
  empty: (disk, path) => overwriteFile(disk, path, Buffer.alloc(0)),
  zeroed: (disk, path, contents) => overwriteFile(disk, path, Buffer.alloc(contents.length)),
  'cut in half': (disk, path, contents) => overwriteFile(disk, path, contents.subarray(0, contents.length >> 1)),
  'cut by a byte': (disk, path, contents) => overwriteFile(disk, path, contents.subarray(0, contents.length - 1)),
  'with a flipped bit at its start': (disk, path) => disk.corrupt(path, 0, 0x40),
  'with a flipped bit in the middle': (disk, path, contents) => disk.corrupt(path, contents.length >> 1, 4),
  'with a flipped bit at its end': (disk, path, contents) => disk.corrupt(path, contents.length - 1, 1),
  'of an older state': (disk, path, _, older) => {
    if (older.stat(path) !== null) overwriteFile(disk, path, older.readFile(path))
  },
  'of another partition': (disk, path) => {
    const otherPath = path.replace('/topic-0/', '/topic-1/')
    if (otherPath !== path && disk.stat(otherPath) !== null) overwriteFile(disk, path, disk.readFile(otherPath))
  },
}

/** Every read gives what was stored, or refuses; returns the offsets that were refused. */
async function refusedOffsets(log: Log, batches: readonly Buffer[]): Promise<number[]> {
  const refused: number[] = []
  const out = new ReadResult()
  for (const [offset, batch] of batches.entries()) {
    if (offset < log.logStartOffset || offset >= log.logEndOffset) {
      refused.push(offset)
      continue
    }
    const good = await log.read(offset, 1, Number.MAX_SAFE_INTEGER, true, out)
    if (!good) {
      expect([2, 56]).toContain(out.errorCode)
      refused.push(offset)
    } else if (!Buffer.concat(out.buffers).equals(batch)) {
      // A flipped bit shows to whoever checks the batch; the broker hands out what it has.
      expect(out.sizeBytes).toBeGreaterThan(0)
      refused.push(offset)
    }
  }
  return refused
}

const partitionFiles = (disk: SimulatedDisk): string[] =>
  disk.listDirectory('/data/topic-0').map((name) => `/data/topic-0/${name}`)

test.each(['cleanly', 'by a kill'] as const)(
  'derived files that went bad after a stop %s are derived again',
  { timeout: 120_000 },
  async (stop) => {
    const original = await makeOriginal(stop)
    const files = partitionFiles(original.disk).filter((path) => !/\.log$|partition\.metadata$/.test(path))
    expect(files.length).toBeGreaterThan(10)
    for (const path of files) {
      for (const [name, damage] of Object.entries(damages)) {
        const disk = original.disk.killed().copy()
        const contents = disk.readFile(path)
        if (contents.length === 0 && name !== 'absent') continue
        damage(disk, path, contents, original.older)
        const harness = await open(disk)
        const log = logOf(harness)
        await turns()
        log.setHighWatermark(log.logEndOffset)
        expect(await refusedOffsets(log, original.batches), `${path} ${name}`).toEqual([])
        expect(await factsOf(log), `${path} ${name}`).toEqual(original.facts)
        expect(harness.failures).toEqual([])
        await harness.manager.shutdown()
      }
    }
  },
)

test.each(['cleanly', 'by a kill'] as const)(
  'a segment that went bad after a stop %s costs what it held, and nothing is deleted',
  { timeout: 120_000 },
  async (stop) => {
    const original = await makeOriginal(stop)
    const files = partitionFiles(original.disk).filter((path) => path.endsWith('.log'))
    expect(files.length).toBeGreaterThan(2)
    const bases = files.map((path) => Number.parseInt(path.slice(path.lastIndexOf('/') + 1), 10))
    for (const [slot, path] of files.entries()) {
      for (const [name, damage] of Object.entries(damages)) {
        if (name.startsWith('of a')) continue
        const disk = original.disk.killed().copy()
        const contents = disk.readFile(path)
        const usedBytes = contents.findLastIndex((byte) => byte !== 0) + 1
        if (usedBytes < contents.length) overwriteFile(disk, path, contents.subarray(0, usedBytes))
        damage(disk, path, contents.subarray(0, usedBytes), original.older)
        // Of the active segment the tail that was extended ahead goes.
        const closed = files.slice(0, -1)
        const before = new Map(closed.map((file) => [file, disk.stat(file)?.sizeBytes]))
        const harness = await open(disk)
        const log = logOf(harness)
        await turns()
        const refused = await refusedOffsets(log, original.batches)
        const end = bases[slot + 1] ?? original.batches.length
        const label = `${path} ${name}`
        expect(refused.length, label).toBeGreaterThan(0)
        expect(
          refused.filter((offset) => offset < bases[slot]! || offset >= end),
          label,
        ).toEqual([])
        expect(log.logEndOffset, label).toBe(original.batches.length)
        const after = new Map(closed.map((file) => [file, disk.stat(file)?.sizeBytes]))
        expect(after, label).toEqual(before)
        const result = new AppendResult()
        const batch = batchOf(['goes on'])
        expect(log.append(batch, 0, batch.length, 'client', 9, result), label).toBe(0)
        expect(result.baseOffset, label).toBe(original.batches.length)
        await harness.manager.shutdown()
      }
    }
  },
)

test.each(['cleanly', 'by a kill'] as const)(
  'files of the log directory that went bad after a stop %s cost no record',
  { timeout: 120_000 },
  async (stop) => {
    const original = await makeOriginal(stop)
    const names = original.disk
      .listDirectory('/data')
      .filter((name) => /checkpoint$|^durable-mark$|shutdown$/.test(name))
    for (const file of names) {
      for (const [name, damage] of Object.entries(damages)) {
        const disk = original.disk.killed().copy()
        const contents = disk.readFile(`/data/${file}`)
        if (contents.length === 0 && name !== 'absent') continue
        damage(disk, `/data/${file}`, contents, original.older)
        const harness = await open(disk)
        const log = logOf(harness)
        await turns()
        log.setHighWatermark(log.logEndOffset)
        expect(await refusedOffsets(log, original.batches), `${file} ${name}`).toEqual([])
        expect(await factsOf(log), `${file} ${name}`).toEqual(original.facts)
        await harness.manager.shutdown()
      }
    }
  },
)

test('partition metadata that went bad leaves the data where it is', async () => {
  const original = await makeOriginal('cleanly')
  const path = '/data/topic-0/partition.metadata'
  for (const [name, damage] of Object.entries(damages)) {
    if (name.startsWith('of a')) continue
    const disk = original.disk.killed().copy()
    const files = partitionFiles(disk).filter((file) => file !== path)
    damage(disk, path, disk.readFile(path), original.older)
    const harness = await open(disk)
    const log = harness.manager.log('topic', 0)
    if (log !== undefined && log.topicId === TOPIC_ID) throw new Error(`${name}: taken for sound`)
    if (log === undefined) {
      harness.manager.createLog('topic', 0, TOPIC_ID)
      const stray = disk.listDirectory('/data').find((candidate) => candidate.endsWith('-stray'))
      expect(disk.listDirectory(`/data/${stray}`).length, name).toBeGreaterThanOrEqual(files.length)
    }
    await harness.manager.shutdown()
  }
})

test('a directory without its properties, or with others, is refused and left alone', async () => {
  const original = await makeOriginal('cleanly')
  for (const [name, damage] of Object.entries(damages)) {
    if (name.startsWith('of a')) continue
    const disk = original.disk.killed().copy()
    const names = disk.listDirectory('/data/topic-0')
    damage(disk, '/data/meta.properties', disk.readFile('/data/meta.properties'), original.older)
    const refusal = await open(disk).then(
      () => null,
      (error: unknown) => error,
    )
    // What is missing or changed may be a line break, or a letter of the directory's id that nobody else knows.
    if (/bit|byte/.test(name) && refusal === null) continue
    expect(refusal, name).toMatchObject({ code: 'STORAGE_FILE_CORRUPT' })
    expect(disk.listDirectory('/data/topic-0'), name).toEqual(names)
  }
})
