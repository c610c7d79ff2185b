import type { ShareKey, ShareState, ShareUpdate } from './share-state.ts'

interface ShareSnapshotRecord {
  readonly type: 'share-snapshot'
  readonly key: ShareKey
  /** Null: the share partition is deleted. */
  readonly value: ShareState | null
}

interface ShareUpdateRecord {
  readonly type: 'share-update'
  readonly key: ShareKey
  readonly value: ShareUpdate
}

/** The records of `__share_group_state` (KIP-932). */
export type ShareRecord = ShareSnapshotRecord | ShareUpdateRecord
