import type { SimulatedDisk } from '@millrace/base'
import { BATCH_HEADER_BYTES, batchCrcOk, batchSizeOf, lastOffsetOf, magicOf } from '@millrace/protocol'
import {
  DELETED_DIRECTORY_SUFFIX,
  LOG_SUFFIX,
  OFFSET_INDEX_SUFFIX,
  offsetFileName,
  offsetOfFileName,
  PARTITION_METADATA_FILE,
  STRAY_SUFFIX,
  TIME_INDEX_SUFFIX,
} from '../file-names.ts'

const DATA = '/data'

/** Partition directories that nobody deleted, with their log files that are not empty: true if it begins with a sound batch, which is data. */
export type Inventory = Map<string, Map<string, boolean>>

export function inventory(disk: SimulatedDisk): Inventory {
  const found: Inventory = new Map()
  if (disk.stat(DATA) === null) return found
  for (const name of disk.listDirectory(DATA)) {
    if (name.endsWith(DELETED_DIRECTORY_SUFFIX) || disk.stat(`${DATA}/${name}`)?.isDirectory !== true) continue
    const files = new Map<string, boolean>()
    for (const file of disk.listDirectory(`${DATA}/${name}`)) {
      if (offsetOfFileName(file, LOG_SUFFIX) < 0) continue
      const bytes = disk.peek(`${DATA}/${name}/${file}`)
      if (bytes.length > 0) files.set(file, beginsSoundly(bytes))
    }
    found.set(name, files)
  }
  return found
}

function beginsSoundly(log: Buffer): boolean {
  if (log.length < BATCH_HEADER_BYTES || magicOf(log, 0) !== 2) return false
  const sizeBytes = batchSizeOf(log, 0)
  return sizeBytes >= BATCH_HEADER_BYTES && sizeBytes <= log.length && batchCrcOk(log, 0)
}

/** What recovery took away although it must not: a directory, or a log file with data (S10). Null if nothing. */
export function missingOf(before: Inventory, disk: SimulatedDisk): string | null {
  for (const [name, files] of before) {
    const path = `${DATA}/${name}`
    if (disk.stat(path) === null) return path
    const names = disk.listDirectory(path)
    // Without it the directory is not known to be anyone's.
    const isOwned = names.includes(PARTITION_METADATA_FILE)
    for (const [file, isData] of files) {
      if (!isData && isOwned) continue
      const isThere = names.some((other) => other === file || (other.startsWith(file) && other.endsWith(STRAY_SUFFIX)))
      if (!isThere) return `${path}/${file}`
    }
  }
  return null
}

/**
 * S5: entries of the index files of a stopped log increase, and each offset entry points at the batch that ends with its offset. What
 * does not hold, or null. Read here byte by byte, not by the code under test.
 */
export function checkIndexFiles(disk: SimulatedDisk, directories: Iterable<string>, onFile: () => void): string | null {
  for (const directory of directories) {
    const names = disk.listDirectory(directory)
    for (const file of names) {
      const baseOffset = offsetOfFileName(file, LOG_SUFFIX)
      if (baseOffset < 0) continue
      const log = disk.peek(`${directory}/${file}`)
      const offsets = offsetFileName(baseOffset, OFFSET_INDEX_SUFFIX)
      const times = offsetFileName(baseOffset, TIME_INDEX_SUFFIX)
      onFile()
      const unsound =
        (names.includes(offsets) ? unsoundOffsets(disk.peek(`${directory}/${offsets}`), baseOffset, log) : null) ??
        (names.includes(times) ? unsoundTimes(disk.peek(`${directory}/${times}`)) : null)
      if (unsound !== null) return `${directory}/${file}: ${unsound}`
    }
  }
  return null
}

function unsoundOffsets(index: Buffer, baseOffset: number, log: Buffer): string | null {
  if (index.length % 8 !== 0) return 'the offset index is not whole'
  let lastOffset = -1
  let lastPosition = 0
  for (let at = 0; at < index.length; at += 8) {
    const offset = index.readInt32BE(at)
    const position = index.readInt32BE(at + 4)
    if (offset <= lastOffset || position <= lastPosition) return `offset index entry ${at / 8} does not increase`
    if (position + 61 > log.length) return `offset index entry ${at / 8} points behind the end`
    if (position + batchSizeOf(log, position) > log.length) return `offset index entry ${at / 8} points into a batch`
    if (lastOffsetOf(log, position) !== baseOffset + offset)
      return `offset index entry ${at / 8} points at another batch`
    lastOffset = offset
    lastPosition = position
  }
  return null
}

function unsoundTimes(index: Buffer): string | null {
  if (index.length % 12 !== 0) return 'the time index is not whole'
  let lastTimestamp = -1n
  let lastOffset = -1
  for (let at = 0; at < index.length; at += 12) {
    const timestamp = index.readBigInt64BE(at)
    const offset = index.readInt32BE(at + 8)
    if (timestamp <= lastTimestamp || offset < lastOffset) return `time index entry ${at / 12} does not increase`
    lastTimestamp = timestamp
    lastOffset = offset
  }
  return null
}
