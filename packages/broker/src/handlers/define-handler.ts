import type { ApiDefinition } from '@millrace/protocol'
import type { ApiHandler, RequestContext } from './handler.ts'

/** A handler that serves every stable version of an API. */
export function defineHandler<Request, Response>(
  api: ApiDefinition<Request, Response>,
  handle: (request: Request, context: RequestContext) => Response | Promise<Response>,
): ApiHandler<Request, Response> {
  return {
    apiKey: api.key,
    minVersion: api.minVersion,
    maxVersion: api.maxVersion,
    decodeRequest: api.decodeRequest,
    encodeResponse: api.encodeResponse,
    handle,
  }
}
