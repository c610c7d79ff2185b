import type { Disk, Offset } from '@millrace/base'
import { BatchScanner } from './batch-scanner.ts'
import {
  CLEANED_SUFFIX,
  DELETED_SUFFIX,
  INDEX_SUFFIXES,
  LOG_SUFFIX,
  offsetFileName,
  offsetOfFileName,
  SWAP_SUFFIX,
} from './file-names.ts'
import type { StorageContext } from './storage-context.ts'

const TEMPORARY_SUFFIX = '.tmp'

/**
 * Removes what was being deleted or written, and ends a compaction that was interrupted while it exchanged segments: `.cleaned` files
 * are incomplete, `.swap` files replace the segments they cover (2.2 and 2.3 there). Returns the names that are left. Throws `DiskError`.
 */
export function finishInterruptedSwaps(context: StorageContext, path: string, names: readonly string[]): string[] {
  const { disk } = context
  const remove = (name: string): void => disk.removeFile(`${path}/${name}`)
  const cleanedBases = names.filter((name) => name.endsWith(CLEANED_SUFFIX)).map((name) => Number.parseInt(name, 10))
  const minCleaned = Math.min(Number.POSITIVE_INFINITY, ...cleanedBases)
  let changed = false
  for (const name of names) {
    // Nobody waits for these, and a start would wait for thousands of them.
    if (name.endsWith(DELETED_SUFFIX)) context.removeSoon(`${path}/${name}`)
    const stale =
      name.endsWith(CLEANED_SUFFIX) ||
      name.endsWith(TEMPORARY_SUFFIX) ||
      (name.endsWith(SWAP_SUFFIX) && Number.parseInt(name, 10) >= minCleaned)
    if (stale) remove(name)
    changed ||= stale
  }
  const kept = changed ? disk.listDirectory(path) : [...names]
  return kept.some((name) => name.endsWith(SWAP_SUFFIX)) ? swapIn(disk, path, kept) : kept
}

function swapIn(disk: Disk, path: string, names: readonly string[]): string[] {
  const all = names.filter((name) => name.endsWith(SWAP_SUFFIX))
  const hasLog = (name: string): boolean => names.includes(logSwapName(name))
  const swaps = all.filter(hasLog)
  // An exchange that was taken back: its log went first.
  for (const name of all) if (!hasLog(name)) disk.removeFile(`${path}/${name}`)
  let minOffset = Number.POSITIVE_INFINITY
  let maxOffset = -1
  for (const name of swaps) {
    const baseOffset = offsetOfFileName(name, `${LOG_SUFFIX}${SWAP_SUFFIX}`)
    if (baseOffset < 0) continue
    minOffset = Math.min(minOffset, baseOffset)
    maxOffset = Math.max(maxOffset, endOfLogFile(disk, `${path}/${name}`, baseOffset))
  }
  for (const name of names) {
    for (const suffix of [LOG_SUFFIX, ...INDEX_SUFFIXES]) {
      const offset = offsetOfFileName(name, suffix)
      if (offset >= minOffset && offset < maxOffset) disk.removeFile(`${path}/${name}`)
    }
  }
  for (const name of swaps) disk.rename(`${path}/${name}`, `${path}/${name.slice(0, -SWAP_SUFFIX.length)}`)
  disk.syncDirectory(path)
  return disk.listDirectory(path)
}

function logSwapName(name: string): string {
  return offsetFileName(Number.parseInt(name, 10), `${LOG_SUFFIX}${SWAP_SUFFIX}`)
}

function endOfLogFile(disk: Disk, path: string, baseOffset: Offset): Offset {
  const file = disk.openFile(path, { create: false })
  try {
    const scanner = new BatchScanner(file, 0, file.sizeBytes(), baseOffset)
    while (scanner.next() === 'batch');
    return scanner.expectedOffset
  } finally {
    file.close()
  }
}
