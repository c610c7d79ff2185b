import type { Disk, Offset } from '@millrace/base'
import { replaceFileAsync, replaceFileUnsynced } from './atomic-file.ts'
import { LEADER_EPOCH_FILE } from './file-names.ts'
import { LeaderEpochCache } from './leader-epoch-cache.ts'
import { readIfPresent } from './text-checkpoint.ts'

/** A log's leader epochs and their file, which is read when first asked for. */
export class LogEpochs {
  readonly #disk: Disk
  readonly #directory: string
  #cache: LeaderEpochCache | null

  constructor(disk: Disk, directory: string) {
    this.#disk = disk
    this.#directory = directory
    this.#cache = null
  }

  /** Throws `CorruptFileError` on the first use if the file is damaged; recovery then rebuilds it. */
  get cache(): LeaderEpochCache {
    if (this.#cache === null) {
      const cache = new LeaderEpochCache()
      const path = `${this.#directory}/${LEADER_EPOCH_FILE}`
      cache.decode(path, readIfPresent(this.#disk, path))
      this.#cache = cache
    }
    return this.#cache
  }

  /** Starts from nothing, whatever the file holds. */
  reset(): LeaderEpochCache {
    this.#cache = new LeaderEpochCache()
    return this.#cache
  }

  /** The file is not what a log that ends at `logEndOffset` needs. */
  needsSave(logEndOffset: Offset): boolean {
    return this.#cache?.needsSave(logEndOffset) ?? false
  }

  /** Writes the file if the epochs changed, for a sync of the whole file system to follow. Throws `DiskError`. */
  saveUnsynced(logEndOffset: Offset): void {
    if (this.#cache?.needsSave(logEndOffset))
      replaceFileUnsynced(this.#disk, this.#directory, LEADER_EPOCH_FILE, this.#cache.encode())
  }

  /** Writes the file if the epochs changed. `isWanted`: the log is still there. */
  async save(logEndOffset: Offset, isWanted: () => boolean): Promise<void> {
    if (!this.#cache?.needsSave(logEndOffset)) return
    await replaceFileAsync(this.#disk, this.#directory, LEADER_EPOCH_FILE, this.#cache.encode(), isWanted)
  }
}
