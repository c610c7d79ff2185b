import { assert, DiskError } from '../errors.ts'
import type { DiskFile, Mapping } from './disk.ts'
import type { PendingSync, SimulatedInode } from './simulated-inode.ts'

/** What a simulated disk is asked to do, as faults and hooks see it. */
export type DiskOperation =
  | 'read'
  | 'write'
  | 'sync'
  | 'truncate'
  | 'extend'
  | 'create'
  | 'rename'
  | 'remove'
  | 'sync directory'
  | 'space'

/** The disk as its files see it. */
export interface FileHost {
  readonly options: { readonly mapping: boolean; readonly capacityBytes: number }
  readonly nowMs: number
  readonly usedBytes: number
  /** Fails if a fault is due. */
  check(operation: DiskOperation, path: string): void
  /** A change is about to happen, unless a fault is due. */
  change(operation: DiskOperation, path: string): void
  /** After a write. */
  maybeWriteBack(inode: SimulatedInode): void
  isCold(): boolean
  /** When an operation of the thread pool ends. */
  settle: (operation: DiskOperation, path: string) => Promise<void>
  syncLies: (path: string) => boolean
  /** Bytes of a failing write that reach the file all the same. */
  shortWrite: (path: string, sizeBytes: number) => number
}

/** An open file of a simulated disk. */
export class SimulatedFile implements DiskFile {
  readonly path: string
  readonly #disk: FileHost
  readonly #inode: SimulatedInode
  #closed: boolean
  /** A sync failed: syncing again could report success for pages that were dropped (S7). */
  #syncFailed: boolean

  constructor(disk: FileHost, path: string, inode: SimulatedInode) {
    this.path = path
    this.#disk = disk
    this.#inode = inode
    this.#closed = false
    this.#syncFailed = false
  }

  sizeBytes(): number {
    this.#assertOpen()
    return this.#inode.sizeBytes
  }

  write(buffer: Uint8Array, start: number, end: number, position: number): void {
    this.#assertOpen()
    try {
      this.#disk.change('write', this.path)
      this.#makeRoom(position + end - start, 'write')
    } catch (error) {
      const keptBytes = this.#disk.shortWrite(this.path, end - start)
      if (keptBytes > 0) this.#inode.write(buffer, start, start + keptBytes, position)
      throw error
    }
    this.#inode.write(buffer, start, end, position)
    this.#inode.modifiedMs = this.#disk.nowMs
    this.#disk.maybeWriteBack(this.#inode)
  }

  writeMany(buffers: readonly Uint8Array[], position: number): void {
    const joined = Buffer.concat(buffers)
    this.write(joined, 0, joined.length, position)
  }

  read(buffer: Uint8Array, start: number, end: number, position: number): number {
    this.#assertOpen()
    this.#disk.check('read', this.path)
    return this.#inode.read(buffer, start, end, position)
  }

  async readAsync(buffer: Uint8Array, start: number, end: number, position: number): Promise<number> {
    this.#assertOpen()
    await this.#disk.settle('read', this.path)
    this.#disk.check('read', this.path)
    return this.#inode.read(buffer, start, end, position)
  }

  async syncData(): Promise<void> {
    this.#assertOpen()
    assert(!this.#syncFailed, 'a file is not synced again after a failure')
    const synced = this.#inode.beginSync()
    await this.#disk.settle('sync', this.path)
    this.#endSync(synced)
  }

  syncDataNow(): void {
    this.#assertOpen()
    assert(!this.#syncFailed, 'a file is not synced again after a failure')
    this.#endSync(this.#inode.beginSync())
  }

  truncate(sizeBytes: number): void {
    this.#assertOpen()
    this.#disk.change('truncate', this.path)
    this.#inode.resize(sizeBytes)
  }

  async extend(from: number, to: number): Promise<void> {
    this.#assertOpen()
    assert(from <= to, 'an extent has a size')
    await this.#disk.settle('extend', this.path)
    this.#disk.change('extend', this.path)
    this.#makeRoom(to, 'extend')
    if (to > this.#inode.sizeBytes) this.#inode.resize(to)
  }

  map(sizeBytes: number): Mapping | null {
    this.#assertOpen()
    if (!this.#disk.options.mapping || sizeBytes === 0) return null
    return new SimulatedMapping(this.#disk, this.#inode, sizeBytes)
  }

  close(): void {
    this.#closed = true
  }

  #endSync(synced: PendingSync): void {
    try {
      this.#disk.change('sync', this.path)
    } catch (error) {
      this.#syncFailed = true
      this.#inode.failSync()
      throw error
    }
    if (!this.#disk.syncLies(this.path)) this.#inode.endSync(synced)
  }

  #makeRoom(sizeBytes: number, operation: string): void {
    const { capacityBytes } = this.#disk.options
    const moreBytes = sizeBytes - this.#inode.sizeBytes
    // All files are looked at to tell what is used: not for each write to a disk without an end.
    if (moreBytes > 0 && Number.isFinite(capacityBytes) && this.#disk.usedBytes + moreBytes > capacityBytes) {
      throw new DiskError('DISK_FULL', operation, this.path, 'ENOSPC')
    }
  }

  #assertOpen(): void {
    assert(!this.#closed, 'a closed file is not used')
  }
}

/** Views are copies, so that a test notices if what stands under one changes: the inode refuses that. */
class SimulatedMapping implements Mapping {
  readonly sizeBytes: number
  readonly #disk: FileHost
  readonly #inode: SimulatedInode
  #gaveViews: boolean
  #released: boolean

  constructor(disk: FileHost, inode: SimulatedInode, sizeBytes: number) {
    this.sizeBytes = sizeBytes
    this.#disk = disk
    this.#inode = inode
    this.#gaveViews = false
    this.#released = false
  }

  view(start: number, end: number): Buffer {
    this.#check(end)
    this.#gaveViews = true
    this.#inode.viewedEndBytes = Math.max(this.#inode.viewedEndBytes, end)
    return this.#inode.live.bytes.subarray(start, end)
  }

  bytesUnsafe(): Buffer {
    assert(!this.#released, 'a mapping is not used after release')
    return this.#inode.live.bytes.subarray(0, Math.min(this.sizeBytes, this.#inode.sizeBytes))
  }

  isResident(_start: number, end: number): boolean {
    this.#check(end)
    return !this.#disk.isCold()
  }

  hasViews(): boolean {
    return this.#gaveViews && this.#inode.viewedEndBytes > 0
  }

  release(): void {
    this.#released = true
  }

  #check(end: number): void {
    assert(!this.#released, 'a mapping is not used after release')
    assert(end <= this.sizeBytes && end <= this.#inode.sizeBytes, 'a view stays inside mapping and file')
  }
}
