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
 * one by what it knows of the other. The one counts whose files end where the entry does; all others are left out, and stay as they are.
 * Where that does not tell, throws `CorruptFileError` with both paths: left out, both would be taken for no log at all, and one that is
 * empty be begun in their place. Throws `DiskError`.
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
    const counting = countingOf(disk, directory, candidates, entry)
    for (const name of candidates) {
      if (name === counting) continue
      const reason = `names the same partition of topic ${topicId} as ${candidates.filter((other) => other !== name).join(', ')}`
      identities.set(name, new CorruptFileError(`${directory}/${name}`, reason))
    }
  }
  return identities
}

/**
 * The only one whose files end just where the mark's entry does, or the only one that reaches so far, or else the only one that holds any;
 * null if none does. Throws `CorruptFileError` if that does not tell, `DiskError`.
 */
function countingOf(
  disk: Disk,
  directory: string,
  candidates: readonly string[],
  entry: DurableMarkEntry | null,
): string | null {
  const full = candidates.filter((name) => holdsSegments(disk, `${directory}/${name}`))
  if (full.length < 2) return full[0] ?? null
  const file = offsetFileName(entry?.segmentBaseOffset ?? 0, LOG_SUFFIX)
  const sizes = full.map((name) => disk.stat(`${directory}/${name}/${file}`)?.sizeBytes ?? -1)
  const exact = full.filter((_, slot) => sizes[slot] === entry?.positionBytes)
  const reaching = exact.length > 0 ? exact : full.filter((_, slot) => sizes[slot]! > (entry?.positionBytes ?? 0))
  if (entry !== null && reaching.length === 1) return reaching[0]!
  const paths = full.slice(1).map((name) => `${directory}/${name}`)
  const reason = `names the same partition of the same topic as ${paths.join(' and ')}, and nobody can tell which is its log`
  const advice =
    'move all but the right one out of the log directory, or give the others their own partition.metadata back'
  throw new CorruptFileError(`${directory}/${full[0]}`, `${reason}: ${advice}`)
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
 * with Kafka, the operator has to: throws `CorruptFileError` with both paths. What holds no segment is none, and two that are of different
 * topics of one name, since a disk came back that was away while its topic was deleted, are told apart by the metadata. `superseded`:
 * paths of those whose place others have taken. Throws `DiskError`.
 */
export function refuseDuplicateLogs(
  disk: Disk,
  directories: readonly string[],
  superseded: ReadonlySet<string> = new Set(),
): void {
  if (directories.length < 2) return
  const seen = new Map<string, string[]>()
  for (const directory of new Set(directories)) {
    if (disk.stat(directory) === null) continue
    for (const name of disk.listDirectory(directory)) {
      if (parsePartitionDirectoryName(name) === null) continue
      const path = `${directory}/${name}`
      if (superseded.has(path)) continue
      const others = seen.get(name)
      if (others === undefined) {
        seen.set(name, [path])
        continue
      }
      const other = holdsSegments(disk, path) ? others.find((known) => isSameLog(disk, known, path)) : undefined
      if (other !== undefined) {
        throw new CorruptFileError(path, `there is a log of this partition in ${other} as well: remove one of the two`)
      }
      others.push(path)
    }
  }
}

/** Whether both may be the log of one partition of one topic; the names are the same, and `path` holds segments. */
function isSameLog(disk: Disk, other: string, path: string): boolean {
  if (!holdsSegments(disk, other)) return false
  const [topicId, otherId] = [identityOf(disk, path), identityOf(disk, other)]
  const areKnown = [topicId, otherId].every((id) => typeof id === 'string' && id !== ZERO_UUID)
  return !areKnown || topicId === otherId
}

/** Whether a partition directory is more than what an interrupted making of a log leaves. */
export function holdsSegments(disk: Disk, path: string): boolean {
  if (disk.stat(path)?.isDirectory !== true) return false
  return disk.listDirectory(path).some((name) => name.endsWith(LOG_SUFFIX))
}

/** By which the durable mark knows a log: its topic's id, or, where its directory names none, one that is made of the topic's name. */
export function markIdOf(topic: string, topicId: Uuid): Uuid {
  return topicId === ZERO_UUID ? idOfName(topic) : topicId
}

/** FNV-1a of 128 bits: names of one directory do not collide by accident, and no two of them may share an entry. */
function idOfName(topic: string): Uuid {
  let hash = 0x6c62272e07bb014262b821756295c58dn
  for (const byte of Buffer.from(topic)) hash = BigInt.asUintN(128, (hash ^ BigInt(byte)) * 0x1000000000000000000013bn)
  return Buffer.from(hash.toString(16).padStart(32, '0'), 'hex').toString('base64url') as Uuid
}
