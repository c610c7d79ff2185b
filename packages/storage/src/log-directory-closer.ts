import { DiskError } from '@millrace/base'
import { writeCleanStop } from './clean-stop.ts'
import type { LogCore } from './log-core.ts'
import type { LogDirectory } from './log-directory.ts'
import type { StorageContext } from './storage-context.ts'

/** From this many logs on, one sync of the whole file system closes them faster than half a dozen syncs each. */
const SYNC_ALL_MIN_COUNT = 16

/**
 * Brings all logs of a directory to rest and notes that, so that the next start need not look at them. Where it fails meanwhile, or a log
 * cannot be brought to its end, nothing is noted, and nothing either where `brokerEpoch` is null.
 */
export async function closeDirectory(
  { disk, openLogs }: StorageContext,
  directory: LogDirectory,
  brokerEpoch: number | null,
): Promise<void> {
  await directory.moved.whenIdle()
  const isOpen = (log: LogCore): boolean => openLogs.has(log) || !log.isCheckpointed || log.isUnsettled
  const open = [...directory.logs].filter(isOpen)
  if (open.length >= SYNC_ALL_MIN_COUNT) await directory.syncAll(open)
  for (const log of open) if (isOpen(log)) await log.closeIdle()
  await directory.whenSynced()
  if (!directory.online) return
  try {
    // What could not be brought to its end, for example on a full disk, is looked at by the next start.
    let clean = true
    for (const log of directory.logs) {
      if (log.isCheckpointed && !log.isUnsettled) directory.markClean(log)
      else clean = false
    }
    directory.mark.syncNow()
    await directory.checkpoints.write()
    if (clean && brokerEpoch !== null && directory.online && directory.checkpoints.areWritten) {
      writeCleanStop(disk, directory.path, brokerEpoch)
    }
  } catch (error) {
    if (!(error instanceof DiskError)) throw error
    directory.fail(error)
  }
  for (const log of directory.logs) log.fail()
  directory.close()
}
