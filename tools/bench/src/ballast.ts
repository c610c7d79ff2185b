import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'

/** Left for page cache, for the load programs and for what the brokers have not touched yet: for each copy of what a run writes. */
const LEFT_BYTES = 2.6e9

/** Holds so many bytes until its input ends. The first to go should memory run out: the brokers must not. */
const program = `
const { writeFileSync } = require('node:fs')
writeFileSync('/proc/self/oom_score_adj', '1000')
const held = []
for (let left = Number(process.argv[1]); left > 0; left -= 2 ** 28) held.push(Buffer.alloc(2 ** 28, 1))
console.log('held')
process.stdin.resume().on('end', () => process.exit(held.length > 0 ? 0 : 1))
`

/**
 * Takes the memory that lies idle, so that the page cache has to use its pages again and again, as on a machine that has run for a
 * while. A virtual machine gives its host back what lies idle; a broker then pays 4 s of system time for each GB it writes, ten times
 * its own work, while the host finds the pages: at random, and enough to hide any ratio.
 */
export class Ballast {
  readonly #child: ChildProcess

  private constructor(child: ChildProcess) {
    this.#child = child
  }

  /** Resolves once it is held, which takes up to a minute. `copyCount`: replicas on this machine of what is written. */
  static async take(copyCount: number): Promise<Ballast> {
    const sizeBytes = Math.max(0, availableBytes() - LEFT_BYTES * copyCount)
    const child = spawn(process.execPath, ['-e', program, String(sizeBytes)], { stdio: ['pipe', 'pipe', 'inherit'] })
    const ended = once(child, 'exit').then(() => Promise.reject(new Error('the ballast could not be held')))
    await Promise.race([once(child.stdout!, 'data'), ended])
    ended.catch(() => undefined)
    return new Ballast(child)
  }

  drop(): void {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
      console.error('memory ran short and the ballast was dropped: figures since then are not to be compared')
    }
    this.#child.stdin!.end()
  }
}

function availableBytes(): number {
  const kilobytes = /^MemAvailable: +(\d+) kB$/m.exec(readFileSync('/proc/meminfo', 'utf8'))?.[1]
  if (kilobytes === undefined) throw new Error('/proc/meminfo does not tell MemAvailable')
  return Number(kilobytes) * 1024
}
