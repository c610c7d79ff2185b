import type { Reader, Writer } from '@millrace/protocol'

/** What the client needs of one API: the protocol's definitions fit, and a test or a workaround may give its own. */
export interface Api<Request, Response> {
  readonly key: number
  readonly name: string
  /** Oldest and newest version that this client speaks. */
  readonly minVersion: number
  readonly maxVersion: number
  requestHeaderVersion(version: number): number
  responseHeaderVersion(version: number): number
  encodeRequest(writer: Writer, request: Request, version: number): void
  decodeResponse(reader: Reader, version: number): Response
}

/** A request, or a function that makes it once the version is known: some fields exist in one form or another by version. */
export type RequestMessage<Request> = Request | ((version: number) => Request)

/** The request for a version. */
export function messageFor<Request extends object>(message: RequestMessage<Request>, version: number): Request {
  return typeof message === 'function' ? message(version) : message
}
