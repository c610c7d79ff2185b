import { basename, dirname, normalize, relative } from 'node:path'
import type { Fate } from './fate.ts'
import { ShadowDirectory, type ShadowNode } from './shadow-directory.ts'
import { ShadowFile } from './shadow-file.ts'
import type { TraceRecord } from './trace.ts'

const O_EXCL = 0o200
const O_CREAT = 0o100
const O_TRUNC = 0o1000

export interface ShadowDiskOptions {
  /** Absolute path of what the trace is about. */
  readonly root: string
  /** A disk that says yes to every sync and keeps nothing: what a broker on it loses shows that the checks see losses. */
  readonly ignoresSyncs?: IgnoresSyncs
}

/** Of all files and directories, or of those at some paths below the root. */
export type IgnoresSyncs = boolean | ((path: string) => boolean)

/**
 * The tree below one directory, followed through the trace of its user: what is there, and what would be left of it without power.
 * Its model of a disk:
 *
 * - bytes and sizes of a file count once an `fsync` or `fdatasync` of it that began after them has ended, or a `syncfs`;
 * - names count once their directory was synced in the same way, even those of synced files (POSIX; ext4 gives more);
 * - until then each changed page is on the disk or not, or a part of its sectors is, in whatever order they were written;
 * - changes of names of one directory, and of the size of one file, reach the disk in their order, each file and directory for itself.
 */
export class ShadowDisk {
  readonly #root: string
  readonly #ignoresSyncs: IgnoresSyncs
  /** Of those that were opened: their paths say whether they are synced. */
  readonly #ignored: WeakSet<ShadowNode>
  #tree: ShadowDirectory
  readonly #open: Map<number, ShadowNode>
  /** What the syncs that run will cover, by their tokens. */
  readonly #syncing: Map<number, readonly ShadowNode[]>

  constructor({ root, ignoresSyncs = false }: ShadowDiskOptions, tree: ShadowDirectory = new ShadowDirectory()) {
    this.#root = root
    this.#ignoresSyncs = ignoresSyncs
    this.#ignored = new WeakSet()
    this.#tree = tree
    this.#open = new Map()
    this.#syncing = new Map()
  }

  get tree(): ShadowDirectory {
    return this.#tree
  }

  /** The file that a descriptor of the process stands for, if it is open. */
  openFile(fd: number): ShadowFile | null {
    const node = this.#open.get(fd)
    return node instanceof ShadowFile ? node : null
  }

  /** Throws for what the model knows nothing of. */
  follow(records: readonly TraceRecord[]): void {
    for (const [slot, record] of records.entries()) this.#follow(record, records[slot + 1])
  }

  /** The process is gone and the system is not: what it had not synced is there, and can still be lost. */
  endProcess(): void {
    this.#open.clear()
    this.#syncing.clear()
  }

  /** Cuts the power: from now on the disk holds what fate left, all of it durable, and nothing is open. */
  cutPower(fate: Fate): void {
    this.#tree = this.#tree.afterPowerCut(fate, new Map())
    this.endProcess()
  }

  #follow(record: TraceRecord, next: TraceRecord | undefined): void {
    const { operation, fd, position, extra, payload } = record
    const hasFailed = next?.operation === 'cutShort'
    switch (operation) {
      case 'write': {
        const sizeBytes = hasFailed ? next.position : payload.length
        if (sizeBytes > 0) this.#fileAt(fd, operation).write(payload.subarray(0, sizeBytes), position)
        return
      }
      case 'opened':
        this.#onOpened(fd, payload.toString())
        return
      case 'close':
        this.#open.delete(fd)
        return
      case 'resize':
        if (!hasFailed) this.#fileAt(fd, operation).resize(position)
        return
      case 'allocate': {
        const file = this.#fileAt(fd, operation)
        if (!hasFailed && extra > file.sizeBytes) file.resize(extra)
        return
      }
      case 'syncBegin':
        this.#beginSync(position, [this.#nodeAt(fd, operation)])
        return
      case 'syncAllBegin':
        this.#beginSync(position, allOf(this.#tree))
        return
      case 'syncEnd':
      case 'syncAllEnd':
        for (const node of this.#syncing.get(position) ?? []) node.endSync(position, extra === 1 && this.#isKept(node))
        this.#syncing.delete(position)
        return
      case 'cutShort':
        return
      case 'unsupported':
        throw new Error(`the broker changes its files in a way that the model of a disk does not follow: ${payload}`)
      default:
        // The last of all may not have happened, nor have been possible.
        if (!hasFailed) this.#changeNames(record, next === undefined)
    }
  }

  #changeNames({ operation, extra, payload }: TraceRecord, mayBeImpossible: boolean): void {
    const [path = '', target = ''] = payload.toString().split('\0')
    const parent = this.#directoryAt(dirname(path))
    if (parent === null && mayBeImpossible) return
    if (parent === null) throw new Error(`${operation} of ${path}, whose directory is not there`)
    const name = basename(path)
    switch (operation) {
      case 'opening': {
        const node = parent.names.get(name)
        if (node === undefined && (extra & O_CREAT) !== 0) parent.link(name, new ShadowFile())
        else if (node instanceof ShadowFile && (extra & O_TRUNC) !== 0 && (extra & O_EXCL) === 0) node.resize(0)
        return
      }
      case 'makeDirectory':
        if (!parent.names.has(name)) parent.link(name, new ShadowDirectory())
        return
      case 'unlink':
      case 'removeDirectory':
        if (parent.names.has(name)) parent.unlink(name)
        return
      case 'rename':
        if (dirname(path) !== dirname(target)) throw new Error(`${path} is renamed into another directory: ${target}`)
        if (parent.names.has(name)) parent.rename(name, basename(target))
        return
      default:
        throw new Error(`unknown operation ${operation}`)
    }
  }

  #onOpened(fd: number, path: string): void {
    const node = this.#isRoot(path) ? this.#tree : this.#directoryAt(dirname(path))?.names.get(basename(path))
    if (node === undefined) throw new Error(`${path} was opened, but nothing is known of it`)
    this.#open.set(fd, node)
    if (typeof this.#ignoresSyncs !== 'function') return
    if (this.#ignoresSyncs(relative(this.#root, normalize(path)))) this.#ignored.add(node)
  }

  #isKept(node: ShadowNode): boolean {
    return typeof this.#ignoresSyncs === 'function' ? !this.#ignored.has(node) : !this.#ignoresSyncs
  }

  #beginSync(token: number, nodes: readonly ShadowNode[]): void {
    for (const node of nodes) node.beginSync(token)
    this.#syncing.set(token, nodes)
  }

  #nodeAt(fd: number, operation: string): ShadowNode {
    const node = this.#open.get(fd)
    if (node === undefined) throw new Error(`${operation} on descriptor ${fd}, which is not open`)
    return node
  }

  #fileAt(fd: number, operation: string): ShadowFile {
    const node = this.#nodeAt(fd, operation)
    if (node instanceof ShadowDirectory) throw new Error(`${operation} on descriptor ${fd}, which is a directory`)
    return node
  }

  #isRoot(path: string): boolean {
    return relative(this.#root, normalize(path)) === ''
  }

  #directoryAt(path: string): ShadowDirectory | null {
    let directory = this.#tree
    for (const name of relative(this.#root, normalize(path)).split('/')) {
      if (name === '') continue
      const node = directory.names.get(name)
      if (!(node instanceof ShadowDirectory)) return null
      directory = node
    }
    return directory
  }
}

function allOf(node: ShadowNode): ShadowNode[] {
  return node instanceof ShadowDirectory ? [node, ...[...node.names.values()].flatMap(allOf)] : [node]
}
