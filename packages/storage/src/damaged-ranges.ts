import { type Disk, DiskError, type Offset } from '@millrace/base'
import { crc32c } from '@millrace/protocol'
import { replaceFile } from './atomic-file.ts'
import { DAMAGED_RANGES_FILE } from './file-names.ts'
import type { StorageLogger } from './log-config.ts'
import type { FaultyRange } from './log-core.ts'
import { CorruptFileError, decodeTextCheckpoint, encodeTextCheckpoint, parseSafeInteger } from './text-checkpoint.ts'

/**
 * `damaged-ranges` of a partition directory: offsets that were synced once and are lost as a whole. Once the walk that found it is over,
 * a lost segment cannot be told from the files that are left: without this file a later start would have reads go on behind it, as if
 * nothing had been there. A text checkpoint with a line `start end` for each range, then `crc32c` and the checksum, in hexadecimal, of
 * the lines before. Absent where nothing is lost. Throws `CorruptFileError`, `DiskError`.
 */
export function readDamagedRanges(disk: Disk, directory: string): FaultyRange[] {
  const path = `${directory}/${DAMAGED_RANGES_FILE}`
  const contents = disk.readFile(path)
  const lines = decodeTextCheckpoint(path, contents, 2)
  const [name, checksum] = lines.pop() ?? []
  const ranges = lines.map(([start, end]) => ({
    startOffset: parseSafeInteger(path, start!),
    endOffset: parseSafeInteger(path, end!),
  }))
  if (name !== CHECKSUM_NAME || checksum !== checksumOf(ranges))
    throw new CorruptFileError(path, 'checksum does not match')
  return ranges
}

/** Keeps the ranges durably; without any the file goes. Throws `DiskError`. */
export function writeDamagedRanges(disk: Disk, directory: string, ranges: readonly FaultyRange[]): void {
  if (ranges.length > 0) {
    const lines = [...ranges.map(lineOf), `${CHECKSUM_NAME} ${checksumOf(ranges)}`]
    replaceFile(disk, directory, DAMAGED_RANGES_FILE, encodeTextCheckpoint(lines))
    return
  }
  if (disk.stat(`${directory}/${DAMAGED_RANGES_FILE}`) === null) return
  disk.removeFile(`${directory}/${DAMAGED_RANGES_FILE}`)
  disk.syncDirectory(directory)
}

/**
 * What is to be known from now on: of the ranges in the file (null: unreadable) and those just found, what lies in
 * `[startOffset, endOffset)`. Written if it is not what the file says. A full disk keeps nobody from reading what is sound.
 */
export function rememberDamage(
  disk: Disk,
  logger: StorageLogger,
  directory: string,
  known: readonly FaultyRange[] | null,
  found: readonly FaultyRange[],
  startOffset: Offset,
  endOffset: Offset,
): FaultyRange[] {
  const ranges = clipRanges(mergeRanges([...(known ?? []), ...found]), startOffset, endOffset)
  if (known !== null && ranges.map(lineOf).join() === known.map(lineOf).join()) return ranges
  try {
    writeDamagedRanges(disk, directory, ranges)
  } catch (error) {
    if (!(error instanceof DiskError && error.code === 'DISK_FULL')) throw error
    logger.error('damage could not be noted down: a later start may not know of it', {
      directory,
      error: error.message,
    })
  }
  return ranges
}

/** In order, none touching another. */
export function mergeRanges(ranges: readonly FaultyRange[]): FaultyRange[] {
  const merged: FaultyRange[] = []
  for (const { startOffset, endOffset } of ranges.toSorted((left, right) => left.startOffset - right.startOffset)) {
    const last = merged.at(-1)
    if (last !== undefined && startOffset <= last.endOffset) last.endOffset = Math.max(last.endOffset, endOffset)
    else merged.push({ startOffset, endOffset })
  }
  return merged
}

/** What of the ranges lies in `[startOffset, endOffset)`. */
export function clipRanges(ranges: readonly FaultyRange[], startOffset: Offset, endOffset: Offset): FaultyRange[] {
  return ranges
    .map((range) => ({
      startOffset: Math.max(range.startOffset, startOffset),
      endOffset: Math.min(range.endOffset, endOffset),
    }))
    .filter((range) => range.startOffset < range.endOffset)
}

function lineOf({ startOffset, endOffset }: FaultyRange): string {
  return `${startOffset} ${endOffset}`
}

function checksumOf(ranges: readonly FaultyRange[]): string {
  return crc32c(Buffer.from(ranges.map(lineOf).join('\n'))).toString(16)
}

const CHECKSUM_NAME = 'crc32c'
