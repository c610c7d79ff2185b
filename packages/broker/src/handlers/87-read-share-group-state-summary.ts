import { readShareGroupStateSummaryApi } from '@millrace/protocol'
import type { ShareStateRequests } from '../coordinator/share/share-requests.ts'
import { defineHandler } from './define-handler.ts'

/** ReadShareGroupStateSummary 0–1 (KIP-932, KIP-1226), from group coordinators. */
export function readShareGroupStateSummaryHandler(deps: { shareStates: ShareStateRequests }) {
  return defineHandler(readShareGroupStateSummaryApi, (request) => deps.shareStates.readSummary(request))
}
