import { ErrorCode } from '@millrace/protocol'
import type { LatestOffsets } from '../group/share/share-groups.ts'
import { emptySummary, failedRead, type ShareStateStore } from '../share/share-state.ts'

const NONE = { errorCode: ErrorCode.NONE, errorMessage: null }

/** For tests of groups that share nothing: a share coordinator that says yes and keeps nothing. */
export const NO_SHARES: { readonly shareStates: ShareStateStore; readonly latestOffsets: LatestOffsets } = {
  shareStates: {
    initialize: () => Promise.resolve(NONE),
    read: () => Promise.resolve(failedRead(ErrorCode.INVALID_REQUEST)),
    write: () => Promise.resolve(NONE),
    delete: () => Promise.resolve(NONE),
    readSummary: () => Promise.resolve(emptySummary(ErrorCode.NONE)),
  },
  latestOffsets: {
    latest: (_topic, partitions) => Promise.resolve(partitions.map(() => ({ errorCode: 0, offset: 0 }))),
  },
}
