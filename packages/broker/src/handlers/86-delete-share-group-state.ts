import { deleteShareGroupStateApi } from '@millrace/protocol'
import type { ShareStateRequests } from '../coordinator/share/share-requests.ts'
import { defineHandler } from './define-handler.ts'

/** DeleteShareGroupState 0 (KIP-932), from group coordinators. */
export function deleteShareGroupStateHandler(deps: { shareStates: ShareStateRequests }) {
  return defineHandler(deleteShareGroupStateApi, (request) => deps.shareStates.delete(request))
}
