import {
  decodeOffsetCommitRequest,
  encodeOffsetCommitResponse,
  type OffsetCommitRequest,
  type OffsetCommitResponse,
} from '@millrace/protocol'
import type { GroupCoordinator } from '../coordinator/group/group-coordinator.ts'
import type { ApiHandler } from './handler.ts'

/** OffsetCommit 2–10: answered when the offsets are committed in `__consumer_offsets`. Topic ids from version 10. */
export function offsetCommitHandler(deps: {
  groups: GroupCoordinator
}): ApiHandler<OffsetCommitRequest, OffsetCommitResponse> {
  return {
    apiKey: 8,
    minVersion: 2,
    maxVersion: 10,
    decodeRequest: decodeOffsetCommitRequest,
    encodeResponse: encodeOffsetCommitResponse,
    handle: (request, context) => deps.groups.offsets.commit(request, context),
  }
}
