import { BaseError, type Disk, DiskError, type Offset } from '@millrace/base'

/** Contents that do not follow the format, or a checksum that does not match. */
export class CorruptFileError extends BaseError {
  readonly path: string

  constructor(path: string, reason: string) {
    super('STORAGE_FILE_CORRUPT', `${path}: ${reason}`)
    this.path = path
  }
}

/** Kafka's text checkpoints: version `0`, the count of entries, one entry a line. */
export function encodeTextCheckpoint(lines: readonly string[]): Buffer {
  return Buffer.from(`0\n${lines.length}\n${lines.map((line) => `${line}\n`).join('')}`)
}

/** The entries, each split at single spaces into `fieldCount` fields. An empty file has none. Throws `CorruptFileError`. */
export function decodeTextCheckpoint(path: string, contents: Buffer, fieldCount: number): string[][] {
  if (contents.length === 0) return []
  const lines = contents.toString('utf8').split('\n')
  if (lines.at(-1) === '') lines.pop()
  if (lines[0] !== '0') throw new CorruptFileError(path, 'unknown version')
  if (lines[1] !== String(lines.length - 2)) throw new CorruptFileError(path, 'count does not match')
  return lines.slice(2).map((line) => {
    const fields = line.split(' ')
    if (fields.length !== fieldCount) throw new CorruptFileError(path, 'malformed entry')
    return fields
  })
}

/** Lines `topic partition offset` of a log directory, keyed by `topic-partition`. Absent: empty. Throws `CorruptFileError`. */
export function readOffsetCheckpoint(disk: Disk, path: string): Map<string, Offset> {
  const offsets = new Map<string, Offset>()
  for (const [topic, partition, text] of decodeTextCheckpoint(path, readIfPresent(disk, path), 3)) {
    offsets.set(`${topic}-${partition}`, parseSafeInteger(path, text!))
  }
  return offsets
}

/** A non-negative safe integer in decimal. */
export function parseSafeInteger(path: string, text: string): number {
  const value = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (!Number.isSafeInteger(value)) throw new CorruptFileError(path, 'malformed number')
  return value
}

/** Contents, or nothing if there is no such file. */
export function readIfPresent(disk: Disk, path: string): Buffer {
  try {
    return disk.readFile(path)
  } catch (error) {
    if (error instanceof DiskError && error.code === 'DISK_NOT_FOUND') return Buffer.alloc(0)
    throw error
  }
}
