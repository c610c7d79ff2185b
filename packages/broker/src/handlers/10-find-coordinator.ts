import {
  decodeFindCoordinatorRequest,
  encodeFindCoordinatorResponse,
  type FindCoordinatorRequest,
  type FindCoordinatorResponse,
} from '@millrace/protocol'
import type { CoordinatorFinder } from '../coordinator/coordinator-finder.ts'
import type { ApiHandler } from './handler.ts'

/** FindCoordinator 0–6: one key below version 4, many from there; keys of share groups from version 6. */
export function findCoordinatorHandler(deps: {
  coordinators: CoordinatorFinder
}): ApiHandler<FindCoordinatorRequest, FindCoordinatorResponse> {
  return {
    apiKey: 10,
    minVersion: 0,
    maxVersion: 6,
    decodeRequest: decodeFindCoordinatorRequest,
    encodeResponse: encodeFindCoordinatorResponse,
    handle: (request, context) => deps.coordinators.find(request, context),
  }
}
