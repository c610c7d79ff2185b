import type { Clock, Disk, Random } from '@millrace/base'
import type { StorageLogger } from './log-config.ts'
import type { OpenSegments } from './open-segments.ts'

/** What the directory tells of a segment that is there. */
export interface ExistingFiles {
  sizeBytes: number
  hasTransactionIndex: boolean
}

/** What a segment needs of the world. */
export interface SegmentPorts {
  disk: Disk
  clock: Clock
  random: Random
  logger: StorageLogger
  openSegments: OpenSegments
  /** Damage was found in a segment of this partition directory. */
  onDamaged(directory: string): void
}

/** The segments of one log together. */
export interface SegmentHolder {
  /** Reads that come from the disk in steps: files stay open for them. */
  readonly pendingReadCount: number
}
