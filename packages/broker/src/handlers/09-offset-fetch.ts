import {
  decodeOffsetFetchRequest,
  encodeOffsetFetchResponse,
  type OffsetFetchRequest,
  type OffsetFetchResponse,
} from '@millrace/protocol'
import type { GroupCoordinator } from '../coordinator/group/group-coordinator.ts'
import type { ApiHandler } from './handler.ts'

/** OffsetFetch 1–10: one group below version 8, many from there; topic ids from version 10. */
export function offsetFetchHandler(deps: {
  groups: GroupCoordinator
}): ApiHandler<OffsetFetchRequest, OffsetFetchResponse> {
  return {
    apiKey: 9,
    minVersion: 1,
    maxVersion: 10,
    decodeRequest: decodeOffsetFetchRequest,
    encodeResponse: encodeOffsetFetchResponse,
    handle: (request, context) => deps.groups.offsets.fetch(request, context),
  }
}
