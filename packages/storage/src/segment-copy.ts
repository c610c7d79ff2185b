import type { Disk, DiskFile } from '@millrace/base'

/** A file is copied in pieces of this size. */
const COPY_CHUNK_BYTES = 1 << 20

/** Makes a synced copy of the first `sizeBytes` of a file at `path`; the caller closes it. Throws `DiskError`. */
export function copyHead(disk: Disk, from: DiskFile, path: string, sizeBytes: number): DiskFile {
  const copy = disk.openFile(path, { create: true })
  try {
    const chunk = Buffer.allocUnsafeSlow(Math.min(COPY_CHUNK_BYTES, Math.max(1, sizeBytes)))
    copy.truncate(0)
    for (let position = 0; position < sizeBytes; ) {
      const count = from.read(chunk, 0, Math.min(chunk.length, sizeBytes - position), position)
      if (count === 0) break
      copy.write(chunk, 0, count, position)
      position += count
    }
    copy.syncDataNow()
    return copy
  } catch (error) {
    try {
      // What it took is perhaps what is lacking.
      copy.truncate(0)
    } finally {
      copy.close()
    }
    throw error
  }
}
