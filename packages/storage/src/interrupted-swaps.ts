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
  TRANSACTION_INDEX_SUFFIX,
} from './file-names.ts'
import { fingerprintOf } from './fingerprint.ts'
import type { StorageContext } from './storage-context.ts'
import { readIfPresent } from './text-checkpoint.ts'

const TEMPORARY_SUFFIX = '.tmp'
const LOG_SWAP = `${LOG_SUFFIX}${SWAP_SUFFIX}`

/** What is left of a partition directory once interrupted work in it was ended. */
export interface SettledDirectory {
  readonly names: string[]
  /** Fingerprints of segments that were taken out of use and whose files are, or were, still there, by base offset. */
  readonly retired: ReadonlyMap<Offset, number>
}

/**
 * Removes what was being deleted or written, and ends a compaction that was interrupted while it exchanged segments: `.cleaned` files
 * are incomplete, `.swap` files replace the segments they cover (2.2 and 2.3 there). Throws `DiskError`.
 */
export function finishInterruptedSwaps(
  context: StorageContext,
  path: string,
  names: readonly string[],
): SettledDirectory {
  const { disk } = context
  const remove = (name: string): void => disk.removeFile(`${path}/${name}`)
  // Before anything of it goes.
  const retired = fingerprintsOf(disk, path, names, DELETED_SUFFIX)
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
  return { names: kept.some((name) => name.endsWith(SWAP_SUFFIX)) ? swapIn(disk, path, kept, retired) : kept, retired }
}

/** Those of the segments whose log has a name with this suffix, as `fingerprintOfSegment` makes them. */
function fingerprintsOf(disk: Disk, path: string, names: readonly string[], suffix: string): Map<Offset, number> {
  const fingerprints = new Map<Offset, number>()
  const isAnnounced = names.some((name) => name.endsWith(LOG_SWAP))
  for (const name of names) {
    const baseOffset = offsetOfFileName(name, `${LOG_SUFFIX}${suffix}`)
    if (baseOffset < 0) continue
    const { sizeBytes } = disk.stat(`${path}/${name}`) ?? { sizeBytes: 0 }
    const transactions = offsetFileName(baseOffset, TRANSACTION_INDEX_SUFFIX)
    // As long as the new log has not got its name, a transaction index without a suffix is the old one's.
    const isRenamed = names.includes(transactions + suffix) || !isAnnounced
    const contents = readIfPresent(disk, `${path}/${transactions}${isRenamed ? suffix : ''}`)
    fingerprints.set(baseOffset, fingerprintOf(baseOffset, sizeBytes, contents))
  }
  return fingerprints
}

function swapIn(disk: Disk, path: string, names: readonly string[], retired: Map<Offset, number>): string[] {
  const swaps = names.filter((name) => name.endsWith(SWAP_SUFFIX))
  let minOffset = Number.POSITIVE_INFINITY
  let maxOffset = -1
  for (const name of swaps) {
    const baseOffset = offsetOfFileName(name, LOG_SWAP)
    if (baseOffset < 0) continue
    minOffset = Math.min(minOffset, baseOffset)
    maxOffset = Math.max(maxOffset, endOfLogFile(disk, `${path}/${name}`, baseOffset))
  }
  for (const [baseOffset, fingerprint] of fingerprintsOf(disk, path, names, '')) {
    if (baseOffset >= minOffset && baseOffset < maxOffset) retired.set(baseOffset, fingerprint)
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
