import type { ApiError, MetadataImage } from '@millrace/consensus'
import {
  createRemoveRaftVoterResponse,
  type RemoveRaftVoterRequest,
  type RemoveRaftVoterResponse,
  removeRaftVoterApi,
} from '@millrace/protocol'
import type { MetadataService } from '../metadata/metadata-service.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'
import { voterComplaint } from './voter-checks.ts'

/** RemoveRaftVoter 0: a voter votes no more (KIP-853). Answers once that is committed. */
export function removeRaftVoterHandler(deps: {
  metadata: Pick<MetadataService, 'removeVoter'>
  image(): MetadataImage
}): ApiHandler<RemoveRaftVoterRequest, RemoveRaftVoterResponse> {
  const answer = (error: ApiError | null) =>
    createRemoveRaftVoterResponse({ errorCode: error?.code ?? 0, errorMessage: error?.message ?? null })
  return defineHandler(removeRaftVoterApi, async (request) => {
    const complaint = voterComplaint(deps.image().clusterId, request)
    return answer(complaint ?? (await deps.metadata.removeVoter(request.voterId, request.voterDirectoryId)))
  })
}
