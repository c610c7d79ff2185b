import { type Disk, DiskError } from '@millrace/base'
import { STRAY_DIRECTORY_SUFFIX, STRAY_SUFFIX } from './file-names.ts'

/**
 * What lies set aside in a log directory: segments that recovery had no use for (`.stray`) and logs without a place in the metadata
 * (`-stray`). Nothing of it is read or removed by us; the operator may remove it at any time.
 */
export class StrayFiles {
  readonly #disk: Disk
  /** Bytes by path of a file or directory. */
  readonly #sizes: Map<string, number>

  constructor(disk: Disk) {
    this.#disk = disk
    this.#sizes = new Map()
  }

  add(path: string, sizeBytes: number): void {
    this.#sizes.set(path, sizeBytes)
  }

  /** Adds what of the names in a directory was set aside. Throws `DiskError`. */
  addFrom(directory: string, names: readonly string[]): void {
    for (const name of names) {
      const path = `${directory}/${name}`
      if (name.endsWith(STRAY_SUFFIX)) this.add(path, this.#disk.stat(path)?.sizeBytes ?? 0)
      else if (name.endsWith(STRAY_DIRECTORY_SUFFIX)) this.add(path, this.#sizeOfDirectory(path))
    }
  }

  /** How many files and directories, and their bytes. What the operator has removed meanwhile counts no more. */
  totals(): { count: number; sizeBytes: number } {
    let sizeBytes = 0
    for (const [path, size] of this.#sizes) {
      if (this.#isThere(path)) sizeBytes += size
      else this.#sizes.delete(path)
    }
    return { count: this.#sizes.size, sizeBytes }
  }

  #sizeOfDirectory(path: string): number {
    if (!this.#disk.stat(path)?.isDirectory) return 0
    let sizeBytes = 0
    for (const name of this.#disk.listDirectory(path)) sizeBytes += this.#disk.stat(`${path}/${name}`)?.sizeBytes ?? 0
    return sizeBytes
  }

  #isThere(path: string): boolean {
    try {
      return this.#disk.stat(path) !== null
    } catch (error) {
      // A failing disk is for those to report who need what is on it.
      if (!(error instanceof DiskError)) throw error
      return true
    }
  }
}
