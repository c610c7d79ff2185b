import { DiskError } from '@millrace/base'
import {
  DELETED_SUFFIX,
  LOG_SUFFIX,
  OFFSET_INDEX_SUFFIX,
  offsetFileName,
  TIME_INDEX_SUFFIX,
  TRANSACTION_INDEX_SUFFIX,
} from './file-names.ts'
import type { Segment } from './segment.ts'
import type { StorageContext } from './storage-context.ts'

/**
 * Takes the files of segments out of use: renamed to `.deleted` now, removed after the delay, so that a reader on another process
 * (a backup, a tool) is not cut off. Views into them stay valid. Throws `DiskError` if a rename fails.
 */
export function removeSegments(context: StorageContext, segments: readonly Segment[], delayMs: number): void {
  const deletedPaths: string[] = []
  for (const segment of segments) {
    segment.abandon()
    for (const suffix of [LOG_SUFFIX, OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX]) {
      const path = `${segment.directory}/${offsetFileName(segment.baseOffset, suffix)}`
      if (!ignoringAbsent(() => context.disk.rename(path, `${path}${DELETED_SUFFIX}`))) continue
      deletedPaths.push(`${path}${DELETED_SUFFIX}`)
    }
  }
  if (deletedPaths.length === 0) return
  context.failpoint('delete')
  context.timers.setTimer(delayMs, () => {
    for (const path of deletedPaths) removeLater(context, path)
  })
}

function removeLater(context: StorageContext, path: string): void {
  try {
    ignoringAbsent(() => context.disk.removeFile(path))
  } catch (error) {
    if (!(error instanceof DiskError)) throw error
    // The next start removes what is named so.
    context.logger.warn('deleted file could not be removed', { path, error: error.message })
  }
}

/** Whether it was there. */
function ignoringAbsent(call: () => void): boolean {
  try {
    call()
    return true
  } catch (error) {
    if (error instanceof DiskError && error.code === 'DISK_NOT_FOUND') return false
    throw error
  }
}
