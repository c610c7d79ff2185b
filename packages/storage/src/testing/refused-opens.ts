import { DiskError, type SimulatedDisk } from '@millrace/base'

/**
 * From now on whatever opens a file or directory of the disk fails with EMFILE where `isRefused` says so, as in a process that has no
 * descriptor left. What is open goes on. Methods of the disk are wrapped: once for each disk.
 */
export function refuseOpens(disk: SimulatedDisk, isRefused: (path: string) => boolean): void {
  const check = (path: string): void => {
    if (isRefused(path)) throw new DiskError('DISK_OTHER', 'open', path, 'EMFILE')
  }
  const openFile = disk.openFile.bind(disk)
  disk.openFile = (path, options) => {
    check(path)
    return openFile(path, options)
  }
  const readFile = disk.readFile.bind(disk)
  disk.readFile = (path) => {
    check(path)
    return readFile(path)
  }
  const listDirectory = disk.listDirectory.bind(disk)
  disk.listDirectory = (path) => {
    check(path)
    return listDirectory(path)
  }
  const syncDirectory = disk.syncDirectory.bind(disk)
  disk.syncDirectory = (path) => {
    check(path)
    syncDirectory(path)
  }
  const syncDirectoryAsync = disk.syncDirectoryAsync.bind(disk)
  disk.syncDirectoryAsync = async (path) => {
    check(path)
    return syncDirectoryAsync(path)
  }
}
