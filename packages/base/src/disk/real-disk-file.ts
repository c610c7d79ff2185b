import fs from 'node:fs'
import { DiskError } from '../errors.ts'
import type { DiskFile, Mapping } from './disk.ts'
import { toDiskError } from './disk-errors.ts'
import type { NativeCalls } from './native-calls.ts'
import { RealMapping } from './real-mapping.ts'

/**
 * Extents up to this size are filled with zeros and synced, larger ones only allocated. A sync over blocks that were written
 * before need not convert extents in the journal (p50 of 64 KiB: 222 against 349 µs), but the double writing costs two CPU
 * seconds per GB and half of the disk's bandwidth, which only a slow partition can afford (docs/adr/0002).
 */
const ZERO_FILL_BYTES_MAX = 1 << 20
const zeros = Buffer.alloc(64 * 1024)

/** A file of the operating system. */
export class RealDiskFile implements DiskFile {
  readonly path: string
  readonly #fd: number
  readonly #calls: NativeCalls | null
  /** Operations on the thread pool: the descriptor stays open until they have ended, its number could be another file's. */
  #pendingCount: number
  #closed: boolean

  constructor(path: string, fd: number, calls: NativeCalls | null) {
    this.path = path
    this.#fd = fd
    this.#calls = calls
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
    if (this.#calls !== null && to - from > ZERO_FILL_BYTES_MAX) {
      const errno = await this.#allocate(this.#calls, from, to)
      if (errno === 0) return
      if (errno === ENOSPC) throw new DiskError('DISK_FULL', 'extend', this.path, 'ENOSPC')
      if (errno === EIO) throw new DiskError('DISK_IO', 'extend', this.path, 'EIO')
    }
    for (let position = from; position < to; ) {
      const at = position
      position += await this.#pooled<number>('extend', (callback) =>
        fs.write(this.#fd, zeros, 0, Math.min(zeros.length, to - at), at, callback),
      )
    }
    await this.syncData()
  }

  map(sizeBytes: number): Mapping | null {
    this.#assertOpen()
    if (this.#calls === null || sizeBytes === 0) return null
    const mapped = this.#calls.mapForReading(this.#fd, sizeBytes)
    return mapped === null ? null : new RealMapping(this.#calls, mapped.address, mapped.memory)
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

  async #allocate(calls: NativeCalls, from: number, to: number): Promise<number> {
    this.#assertOpen()
    this.#pendingCount++
    try {
      return await calls.allocate(this.#fd, from, to)
    } finally {
      this.#onPooledEnd()
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
