import { closeSync, fdatasyncSync, fstatSync, openSync, writeSync } from 'node:fs'

const ZEROS = Buffer.alloc(256 * 1024)

/**
 * Extends a database file with real blocks before a transaction needs them. A full disk then shows as an error here: inside LMDB it shows
 * as a failed write, upon which the library overruns a buffer of its own and the process aborts.
 */
export class FileReserve {
  readonly #file: number
  #sizeBytes: number

  constructor(path: string) {
    this.#file = openSync(path, 'r+')
    this.#sizeBytes = fstatSync(this.#file).size
  }

  /** The file holds blocks up to `sizeBytes`, rounded up. Throws the system's error if there is no room. */
  ensure(sizeBytes: number): void {
    if (sizeBytes <= this.#sizeBytes) return
    // Should LMDB have needed more than was foreseen, its pages stand there by now.
    this.#sizeBytes = Math.max(this.#sizeBytes, fstatSync(this.#file).size)
    while (this.#sizeBytes < sizeBytes) {
      this.#sizeBytes += writeSync(this.#file, ZEROS, 0, ZEROS.length, this.#sizeBytes)
    }
    // File systems that allot blocks late tell here.
    fdatasyncSync(this.#file)
  }

  close(): void {
    closeSync(this.#file)
  }
}
