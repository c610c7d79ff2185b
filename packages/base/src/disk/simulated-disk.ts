import type { Clock } from '../clock.ts'
import { assert, DiskError, type DiskErrorCode } from '../errors.ts'
import { SeededRandom } from '../random/seeded-random.ts'
import type { Random } from '../random.ts'
import { type Choices, RandomChoices } from './choices.ts'
import type { Disk, DiskFile, DiskStat, FileSystem } from './disk.ts'
import { SimulatedDigest } from './simulated-digest.ts'
import { SimulatedDirectory, type SimulatedNode } from './simulated-directory.ts'
import { type DiskOperation, type FileHost, SimulatedFile } from './simulated-file.ts'
import { SimulatedInode } from './simulated-inode.ts'

export type { DiskOperation } from './simulated-file.ts'

export interface SimulatedDiskOptions {
  /** Draws what is left to chance: residency, background write-back. Default: a fixed seed. */
  random?: Random
  clock?: Clock
  /** False: neither mappings nor the sync of a whole file system, as on systems without native calls. */
  mapping?: boolean
  /** Share of residency questions that are answered with no, 0 to 1. */
  coldShare?: number
  /** Share of writes after which the system writes one changed page back, 0 to 1. */
  writeBackShare?: number
  /** Bytes of all files together; more is `DISK_FULL`. */
  capacityBytes?: number
  /**
   * Above 0: a crash leaves of each page of this size any contents it had since the last sync, torn at any sector. 0: the newest or the
   * synced contents of a page of 4 KiB, or half of each, which is cheaper and proves nearly as much.
   */
  finePageBytes?: number
  /**
   * The changes of names in a directory reach the medium in their order, as the journals of ext4 and XFS write them. True: the name of a
   * new file that was synced itself may also be there without those that changed before it, as Btrfs and F2FS have it.
   */
  looseNames?: boolean
}

/**
 * A disk in memory that can lose power. Every file and directory has a live and a durable plane; {@link crashed} makes the disk that
 * a restart would find, with any subset of what was not synced (`reliability.md`, 2.2 and 5.1). Operations of the thread pool end
 * when {@link settle} of the caller's choosing says so, by default in a later microtask.
 */
export class SimulatedDisk implements Disk, FileHost {
  readonly options: Required<Omit<SimulatedDiskOptions, 'clock'>> & { clock: Clock | null }
  /** Fails an operation with the code it returns. */
  fault: (operation: DiskOperation, path: string) => DiskErrorCode | null
  /** Called before each operation that changes something; the place to fork the disk. */
  onChange: (operation: DiskOperation, path: string) => void
  /** Says when an operation of the thread pool ends. It may never. */
  settle: (operation: DiskOperation, path: string) => Promise<void>
  /** Bytes of a write that is about to fail which reach the file all the same. */
  shortWrite: (path: string, sizeBytes: number) => number
  /** Syncs of these paths say that they succeeded and do nothing. */
  syncLies: (path: string) => boolean
  readonly #root: SimulatedDirectory
  readonly #locked: Set<string>
  readonly #choices: Choices

  constructor(options: SimulatedDiskOptions = {}, root: SimulatedDirectory = new SimulatedDirectory()) {
    this.options = {
      random: options.random ?? new SeededRandom(1),
      clock: options.clock ?? null,
      mapping: options.mapping ?? true,
      coldShare: options.coldShare ?? 0,
      writeBackShare: options.writeBackShare ?? 0,
      capacityBytes: options.capacityBytes ?? Number.POSITIVE_INFINITY,
      finePageBytes: options.finePageBytes ?? 0,
      looseNames: options.looseNames ?? false,
    }
    this.fault = () => null
    this.onChange = () => undefined
    this.settle = () => Promise.resolve()
    this.shortWrite = () => 0
    this.syncLies = () => false
    this.#root = root
    this.#locked = new Set()
    this.#choices = new RandomChoices(this.options.random)
  }

  /** The disk that a restart would find if power went now. This one is not changed. */
  crashed(choices: Choices): SimulatedDisk {
    return this.#withRoot(this.#root.crashed(choices, new Map(), this.options.looseNames))
  }

  /** An independent copy, with what is not synced: for crashes to be tried later. */
  fork(): SimulatedDisk {
    return this.#withRoot(this.#root.fork(new Map()))
  }

  /** Equal for disks with the same names and contents, and for others most unlikely. */
  digest(): string {
    const digest = new SimulatedDigest()
    digest.addDirectory(this.#root)
    return digest.toString()
  }

  /** An independent copy, in which everything is durable. */
  copy(): SimulatedDisk {
    return this.crashed({ choose: () => 0 })
  }

  /** The disk as a process finds it that was killed: everything written is there. */
  killed(): SimulatedDisk {
    return this.#withRoot(this.#root)
  }

  makeDirectory(path: string): void {
    let directory = this.#root
    let parentPath = ''
    for (const name of partsOf(path)) {
      let next = directory.live.get(name)
      if (next === undefined) {
        this.change('create', `${parentPath}/${name}`)
        next = new SimulatedDirectory()
        directory.link(name, next)
        // Parents that mkdir makes on the way are taken to be durable where the first one is.
      }
      if (next instanceof SimulatedInode) throw failure('DISK_OTHER', 'make directory', path, 'ENOTDIR')
      directory = next
      parentPath += `/${name}`
    }
  }

  listDirectory(path: string): string[] {
    this.check('read', path)
    return [...this.#directory(path).live.keys()].sort()
  }

  stat(path: string): DiskStat | null {
    const node = this.#find(path)
    if (node === null) return null
    if (node instanceof SimulatedDirectory) return { sizeBytes: 0, modifiedMs: 0, isDirectory: true }
    return { sizeBytes: node.sizeBytes, modifiedMs: node.modifiedMs, isDirectory: false }
  }

  rename(from: string, to: string): void {
    const [fromParent, fromName] = splitPath(from)
    const [toParent, toName] = splitPath(to)
    assert(fromParent === toParent, 'renames stay in their directory')
    const directory = this.#directory(fromParent)
    if (!directory.live.has(fromName)) throw failure('DISK_NOT_FOUND', 'rename', from, 'ENOENT')
    this.change('rename', from)
    directory.rename(fromName, toName)
  }

  removeFile(path: string): void {
    if (!(this.#find(path) instanceof SimulatedInode)) throw failure('DISK_NOT_FOUND', 'remove', path, 'ENOENT')
    const [parent, name] = splitPath(path)
    this.change('remove', path)
    this.#directory(parent).unlink(name)
  }

  async removeTree(path: string): Promise<void> {
    await this.settle('remove', path)
    if (this.#find(path) === null) return
    const [parent, name] = splitPath(path)
    this.change('remove', path)
    this.#directory(parent).unlink(name)
  }

  syncDirectory(path: string): void {
    const directory = this.#directory(path)
    this.change('sync directory', path)
    if (!this.syncLies(path)) directory.endSync(directory.beginSync())
  }

  async syncDirectoryAsync(path: string): Promise<void> {
    const directory = this.#directory(path)
    const changeCount = directory.beginSync()
    await this.settle('sync directory', path)
    this.change('sync directory', path)
    if (!this.syncLies(path)) directory.endSync(Math.min(changeCount, directory.beginSync()))
  }

  openFileSystem(path: string): FileSystem | null {
    if (!this.options.mapping) return null
    return {
      syncAll: async () => {
        await this.settle('sync', path)
        this.change('sync', path)
        if (!this.syncLies(path)) this.#syncTree(this.#root)
      },
      close: () => undefined,
    }
  }

  readFile(path: string): Buffer {
    const contents = this.peek(path)
    this.check('read', path)
    return contents
  }

  /** Contents of a file, for those who look on: no fault comes in between. */
  peek(path: string): Buffer {
    const node = this.#file(path, 'read')
    return Buffer.from(node.live.bytes.subarray(0, node.sizeBytes))
  }

  openFile(path: string, options: { create: boolean }): DiskFile {
    const found = this.#find(path)
    if (found instanceof SimulatedInode) return new SimulatedFile(this, path, found)
    if (found !== null || !options.create) throw failure('DISK_NOT_FOUND', 'open', path, 'ENOENT')
    const [parent, name] = splitPath(path)
    const directory = this.#directory(parent)
    this.change('create', path)
    const inode = new SimulatedInode(this.nowMs, this.options.finePageBytes)
    directory.link(name, inode)
    return new SimulatedFile(this, path, inode)
  }

  space(path: string): { totalBytes: number; usableBytes: number } {
    this.check('space', path)
    const { capacityBytes } = this.options
    const totalBytes = Number.isFinite(capacityBytes) ? capacityBytes : 2 ** 40
    return { totalBytes, usableBytes: Math.max(0, totalBytes - this.usedBytes) }
  }

  lock(path: string): { release(): void } {
    if (this.#locked.has(path)) throw failure('DISK_OTHER', 'lock', path, 'EWOULDBLOCK')
    this.#locked.add(path)
    return { release: () => this.#locked.delete(path) }
  }

  /** Time passes without anything happening: the system has written everything back on its own. */
  writeBackAll(): void {
    this.#syncTree(this.#root)
  }

  /** Flips bits of a byte on the medium. */
  corrupt(path: string, position: number, mask: number): void {
    this.#file(path, 'corrupt').corrupt(position, mask)
  }

  /** The medium that holds a directory is taken away, with all that is on it. Nothing may have it open. */
  takeAway(path: string): void {
    const [parentPath, name] = splitPath(path)
    const parent = this.#directory(parentPath)
    parent.unlink(name)
    parent.endSync(parent.beginSync())
  }

  /** Views that mappings gave out are gone: what they covered may change again. */
  forgetViews(): void {
    for (const inode of this.#inodes(this.#root)) inode.viewedEndBytes = 0
  }

  get nowMs(): number {
    return this.options.clock?.wallMs() ?? 0
  }

  get usedBytes(): number {
    let usedBytes = 0
    for (const inode of this.#inodes(this.#root)) usedBytes += inode.sizeBytes
    return usedBytes
  }

  /** Changed pages and names that a crash could lose. */
  get unsyncedCount(): number {
    let count = 0
    for (const inode of this.#inodes(this.#root)) count += inode.dirtyPageCount
    return count
  }

  check(operation: DiskOperation, path: string): void {
    const code = this.fault(operation, path)
    if (code !== null) throw failure(code, operation, path, ERRNOS[code])
  }

  change(operation: DiskOperation, path: string): void {
    this.check(operation, path)
    this.onChange(operation, path)
  }

  maybeWriteBack(inode: SimulatedInode): void {
    if (happens(this.options.random, this.options.writeBackShare)) inode.writeBack(this.#choices)
  }

  isCold(): boolean {
    return happens(this.options.random, this.options.coldShare)
  }

  #withRoot(root: SimulatedDirectory): SimulatedDisk {
    const { clock, ...options } = this.options
    return new SimulatedDisk(clock === null ? options : { ...options, clock }, root)
  }

  #file(path: string, operation: string): SimulatedInode {
    const node = this.#find(path)
    if (!(node instanceof SimulatedInode)) throw failure('DISK_NOT_FOUND', operation, path, 'ENOENT')
    return node
  }

  #directory(path: string): SimulatedDirectory {
    const node = this.#find(path)
    if (!(node instanceof SimulatedDirectory)) throw failure('DISK_NOT_FOUND', 'open directory', path, 'ENOENT')
    return node
  }

  #find(path: string): SimulatedNode | null {
    let node: SimulatedNode = this.#root
    for (const name of partsOf(path)) {
      if (!(node instanceof SimulatedDirectory)) return null
      const next: SimulatedNode | undefined = node.live.get(name)
      if (next === undefined) return null
      node = next
    }
    return node
  }

  #syncTree(directory: SimulatedDirectory): void {
    directory.endSync(directory.beginSync())
    for (const node of directory.live.values()) {
      if (node instanceof SimulatedDirectory) this.#syncTree(node)
      else node.endSync(node.beginSync())
    }
  }

  *#inodes(directory: SimulatedDirectory): Iterable<SimulatedInode> {
    for (const node of directory.live.values()) {
      if (node instanceof SimulatedInode) yield node
      else yield* this.#inodes(node)
    }
  }
}

const ERRNOS: Record<DiskErrorCode, string> = {
  DISK_FULL: 'ENOSPC',
  DISK_IO: 'EIO',
  DISK_NOT_FOUND: 'ENOENT',
  DISK_OTHER: 'EACCES',
}

function failure(code: DiskErrorCode, operation: string, path: string, errno: string): DiskError {
  return new DiskError(code, operation, path, errno)
}

function happens(random: Random, share: number): boolean {
  // A share of 0 draws nothing, so that switching a fault off does not shift what others draw.
  return share > 0 && random.uint32() < share * 2 ** 32
}

function partsOf(path: string): string[] {
  return path.split('/').filter((part) => part !== '')
}

function splitPath(path: string): [parent: string, name: string] {
  const slash = path.lastIndexOf('/')
  return [path.slice(0, slash), path.slice(slash + 1)]
}
