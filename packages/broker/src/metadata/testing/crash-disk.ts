import { type Disk, DiskError, type DiskErrorCode, type DiskFile, type Mapping, type Random } from '@millrace/base'

/** What a file holds now, and what would be left of it after the power went. */
interface Inode {
  data: Buffer
  durable: Buffer
}

const SECTOR_BYTES = 512

/**
 * A small disk in memory for tests of the journal: `afterCrash` gives a disk as it may come back, where each sector that was written
 * and not synced is new, old or zero, sizes lie anywhere between, and unsynced names are there or not. Only what the journal uses.
 */
export class CrashDisk implements Disk {
  #names = new Map<string, Inode>()
  #durableNames = new Map<string, Inode>()
  readonly #directories = new Set<string>()
  /** Error of the next write, after this many of its bytes; to that file if one is named. */
  nextWriteFailure: { code: DiskErrorCode; afterBytes: number; path?: string } | null = null
  nextSyncFailure: DiskErrorCode | null = null
  /** Error of the next opening of this file. */
  nextOpenFailure: { code: DiskErrorCode; path: string } | null = null
  syncCount = 0

  /** The disk after a crash now. This one stays as it is. */
  afterCrash(random: Random): CrashDisk {
    const disk = new CrashDisk()
    for (const directory of this.#directories) disk.#directories.add(directory)
    const paths = new Set([...this.#names.keys(), ...this.#durableNames.keys()])
    const survivors = new Map<Inode, Inode>()
    for (const path of paths) {
      const names = random.uint32() % 2 === 0 ? this.#names : this.#durableNames
      const inode = names.get(path)
      if (inode === undefined) continue
      const survivor = survivors.get(inode) ?? { data: torn(inode, random), durable: Buffer.alloc(0) }
      survivors.set(inode, survivor)
      survivor.durable = Buffer.from(survivor.data)
      disk.#names.set(path, survivor)
      disk.#durableNames.set(path, survivor)
    }
    return disk
  }

  /** Changes bytes of a file in place, as rot does. */
  damage(path: string, change: (data: Buffer) => Buffer): void {
    const inode = this.#inode(path)
    inode.data = change(Buffer.from(inode.data))
    inode.durable = Buffer.from(inode.data)
  }

  sizeOf(path: string): number {
    return this.#inode(path).data.length
  }

  makeDirectory(path: string): void {
    this.#directories.add(path)
  }

  listDirectory(path: string): string[] {
    const prefix = `${path}/`
    return [...this.#names.keys()]
      .filter((name) => name.startsWith(prefix))
      .map((name) => name.slice(prefix.length))
      .sort()
  }

  stat(path: string) {
    const inode = this.#names.get(path)
    return inode === undefined ? null : { sizeBytes: inode.data.length, modifiedMs: 0, isDirectory: false }
  }

  rename(from: string, to: string): void {
    this.#names.set(to, this.#inode(from))
    this.#names.delete(from)
  }

  removeFile(path: string): void {
    this.#inode(path)
    this.#names.delete(path)
  }

  removeTree(): Promise<void> {
    throw new Error('not used by the journal')
  }

  syncDirectory(): void {
    this.#durableNames = new Map(this.#names)
  }

  /** The journal syncs file by file. */
  openFileSystem(): null {
    return null
  }

  async syncDirectoryAsync(): Promise<void> {
    await Promise.resolve()
    this.syncDirectory()
  }

  readFile(path: string): Buffer {
    return Buffer.from(this.#inode(path).data)
  }

  openFile(path: string, options: { create: boolean }): DiskFile {
    const failure = this.nextOpenFailure
    if (failure?.path === path) {
      this.nextOpenFailure = null
      throw new DiskError(failure.code, 'open', path, 'EMFILE')
    }
    if (options.create && !this.#names.has(path)) {
      this.#names.set(path, { data: Buffer.alloc(0), durable: Buffer.alloc(0) })
    }
    return new CrashFile(this, path, this.#inode(path))
  }

  space(): { totalBytes: number; usableBytes: number } {
    return { totalBytes: 1e12, usableBytes: 1e12 }
  }

  lock(): { release(): void } {
    throw new Error('not used by the journal')
  }

  #inode(path: string): Inode {
    const inode = this.#names.get(path)
    if (inode === undefined) throw new DiskError('DISK_NOT_FOUND', 'open', path, 'ENOENT')
    return inode
  }
}

class CrashFile implements DiskFile {
  readonly #disk: CrashDisk
  readonly path: string
  readonly #inode: Inode
  #open = true

  constructor(disk: CrashDisk, path: string, inode: Inode) {
    this.#disk = disk
    this.path = path
    this.#inode = inode
  }

  sizeBytes(): number {
    return this.#inode.data.length
  }

  write(buffer: Uint8Array, start: number, end: number, position: number): void {
    this.#checkOpen()
    let failure = this.#disk.nextWriteFailure
    if (failure?.path !== undefined && failure.path !== this.path) failure = null
    if (failure !== null) this.#disk.nextWriteFailure = null
    const written = failure === null ? end : Math.min(end, start + failure.afterBytes)
    const inode = this.#inode
    const size = Math.max(inode.data.length, position + written - start)
    const data = Buffer.alloc(size)
    inode.data.copy(data)
    data.set(buffer.subarray(start, written), position)
    inode.data = data
    if (failure !== null) throw new DiskError(failure.code, 'write', this.path, 'ENOSPC')
  }

  writeMany(buffers: readonly Uint8Array[], position: number): void {
    const all = Buffer.concat(buffers)
    this.write(all, 0, all.length, position)
  }

  read(buffer: Uint8Array, start: number, end: number, position: number): number {
    return this.#inode.data.copy(buffer, start, position, position + end - start)
  }

  readAsync(): Promise<number> {
    throw new Error('not used by the journal')
  }

  async syncData(): Promise<void> {
    await Promise.resolve()
    this.syncDataNow()
  }

  syncDataNow(): void {
    this.#checkOpen()
    const failure = this.#disk.nextSyncFailure
    this.#disk.nextSyncFailure = null
    if (failure !== null) throw new DiskError(failure, 'sync', this.path, 'EIO')
    this.#disk.syncCount++
    this.#inode.durable = Buffer.from(this.#inode.data)
  }

  truncate(sizeBytes: number): void {
    this.#checkOpen()
    this.#inode.data = Buffer.from(this.#inode.data.subarray(0, sizeBytes))
  }

  extend(): Promise<void> {
    throw new Error('not used by the journal')
  }

  map(): Mapping | null {
    return null
  }

  close(): void {
    this.#checkOpen()
    this.#open = false
  }

  #checkOpen(): void {
    if (!this.#open) throw new DiskError('DISK_OTHER', 'use', this.path, 'EBADF')
  }
}

/** Durable bytes, with what was written since arrived in parts. */
function torn({ data, durable }: Inode, random: Random): Buffer {
  const shorter = Math.min(data.length, durable.length)
  const longer = Math.max(data.length, durable.length)
  const size = shorter + (longer === shorter ? 0 : random.uint32() % (longer - shorter + 1))
  const result = Buffer.alloc(size)
  for (let start = 0; start < size; start += SECTOR_BYTES) {
    const end = Math.min(size, start + SECTOR_BYTES)
    const source = [data, durable][random.uint32() % 2]!
    // What the chosen source does not have stays zero.
    if (start < source.length) source.copy(result, start, start, Math.min(end, source.length))
  }
  return result
}
