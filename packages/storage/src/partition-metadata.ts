import type { Disk, Uuid } from '@millrace/base'
import { ZERO_UUID } from '@millrace/base'
import { LOG_SUFFIX, PARTITION_METADATA_FILE } from './file-names.ts'
import { CorruptFileError, readIfPresent } from './text-checkpoint.ts'

/** `partition.metadata`: the id of the topic whose partition the directory holds. */
export function encodePartitionMetadata(topicId: Uuid): Buffer {
  return Buffer.from(`version: 0\ntopic_id: ${topicId}`)
}

/** Zeros, or a part: what a crash or a full disk leaves of a file whose name had reached the disk and whose contents had not. */
export class UnwrittenMetadataError extends CorruptFileError {}

/** The topic id, or the zero id if there is no file. Throws `CorruptFileError`, `UnwrittenMetadataError` for what was never whole. */
export function readPartitionMetadata(disk: Disk, directory: string): Uuid {
  const path = `${directory}/${PARTITION_METADATA_FILE}`
  const contents = readIfPresent(disk, path)
  if (contents.length === 0) return ZERO_UUID
  if (contents.every((byte) => byte === 0)) throw new UnwrittenMetadataError(path, 'zeros')
  const match = /^version: \d{1,10}\ntopic_id: (?<id>[A-Za-z0-9_-]{22})\n?$/.exec(contents.toString('utf8'))
  if (match === null && isPart(contents) && !holdsLog(disk, directory)) throw new UnwrittenMetadataError(path, 'a part')
  if (match === null || match.groups!.id === ZERO_UUID) throw new CorruptFileError(path, 'no topic id')
  return match.groups!.id as Uuid
}

function isPart(contents: Buffer): boolean {
  const text = contents.toString('latin1')
  const start = 'version: 0\ntopic_id: '
  return start.startsWith(text) || (text.startsWith(start) && text.length < start.length + 22)
}

function holdsLog(disk: Disk, directory: string): boolean {
  return disk.listDirectory(directory).some((name) => name.endsWith(LOG_SUFFIX))
}
