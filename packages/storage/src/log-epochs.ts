import type { Disk, Offset } from '@millrace/base'
import { crc32c } from '@millrace/protocol'
import { replaceFileAsync, replaceFileUnsynced } from './atomic-file.ts'
import { LEADER_EPOCH_FILE } from './file-names.ts'
import { LeaderEpochCache } from './leader-epoch-cache.ts'
import { CorruptFileError, readIfPresent } from './text-checkpoint.ts'

/** A log's leader epochs and their file, which is read when first asked for, once. */
export class LogEpochs {
  readonly #disk: Disk
  #directory: string
  #cache: LeaderEpochCache | null
  /** Of what the file holds; null: it was not read. */
  #fileChecksum: number | null
  /** What is wrong with the file, until the cache starts anew. */
  #damage: CorruptFileError | null

  /** `isAbsent`: there is no file, which need not be tried: that costs more than reading one. */
  constructor(disk: Disk, directory: string, isAbsent: boolean) {
    this.#disk = disk
    this.#directory = directory
    this.#cache = isAbsent ? new LeaderEpochCache() : null
    this.#fileChecksum = isAbsent ? 0 : null
    this.#damage = null
  }

  /** The directory got another name. */
  moveTo(directory: string): void {
    this.#directory = directory
  }

  /** Throws `CorruptFileError` if the file is damaged; recovery then rebuilds it. */
  get cache(): LeaderEpochCache {
    if (this.#cache === null) this.#read()
    if (this.#damage !== null) throw this.#damage
    return this.#cache!
  }

  /** Checksum of the file as it is, that of no bytes where there is none: what a fingerprint knows of it. Throws `DiskError`. */
  get fileChecksum(): number {
    if (this.#fileChecksum === null) this.#read()
    return this.#fileChecksum!
  }

  /** Starts from nothing, whatever the file holds. */
  reset(): LeaderEpochCache {
    this.#cache = new LeaderEpochCache()
    // It still holds them: a clean stop that did not write it anew would have the next start believe it.
    if (this.#fileChecksum !== 0) this.#cache.onSaveFailed()
    this.#damage = null
    return this.#cache
  }

  /** The file is not what a log that ends at `logEndOffset` needs. */
  needsSave(logEndOffset: Offset): boolean {
    return this.#cache?.needsSave(logEndOffset) ?? false
  }

  /** Writes the file if the epochs changed, for a sync of the whole file system to follow. Throws `DiskError`. */
  saveUnsynced(logEndOffset: Offset): void {
    const cache = this.#cache
    if (!cache?.needsSave(logEndOffset)) return
    const contents = cache.encode()
    try {
      replaceFileUnsynced(this.#disk, this.#directory, LEADER_EPOCH_FILE, contents)
    } catch (error) {
      cache.onSaveFailed()
      throw error
    }
    this.#fileChecksum = crc32c(contents)
  }

  /** Writes the file if the epochs changed. `isWanted`: the log is still there. */
  async save(logEndOffset: Offset, isWanted: () => boolean): Promise<void> {
    const cache = this.#cache
    if (!cache?.needsSave(logEndOffset)) return
    const contents = cache.encode()
    try {
      await replaceFileAsync(this.#disk, this.#directory, LEADER_EPOCH_FILE, contents, isWanted)
    } catch (error) {
      cache.onSaveFailed()
      throw error
    }
    this.#fileChecksum = crc32c(contents)
  }

  /** Makes the file durable as it is: a process that was killed may have put it in its place unsynced. Rejects with `DiskError`. */
  async syncFound(): Promise<void> {
    if (this.#fileChecksum === 0) return
    const file = this.#disk.openFile(`${this.#directory}/${LEADER_EPOCH_FILE}`, { create: false })
    try {
      await file.syncData()
    } finally {
      file.close()
    }
  }

  #read(): void {
    const path = `${this.#directory}/${LEADER_EPOCH_FILE}`
    const contents = readIfPresent(this.#disk, path)
    this.#fileChecksum = crc32c(contents)
    if (this.#cache !== null) return
    const cache = new LeaderEpochCache()
    try {
      cache.decode(path, contents)
      this.#cache = cache
    } catch (error) {
      if (!(error instanceof CorruptFileError)) throw error
      this.#damage = error
    }
  }
}
