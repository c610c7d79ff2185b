import { readFileSync, rmSync } from 'node:fs'
import type { Random } from '@millrace/base'
import { type Difference, differencesFrom, writeImage } from './disk-image.ts'
import { allLost, drawFate } from './fate.ts'
import type { ShadowNode } from './shadow-directory.ts'
import { type IgnoresSyncs, ShadowDisk } from './shadow-disk.ts'
import { ShadowFile } from './shadow-file.ts'
import { parseTrace, type TraceRecord } from './trace.ts'

export interface PowerCutOptions {
  /** Absolute path of the directory that loses what was not synced. Empty at first. */
  readonly root: string
  /** Where the preload library writes. Taken away after each cut. */
  readonly trace: string
  readonly random: Random
  /** See `ShadowDiskOptions`. */
  readonly ignoresSyncs?: IgnoresSyncs
}

/** One kill of so many leaves the power on. */
const KILL_ONLY_SHARE = 6

/** Turns the files of a broker that was killed into what a power cut at that moment could have left. */
export class PowerCut {
  readonly #options: PowerCutOptions
  readonly #disk: ShadowDisk
  readonly figures: {
    killsWithoutCutCount: number
    cutsLosingAllCount: number
    tracedSyncCount: number
    tracedWriteCount: number
    unsyncedPageCount: number
    unsyncedNameCount: number
  }

  constructor(options: PowerCutOptions) {
    this.#options = options
    this.#disk = new ShadowDisk({ root: options.root, ignoresSyncs: options.ignoresSyncs ?? false })
    this.figures = {
      killsWithoutCutCount: 0,
      cutsLosingAllCount: 0,
      tracedSyncCount: 0,
      tracedWriteCount: 0,
      unsyncedPageCount: 0,
      unsyncedNameCount: 0,
    }
  }

  /** Pre: the process is gone. Returns where the trace missed something: what a run with such holes shows is worth nothing. */
  cut(): string[] {
    const { root, trace } = this.#options
    const records = parseTrace(readTrace(trace))
    rmSync(trace, { force: true })
    const { differences, unsure } = this.#follow(records)
    const problems = differences.map(({ path, text }) => `the trace does not explain that ${path} ${text}`)
    this.#count(records)
    const live = this.#disk.tree
    this.#losePower()
    writeImage(live, this.#disk.tree, root, unsure)
    return problems
  }

  #losePower(): void {
    const { random, ignoresSyncs = false } = this.#options
    // What a start finds of the last life, and does not sync, must not be counted on: it can be lost at the next cut.
    if (ignoresSyncs === false && random.uint32() % KILL_ONLY_SHARE === KILL_ONLY_SHARE - 1) {
      this.figures.killsWithoutCutCount++
      this.#disk.endProcess()
      return
    }
    // A disk that keeps nothing at a sync, and part of it by chance, is one that a broker may refuse: that would show nothing.
    const fate = ignoresSyncs === false ? drawFate(random) : allLost
    if (fate === allLost) this.figures.cutsLosingAllCount++
    this.#disk.cutPower(fate)
  }

  /** Follows the trace to where the process stopped: the last change may not have been made, or a last write only in part. */
  #follow(records: readonly TraceRecord[]): { differences: Difference[]; unsure: ShadowFile | null } {
    const { root } = this.#options
    const last = records.at(-1)
    if (last === undefined || !isChange(last)) {
      this.#disk.follow(records)
      return { differences: differencesFrom(this.#disk.tree, root), unsure: null }
    }
    this.#disk.follow(records.slice(0, -1))
    if (differencesFrom(this.#disk.tree, root).length === 0) return { differences: [], unsure: null }
    this.#disk.follow([last])
    const unsure = this.#disk.openFile(last.fd)
    const differences = differencesFrom(this.#disk.tree, root).filter(({ node }) => node === null || node !== unsure)
    return { differences, unsure }
  }

  #count(records: readonly TraceRecord[]): void {
    for (const { operation } of records) {
      if (operation === 'write') this.figures.tracedWriteCount++
      else if (operation === 'syncEnd' || operation === 'syncAllEnd') this.figures.tracedSyncCount++
    }
    const visit = (node: ShadowNode): void => {
      if (node instanceof ShadowFile) this.figures.unsyncedPageCount += node.unsyncedPageCount
      else {
        this.figures.unsyncedNameCount += node.unsyncedNameCount
        for (const child of node.names.values()) visit(child)
      }
    }
    visit(this.#disk.tree)
  }
}

function isChange({ operation }: TraceRecord): boolean {
  switch (operation) {
    case 'opening':
    case 'write':
    case 'resize':
    case 'allocate':
    case 'rename':
    case 'unlink':
    case 'makeDirectory':
    case 'removeDirectory':
      return true
    default:
      return false
  }
}

/** A process that was killed before it changed anything may not have made a trace. */
function readTrace(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0)
    throw error
  }
}
