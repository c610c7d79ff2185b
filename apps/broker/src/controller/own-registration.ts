import type { Timers, Uuid } from '@millrace/base'
import type { Logger } from '@millrace/broker'
import { type ApiError, type EndpointImage, type MetadataImage, SUPPORTED_FEATURES } from '@millrace/consensus'
import { RepeatedRequest } from './repeated-request.ts'

export interface OwnRegistrationOptions {
  readonly nodeId: number
  /** Of this life of the process. */
  readonly incarnationId: Uuid
  readonly endpoints: readonly EndpointImage[]
  readonly timers: Timers
  readonly logger: Logger
  /** As far as this node knows. */
  image(): MetadataImage
  register(request: {
    readonly controllerId: number
    readonly incarnationId: Uuid
    readonly endpoints: readonly EndpointImage[]
    readonly features: readonly (readonly [string, { readonly min: number; readonly max: number }])[]
  }): Promise<ApiError | null>
}

/** Has the metadata say what this controller supports, from each of its starts on: no feature must go beyond what a voter knows (KIP-919). */
export function registerItself(options: OwnRegistrationOptions): RepeatedRequest {
  const { nodeId: controllerId, incarnationId, endpoints, timers, logger, image, register } = options
  return new RepeatedRequest({
    timers,
    logger,
    next() {
      if (image().controllers.get(controllerId)?.incarnationId === incarnationId) return 'done'
      return {
        send: () => register({ controllerId, incarnationId, endpoints, features: [...SUPPORTED_FEATURES] }),
        failure: 'this controller could not be registered',
      }
    },
  })
}
