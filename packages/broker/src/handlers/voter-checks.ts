import { type ApiError, DirectoryId } from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'

/** Why a request cannot be about a voter of this cluster, before any controller is asked (`controller.md`, 9); null: it may. */
export function voterComplaint(
  clusterId: string,
  request: { readonly clusterId: string | null; readonly voterId: number; readonly voterDirectoryId: string },
): ApiError | null {
  if (request.clusterId !== null && request.clusterId !== clusterId) {
    return { code: ErrorCode.INCONSISTENT_CLUSTER_ID, message: `This is cluster ${clusterId}` }
  }
  if (request.voterId < 0) return { code: ErrorCode.INVALID_REQUEST, message: 'A voter has an id of at least 0' }
  if (request.voterDirectoryId === DirectoryId.MIGRATING) {
    return { code: ErrorCode.INVALID_REQUEST, message: "The id of the voter's directory must not be zero" }
  }
  return null
}
