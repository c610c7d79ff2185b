import {
  apis,
  type DataDefinition,
  dataDefinitions,
  decodeResponseHeader,
  encodeFramed,
  encodeResponseHeader,
  Reader,
  readRequestHeader,
  Writer,
  writeRequestHeader,
} from '@millrace/protocol'
import { allMessages, type ResolvedMessage } from '@millrace/protocol/schema'
import { expectEqual, expectHex, expectOneOf } from './expectations.ts'
import { type Fields, fromJson, toJson, type UnknownField, unknownFields } from './json-codec.ts'

/** A row of requests, responses, headers or data. */
export interface MessageRow {
  readonly api?: string
  readonly apiKey?: number
  readonly type?: string
  readonly message: string
  readonly version: number
  readonly case?: string
  readonly json: Fields
  readonly unknownTaggedFields?: readonly UnknownField[]
  readonly hex: string
  readonly framedHex?: string
}

/** A row of frames. */
export interface FrameRow {
  readonly api: string
  readonly apiKey: number
  readonly type: 'request' | 'response'
  readonly version: number
  readonly headerVersion: number
  readonly header: Fields
  readonly json: Fields
  readonly unknownTaggedFields?: readonly UnknownField[]
  readonly hex: string
}

interface Codec {
  decode(reader: Reader, version: number): unknown
  encode(writer: Writer, message: unknown, version: number): void
}

const messages = new Map(allMessages().map((message) => [message.name, message]))
const definitions = new Map<string, DataDefinition>(dataDefinitions.map((definition) => [definition.name, definition]))

/** Decoding gives the JSON and the unknown tagged fields, encoding these gives the bytes, framed and not. */
export function checkMessage(row: MessageRow): void {
  const message = messageOf(row.message)
  expectNamed(message, row)
  const unknown = row.unknownTaggedFields ?? []
  const codec = codecOf(message)
  const reader = new Reader(Buffer.from(row.hex, 'hex'))
  const decoded = codec.decode(reader, row.version) as Fields
  reader.expectEnd()
  expectDecoded(message, decoded, row.version, row.json, unknown)

  const built = fromJson(message.root, row.json, unknown)
  for (const [what, value] of [
    ['encoding the JSON', built],
    ['encoding what was decoded', decoded],
  ] as const) {
    const writer = new Writer()
    codec.encode(writer, value, row.version)
    expectHex(what, writer.toBuffer(), row.hex)
  }
  if (row.framedHex !== undefined) {
    const definition = definitions.get(row.message)
    if (definition === undefined) throw new Error(`${row.message} is no data message`)
    const writer = new Writer()
    encodeFramed(writer, definition, built, row.version)
    expectHex('framing', writer.toBuffer(), row.framedHex)
  }
}

/** A whole frame: size, header and body, both ways. */
export function checkFrame(row: FrameRow): void {
  const api = apis[row.apiKey]
  if (api === undefined) throw new Error(`unknown API key ${row.apiKey}`)
  expectEqual('API of the key', api.name, row.api)
  expectOneOf('type', row.type, ['request', 'response'])
  const isRequest = row.type === 'request'
  const headerVersion = isRequest ? api.requestHeaderVersion(row.version) : api.responseHeaderVersion(row.version)
  expectEqual('header version', headerVersion, row.headerVersion)
  const header = messageOf(isRequest ? 'RequestHeader' : 'ResponseHeader')
  const body = messageOf(row.api + (isRequest ? 'Request' : 'Response'))
  const unknown = row.unknownTaggedFields ?? []

  const reader = new Reader(Buffer.from(row.hex, 'hex'))
  expectEqual('frame size', reader.int32(), reader.remaining)
  const decodedHeader = isRequest ? readRequestHeader(reader) : decodeResponseHeader(reader, headerVersion)
  expectEqual('header', toJson(header.root, decodedHeader as unknown as Fields, headerVersion), row.header)
  const decoded = codecOf(body).decode(reader, row.version) as Fields
  reader.expectEnd()
  expectDecoded(body, decoded, row.version, row.json, unknown)

  const writer = new Writer()
  writer.beginFrame()
  const builtHeader = fromJson(header.root, row.header, []) as never
  if (isRequest) writeRequestHeader(writer, builtHeader)
  else encodeResponseHeader(writer, builtHeader, headerVersion)
  codecOf(body).encode(writer, fromJson(body.root, row.json, unknown), row.version)
  writer.endFrame()
  expectHex('encoding', writer.toBuffer(), row.hex)
}

/** What a row says about its message besides the name, where it says it. */
function expectNamed(message: ResolvedMessage, { api, apiKey, type }: MessageRow): void {
  if (apiKey !== undefined) expectEqual('API key', message.key, apiKey)
  if (type !== undefined) expectEqual('type', message.kind, type)
  if (api !== undefined) expectEqual('API', message.name.replace(/(Request|Response)$/, ''), api)
}

function expectDecoded(
  message: ResolvedMessage,
  decoded: Fields,
  version: number,
  json: Fields,
  unknown: readonly UnknownField[],
): void {
  expectEqual('decoding', toJson(message.root, decoded, version), json)
  const found = unknownFields(message.root, decoded, version)
  expectEqual('unknown tagged fields', found.sort(byPlace), [...unknown].sort(byPlace))
}

function byPlace(a: UnknownField, b: UnknownField): number {
  return a.path < b.path ? -1 : a.path > b.path ? 1 : a.tag - b.tag
}

function messageOf(name: string): ResolvedMessage {
  const message = messages.get(name)
  if (message === undefined) throw new Error(`unknown message ${name}`)
  return message
}

function codecOf(message: ResolvedMessage): Codec {
  if (message.kind === 'request' || message.kind === 'response') {
    const api = apis[message.key]!
    return message.kind === 'request'
      ? { decode: api.decodeRequest, encode: api.encodeRequest }
      : { decode: api.decodeResponse, encode: api.encodeResponse }
  }
  return definitions.get(message.name)!
}
