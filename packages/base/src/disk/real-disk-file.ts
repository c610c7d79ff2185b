import fs from 'node:fs'
import { DiskError } from '../errors.ts'
import type { CollectionNudge } from './collection-nudge.ts'
import type { DiskFile, Mapping } from './disk.ts'
import { toDiskError } from './disk-errors.ts'
import type { NativeCalls } from './native-calls.ts'
import { RealMapping } from './real-mapping.ts'

/** A file of the operating system. */
export class RealDiskFile implements DiskFile {
  readonly path: string
  readonly #fd: number
  readonly #calls: NativeCalls | null
  readonly #nudge: CollectionNudge | null
  /** Operations on the thread pool: the descriptor stays open until they have ended, its number could be another file's. */
  #pendingCount: number
  #closed: boolean

  constructor(path: string, fd: number, calls: NativeCalls | null, nudge: CollectionNudge | null) {
    this.path = path
    this.#fd = fd
    this.#calls = calls
    this.#nudge = nudge
    this.#pendingCount = 0
    this.#closed = false
  }

  sizeBytes(): number {
    return this.#now('stat', () => fs.fstatSync(this.#fd).size)
  }

  write(buffer: Uint8Array, start: number, end: number, position: number): void {
    this.#assertOpen()
    try {
      for (let done = start; done < end; ) {
        done += fs.writeSync(this.#fd, buffer, done, end - done, position + done - start)
      }
    } catch (error) {
      throw toDiskError('write', this.path, error)
    }
  }

  writeMany(buffers: readonly Uint8Array[], position: number): void {
    this.#assertOpen()
    let totalBytes = 0
    for (let slot = 0; slot < buffers.length; slot++) totalBytes += buffers[slot]!.length
    let written: number
    try {
      written = fs.writevSync(this.#fd, buffers, position)
    } catch (error) {
      throw toDiskError('write', this.path, error)
    }
    if (written < totalBytes) this.#writeRest(buffers, position, written)
  }

  read(buffer: Uint8Array, start: number, end: number, position: number): number {
    this.#assertOpen()
    try {
      let done = start
      while (done < end) {
        const count = fs.readSync(this.#fd, buffer, done, end - done, position + done - start)
        if (count === 0) break
        done += count
      }
      return done - start
    } catch (error) {
      throw toDiskError('read', this.path, error)
    }
  }

  async readAsync(buffer: Uint8Array, start: number, end: number, position: number): Promise<number> {
    let done = start
    while (done < end) {
      const from = done
      const count = await this.#pooled<number>('read', (callback) =>
        fs.read(this.#fd, buffer, from, end - from, position + from - start, callback),
      )
      if (count === 0) break
      done += count
    }
    return done - start
  }

  syncData(): Promise<void> {
    return this.#pooled<void>('sync', (callback) => fs.fdatasync(this.#fd, callback))
  }

  syncDataNow(): void {
    this.#now('sync', () => fs.fdatasyncSync(this.#fd))
  }

  truncate(sizeBytes: number): void {
    this.#now('truncate', () => fs.ftruncateSync(this.#fd, sizeBytes))
  }

  async extend(from: number, to: number): Promise<void> {
    if (this.#calls === null) return
    this.#assertOpen()
    this.#pendingCount++
    try {
      const errno = await this.#calls.allocate(this.#fd, from, to)
      if (errno === ENOSPC) throw new DiskError('DISK_FULL', 'extend', this.path, 'ENOSPC')
      if (errno === EIO) throw new DiskError('DISK_IO', 'extend', this.path, 'EIO')
      // Other refusals mean that this file system cannot: writes then allocate as they go.
    } finally {
      this.#onPooledEnd()
    }
  }

  map(sizeBytes: number): Mapping | null {
    this.#assertOpen()
    if (this.#calls === null || sizeBytes === 0) return null
    const mapped = this.#calls.mapForReading(this.#fd, sizeBytes)
    return mapped === null ? null : new RealMapping(this.#calls, mapped.address, mapped.memory, this.#nudge)
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true
    if (this.#pendingCount === 0) this.#closeDescriptor()
  }

  #writeRest(buffers: readonly Uint8Array[], position: number, written: number): void {
    let bufferStart = 0
    for (const buffer of buffers) {
      const from = Math.max(0, written - bufferStart)
      if (from < buffer.length) this.write(buffer, from, buffer.length, position + bufferStart + from)
      bufferStart += buffer.length
    }
  }

  #pooled<Result>(operation: string, start: (callback: Callback<Result>) => void): Promise<Result> {
    this.#assertOpen()
    this.#pendingCount++
    return new Promise<Result>((resolve, reject) => {
      start((error, result) => {
        this.#onPooledEnd()
        if (error !== null && error !== undefined) reject(toDiskError(operation, this.path, error))
        else resolve(result as Result)
      })
    })
  }

  #onPooledEnd(): void {
    this.#pendingCount--
    if (this.#closed && this.#pendingCount === 0) this.#closeDescriptor()
  }

  #closeDescriptor(): void {
    this.#try('close', () => fs.closeSync(this.#fd))
  }

  #now<Result>(operation: string, call: () => Result): Result {
    this.#assertOpen()
    return this.#try(operation, call)
  }

  #try<Result>(operation: string, call: () => Result): Result {
    try {
      return call()
    } catch (error) {
      throw toDiskError(operation, this.path, error)
    }
  }

  #assertOpen(): void {
    if (this.#closed) throw new DiskError('DISK_OTHER', 'use after close', this.path, 'EBADF')
  }
}

type Callback<Result> = (error: NodeJS.ErrnoException | null | undefined, result?: Result) => void

/** Same numbers on Linux and macOS. */
const EIO = 5
const ENOSPC = 28
