import type { Disk, DiskFile, DiskStat, FileSystem, Mapping } from '@millrace/base'
import type { DiskActivity } from './disk-activity.ts'

/** A disk whose work on the thread pool and whose open files are counted. Everything else goes straight through. */
export class MeasuredDisk implements Disk {
  readonly #disk: Disk
  readonly #activity: DiskActivity

  constructor(disk: Disk, activity: DiskActivity) {
    this.#disk = disk
    this.#activity = activity
  }

  makeDirectory(path: string): void {
    this.#disk.makeDirectory(path)
  }

  listDirectory(path: string): string[] {
    return this.#disk.listDirectory(path)
  }

  stat(path: string): DiskStat | null {
    return this.#disk.stat(path)
  }

  rename(from: string, to: string): void {
    this.#disk.rename(from, to)
  }

  removeFile(path: string): void {
    this.#disk.removeFile(path)
  }

  removeTree(path: string): Promise<void> {
    return this.#activity.measure('remove-tree', () => this.#disk.removeTree(path))
  }

  syncDirectory(path: string): void {
    this.#disk.syncDirectory(path)
  }

  syncDirectoryAsync(path: string): Promise<void> {
    return this.#activity.measure('sync-directory', () => this.#disk.syncDirectoryAsync(path))
  }

  openFileSystem(path: string): FileSystem | null {
    const opened = this.#disk.openFileSystem(path)
    if (opened === null) return null
    return {
      syncAll: () => this.#activity.measure('sync-all', () => opened.syncAll()),
      close: () => opened.close(),
    }
  }

  readFile(path: string): Buffer {
    return this.#disk.readFile(path)
  }

  openFile(path: string, options: { create: boolean }): DiskFile {
    return new MeasuredFile(this.#disk.openFile(path, options), this.#activity)
  }

  space(path: string): { totalBytes: number; usableBytes: number } {
    return this.#disk.space(path)
  }

  lock(path: string): { release(): void } {
    return this.#disk.lock(path)
  }
}

class MeasuredFile implements DiskFile {
  readonly path: string
  readonly #file: DiskFile
  readonly #activity: DiskActivity
  #isOpen: boolean

  constructor(file: DiskFile, activity: DiskActivity) {
    this.path = file.path
    this.#file = file
    this.#activity = activity
    this.#isOpen = true
    activity.openFileCount++
  }

  sizeBytes(): number {
    return this.#file.sizeBytes()
  }

  write(buffer: Uint8Array, start: number, end: number, position: number): void {
    this.#file.write(buffer, start, end, position)
  }

  writeMany(buffers: readonly Uint8Array[], position: number): void {
    this.#file.writeMany(buffers, position)
  }

  read(buffer: Uint8Array, start: number, end: number, position: number): number {
    return this.#file.read(buffer, start, end, position)
  }

  readAsync(buffer: Uint8Array, start: number, end: number, position: number): Promise<number> {
    return this.#activity.measure('read', () => this.#file.readAsync(buffer, start, end, position))
  }

  syncData(): Promise<void> {
    return this.#activity.measure('sync', () => this.#file.syncData())
  }

  syncDataNow(): void {
    this.#file.syncDataNow()
  }

  truncate(sizeBytes: number): void {
    this.#file.truncate(sizeBytes)
  }

  extend(from: number, to: number): Promise<void> {
    return this.#activity.measure('extend', () => this.#file.extend(from, to))
  }

  map(sizeBytes: number): Mapping | null {
    return this.#file.map(sizeBytes)
  }

  close(): void {
    if (this.#isOpen) {
      this.#isOpen = false
      this.#activity.openFileCount--
    }
    this.#file.close()
  }
}
