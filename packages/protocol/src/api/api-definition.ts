import type { ListenerKind } from '../schema/schema.ts'
import type { Reader } from '../wire/reader.ts'
import type { Writer } from '../wire/writer.ts'

/**
 * One API of the protocol with its codecs. All decoders throw `MalformedMessageError`, all codecs `UnsupportedVersionError` for a
 * version outside `[minVersion, maxVersion]` (the newest unstable one aside), encoders `UnsupportedFieldError`. Hot path.
 */
export interface ApiDefinition<Request = unknown, Response = unknown> {
  readonly key: number
  /** Without `Request` or `Response`. */
  readonly name: string
  readonly minVersion: number
  /** Newest stable version. */
  readonly maxVersion: number
  /** Codecs know `maxVersion + 1` too, which upstream has not declared final. Never advertise it. */
  readonly latestVersionUnstable: boolean
  /** First flexible version (compact lengths, tagged fields); above every version when there is none. */
  readonly flexibleFrom: number
  readonly listeners: readonly ListenerKind[]
  /** Only brokers and controllers may send it. */
  readonly clusterAction: boolean
  /** A broker passes it on to the active controller (KIP-590). */
  readonly forwardable: boolean
  /** Version of the request header that goes with a version of the API: 1 or 2. Defined for every version, served or not. */
  requestHeaderVersion(version: number): number
  /** Version of the response header: 0 or 1. */
  responseHeaderVersion(version: number): number
  decodeRequest(reader: Reader, version: number): Request
  encodeRequest(writer: Writer, request: Request, version: number): void
  decodeResponse(reader: Reader, version: number): Response
  encodeResponse(writer: Writer, response: Response, version: number): void
}
