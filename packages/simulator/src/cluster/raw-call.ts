import {
  type ApiDefinition,
  createRequestHeader,
  decodeResponseHeader,
  Reader,
  Writer,
  writeRequestHeader,
} from '@millrace/protocol'
import type { ClientSeat } from './client-host.ts'
import { FrameSplitter } from './wire-watch.ts'

/** What is sent, in which version, and how long its answer is waited for. */
interface RawRequest<Request> {
  readonly request: Request
  readonly version: number
  readonly timeoutMs: number
}

/** One request on a connection of its own, as no client of ours would send it. Null: there was no answer in time. */
export function callNode<Request, Response>(
  { loop, options }: ClientSeat,
  node: number,
  api: ApiDefinition<Request, Response>,
  { request, version, timeoutMs }: RawRequest<Request>,
): Promise<Response | null> {
  return new Promise((resolve) => {
    const end = (response: Response | null): void => {
      timer.cancel()
      channel.close()
      resolve(response)
    }
    const timer = loop.after(timeoutMs, 'raw call', () => end(null))
    const answer = new FrameSplitter((frame) => {
      const reader = new Reader(Buffer.from(frame))
      decodeResponseHeader(reader, api.responseHeaderVersion(version))
      end(api.decodeResponse(reader, version))
    })
    const channel = options.ports.transport.open(
      { host: `node-${node}`, port: 9092 },
      {
        onOpen: () => {
          channel.write([frameOf(api, request, version)])
        },
        onData: (chunk) => answer.push(chunk),
        onDrain: () => undefined,
        onClose: () => end(null),
      },
    )
  })
}

function frameOf<Request>(api: ApiDefinition<Request>, request: Request, version: number): Buffer {
  const writer = new Writer()
  writer.beginFrame()
  const clientId = 'raw'
  writeRequestHeader(
    writer,
    createRequestHeader({ requestApiKey: api.key, requestApiVersion: version, correlationId: 0, clientId }),
  )
  api.encodeRequest(writer, request, version)
  writer.endFrame()
  return Buffer.from(writer.toBuffer())
}
