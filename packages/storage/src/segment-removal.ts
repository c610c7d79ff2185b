import { DiskError } from '@millrace/base'
import {
  DELETED_SUFFIX,
  LOG_SUFFIX,
  OFFSET_INDEX_SUFFIX,
  offsetFileName,
  STRAY_SUFFIX,
  TIME_INDEX_SUFFIX,
  TRANSACTION_INDEX_SUFFIX,
} from './file-names.ts'
import type { Segment } from './segment.ts'
import type { StorageContext } from './storage-context.ts'

const SUFFIXES = [LOG_SUFFIX, OFFSET_INDEX_SUFFIX, TIME_INDEX_SUFFIX, TRANSACTION_INDEX_SUFFIX]

/**
 * Takes the files of segments out of use: renamed to `.deleted` now, removed after the delay on the thread pool, so that a reader on
 * another process (a backup, a tool) is not cut off. Views into them stay valid. Throws `DiskError` if a rename fails.
 */
export function removeSegments(context: StorageContext, segments: readonly Segment[], delayMs: number): void {
  const deletedPaths: string[] = []
  try {
    for (const segment of segments) renameFiles(context, segment, DELETED_SUFFIX, deletedPaths)
    if (deletedPaths.length > 0) context.failpoint('delete')
  } finally {
    // Also of those that were renamed before one could not be.
    if (deletedPaths.length > 0) context.removeLater(deletedPaths, delayMs)
  }
}

/**
 * The same for segments whose records are in another one: gives the new paths of their files, which the caller removes. Throws `DiskError` if
 * a rename fails; some have lost their names then.
 */
export function retireSegments(context: StorageContext, segments: readonly Segment[]): string[] {
  const deletedPaths: string[] = []
  for (const segment of segments) renameFiles(context, segment, DELETED_SUFFIX, deletedPaths)
  return deletedPaths
}

/**
 * Takes the files of segments out of use that recovery cannot use and nobody asked to delete: renamed to `.<hex>.stray`, where the
 * operator finds them, durably. Empty ones are removed. Throws `DiskError`.
 */
export function setSegmentsAside(context: StorageContext, segments: readonly Segment[], reason: string): void {
  const filled = segments.filter(({ sizeBytes }) => sizeBytes > 0)
  removeSegments(
    context,
    segments.filter(({ sizeBytes }) => sizeBytes === 0),
    0,
  )
  if (filled.length === 0) return
  // Of its own each time: a rename replaces what is there.
  const suffix = `.${context.random.bytes(8).toString('hex')}${STRAY_SUFFIX}`
  for (const segment of filled) {
    renameFiles(context, segment, suffix, [])
    const { logPath, sizeBytes } = segment
    context.onSetAside(`${logPath}${suffix}`, sizeBytes)
    context.logger.warn('segment set aside', { reason, segment: logPath, sizeBytes, movedTo: `${logPath}${suffix}` })
  }
  context.disk.syncDirectory(filled[0]!.directory)
}

/** Takes a segment out of use and appends `suffix` to the names of its files; adds their new paths to `paths`. */
function renameFiles(context: StorageContext, segment: Segment, suffix: string, paths: string[]): void {
  segment.abandon()
  for (const kind of SUFFIXES) {
    const path = `${segment.directory}/${offsetFileName(segment.baseOffset, kind)}`
    if (ignoringAbsent(() => context.disk.rename(path, path + suffix))) paths.push(path + suffix)
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
