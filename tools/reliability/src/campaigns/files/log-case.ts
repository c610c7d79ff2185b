import { BaseError, SeededRandom, type SimulatedDisk } from '@millrace/base'
import { BATCH_HEADER_BYTES, batchCrcOk, batchSizeOf, CRC_POSITION, ErrorCode } from '@millrace/protocol'
import { AppendResult, type Log, ReadResult } from '@millrace/storage'
import {
  anyBatch,
  factsOf,
  type GoodDirectory,
  type GoodLog,
  type OpenedStorage,
  openStorage,
  turns,
} from './good-logs.ts'
import { mutateFile, type OtherContents } from './mutate-file.ts'
import { filesUnder, overwriteFile } from './simulated-files.ts'

/** How long the whole of one case may keep the processor. */
const MAX_CASE_MS = 2_000
/** Tries until a mutation has changed a file: some put back what was there. */
const MUTATION_TRIES = 20
/** One case of so many reads everything again after the restart. */
const READ_AGAIN_SHARE = 8
/** Offsets behind the end of what was written that are looked at, where a damaged batch says that there are some. */
const MAX_OFFSETS_BEHIND = 50
/** What a reader may be told of records that are not what was stored. */
const REFUSALS: readonly number[] = [
  ErrorCode.OFFSET_OUT_OF_RANGE,
  ErrorCode.CORRUPT_MESSAGE,
  ErrorCode.KAFKA_STORAGE_ERROR,
]

const isData = (path: string): boolean => path.endsWith('.log')
const isIdentity = (path: string): boolean => /(?:partition\.metadata|meta\.properties)$/.test(path)
const isDirectoryIdentity = (path: string): boolean => path.endsWith('meta.properties')
const isMark = (path: string): boolean => /(?:durable-mark|\.kafka_cleanshutdown)$/.test(path)
/** Numbers without a checksum that nothing else tells: another number is another log start. */
const isLogStart = (path: string): boolean => path.endsWith('log-start-offset-checkpoint')

/** What one case did. */
export interface CaseResult {
  /** Files that were changed. */
  readonly fileCount: number
  /** What did not hold; empty if all did. */
  readonly complaints: readonly string[]
  /** What was damaged, for the report. */
  readonly paths: readonly string[]
  /** The directory was refused as a whole. */
  readonly refused: boolean
}

/**
 * Damages some files of a good log directory, opens it, and holds what is found against what was written: each record is as it was or
 * is refused, what is derived is derived again, nothing is deleted, and the log goes on.
 */
export async function runLogCase(good: GoodDirectory, seed: number): Promise<CaseResult> {
  const random = new SeededRandom(seed)
  const disk = good.disk.killed().copy()
  const paths = damage(disk, good, random)
  const complaints: string[] = []
  const readsAgain = random.uint32() % READ_AGAIN_SHARE === 0
  const cpu = process.threadCpuUsage()
  const refused = await openAndCheck(disk, good, paths, readsAgain, complaints)
  const used = process.threadCpuUsage(cpu)
  const tookMs = (used.user + used.system) / 1000
  if (tookMs > MAX_CASE_MS) complaints.push(`took ${tookMs.toFixed(0)} ms`)
  return { fileCount: paths.length, complaints, paths, refused }
}

function damage(disk: SimulatedDisk, good: GoodDirectory, random: SeededRandom): string[] {
  const files = filesUnder(disk, '/data')
  const paths = new Set<string>()
  for (let count = [1, 1, 1, 2, 3][random.uint32() % 5]!; count > 0; count--)
    paths.add(files[random.uint32() % files.length]!)
  const kept: string[] = []
  for (const path of paths) {
    const contents = disk.readFile(path)
    const older = good.older.stat(path) === null || path.endsWith('.snapshot') ? null : good.older.readFile(path)
    const foreign = foreignContents(good, path, files[random.uint32() % files.length]!)
    const mutated = mutatedUntilChanged(contents, { older, foreign }, random)
    if (mutated?.equals(contents) === true) continue
    if (mutated === null) disk.removeFile(path)
    else overwriteFile(disk, path, mutated)
    kept.push(path)
  }
  return kept
}

function mutatedUntilChanged(contents: Buffer, other: OtherContents, random: SeededRandom): Buffer | null {
  let mutated = mutateFile(contents, other, random)
  for (let tries = 1; tries < MUTATION_TRIES && mutated?.equals(contents) === true; tries++)
    mutated = mutateFile(contents, other, random)
  return mutated
}

/**
 * What may stand where this file's contents were: those of the other partition's file of the same name, or of any file. Records and
 * producer snapshots bear a checksum and no name: one of another log, or of another time, is as good as the right one to whoever reads it,
 * also in Kafka. They get something that is neither.
 */
function foreignContents(good: GoodDirectory, path: string, any: string): Buffer {
  const isExchangeable = (candidate: string): boolean => !isData(candidate) && !candidate.endsWith('.snapshot')
  const twin = path.includes('/topic-0/')
    ? path.replace('/topic-0/', '/topic-1/')
    : path.replace('/topic-1/', '/topic-0/')
  if (twin !== path && isExchangeable(path) && good.disk.stat(twin) !== null) return good.disk.readFile(twin)
  return isExchangeable(any) ? good.disk.readFile(any) : good.disk.readFile('/data/meta.properties')
}

async function openAndCheck(
  disk: SimulatedDisk,
  good: GoodDirectory,
  paths: readonly string[],
  readsAgain: boolean,
  complaints: string[],
): Promise<boolean> {
  const dataCount = countOfData(disk)
  try {
    const storage = await openStorage(disk)
    await turns()
    complaints.push(...(await checkStorage(storage, good, paths)))
    checkAppends(storage.manager.logs(), complaints)
    storage.manager.flushStaged()
    await turns()
    const ends = new Map(Array.from(storage.manager.logs(), (log) => [log.partition, log.logEndOffset]))
    await storage.manager.shutdown()
    complaints.push(...storage.directoryFailures)
    await checkReopened(disk, good, ends, readsAgain ? paths : null, complaints)
    if (countOfData(disk) < dataCount && !paths.some(isLogStart)) complaints.push('a file with records was deleted')
    return false
  } catch (error) {
    // A directory that does not tell whose it is stays closed, and says so.
    const clear = error instanceof BaseError && error.message !== '' && paths.some(isDirectoryIdentity)
    if (!clear) complaints.push(`threw ${error instanceof Error ? error.stack : String(error)}`)
    if (countOfData(disk) < dataCount) complaints.push('a file with records was deleted')
    return true
  }
}

/** Holds what was opened against what was written. `paths` were damaged. Returns what does not hold. */
export async function checkStorage(
  { manager }: OpenedStorage,
  good: GoodDirectory,
  paths: readonly string[],
): Promise<string[]> {
  const complaints: string[] = []
  for (const expected of good.logs) {
    await checkLog(manager.log('topic', expected.partition), expected, paths, complaints)
  }
  return complaints
}

async function checkLog(
  log: Log | undefined,
  expected: GoodLog,
  paths: readonly string[],
  complaints: string[],
): Promise<void> {
  const own = paths.filter((path) => path.includes(`/topic-${expected.partition}/`) || !path.includes('/topic-'))
  const label = `partition ${expected.partition}`
  if (log === undefined || log.topicId !== expected.topicId) {
    if (!own.some(isIdentity)) complaints.push(`${label} is gone`)
    return
  }
  log.setHighWatermark(log.logEndOffset)
  const lowered = own.some(isLogStart)
  const refused = await refusedOffsets(log, expected, complaints)
  const damagedData = own.filter(isData)
  // The marks tell a torn end from rot, and what of the other files is as it was: without one, a damaged log may end where the damage is.
  const endsFrom = own.some(isMark) ? firstOffsetOf(damagedData) : Number.POSITIVE_INFINITY
  const unexpected = refused.filter(
    (offset) =>
      offset < endsFrom && !(lowered && offset < log.logStartOffset) && !liesIn(damagedData, expected, offset),
  )
  if (unexpected.length > 0) complaints.push(`${label}: offsets ${unexpected.slice(0, 5).join(', ')} … were refused`)
  if (own.some(isMark) && own.length > 1) return
  if (own.some((path) => isData(path) || isIdentity(path) || isLogStart(path))) return
  const facts = await factsOf(log)
  if (facts !== expected.facts) complaints.push(`${label}: ${difference(facts, expected.facts)}`)
}

/** Every read gives what was stored, or refuses; what comes back damaged must show it by its checksum. */
async function refusedOffsets(
  log: Log,
  { partition, batches }: GoodLog,
  complaints: string[],
  looksBehind = true,
): Promise<number[]> {
  const refused: number[] = []
  const out = new ReadResult()
  for (const [offset, batch] of batches.entries()) {
    if (offset < log.logStartOffset || offset >= log.logEndOffset) {
      refused.push(offset)
      continue
    }
    if (!(await log.read(offset, 1, Number.MAX_SAFE_INTEGER, true, out))) {
      refused.push(offset)
      if (!REFUSALS.includes(out.errorCode))
        complaints.push(`partition ${partition}: error ${out.errorCode} at ${offset}`)
      continue
    }
    // With an index that lies, more may come than was asked for.
    const bytes = firstBatchOf(Buffer.concat(out.buffers))
    if (bytes.equals(batch)) continue
    refused.push(offset)
    if (isInvented(bytes, batches)) complaints.push(`partition ${partition}: a record at ${offset} that never was`)
  }
  // Not where something was appended since.
  if (looksBehind) await checkBehind(log, batches, complaints)
  return refused
}

/** A batch's own offset has no checksum: damage may have the log end later. What is there must all the same be what was written. */
async function checkBehind(log: Log, batches: readonly Buffer[], complaints: string[]): Promise<void> {
  const out = new ReadResult()
  const end = Math.min(log.logEndOffset, batches.length + MAX_OFFSETS_BEHIND)
  for (let offset = Math.max(batches.length, log.logStartOffset); offset < end; offset++) {
    if (!(await log.read(offset, 1, Number.MAX_SAFE_INTEGER, true, out))) continue
    const bytes = firstBatchOf(Buffer.concat(out.buffers))
    if (isInvented(bytes, batches))
      complaints.push(`partition ${log.partition}: a record at ${offset}, behind the end, that never was`)
  }
}

function firstBatchOf(bytes: Buffer): Buffer {
  if (bytes.length < BATCH_HEADER_BYTES) return bytes
  const sizeBytes = batchSizeOf(bytes, 0)
  return sizeBytes > 0 && sizeBytes < bytes.length ? bytes.subarray(0, sizeBytes) : bytes
}

/**
 * Whether a reader would take these bytes for a record that was never stored. The checksum begins behind the base offset and the epoch: a
 * batch that was moved, or whose offset was overwritten, is still one that was stored.
 */
function isInvented(bytes: Buffer, batches: readonly Buffer[]): boolean {
  if (bytes.length < BATCH_HEADER_BYTES || batchSizeOf(bytes, 0) !== bytes.length || !batchCrcOk(bytes, 0)) return false
  const content = bytes.subarray(CRC_POSITION)
  return !batches.some((batch) => batch.subarray(CRC_POSITION).equals(content))
}

/** Of the first of these segment files; Infinity if there is none. */
function firstOffsetOf(files: readonly string[]): number {
  return Math.min(...files.map(baseOffsetIn))
}

function baseOffsetIn(path: string): number {
  return Number.parseInt(path.slice(path.lastIndexOf('/') + 1), 10)
}

/** Whether an offset was stored in one of these segment files. */
function liesIn(files: readonly string[], { segmentBases }: GoodLog, offset: number): boolean {
  const base = segmentBases.findLast((candidate) => candidate <= offset)
  return files.some((path) => baseOffsetIn(path) === base)
}

function checkAppends(logs: Iterable<Log>, complaints: string[]): void {
  const result = new AppendResult()
  for (const log of logs) {
    const batch = anyBatch()
    const errorCode = log.append(batch, 0, batch.length, 'client', Math.max(log.latestEpoch, 0), result)
    if (errorCode !== 0) complaints.push(`partition ${log.partition}: append gave error ${errorCode}`)
  }
}

/** After a clean stop the log is as it was, with what was appended. `paths`: the damaged ones, if all is to be read again; or null. */
async function checkReopened(
  disk: SimulatedDisk,
  good: GoodDirectory,
  ends: ReadonlyMap<number, number>,
  paths: readonly string[] | null,
  complaints: string[],
): Promise<void> {
  const { manager } = await openStorage(disk)
  if (paths !== null) await checkReadAgain(manager.logs(), good, paths, complaints)
  const out = new ReadResult()
  for (const [partition, end] of ends) {
    const log = manager.log('topic', partition)
    if (log?.logEndOffset !== end)
      complaints.push(`partition ${partition} ends at ${log?.logEndOffset} after a restart, not ${end}`)
    else if (!(await log.read(end - 1, 1, end, true, out)))
      complaints.push(`partition ${partition}: the last record is gone`)
  }
  await manager.shutdown()
}

/** What a start after the damage gave, the next one gives too: only offsets of damaged segments are refused. */
async function checkReadAgain(
  logs: Iterable<Log>,
  good: GoodDirectory,
  paths: readonly string[],
  complaints: string[],
): Promise<void> {
  for (const log of logs) {
    const expected = good.logs.find(({ partition, topicId }) => partition === log.partition && topicId === log.topicId)
    const own = paths.filter((path) => path.includes(`/topic-${log.partition}/`) || !path.includes('/topic-'))
    if (expected === undefined || own.some((path) => isIdentity(path) || isLogStart(path) || isMark(path))) continue
    log.setHighWatermark(log.logEndOffset)
    // What was appended may stand where records were refused: whether anything is invented was looked at before.
    const refused = await refusedOffsets(log, expected, [], false)
    const unexpected = refused.filter((offset) => !liesIn(own.filter(isData), expected, offset))
    if (unexpected.length > 0)
      complaints.push(`partition ${log.partition}: after a restart offsets ${unexpected.slice(0, 5)} … were refused`)
  }
}

/** Segments, wherever they were put. */
function countOfData(disk: SimulatedDisk): number {
  return filesUnder(disk, '/data').filter((path) => /\.log(?:\.|$)/.test(path)).length
}

function difference(found: string, expected: string): string {
  const [left, right] = [JSON.parse(found), JSON.parse(expected)] as Record<string, unknown>[]
  const names = Object.keys(right!).filter((name) => JSON.stringify(left![name]) !== JSON.stringify(right![name]))
  return names
    .map((name) => `${name} is ${JSON.stringify(left![name])}, was ${JSON.stringify(right![name])}`)
    .join('; ')
}
