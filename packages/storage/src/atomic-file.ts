import type { Disk, DiskFile } from '@millrace/base'

/**
 * Replaces a small file so that a reader, also one after a crash, sees the old contents or the new, never a mix (S6): write beside
 * it, sync, rename, sync the directory. Throws `DiskError`; the old file is then still there. With a `temporarySuffix` of its own it
 * may overtake a {@link replaceFileAsync} of the same name.
 */
export function replaceFile(
  disk: Disk,
  directory: string,
  name: string,
  contents: Buffer,
  temporarySuffix = TEMPORARY_SUFFIX,
): void {
  const temporary = writeTemporary(disk, directory, name + temporarySuffix, contents)
  disk.rename(temporary, `${directory}/${name}`)
  disk.syncDirectory(directory)
}

/**
 * The same with the syncs on the thread pool. Calls for one name must not overlap. `isWanted` is asked before the first change and before
 * the rename: the directory may have failed, or have gone meanwhile and another of its name have come.
 */
export async function replaceFileAsync(
  disk: Disk,
  directory: string,
  name: string,
  contents: Buffer,
  isWanted: () => boolean,
): Promise<void> {
  if (!isWanted()) return
  const temporary = `${directory}/${name}${TEMPORARY_SUFFIX}`
  const file = openEmpty(disk, temporary)
  try {
    file.write(contents, 0, contents.length, 0)
    await file.syncData()
  } finally {
    file.close()
  }
  if (!isWanted()) return
  disk.rename(temporary, `${directory}/${name}`)
  await disk.syncDirectoryAsync(directory)
}

/** The same without any sync: one of the whole file system follows, and a crash before it is made good by recovery. */
export function replaceFileUnsynced(disk: Disk, directory: string, name: string, contents: Buffer): void {
  const temporary = `${directory}/${name}${TEMPORARY_SUFFIX}`
  const file = openEmpty(disk, temporary)
  try {
    file.write(contents, 0, contents.length, 0)
  } finally {
    file.close()
  }
  disk.rename(temporary, `${directory}/${name}`)
}

/** Creates a directory and its parents if absent, and makes their names durable. */
export function makeDurableDirectory(disk: Disk, path: string): void {
  const missing: string[] = []
  for (let at = path; at !== '.' && at !== '/' && disk.stat(at) === null; at = parentOf(at)) missing.push(at)
  if (missing.length === 0) return
  disk.makeDirectory(path)
  for (const made of missing) disk.syncDirectory(parentOf(made))
}

/** The directory that holds the name; the current one for a relative path of one part. */
function parentOf(path: string): string {
  const slash = path.lastIndexOf('/')
  if (slash === -1) return '.'
  return slash === 0 ? '/' : path.slice(0, slash)
}

/**
 * A new file, or what is there without its contents; the caller closes it. A new one is not cut: ext4 takes that for a file that is
 * being replaced, and writes it back when it is closed, which at a stop is 10,000 waits. Throws `DiskError`.
 */
export function openEmpty(disk: Disk, path: string): DiskFile {
  const file = disk.openFile(path, { create: true })
  try {
    if (file.sizeBytes() > 0) file.truncate(0)
    return file
  } catch (error) {
    file.close()
    throw error
  }
}

function writeTemporary(disk: Disk, directory: string, name: string, contents: Buffer): string {
  const temporary = `${directory}/${name}`
  const file = openEmpty(disk, temporary)
  try {
    file.write(contents, 0, contents.length, 0)
    file.syncDataNow()
  } finally {
    file.close()
  }
  return temporary
}

const TEMPORARY_SUFFIX = '.tmp'
