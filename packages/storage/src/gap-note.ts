import { type Disk, DiskError, type Offset } from '@millrace/base'
import { replaceFile } from './atomic-file.ts'
import { GAPS_BELOW_FILE } from './file-names.ts'
import type { StorageLogger } from './log-config.ts'
import { CorruptFileError, decodeTextCheckpoint, encodeTextCheckpoint, parseSafeInteger } from './text-checkpoint.ts'

/**
 * `gaps-below` of a partition directory: where the log ended when it was first found without a mark, as Kafka leaves it. Kafka's compaction
 * lets segments end early, and once there is a mark such a gap cannot be told from a loss: a segment that ends below this offset may have
 * one. A text checkpoint with that one line. Gone once a compaction here has filled all of them, or what may have them is gone.
 */
export function readGapsBelow(
  disk: Disk,
  logger: StorageLogger,
  directory: string,
  names: readonly string[],
): Offset | null {
  if (!names.includes(GAPS_BELOW_FILE)) return 0
  const path = `${directory}/${GAPS_BELOW_FILE}`
  try {
    const lines = decodeTextCheckpoint(path, disk.readFile(path), 1)
    if (lines.length !== 1) throw new CorruptFileError(path, 'one line is expected')
    return parseSafeInteger(path, lines[0]![0]!)
  } catch (error) {
    if (!(error instanceof CorruptFileError)) throw error
    logger.warn('no telling where gaps are losses, taking none for one', { error: error.message })
    return null
  }
}

/** Keeps the offset durably; 0: no segment can have such a gap. A full disk keeps nobody from the log. Throws `DiskError`. */
export function writeGapsBelow(disk: Disk, logger: StorageLogger, directory: string, offset: Offset): void {
  try {
    if (offset > 0) {
      replaceFile(disk, directory, GAPS_BELOW_FILE, encodeTextCheckpoint([String(offset)]))
    } else if (disk.stat(`${directory}/${GAPS_BELOW_FILE}`) !== null) {
      disk.removeFile(`${directory}/${GAPS_BELOW_FILE}`)
    }
  } catch (error) {
    if (!(error instanceof DiskError && error.code === 'DISK_FULL')) throw error
    logger.error('where gaps are no losses could not be noted: a later start may take them for some', {
      directory,
      error: error.message,
    })
  }
}
