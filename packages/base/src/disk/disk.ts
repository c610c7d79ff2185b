/**
 * The disk port. It promises little: what was written and not yet synced may vanish, tear or reach the disk in any order;
 * a created, renamed or removed name counts only after its parent directory was synced. All failures are `DiskError`.
 * Synchronous calls may run on the event loop; those that return a promise work on the thread pool and never block it.
 */
export interface Disk {
  /** Creates the directory and its parents if absent. */
  makeDirectory(path: string): void
  /** Names (not paths) in a directory, sorted. */
  listDirectory(path: string): string[]
  /** Null if there is nothing at the path. */
  stat(path: string): DiskStat | null
  /** Replaces what is at `to`, if anything. */
  rename(from: string, to: string): void
  /** Removes a file. Absent is an error (`DISK_NOT_FOUND`). */
  removeFile(path: string): void
  /** Removes a directory with all it holds; absent is no error. On the thread pool. */
  removeTree(path: string): Promise<void>
  /** Makes created, renamed and removed names of this directory durable. */
  syncDirectory(path: string): void
  /** The same on the thread pool. Covers the names as they were when it was called. */
  syncDirectoryAsync(path: string): Promise<void>
  /**
   * Holds on to the file system of a directory, to make all of it durable at once: cheaper than syncing thousands of files and
   * directories. Null where the port cannot.
   */
  openFileSystem(path: string): FileSystem | null
  /** Whole contents of a small file. The buffer is the caller's. */
  readFile(path: string): Buffer
  /** Opens for reading and writing. `create: true` makes an empty file if absent; otherwise absent is `DISK_NOT_FOUND`. */
  openFile(path: string, options: { create: boolean }): DiskFile
  /** Bytes of the file system that holds the path. */
  space(path: string): { totalBytes: number; usableBytes: number }
  /** Holds an exclusive lock on a file until the process ends or `release`. Throws `DiskError` if another process holds it. */
  lock(path: string): { release(): void }
}

/** A file system, open from the time on that write-back errors are to be noticed. */
export interface FileSystem {
  /** Everything that was written, and every name, is durable once it resolves. On the thread pool. After a failure all is in doubt. */
  syncAll(): Promise<void>
  close(): void
}

export interface DiskStat {
  sizeBytes: number
  modifiedMs: number
  isDirectory: boolean
}

/**
 * An open file. One descriptor serves writes and syncs, so that a write-back error is not missed (`reliability.md`, 5.4).
 */
export interface DiskFile {
  readonly path: string
  sizeBytes(): number
  /** Writes `buffer[start, end)` at `position`, all of it or an error. */
  write(buffer: Uint8Array, start: number, end: number, position: number): void
  /** Writes several buffers one after the other, in as few calls as possible. */
  writeMany(buffers: readonly Uint8Array[], position: number): void
  /** Reads up to `end - start` bytes; returns the count, short only at the end of the file. */
  read(buffer: Uint8Array, start: number, end: number, position: number): number
  /** The same on the thread pool: for cold data. */
  readAsync(buffer: Uint8Array, start: number, end: number, position: number): Promise<number>
  /**
   * `fdatasync` on the thread pool: what was written, and the size the file had, before the call is durable once it resolves.
   * After a failure the file must not be trusted or synced again (S7).
   */
  syncData(): Promise<void>
  /** `fdatasync` on the calling thread. */
  syncDataNow(): void
  truncate(sizeBytes: number): void
  /**
   * Reserves real blocks for `[from, to)`, which read as zeros, and grows the file to `to`, on the thread pool. What is written
   * into the range, before or meanwhile, stays. A full disk fails here with `DISK_FULL`. A port that cannot reserve does nothing.
   */
  extend(from: number, to: number): Promise<void>
  /**
   * Maps `[0, sizeBytes)` for reading. The range may reach past the end of the file, which may grow into it; views must stay
   * below the end. Null where the port has no mapping: use `read`. Coherent with `write`. See {@link Mapping} for its life.
   */
  map(sizeBytes: number): Mapping | null
  /** Closes the descriptor once operations on the thread pool have ended. Mappings live on. */
  close(): void
}

/**
 * A mapped file range. Borrowed memory: it is unmapped only after `release()` when no view of it is left, so a view that a socket
 * still holds stays valid. The file must not be truncated or overwritten below a live view: ask {@link Mapping.hasViews} before,
 * or let the file be replaced by another.
 */
export interface Mapping {
  readonly sizeBytes: number
  /** View of `[start, end)`, without a copy; it keeps the mapping alive. */
  view(start: number, end: number): Buffer
  /**
   * The whole range, for reading headers in place. Touch only bytes below the file's end and resident ones. The caller must not
   * keep it: it is not counted by {@link Mapping.hasViews}.
   */
  bytesUnsafe(): Buffer
  /** Whether reading the range now would find every page in memory (no fault that waits for the disk). */
  isResident(start: number, end: number): boolean
  /** False only if certainly no view is left: none was ever given, or the memory has been unmapped. */
  hasViews(): boolean
  /** The owner needs it no more. */
  release(): void
}
