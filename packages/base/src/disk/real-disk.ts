import fs from 'node:fs'
import { dirname } from 'node:path'
import { DiskError } from '../errors.ts'
import type { CollectionNudge } from './collection-nudge.ts'
import type { Disk, DiskFile, DiskStat, FileSystem } from './disk.ts'
import { toDiskError } from './disk-errors.ts'
import { type NativeCalls, nativeCalls } from './native-calls.ts'
import { RealDiskFile } from './real-disk-file.ts'

/**
 * The file system of the operating system. Directories are made with mode 0700 and files with 0600. `portable: true` does without
 * native calls, as systems do that have none: no mapping, extents filled with zeros, locks by process id. With `nudge` the space of
 * mappings that were let go comes back within a minute; without, when the garbage collector happens to run.
 */
export class RealDisk implements Disk {
  readonly #calls: NativeCalls | null
  readonly #nudge: CollectionNudge | null

  constructor(options: { portable?: boolean; nudge?: CollectionNudge } = {}) {
    this.#calls = options.portable === true ? null : nativeCalls()
    this.#nudge = options.nudge ?? null
  }

  makeDirectory(path: string): void {
    attempt('make directory', path, () => makeDirectories(path))
  }

  listDirectory(path: string): string[] {
    return attempt('list', path, () => fs.readdirSync(path)).sort()
  }

  stat(path: string): DiskStat | null {
    const stat = attempt('stat', path, () => fs.statSync(path, { throwIfNoEntry: false }))
    if (stat === undefined) return null
    return { sizeBytes: stat.size, modifiedMs: Math.floor(stat.mtimeMs), isDirectory: stat.isDirectory() }
  }

  rename(from: string, to: string): void {
    attempt('rename', from, () => fs.renameSync(from, to))
  }

  removeFile(path: string): void {
    attempt('remove', path, () => fs.unlinkSync(path))
  }

  removeTree(path: string): Promise<void> {
    return new Promise((resolve, reject) => {
      fs.rm(path, { recursive: true, force: true }, (error) => {
        if (error) reject(toDiskError('remove tree', path, error))
        else resolve()
      })
    })
  }

  syncDirectory(path: string): void {
    if (process.platform === 'win32') return // directories cannot be opened there; NTFS journals names by itself
    attempt('sync directory', path, () => {
      const fd = fs.openSync(path, 'r')
      try {
        fs.fsyncSync(fd)
      } finally {
        fs.closeSync(fd)
      }
    })
  }

  async syncDirectoryAsync(path: string): Promise<void> {
    if (process.platform === 'win32') return
    try {
      const handle = await fs.promises.open(path, 'r')
      try {
        await handle.sync()
      } finally {
        await handle.close()
      }
    } catch (error) {
      throw toDiskError('sync directory', path, error)
    }
  }

  openFileSystem(path: string): FileSystem | null {
    const syncFileSystem = this.#calls?.syncFileSystem ?? null
    if (syncFileSystem === null) return null
    const fd = attempt('open file system', path, () => fs.openSync(path, 'r'))
    return {
      async syncAll() {
        if (!(await syncFileSystem(fd))) throw new DiskError('DISK_IO', 'sync all', path, 'EIO')
      },
      close: () => attempt('close', path, () => fs.closeSync(fd)),
    }
  }

  readFile(path: string): Buffer {
    return attempt('read', path, () => fs.readFileSync(path))
  }

  openFile(path: string, options: { create: boolean }): DiskFile {
    const flags = options.create ? fs.constants.O_RDWR | fs.constants.O_CREAT : fs.constants.O_RDWR
    return new RealDiskFile(
      path,
      attempt('open', path, () => fs.openSync(path, flags, 0o600)),
      this.#calls,
      this.#nudge,
    )
  }

  space(path: string): { totalBytes: number; usableBytes: number } {
    const space = attempt('space', path, () => fs.statfsSync(path))
    return { totalBytes: space.blocks * space.bsize, usableBytes: space.bavail * space.bsize }
  }

  lock(path: string): { release(): void } {
    return this.#calls === null ? lockByProcessId(path) : lockByDescriptor(path, this.#calls)
  }
}

/** Like Node's `recursive: true`, which turns in a circle for ever under a parent that takes no entries, for example `/proc`. */
function makeDirectories(path: string): void {
  try {
    fs.mkdirSync(path, { mode: 0o700 })
  } catch (error) {
    if (fs.statSync(path, { throwIfNoEntry: false })?.isDirectory()) return
    const parent = dirname(path)
    const isParentMissing = error instanceof Error && 'code' in error && error.code === 'ENOENT'
    if (!isParentMissing || fs.existsSync(parent)) throw error
    makeDirectories(parent)
    makeDirectories(path)
  }
}

function lockByDescriptor(path: string, calls: NativeCalls): { release(): void } {
  const fd = attempt('lock', path, () => fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600))
  if (!calls.tryLock(fd)) {
    fs.closeSync(fd)
    throw new DiskError('DISK_OTHER', 'lock', path, 'EWOULDBLOCK')
  }
  return { release: () => fs.closeSync(fd) }
}

/** The file holds the owner's process id; one left behind by a dead process is taken over. */
function lockByProcessId(path: string): { release(): void } {
  for (let attemptCount = 0; attemptCount < 3; attemptCount++) {
    try {
      fs.writeFileSync(path, String(process.pid), { flag: 'wx', mode: 0o600 })
      return { release: () => fs.rmSync(path, { force: true }) }
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST'))
        throw toDiskError('lock', path, error)
    }
    const ownerText = fs.existsSync(path) ? fs.readFileSync(path, 'latin1') : ''
    if (isAlive(Number.parseInt(ownerText, 10))) break
    fs.rmSync(path, { force: true })
  }
  throw new DiskError('DISK_OTHER', 'lock', path, 'EWOULDBLOCK')
}

function isAlive(processId: number): boolean {
  if (!Number.isInteger(processId) || processId <= 0) return false
  try {
    process.kill(processId, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

function attempt<Result>(operation: string, path: string, call: () => Result): Result {
  try {
    return call()
  } catch (error) {
    throw toDiskError(operation, path, error)
  }
}
