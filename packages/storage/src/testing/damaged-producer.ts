import { RandomChoices, type SeededRandom, type SimulatedDisk } from '@millrace/base'
import { BATCH_HEADER_BYTES, isControlBatch, producerIdOf } from '@millrace/protocol'
import { SNAPSHOT_SUFFIX } from '../file-names.ts'
import type { LogConfig } from '../log-config.ts'
import type { CrashPoint } from './crash-workload.ts'
import { checkProducers, checkReads, isFaulty, openDamaged, type Victim, victimsOf } from './damage-check.ts'
import { type Evaluations, fail } from './invariant.ts'

/** Bytes of a batch that say whose it is, and whether of a transaction. */
const FIELDS: readonly { position: number; sizeBytes: number }[] = [
  { position: 22, sizeBytes: 1 },
  { position: 43, sizeBytes: 8 },
  { position: 51, sizeBytes: 2 },
  { position: 53, sizeBytes: 4 },
]

/**
 * S4: after a crash was recovered and storage stopped cleanly, a bit flips of what a batch says of its producer, and perhaps the snapshots
 * of producers are lost, so that all of the log is gone through for them and no start has walked it. Nothing of it is believed, and where
 * the batch is missing that is told (S8). False if there is nothing to flip.
 */
export async function checkDamagedProducer(
  point: CrashPoint,
  random: SeededRandom,
  evaluations: Evaluations,
  config: Partial<LogConfig> = {},
): Promise<boolean> {
  const disk = point.disk.crashed(new RandomChoices(random))
  const recovered = await openDamaged(disk, config)
  await recovered.manager.shutdown()
  const victims = point.logs
    .flatMap((expected) => victimsOf(disk, expected))
    .filter(({ batch }) => producerIdOf(batch.bytes, 0) >= 0)
  const victim = victims[random.uint32() % Math.max(1, victims.length)]
  if (victim === undefined) return false
  const { batch, expected, path, position } = victim
  disk.corrupt(path, position + chooseByte(victim, random), 1 << (random.uint32() % 8))
  const damaged = disk.peek(path).subarray(position, position + batch.bytes.length)
  if (random.uint32() % 4 > 0) removeSnapshots(disk, path.slice(0, path.lastIndexOf('/')))
  const { manager } = await openDamaged(disk, config)
  const log = manager.log('topic', expected.partition)
  if (log?.topicId !== expected.topicId) fail('S8', `one bit of batch ${batch.baseOffset} took the log away`)
  const isCounted = checkProducers(log, victim, evaluations)
  evaluations.S8++
  if (!isCounted && !isFaulty(log, batch)) fail('S8', `damaged batch ${batch.baseOffset} is left out and not told of`)
  await checkReads(log, victim, damaged)
  await manager.shutdown()
  return true
}

/** One of its fields, or of the record that is an end marker. */
function chooseByte({ batch }: Victim, random: SeededRandom): number {
  const { bytes } = batch
  const marker = { position: BATCH_HEADER_BYTES, sizeBytes: bytes.length - BATCH_HEADER_BYTES }
  const fields = isControlBatch(bytes, 0) ? [...FIELDS, marker] : FIELDS
  const { position, sizeBytes } = fields[random.uint32() % fields.length]!
  return position + (random.uint32() % sizeBytes)
}

function removeSnapshots(disk: SimulatedDisk, directory: string): void {
  const names = disk.listDirectory(directory).filter((name) => name.endsWith(SNAPSHOT_SUFFIX))
  for (const name of names) disk.removeFile(`${directory}/${name}`)
}
