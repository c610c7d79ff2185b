import { writeShareGroupStateApi } from '@millrace/protocol'
import type { ShareStateRequests } from '../coordinator/share/share-requests.ts'
import { defineHandler } from './define-handler.ts'

/** WriteShareGroupState 0–1 (KIP-932, KIP-1226), from leaders of share partitions. */
export function writeShareGroupStateHandler(deps: { shareStates: ShareStateRequests }) {
  return defineHandler(writeShareGroupStateApi, (request) => deps.shareStates.write(request))
}
