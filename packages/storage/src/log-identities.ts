import { type Disk, DiskError, type Uuid, ZERO_UUID } from '@millrace/base'
import type { DurableMark } from './durable-mark.ts'
import type { DurableMarkEntry } from './durable-mark-record.ts'
import { LOG_SUFFIX, offsetFileName, parsePartitionDirectoryName } from './file-names.ts'
import { readPartitionMetadata } from './partition-metadata.ts'
import { CorruptFileError } from './text-checkpoint.ts'

/** Topic id of a partition directory, the zero id where it names none, or why it cannot be told. */
export type Identity = Uuid | CorruptFileError | DiskError

/**
 * Reads whose log each partition directory among `names` holds, before any of them is opened. Two that name the same partition of the
 * same topic, after one was copied or its `partition.metadata` exchanged, would share an entry of the durable mark, and recovery would cut
 * one by what it knows of the other. The one counts whose files end where the entry does; all others are refused, and stay as they are.
 * Throws `DiskError`.
 */
export function identifyLogs(
  disk: Disk,
  directory: string,
  names: readonly string[],
  mark: Pick<DurableMark, 'get'>,
): Map<string, Identity> {
  const identities = new Map<string, Identity>()
  const byLog = new Map<string, string[]>()
  for (const name of names) {
    const parsed = parsePartitionDirectoryName(name)
    if (parsed === null) continue
    const identity = identityOf(disk, `${directory}/${name}`)
    identities.set(name, identity)
    if (typeof identity !== 'string' || identity === ZERO_UUID) continue
    const key = `${identity}-${parsed.partition}`
    const others = byLog.get(key)
    if (others === undefined) byLog.set(key, [name])
    else others.push(name)
  }
  for (const candidates of byLog.values()) {
    if (candidates.length < 2) continue
    const topicId = identities.get(candidates[0]!) as Uuid
    const { partition } = parsePartitionDirectoryName(candidates[0]!)!
    const entry = mark.get(topicId, partition)
    const counting = entry === null ? null : countingOf(disk, directory, candidates, entry)
    for (const name of candidates) {
      if (name === counting) continue
      const reason = `names the same partition of topic ${topicId} as ${candidates.filter((other) => other !== name).join(', ')}`
      identities.set(name, new CorruptFileError(`${directory}/${name}`, reason))
    }
  }
  return identities
}

/** The only one whose files end just where the mark's entry does, or else the only one that reaches so far; null if none or several do. */
function countingOf(
  disk: Disk,
  directory: string,
  candidates: readonly string[],
  { segmentBaseOffset, positionBytes }: DurableMarkEntry,
): string | null {
  const file = offsetFileName(segmentBaseOffset, LOG_SUFFIX)
  const sizes = candidates.map((name) => disk.stat(`${directory}/${name}/${file}`)?.sizeBytes ?? -1)
  const exact = candidates.filter((_, slot) => sizes[slot] === positionBytes)
  const reaching = exact.length > 0 ? exact : candidates.filter((_, slot) => sizes[slot]! > positionBytes)
  return reaching.length === 1 ? reaching[0]! : null
}

function identityOf(disk: Disk, path: string): Identity {
  try {
    return readPartitionMetadata(disk, path)
  } catch (error) {
    if (error instanceof CorruptFileError || error instanceof DiskError) return error
    throw error
  }
}

/**
 * Before anything is changed: a partition has its log in one log directory only. Which of two is the newer nobody can tell, so that, as
 * with Kafka, the operator has to: throws `CorruptFileError` with both paths. What holds no segment is none. Throws `DiskError`.
 */
export function refuseDuplicateLogs(disk: Disk, directories: readonly string[]): void {
  if (directories.length < 2) return
  const seen = new Map<string, string>()
  for (const directory of new Set(directories)) {
    if (disk.stat(directory) === null) continue
    for (const name of disk.listDirectory(directory)) {
      if (parsePartitionDirectoryName(name) === null) continue
      const path = `${directory}/${name}`
      const other = seen.get(name)
      if (other === undefined) seen.set(name, path)
      else if (!holdsSegments(disk, path)) continue
      else if (!holdsSegments(disk, other)) seen.set(name, path)
      else
        throw new CorruptFileError(path, `there is a log of this partition in ${other} as well: remove one of the two`)
    }
  }
}

/** Whether a partition directory is more than what an interrupted making of a log leaves. */
export function holdsSegments(disk: Disk, path: string): boolean {
  if (disk.stat(path)?.isDirectory !== true) return false
  return disk.listDirectory(path).some((name) => name.endsWith(LOG_SUFFIX))
}
