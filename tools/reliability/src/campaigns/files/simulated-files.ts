import type { SimulatedDisk } from '@millrace/base'

/** Paths of all files below a directory, in order. */
export function filesUnder(disk: SimulatedDisk, directory: string): string[] {
  return disk.listDirectory(directory).flatMap((name) => {
    const path = `${directory}/${name}`
    return disk.stat(path)!.isDirectory ? filesUnder(disk, path) : [path]
  })
}

/** Puts other contents in the place of a file's, durably. */
export function overwriteFile(disk: SimulatedDisk, path: string, contents: Buffer): void {
  const file = disk.openFile(path, { create: true })
  file.truncate(0)
  file.write(contents, 0, contents.length, 0)
  file.syncDataNow()
  file.close()
}
