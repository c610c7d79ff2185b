import type { ApiError, MetadataImage } from '@millrace/consensus'
import {
  type AddRaftVoterRequest,
  type AddRaftVoterResponse,
  addRaftVoterApi,
  createAddRaftVoterResponse,
  ErrorCode,
} from '@millrace/protocol'
import type { MetadataService } from '../metadata/metadata-service.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'
import { voterComplaint } from './voter-checks.ts'

/** AddRaftVoter 0–1: a controller that has caught up becomes a voter (KIP-853). Answers once that is committed, whatever v1 asks for. */
export function addRaftVoterHandler(deps: {
  metadata: Pick<MetadataService, 'addVoter'>
  image(): MetadataImage
  /** Name of the listener that controllers have for each other. */
  listener(): string | null
}): ApiHandler<AddRaftVoterRequest, AddRaftVoterResponse> {
  const answer = (error: ApiError | null) =>
    createAddRaftVoterResponse({ errorCode: error?.code ?? 0, errorMessage: error?.message ?? null })
  return defineHandler(addRaftVoterApi, async (request) => {
    const complaint = voterComplaint(deps.image().clusterId, request)
    if (complaint !== null) return answer(complaint)
    const name = deps.listener()
    const endpoint = request.listeners.find((listener) => name === null || listener.name.toUpperCase() === name)
    if (endpoint === undefined) {
      return answer({
        code: ErrorCode.INVALID_REQUEST,
        message: `The voter must have the listener ${name ?? 'CONTROLLER'}`,
      })
    }
    const { host, port } = endpoint
    const voter = { id: request.voterId, directoryId: request.voterDirectoryId, host, port }
    return answer(await deps.metadata.addVoter(voter, request.timeoutMs))
  })
}
