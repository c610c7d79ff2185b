import { execFileSync } from 'node:child_process'
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  rmSync,
  statfsSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { places } from '../../harness/places.ts'

/** Small enough to be filled at once, large enough for the records of an hour at the rates of chaos runs. */
const DISK_BYTES = 768 * 2 ** 20

/** What a file system needs itself to reserve the rest for one file. */
const RESERVE_BYTES = 16 * 2 ** 20

/** Why nodes cannot have disks of their own on this machine; null: they can. */
export function whyNoDisks(): string | null {
  if (process.platform !== 'linux') return 'disks in files are mounted on Linux only'
  if (process.getuid?.() !== 0) return 'mounting a disk in a file needs root'
  return existsSync('/dev/loop-control') ? null : 'this system has no loop devices'
}

/** The disk of one node, in a file: it can be filled, and its syncs can be made slow. */
export class NodeDisk {
  /** Where it is mounted. */
  readonly directory: string
  readonly #image: string
  readonly #ballast: string
  readonly #delayFile: string
  readonly #library: string
  #isMounted = false

  constructor(folder: string, id: number, library: string) {
    this.directory = join(folder, `disk-${id}`)
    this.#image = join(folder, `disk-${id}.img`)
    this.#ballast = join(this.directory, 'ballast')
    this.#delayFile = join(folder, `disk-${id}.delay`)
    this.#library = library
    this.setDelay(0)
  }

  /** What the node needs in its environment. */
  get environment(): Readonly<Record<string, string>> {
    // Syncs through a ring of the kernel would pass by the C library. Off is Node's default for files; this keeps it so.
    return { LD_PRELOAD: this.#library, SLOW_SYNC_FILE: this.#delayFile, UV_USE_IO_URING: '0' }
  }

  mount(): void {
    mkdirSync(this.directory, { recursive: true })
    closeSync(openSync(this.#image, 'w'))
    truncateSync(this.#image, DISK_BYTES)
    execFileSync('mkfs.ext4', ['-q', '-F', '-m', '0', this.#image], { stdio: ['ignore', 'ignore', 'pipe'] })
    execFileSync('mount', ['-o', 'loop', this.#image, this.directory], { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#isMounted = true
    // Whoever is ended at once leaves no mount behind.
    process.on('exit', this.#abandon)
  }

  /** Takes all room that is left: blocks are reserved in one call, and what that leaves is written full. */
  fill(): void {
    const blocks = ['-l', String(Math.max(4096, this.freeBytes - RESERVE_BYTES)), this.#ballast]
    execFileSync('fallocate', blocks, { stdio: ['ignore', 'ignore', 'pipe'] })
    const file = openSync(this.#ballast, 'a')
    try {
      for (const chunk = Buffer.alloc(4096); ; ) writeSync(file, chunk)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
    } finally {
      closeSync(file)
    }
  }

  /** Gives the room back. */
  drain(): void {
    rmSync(this.#ballast, { force: true })
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.directory)
    return bavail * bsize
  }

  /** Every sync takes so much longer from now on. */
  setDelay(ms: number): void {
    // In place: nodes have mapped the file.
    writeFileSync(this.#delayFile, Int32Array.of(ms), { flag: existsSync(this.#delayFile) ? 'r+' : 'w' })
  }

  /** Pre: nothing uses it any more. */
  unmount(): void {
    if (!this.#isMounted) return
    execFileSync('umount', [this.directory], { stdio: ['ignore', 'ignore', 'pipe'] })
    this.#isMounted = false
    process.off('exit', this.#abandon)
    rmSync(this.#image, { force: true })
  }

  /** The nodes were killed a moment ago, and may still be there. */
  readonly #abandon = (): void => {
    execFileSync('umount', ['--lazy', this.directory], { stdio: 'ignore' })
  }
}

/** Compiles the library that makes syncs slow, and returns its path. Needs gcc, which `tools/setup-e2e` installs. */
export function compileSlowSync(folder: string): string {
  const library = join(folder, 'slow-sync.so')
  const source = join(places.root, 'e2e/chaos/native/slow-sync.c')
  const flags = ['-std=gnu11', '-O2', '-Wall', '-Wextra', '-Werror', '-shared', '-fPIC']
  execFileSync('gcc', [...flags, '-o', library, source, '-ldl'], { stdio: ['ignore', 'ignore', 'inherit'] })
  return library
}
