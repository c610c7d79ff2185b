import { type ApiDefinition, Reader, Writer } from '@millrace/protocol'
import type { ApiHandler, RequestContext } from '../handler.ts'

/** A request as a connection of that listener brings it. */
export function requestContext(apiKey: number, apiVersion: number, listener = 'PLAINTEXT'): RequestContext {
  return {
    apiKey,
    apiVersion,
    correlationId: 1,
    clientId: 'client',
    connection: {
      connectionId: 1,
      clientAddress: '127.0.0.1',
      clientPort: 40_000,
      listener,
      principal: 'User:ANONYMOUS',
      brokerId: -1,
      clientSoftwareName: '',
      clientSoftwareVersion: '',
    },
    onAbandoned: () => undefined,
    holdAnswerBytes: () => undefined,
    nextSlice: (nextTurn) => nextTurn(),
    growAnswer: () => undefined,
  }
}

/**
 * Sends a request through the codecs of a version to the handler and its answer back, so that what the version cannot carry is
 * noticed. All bytes must be used.
 */
export async function exchange<Request, Response>(
  handler: ApiHandler<Request, Response>,
  api: ApiDefinition<Request, Response>,
  request: Request,
  version = api.maxVersion,
  context = requestContext(api.key, version),
): Promise<Response> {
  const asked = new Writer()
  api.encodeRequest(asked, request, version)
  const decoded = handler.decodeRequest(new Reader(asked.toBuffer()), version)
  const response = await handler.handle(decoded, context)
  if (response === null) throw new Error('no answer')
  const answered = new Writer()
  handler.encodeResponse(answered, response, version)
  const reader = new Reader(answered.toBuffer())
  const result = api.decodeResponse(reader, version)
  if (reader.remaining !== 0) throw new Error(`${reader.remaining} bytes are left`)
  return result
}

/** Every version that the API serves. */
export function versionsOf(api: Pick<ApiDefinition, 'minVersion' | 'maxVersion'>): number[] {
  return Array.from({ length: api.maxVersion - api.minVersion + 1 }, (_, slot) => api.minVersion + slot)
}
