import { RandomChoices, type SeededRandom, type SimulatedDisk } from '@millrace/base'
import type { Log } from '../index.ts'
import type { LogConfig } from '../log-config.ts'
import type { CrashPoint } from './crash-workload.ts'
import { checkReads, openDamaged, type Victim, victimsOf } from './damage-check.ts'
import { type Evaluations, fail } from './invariant.ts'
import { append } from './log-driver.ts'
import type { ModelBatch } from './log-model.ts'

/** Of a batch: how many bytes follow, in the 31 bits of a number that is not negative. */
const SIZE_POSITION = 8
const SIZE_BITS = 31

/**
 * S8: before a crash is recovered, a batch below the durable mark gets a size that reaches behind the end of its file. What follows it is
 * served, or else the log is truncated there, which nothing is looked at before: it then ends where it was told to, what is left of it is
 * served, and so is what is appended. False if there is nothing to damage.
 */
export async function checkDamagedSize(
  point: CrashPoint,
  random: SeededRandom,
  evaluations: Evaluations,
  config: Partial<LogConfig> = {},
): Promise<boolean> {
  const disk = point.disk.crashed(new RandomChoices(random))
  const victims = point.logs.flatMap((expected) => victimsOf(disk, expected))
  const victim = victims[random.uint32() % Math.max(1, victims.length)]
  if (victim === undefined) return false
  const { expected, batch, path, position, markedOffset } = victim
  raiseSize(disk, victim, random)
  const damaged = disk.peek(path).subarray(position, position + batch.bytes.length)
  const behind = victims.filter((other) => other.path === path && other.position > position)
  const { manager } = await openDamaged(disk, config)
  evaluations.S8++
  const log = manager.log('topic', expected.partition)
  if (log?.topicId !== expected.topicId) fail('S8', `the size of batch ${batch.baseOffset} took the log away`)
  if (log.logEndOffset < markedOffset) fail('S8', `the size of batch ${batch.baseOffset} cut the log`)
  const next = behind[random.uint32() % Math.max(1, behind.length)]
  if (next === undefined || random.uint32() % 4 === 0) await checkReads(log, victim, damaged)
  else await checkTruncation(disk, log, victim, damaged, next.batch, () => manager.flushStaged())
  await manager.shutdown()
  return true
}

function raiseSize(disk: SimulatedDisk, { path, position, batch }: Victim, random: SeededRandom): void {
  const restBytes = disk.peek(path).length - position
  const bits = Array.from({ length: SIZE_BITS }, (_, bit) => bit).filter((bit) => 2 ** bit > restBytes)
  const bit = bits[random.uint32() % bits.length]!
  if (batch.bytes.length > 2 ** bit) fail('S8', 'a batch is longer than its file')
  disk.corrupt(path, position + SIZE_POSITION + 3 - (bit >>> 3), 1 << (bit & 7))
}

/** `next`: stands in the same file behind the damaged batch, and goes. */
async function checkTruncation(
  disk: SimulatedDisk,
  log: Log,
  victim: Victim,
  damaged: Buffer,
  next: ModelBatch,
  flush: () => void,
): Promise<void> {
  const what = `a truncation to ${next.baseOffset} behind damaged batch ${victim.batch.baseOffset}`
  const { sizeBytes } = disk.stat(victim.path)!
  log.truncateTo(next.baseOffset)
  if (log.failed || log.logEndOffset !== next.baseOffset) fail('S8', `${what} made the log end at ${log.logEndOffset}`)
  if (disk.stat(victim.path)!.sizeBytes >= sizeBytes) fail('S8', `${what} did not make its file shorter`)
  if (append(log, ['in its place']) !== 0) fail('S8', `${what}: no append goes`)
  flush()
  await checkReads(log, { ...victim, markedOffset: next.baseOffset }, damaged)
}
