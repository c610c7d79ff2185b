import { SeededRandom, SimulatedClock, SimulatedDisk, SimulatedTimers, type Uuid } from '@millrace/base'
import { BatchBuilder, type BatchOptions, buildEndTxnMarker, CodecId, ControlRecordType } from '@millrace/protocol'
import { AppendResult, type Log, type LogConfig, LogManager, ReadResult } from '@millrace/storage'

const NOW_MS = 1_700_000_000_000
const CODECS = [CodecId.NONE, CodecId.NONE, CodecId.GZIP, CodecId.SNAPPY, CodecId.LZ4, CodecId.ZSTD]
const TOPIC_IDS = ['Zm9vYmFyYmF6cXV4MTIzNA', 'AAAAAAAAAAAAAAAAAAAAAQ'] as Uuid[]
const BATCH_COUNT = 44

/** Small segments with several index entries each. */
const CONFIG: LogConfig = {
  segmentBytes: 3000,
  segmentMs: 7 * 24 * 3600_000,
  segmentJitterMs: 0,
  segmentIndexBytes: 10 << 20,
  indexIntervalBytes: 200,
  retentionMs: -1,
  retentionBytes: -1,
  cleanupDelete: true,
  cleanupCompact: false,
  minCleanableDirtyRatio: 0.5,
  minCompactionLagMs: 0,
  maxCompactionLagMs: Number.MAX_SAFE_INTEGER,
  deleteRetentionMs: 24 * 3600_000,
  flushMessages: -1,
  flushMs: -1,
  fileDeleteDelayMs: 500,
  writeCaching: false,
}

/** Storage that was opened on a simulated disk, and what it said meanwhile. */
export interface OpenedStorage {
  readonly manager: LogManager
  readonly timers: SimulatedTimers
  readonly directoryFailures: string[]
}

/** Opens storage; time stands still until it is advanced. Rejects as `LogManager.open` does. */
export async function openStorage(disk: SimulatedDisk): Promise<OpenedStorage> {
  const clock = new SimulatedClock(NOW_MS + 1000)
  const timers = new SimulatedTimers(clock)
  const directoryFailures: string[] = []
  const ignore = (): void => undefined
  const manager = await LogManager.open({
    disk,
    clock,
    timers,
    random: new SeededRandom(1),
    directories: ['/data'],
    nodeId: 1,
    clusterId: 'cluster',
    producerIdExpirationMs: 24 * 3600_000,
    retentionCheckIntervalMs: 300_000,
    checkpointIntervalMs: 60_000,
    defaultConfig: CONFIG,
    configOf: () => CONFIG,
    logger: { info: ignore, warn: ignore, error: ignore },
    onDurable: ignore,
    onDamaged: () => undefined,
    onDirectoryFailed: (_directory, error) => directoryFailures.push(error.message),
  })
  manager.startRetention()
  return { manager, timers, directoryFailures }
}

/** One partition as it was written. */
export interface GoodLog {
  readonly partition: number
  readonly topicId: Uuid
  /** The batch that holds each offset. */
  readonly batches: readonly Buffer[]
  /** First offsets of the segment files. */
  readonly segmentBases: readonly number[]
  readonly facts: string
}

/** A log directory that nothing is wrong with. */
export interface GoodDirectory {
  readonly disk: SimulatedDisk
  /** The same with the first half of the records only. */
  readonly older: SimulatedDisk
  readonly logs: readonly GoodLog[]
}

/** Lets everything happen that needs no time. */
export async function turns(count = 200): Promise<void> {
  for (let turn = 0; turn < count; turn++) await Promise.resolve()
}

/** Two partitions of several segments: plain, idempotent, committed and aborted batches of all codecs and three epochs. */
export async function makeGoodDirectory(seed: number, stop: 'cleanly' | 'by a kill'): Promise<GoodDirectory> {
  const disk = new SimulatedDisk()
  const storage = await openStorage(disk)
  const logs = TOPIC_IDS.map((topicId, partition) => storage.manager.createLog('topic', partition, topicId))
  const random = new SeededRandom(seed)
  for (const log of logs) fill(log, random, 0, BATCH_COUNT / 2)
  await settle(storage, 61_000)
  const older = disk.copy()
  for (const log of logs) fill(log, random, BATCH_COUNT / 2, BATCH_COUNT)
  await settle(storage, 0)
  const good: GoodLog[] = []
  for (const log of logs) good.push(await describe(log))
  if (stop === 'cleanly') await storage.manager.shutdown()
  // The durable mark is written and synced at leisure.
  await settle(storage, 2000)
  return { disk: disk.killed(), older, logs: good }
}

async function settle({ manager, timers }: OpenedStorage, durationMs: number): Promise<void> {
  manager.flushStaged()
  await turns()
  timers.advance(durationMs)
  await turns()
}

async function describe(log: Log): Promise<GoodLog> {
  log.setHighWatermark(log.logEndOffset)
  const batches: Buffer[] = []
  const out = new ReadResult()
  for (let offset = 0; offset < log.logEndOffset; offset++) {
    if (!(await log.read(offset, 1, log.logEndOffset, true, out)))
      throw new Error(`read of ${offset}: ${out.errorCode}`)
    batches.push(Buffer.from(Buffer.concat(out.buffers)))
  }
  const segmentBases = log.segments.all.map(({ baseOffset }) => baseOffset)
  return { partition: log.partition, topicId: log.topicId, batches, segmentBases, facts: await factsOf(log) }
}

function fill(log: Log, random: SeededRandom, from: number, to: number): void {
  const result = new AppendResult()
  const draw = (count: number): number => random.uint32() % count
  for (let number = from; number < to; number++) {
    const timestamp = NOW_MS + number * 10
    const producer = { producerId: 5, producerEpoch: 0 }
    let batch: Buffer
    if (number % 10 === 9) {
      const type = number % 20 === 9 ? ControlRecordType.ABORT : ControlRecordType.COMMIT
      batch = buildEndTxnMarker({ type, coordinatorEpoch: 0, ...producer, timestamp })
    } else if (number % 5 === 1) {
      const baseSequence = Math.floor(number / 10) * 2 + (number % 10 === 1 ? 0 : 1)
      batch = batchOf(1, timestamp, draw, { ...producer, baseSequence, transactional: true })
    } else {
      batch = batchOf(1 + draw(3), timestamp, draw, { codec: CODECS[draw(CODECS.length)]! })
    }
    const origin = number % 10 === 9 ? 'coordinator' : 'client'
    const errorCode = log.append(batch, 0, batch.length, origin, 1 + Math.floor(number / 15), result)
    if (errorCode !== 0) throw new Error(`append: error ${errorCode}`)
  }
}

function batchOf(count: number, timestamp: number, draw: (count: number) => number, options: BatchOptions): Buffer {
  const builder = new BatchBuilder(options)
  for (let record = 0; record < count; record++) {
    const value = `value ${timestamp} ${draw(2 ** 31)}`.padEnd(40 + draw(150), '.')
    builder.append(timestamp, `key ${record}`, value)
  }
  return Buffer.from(builder.build())
}

/** One small batch, for appending after recovery. */
export function anyBatch(): Buffer {
  const builder = new BatchBuilder()
  builder.append(NOW_MS, null, 'goes on')
  return Buffer.from(builder.build())
}

/** Everything that a log knows besides its records, as text that can be compared. */
export async function factsOf(log: Log): Promise<string> {
  const times = []
  for (let number = 0; number < BATCH_COUNT; number += 7) {
    times.push(await log.offsetForTimestamp(NOW_MS + number * 10, Number.MAX_SAFE_INTEGER))
  }
  const producers = []
  for (const entry of log.producers()) producers.push([entry.producerId, entry.lastSequence, entry.lastDataOffset])
  return JSON.stringify({
    logEndOffset: log.logEndOffset,
    logStartOffset: log.logStartOffset,
    epochs: log.epochs.cache.entries(),
    aborted: log.abortedTransactions(0, log.logEndOffset),
    lastStableOffset: log.lastStableOffset,
    maxTimestamp: await log.offsetOfMaxTimestamp(),
    times,
    producers,
  })
}
