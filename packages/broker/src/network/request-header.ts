import { apis, type Reader } from '@millrace/protocol'

/** The part of a request's header that the broker uses. Reused from request to request on the hot path. */
export interface RequestHeader {
  apiKey: number
  apiVersion: number
  correlationId: number
  /** Null and absent become the empty string, as in Kafka's broker. */
  clientId: string
}

/** Reads header version 1 or 2, whichever the API's version uses, and leaves the reader at the body. */
export function readRequestHeader(reader: Reader, header: RequestHeader): void {
  header.apiKey = reader.int16()
  header.apiVersion = reader.int16()
  header.correlationId = reader.int32()
  // Not compact even in flexible headers, so that a broker can read it before it knows the API (KIP-482).
  header.clientId = reader.nullableString() ?? ''
  const api = apis[header.apiKey]
  if (api !== undefined && api.requestHeaderVersion(header.apiVersion) >= 2) reader.unknownTaggedFields()
}
