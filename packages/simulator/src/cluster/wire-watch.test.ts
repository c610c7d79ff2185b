import type { Transport, TransportHandler } from '@millrace/client'
import {
  ApiKey,
  createHeartbeatRequest,
  createHeartbeatResponse,
  createRequestHeader,
  createResponseHeader,
  encodeResponseHeader,
  heartbeatApi,
  Writer,
  writeRequestHeader,
} from '@millrace/protocol'
import { expect, it } from 'vitest'
import { watchedTransport } from './wire-watch.ts'

const VERSION = 4

function frame(write: (writer: Writer) => void): Buffer {
  const writer = new Writer()
  writer.beginFrame()
  write(writer)
  writer.endFrame()
  return Buffer.from(writer.toBuffer())
}

function request(correlationId: number, memberId: string): Buffer {
  return frame((writer) => {
    const header = { requestApiKey: ApiKey.HEARTBEAT, requestApiVersion: VERSION, correlationId, clientId: 'c' }
    writeRequestHeader(writer, createRequestHeader(header))
    heartbeatApi.encodeRequest(writer, createHeartbeatRequest({ groupId: 'g', memberId, generationId: 1 }), VERSION)
  })
}

function response(correlationId: number, errorCode: number): Buffer {
  return frame((writer) => {
    encodeResponseHeader(writer, createResponseHeader({ correlationId }), heartbeatApi.responseHeaderVersion(VERSION))
    heartbeatApi.encodeResponse(writer, createHeartbeatResponse({ errorCode }), VERSION)
  })
}

it('sees requests and the answers to them, however the bytes are cut', () => {
  const handlers: TransportHandler[] = []
  const transport: Transport = {
    open: (_, handler) => {
      handlers.push(handler)
      return { write: () => true, close: () => undefined }
    },
  }
  const seen: string[] = []
  const watched = watchedTransport(transport, {
    apiKeys: new Set([ApiKey.HEARTBEAT]),
    onRequest: (_, sent) => {
      const { memberId } = sent as { memberId: string }
      seen.push(memberId)
      return (answer) => seen.push(`${memberId} ${(answer as { errorCode: number }).errorCode}`)
    },
  })
  const got: Buffer[] = []
  const channel = watched.open(
    { host: 'node-0', port: 9092 },
    {
      onOpen: () => undefined,
      onData: (chunk) => got.push(Buffer.from(chunk)),
      onDrain: () => undefined,
      onClose: () => undefined,
    },
  )
  const sent = Buffer.concat([request(1, 'a'), request(2, 'b')])
  channel.write([sent.subarray(0, 3), sent.subarray(3, 40)])
  channel.write([sent.subarray(40)])
  expect(seen).toEqual(['a', 'b'])
  const answers = Buffer.concat([response(1, 0), response(2, 27)])
  for (const byte of answers) handlers[0]!.onData(Buffer.from([byte]))
  expect(seen).toEqual(['a', 'b', 'a 0', 'b 27'])
  expect(Buffer.concat(got)).toEqual(answers)
})
