import type { DiskErrorCode, DiskOperation, SimulatedDisk } from '@millrace/base'
import { refuseOpens } from './refused-opens.ts'

/** What a disk may do to those who use it. */
export const FAULT_KINDS = [
  'input/output error',
  'no space',
  'short write',
  'never ends',
  'ends late',
  'no descriptor',
] as const
export type FaultKind = (typeof FAULT_KINDS)[number]

/** What a process without descriptors cannot open: anything, or of all that it opens only what belongs to one part of a log. */
const OPENS = ['open', 'open log', 'open index', 'open snapshot', 'open directory'] as const
type OpenOperation = (typeof OPENS)[number]
const OPENED: Readonly<Record<OpenOperation, RegExp>> = {
  open: /./,
  'open log': /\.log$/,
  'open index': /index$/,
  'open snapshot': /\.snapshot$/,
  'open directory': /^\/data$|\/[^/.]+-\d+$/,
}

/** Operations that each kind can befall. */
const FAILING: readonly DiskOperation[] = [
  'read',
  'write',
  'sync',
  'truncate',
  'extend',
  'create',
  'rename',
  'remove',
  'sync directory',
]
const OPERATIONS: Readonly<Record<FaultKind, readonly (DiskOperation | OpenOperation)[]>> = {
  'input/output error': FAILING,
  'no space': ['write', 'extend', 'create', 'rename'],
  'short write': ['write'],
  'never ends': ['sync', 'read', 'sync directory', 'extend', 'remove'],
  'ends late': ['sync', 'read', 'sync directory', 'extend', 'remove'],
  'no descriptor': OPENS,
}

/** Every fault class: kind and operation. */
export const FAULT_CLASSES: readonly FaultClass[] = FAULT_KINDS.flatMap((kind) =>
  OPERATIONS[kind].map((operation) => ({ kind, operation })),
)

export interface FaultClass {
  kind: FaultKind
  operation: DiskOperation | OpenOperation
}

export interface FaultPlan extends FaultClass {
  /** The fault befalls the operation of this number, from 0 on, and as many after it as said. */
  firstOccurrence: number
  occurrenceCount: number
}

/** Lets a plan come true on a disk, and on each that takes its place, once. Hooks of the disk are wrapped, so they must have been set before. */
export class FaultInjector {
  /** How often the fault befell an operation. */
  firedCount: number
  isOver: boolean
  readonly #plan: FaultPlan
  #seenCount: number
  readonly #late: (() => void)[]

  constructor(plan: FaultPlan) {
    this.firedCount = 0
    this.isOver = false
    this.#plan = plan
    this.#seenCount = 0
    this.#late = []
  }

  /** The error that an operation gets, if any. */
  readonly fault = (operation: DiskOperation): DiskErrorCode | null => {
    const { kind } = this.#plan
    if (kind === 'never ends' || kind === 'ends late' || kind === 'no descriptor') return null
    if (!this.#isDue(operation)) return null
    return kind === 'input/output error' ? 'DISK_IO' : 'DISK_FULL'
  }

  readonly shortWrite = (_path: string, sizeBytes: number): number =>
    this.#plan.kind === 'short write' && !this.isOver ? Math.floor(sizeBytes / 2) : 0

  /** A promise that keeps an operation of the thread pool from ending; null if this one is left alone. */
  delay(operation: DiskOperation): Promise<void> | null {
    const { kind } = this.#plan
    if ((kind !== 'never ends' && kind !== 'ends late') || !this.#isDue(operation)) return null
    if (kind === 'never ends') return new Promise(() => undefined)
    return new Promise((resolve) => this.#late.push(resolve))
  }

  /** The disk is well again; what was late ends. */
  end(): void {
    this.isOver = true
    for (const wake of this.#late.splice(0)) wake()
  }

  install(disk: SimulatedDisk): void {
    disk.fault = this.fault
    disk.shortWrite = this.shortWrite
    const { kind, operation } = this.#plan
    const opened = kind === 'no descriptor' ? OPENED[operation as OpenOperation] : null
    if (opened !== null) refuseOpens(disk, (path) => opened.test(path) && this.#isDue(operation))
  }

  #isDue(operation: DiskOperation | OpenOperation): boolean {
    if (this.isOver || operation !== this.#plan.operation) return false
    const number = this.#seenCount++ - this.#plan.firstOccurrence
    if (number < 0 || number >= this.#plan.occurrenceCount) return false
    this.firedCount++
    return true
  }
}
