import { BaseError, type Disk } from '@millrace/base'
import { isNotedAsLost, type MetadataImage } from '@millrace/consensus'
import type { LogManager } from '@millrace/storage'

/** Names that the message of an error gives. */
const MAX_NAMED = 5

/** Log directories with partitions of a node that has them alone are not there. */
export class LostDirectoryError extends BaseError {
  constructor(message: string) {
    super('LOST_DIRECTORY', message)
  }
}

/**
 * Refuses the start of a single node where a log directory that it had at its last one is gone, and logs with it: a disk that is not mounted,
 * or an empty one in its place. Others have no copies, and partitions that are begun anew would pass for what was lost. `forgotten`: ids
 * of directories that the operator has given up. Throws {@link LostDirectoryError}.
 */
export function refuseLostDirectories(
  image: MetadataImage,
  nodeId: number,
  logs: LogManager,
  forgotten: readonly string[],
): void {
  const present = logs.directories()
  const known = image.brokers.get(nodeId)?.directories ?? []
  const lost = known.filter((id) => !present.some((directory) => directory.id === id) && !forgotten.includes(id))
  if (lost.length === 0) return
  const missing = missingLogs(image, logs)
  if (missing.length === 0) return
  const names = missing.slice(0, MAX_NAMED).join(', ') + (missing.length > MAX_NAMED ? ', ...' : '')
  const what = lost.length === 1 ? 'the log directory' : 'the log directories'
  throw new LostDirectoryError(
    `${what} with id ${lost.join(' and ')}, which this node had at its last start, cannot be found in ` +
      `${present.map(({ path }) => path).join(', ')}, and ${missing.length} partitions have no log (${names}). ` +
      'Mount the disk, or name its path in log.dirs, and start again. If it is lost for good, start with ' +
      `log.dirs.forgotten=${lost.join(',')}: these partitions begin anew then, empty`,
  )
}

/**
 * Refuses the start of a single node that would begin with empty metadata, and set all its logs aside, although they are there: the first of
 * its directories, which holds the metadata, is gone, or another one is named first now. Throws {@link LostDirectoryError}, `DiskError`.
 */
export function refuseLostMetadata(
  disk: Disk,
  directories: readonly string[],
  journalIn: (directory: string) => string,
  logs: LogManager,
): void {
  const [first = '', ...others] = directories
  if (disk.stat(journalIn(first)) !== null) return
  const holder = others.find((directory) => disk.stat(journalIn(directory)) !== null)
  if (holder !== undefined) {
    throw new LostDirectoryError(
      `${first} has no metadata, which the first of log.dirs holds, but ${holder} has: name ${holder} first`,
    )
  }
  const found = [...logs.logs()]
  if (found.length === 0 || found.some(({ directory }) => directory === first)) return
  throw new LostDirectoryError(
    `${first}, the first of log.dirs, has neither metadata nor logs, but there are ${found.length} logs in the others ` +
      `(such as ${found[0]!.path}). Mount the disk that belongs there, or name its path first in log.dirs, and start again. ` +
      'To begin with empty metadata, move the logs in the others away',
  )
}

function missingLogs(image: MetadataImage, logs: LogManager): string[] {
  const missing: string[] = []
  for (const topic of image.topics.values()) {
    for (const said of topic.partitions) {
      const { partition } = said
      // Offline since an earlier start: nothing is begun in its place.
      if (isNotedAsLost(said)) continue
      // Of moves something else is known: such a replica waits (docs/adr/0009).
      if (logs.log(topic.name, partition)?.topicId === topic.id) continue
      if (logs.futures.movedAwayTo(topic.id, partition) === null) missing.push(`${topic.name}-${partition}`)
    }
  }
  return missing
}
