import type { Uuid } from '@millrace/base'
import type { EndpointImage, FeatureRange } from '../image.ts'
import type { RegisterControllerRecord } from '../records.ts'
import { type ApiError, apiError, MetadataErrorCode } from './api-error.ts'
import type { ControllerContext, Outcome } from './context.ts'
import { METADATA_VERSION } from './features.ts'

/** A controller that has started: where it is reached, and what its software knows. */
export interface ControllerRegistration {
  readonly controllerId: number
  /** New with each start of the process. */
  readonly incarnationId: Uuid
  readonly endpoints: readonly EndpointImage[]
  readonly features: ReadonlyMap<string, FeatureRange>
}

/** Level of `metadata.version` (3.7-IV0) from which on the record is known. */
const FIRST_LEVEL = 15

/** Notes what a controller can do, so that no feature goes beyond it (KIP-919). Null: done; said again it writes nothing. */
export function registerController(
  { image }: ControllerContext,
  { controllerId, incarnationId, endpoints, features }: ControllerRegistration,
): Outcome<ApiError | null> {
  if ((image.features.get(METADATA_VERSION) ?? 0) < FIRST_LEVEL) {
    const message = `${METADATA_VERSION} is too low for controllers to register`
    return { records: [], response: apiError(MetadataErrorCode.UNSUPPORTED_VERSION, message) }
  }
  if (image.controllers.get(controllerId)?.incarnationId === incarnationId) return { records: [], response: null }
  const record: RegisterControllerRecord = {
    type: 'RegisterControllerRecord',
    controllerId,
    incarnationId,
    endPoints: endpoints,
    features: Object.fromEntries(features),
  }
  return { records: [record], response: null }
}
