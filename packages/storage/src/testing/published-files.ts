import type { SimulatedDisk } from '@millrace/base'
import {
  CLEAN_SHUTDOWN_FILE,
  HIGH_WATERMARK_FILE,
  LEADER_EPOCH_FILE,
  LOG_START_FILE,
  META_PROPERTIES_FILE,
  RECOVERY_POINT_FILE,
} from '../file-names.ts'

/** Contents that small files were given as a whole, by path: after a crash a file holds one of its own, or is absent (S6). */
export type PublishedFiles = Map<string, Set<string>>

const SMALL_FILES = new Set([
  CLEAN_SHUTDOWN_FILE,
  HIGH_WATERMARK_FILE,
  LEADER_EPOCH_FILE,
  LOG_START_FILE,
  META_PROPERTIES_FILE,
  RECOVERY_POINT_FILE,
])

/** A file beside a small one is about to take its place. */
export function publishRenamed(disk: SimulatedDisk, from: string, published: PublishedFiles): void {
  const path = from.slice(0, from.lastIndexOf('.'))
  if (!SMALL_FILES.has(nameOf(path))) return
  const contents = disk.peek(from).toString('latin1')
  const known = published.get(path)
  if (known === undefined) published.set(path, new Set([contents]))
  else known.add(contents)
}

/** What is found is neither absent nor anything that was published; null if all is well. Counts files through `onFile`. */
export function findUnpublished(disk: SimulatedDisk, published: PublishedFiles, onFile: () => void): string | null {
  const directories = disk.listDirectory('/').includes('data') ? ['/data'] : []
  for (const directory of directories) {
    for (const name of disk.listDirectory(directory)) {
      const path = `${directory}/${name}`
      if (disk.stat(path)?.isDirectory) directories.push(path)
      if (!SMALL_FILES.has(name)) continue
      onFile()
      // A directory that was renamed keeps its files.
      if (!isKnown(disk.peek(path).toString('latin1'), name, path, published)) return path
    }
  }
  return null
}

function isKnown(contents: string, name: string, path: string, published: PublishedFiles): boolean {
  if (published.get(path)?.has(contents) === true) return true
  if (!path.endsWith(`/${LEADER_EPOCH_FILE}`)) return false
  for (const [other, known] of published) if (nameOf(other) === name && known.has(contents)) return true
  return false
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf('/') + 1)
}
