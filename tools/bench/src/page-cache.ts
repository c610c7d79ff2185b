import { closeSync, openSync, readFileSync, readSync, rmSync, truncateSync } from 'node:fs'
import { totalmem } from 'node:os'
import { join } from 'node:path'

/** Below about this much free memory the kernel begins to reclaim: new pages of the cache are then old ones. */
const FREE_BYTES_MAX = 3e9
/** Read at most before one run; the kernel may free memory as fast as it is filled. */
const TOP_UP_BYTES = 512e6
const STEP_BYTES = 1 << 20
/** Read in one sequence, never twice: what was read before may still be in memory. */
const FILE_BYTES = 2 ** 43

/**
 * Keeps the page cache full, as it is on a machine that has run for a while, by reading a sparse file. A virtual machine gives its host
 * back what it does not use; what a broker then writes costs it 4 s of system time a GB for pages that the host must find first, ten
 * times its own work, and hides the ratio.
 */
class PageCache {
  #path: string | null = null
  #fd = -1
  #position = 0

  /** Fills all memory, which takes a minute where the host must find it. */
  open(work: string): void {
    this.#path = join(work, `page-cache-${process.pid}`)
    this.#fd = openSync(this.#path, 'w+')
    truncateSync(this.#path, FILE_BYTES)
    this.#read(totalmem())
  }

  /** Takes what was freed since: of a topic that was deleted. */
  topUp(): void {
    if (this.#path !== null) this.#read(TOP_UP_BYTES)
  }

  #read(sizeBytes: number): void {
    const buffer = Buffer.allocUnsafe(STEP_BYTES)
    const end = this.#position + sizeBytes
    while (this.#position < end && freeBytes() > FREE_BYTES_MAX) {
      this.#position += readSync(this.#fd, buffer, 0, buffer.length, this.#position)
    }
  }

  close(): void {
    if (this.#path === null) return
    closeSync(this.#fd)
    rmSync(this.#path, { force: true })
    this.#path = null
  }
}

export const pageCache = new PageCache()

function freeBytes(): number {
  const kilobytes = /^MemFree: +(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]
  if (kilobytes === undefined) throw new Error('/proc/meminfo does not tell MemFree')
  return Number(kilobytes) * 1024
}
