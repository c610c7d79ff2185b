import { apis } from '../api/apis.generated.ts'
import { decodeRequestHeader, encodeRequestHeader, type RequestHeader } from '../messages/headers.generated.ts'
import { MalformedMessageError } from '../wire/malformed-message-error.ts'
import type { Reader } from '../wire/reader.ts'
import type { Writer } from '../wire/writer.ts'

/**
 * Reads the header at the start of a request frame (the size before it is consumed). Which header version it has follows from API key
 * and version, so both are looked at first. Every version of a known API has a header, served or not: the caller decides what
 * to do with versions it does not serve. Throws `MalformedMessageError`, also for keys that are unknown or have no versions left,
 * since nothing can be read or answered then. Hot path.
 */
export function readRequestHeader(reader: Reader): RequestHeader {
  const start = reader.position
  const apiKey = reader.int16()
  const apiVersion = reader.int16()
  reader.position = start
  const api = apis[apiKey]
  if (api === undefined) throw new MalformedMessageError(`unknown API key ${apiKey}`)
  return decodeRequestHeader(reader, api.requestHeaderVersion(apiVersion))
}

/** Writes the header that goes with the API and version it names. An API key without versions is a programmer error. */
export function writeRequestHeader(writer: Writer, header: RequestHeader): void {
  const api = apis[header.requestApiKey]
  if (api === undefined) throw new RangeError(`unknown API key ${header.requestApiKey}`)
  encodeRequestHeader(writer, header, api.requestHeaderVersion(header.requestApiVersion))
}
