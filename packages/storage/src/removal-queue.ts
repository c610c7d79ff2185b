import { type Disk, DiskError } from '@millrace/base'
import type { StorageLogger } from './log-config.ts'

/**
 * Removes files and directories that are out of use, one at a time on the thread pool: giving back the blocks of a large file takes tens
 * of milliseconds, and thousands of removals at once would keep syncs waiting. What is left when the process ends is found by its name
 * and removed by the next start.
 */
export class RemovalQueue {
  readonly #disk: Disk
  readonly #logger: StorageLogger
  #paths: string[]
  #next: number
  #running: Promise<void> | null
  #stopped: boolean

  constructor(disk: Disk, logger: StorageLogger) {
    this.#disk = disk
    this.#logger = logger
    this.#paths = []
    this.#next = 0
    this.#running = null
    this.#stopped = false
  }

  /** A file, or a directory with all it holds. Absent is no error. */
  add(path: string): void {
    if (this.#stopped) return
    this.#paths.push(path)
    this.#running ??= this.#run().finally(() => {
      this.#running = null
    })
  }

  /** Nothing is begun any more. */
  stop(): void {
    this.#stopped = true
  }

  /** Resolves when nothing is being removed. */
  async whenIdle(): Promise<void> {
    while (this.#running !== null) await this.#running
  }

  async #run(): Promise<void> {
    while (this.#next < this.#paths.length && !this.#stopped) {
      const path = this.#paths[this.#next++]!
      try {
        await this.#disk.removeTree(path)
      } catch (error) {
        if (!(error instanceof DiskError)) throw error
        this.#logger.warn('what is out of use could not be removed', { path, error: error.message })
      }
    }
    this.#paths = []
    this.#next = 0
  }
}
