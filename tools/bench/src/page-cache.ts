import { closeSync, existsSync, openSync, readFileSync, readSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Left free for the programs that are measured and for what they write at once. */
const RESERVE_BYTES = 4e9
/** With less free memory than this, new pages of the cache come from reclaimed ones. */
const FREE_BYTES_MAX = 2e9

/**
 * Fills the page cache with a sparse file, as it is on a machine that has run for a while. A virtual machine gives its host back what it
 * does not use; what a broker then writes costs it 4 s of system time a GB for pages that the host must find first, ten times its own
 * work, and hides the ratio.
 */
export class PageCache {
  readonly #path: string

  constructor(work: string) {
    this.#path = join(work, `page-cache-${process.pid}`)
  }

  /** Reads the file (again) if memory lies free. Returns whether it did. */
  fill(): boolean {
    if (memory('MemFree') < FREE_BYTES_MAX) return false
    if (!existsSync(this.#path)) {
      writeFileSync(this.#path, '')
      truncateSync(this.#path, Math.max(0, memory('MemAvailable') - RESERVE_BYTES))
    }
    const fd = openSync(this.#path, 'r')
    try {
      const buffer = Buffer.allocUnsafe(1 << 20)
      while (readSync(fd, buffer, 0, buffer.length, null) > 0);
    } finally {
      closeSync(fd)
    }
    return true
  }

  remove(): void {
    rmSync(this.#path, { force: true })
  }
}

/** A line of `/proc/meminfo`, in bytes. */
function memory(name: 'MemFree' | 'MemAvailable'): number {
  const kilobytes = new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]
  if (kilobytes === undefined) throw new Error(`/proc/meminfo does not tell ${name}`)
  return Number(kilobytes) * 1024
}
