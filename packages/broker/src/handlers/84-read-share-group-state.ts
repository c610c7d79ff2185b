import { readShareGroupStateApi } from '@millrace/protocol'
import type { ShareStateRequests } from '../coordinator/share/share-requests.ts'
import { defineHandler } from './define-handler.ts'

/** ReadShareGroupState 0 (KIP-932), from leaders of share partitions. */
export function readShareGroupStateHandler(deps: { shareStates: ShareStateRequests }) {
  return defineHandler(readShareGroupStateApi, (request) => deps.shareStates.read(request))
}
