import { type ApiDefinition, decodeResponseHeader, Reader, Writer, writeRequestHeader } from '@millrace/protocol'
import { Wire } from './wire.ts'

/** Requests are encoded one after the other, so that one is enough for any number of connections. */
const writer = new Writer(64 * 1024)

/** A whole request, its length included. */
export function requestFrame<Request>(api: ApiDefinition<Request, unknown>, version: number, request: Request): Buffer {
  writer.reset()
  writer.beginFrame()
  writeRequestHeader(writer, {
    requestApiKey: api.key,
    requestApiVersion: version,
    correlationId: 1,
    clientId: 'bench',
    unknownTaggedFields: null,
  })
  api.encodeRequest(writer, request, version)
  writer.endFrame()
  return Buffer.from(writer.toBuffer())
}

/** A connection that speaks the protocol by the generated codecs: little work for each request, and the same whoever answers. */
export class ProtocolWire {
  readonly #wire: Wire

  constructor(port: number) {
    this.#wire = new Wire(port)
  }

  async call<Request, Response>(
    api: ApiDefinition<Request, Response>,
    version: number,
    request: Request,
  ): Promise<Response> {
    return await this.ask(api, version, requestFrame(api, version, request))
  }

  /** The same of a frame that is there. */
  async ask<Response>(api: ApiDefinition<unknown, Response>, version: number, frame: Buffer): Promise<Response> {
    const reader = new Reader(await this.#wire.ask(frame))
    decodeResponseHeader(reader, api.responseHeaderVersion(version))
    return api.decodeResponse(reader, version)
  }

  close(): void {
    this.#wire.close()
  }
}
