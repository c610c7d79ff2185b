import { initializeShareGroupStateApi } from '@millrace/protocol'
import type { ShareStateRequests } from '../coordinator/share/share-requests.ts'
import { defineHandler } from './define-handler.ts'

/** InitializeShareGroupState 0 (KIP-932), from group coordinators. */
export function initializeShareGroupStateHandler(deps: { shareStates: ShareStateRequests }) {
  return defineHandler(initializeShareGroupStateApi, (request) => deps.shareStates.initialize(request))
}
