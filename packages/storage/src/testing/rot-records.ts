import type { Random, SimulatedDisk } from '@millrace/base'
import { BATCH_HEADER_BYTES, batchSizeOf } from '@millrace/protocol'
import { DurableMark } from '../durable-mark.ts'
import type { DurableMarkEntry } from '../durable-mark-record.ts'
import { LOG_SUFFIX, offsetOfFileName, parsePartitionDirectoryName, partitionDirectoryName } from '../file-names.ts'
import { markIdOf } from '../log-identities.ts'
import { readPartitionMetadata, UnwrittenMetadataError } from '../partition-metadata.ts'

/** A bit of a stored batch. */
export interface RottenBit {
  readonly path: string
  readonly position: number
  readonly mask: number
}

/** Of a batch, the leader epoch: neither its checksum nor its neighbours tell that it is another one. */
const EPOCH_POSITIONS = { start: 12, end: 16 }
const TRIES = 20

/**
 * Turns over one bit, on the medium, of a batch of the partition in `directory`, which no process may have open. Only of what the durable
 * mark knows to be synced: damage above it cannot be told from what a loss of power leaves of an unfinished write (`reliability.md`, 5.2).
 * Null: there is nothing of the kind.
 */
export function rotRecords(disk: SimulatedDisk, directory: string, name: string, random: Random): RottenBit | null {
  const partition = parsePartitionDirectoryName(name)
  if (partition === null) return null
  const path = `${directory}/${name}`
  const mark = markOf(disk, directory, partition)
  if (mark === null || disk.stat(path) === null) return null
  const files: { readonly path: string; readonly sizeBytes: number }[] = []
  for (const file of disk.listDirectory(path)) {
    const baseOffset = offsetOfFileName(file, LOG_SUFFIX)
    if (baseOffset < 0 || baseOffset > mark.segmentBaseOffset) continue
    const { sizeBytes } = disk.stat(`${path}/${file}`)!
    const syncedBytes = baseOffset < mark.segmentBaseOffset ? sizeBytes : Math.min(sizeBytes, mark.positionBytes)
    if (syncedBytes >= BATCH_HEADER_BYTES) files.push({ path: `${path}/${file}`, sizeBytes: syncedBytes })
  }
  for (let tries = 0; files.length > 0 && tries < TRIES; tries++) {
    const file = files[random.uint32() % files.length]!
    const position = random.uint32() % file.sizeBytes
    if (!isTold(disk.peek(file.path), file.sizeBytes, position)) continue
    const mask = 1 << (random.uint32() % 8)
    disk.corrupt(file.path, position, mask)
    return { path: file.path, position, mask }
  }
  return null
}

function markOf(
  disk: SimulatedDisk,
  directory: string,
  { topic, partition }: { topic: string; partition: number },
): DurableMarkEntry | null {
  try {
    const topicId = readPartitionMetadata(disk, `${directory}/${partitionDirectoryName(topic, partition)}`)
    return new DurableMark(disk.copy(), directory).get(markIdOf(topic, topicId), partition)
  } catch (error) {
    // Its names and metadata were never synced, so nothing was.
    if (error instanceof UnwrittenMetadataError) return null
    throw error
  }
}

/** Whether something tells of a change at `position`: it lies in a batch, and not in what nothing covers. */
function isTold(contents: Buffer, sizeBytes: number, position: number): boolean {
  for (let start = 0; start + BATCH_HEADER_BYTES <= sizeBytes; ) {
    const end = start + batchSizeOf(contents, start)
    if (end <= start || end > sizeBytes) return false
    const inBatch = position - start
    if (position < end) return inBatch < EPOCH_POSITIONS.start || inBatch >= EPOCH_POSITIONS.end
    start = end
  }
  return false
}
