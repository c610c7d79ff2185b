import { type Disk, DiskError } from '@millrace/base'
import { STRAY_DIRECTORY_SUFFIX, STRAY_SUFFIX } from './file-names.ts'

/** Of what is set aside, so much is looked at in one go: the rest when its turn comes. */
const LOOKED_AT_COUNT = 100

/**
 * What lies set aside in a log directory: segments that recovery had no use for (`.stray`) and logs without a place in the metadata
 * (`-stray`). Nothing of it is read or removed by us; the operator may remove it at any time.
 */
export class StrayFiles {
  readonly #disk: Disk
  /** Bytes by path of a file or directory; the first one is looked at next. */
  readonly #sizes: Map<string, number>
  #sizeBytes: number

  constructor(disk: Disk) {
    this.#disk = disk
    this.#sizes = new Map()
    this.#sizeBytes = 0
  }

  add(path: string, sizeBytes: number): void {
    this.#remove(path)
    this.#sizes.set(path, sizeBytes)
    this.#sizeBytes += sizeBytes
  }

  /** Adds what of the names in a directory was set aside. Throws `DiskError`. */
  addFrom(directory: string, names: readonly string[]): void {
    for (const name of names) {
      const path = `${directory}/${name}`
      if (name.endsWith(STRAY_SUFFIX)) this.add(path, this.#disk.stat(path)?.sizeBytes ?? 0)
      else if (name.endsWith(STRAY_DIRECTORY_SUFFIX)) this.add(path, this.#sizeOfDirectory(path))
    }
  }

  /** How many files and directories, and their bytes, as of the last look. Costs nothing. */
  totals(): { count: number; sizeBytes: number } {
    return { count: this.#sizes.size, sizeBytes: this.#sizeBytes }
  }

  /** What the operator has removed meanwhile counts no more. A bounded number of looks at the disk: to be called from time to time. */
  lookAgain(): void {
    let leftCount = Math.min(LOOKED_AT_COUNT, this.#sizes.size)
    for (const [path, sizeBytes] of this.#sizes) {
      if (leftCount-- === 0) return
      if (this.#isThere(path)) this.add(path, sizeBytes)
      else this.#remove(path)
    }
  }

  #remove(path: string): void {
    this.#sizeBytes -= this.#sizes.get(path) ?? 0
    this.#sizes.delete(path)
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
