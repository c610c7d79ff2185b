import { requestFrame } from '@millrace/broker/testing'
import {
  type ApiDefinition,
  apiVersionsApi,
  createApiVersionsRequest,
  createApiVersionsResponse,
  createMetadataRequest,
  createMetadataResponse,
  createProduceRequest,
  createProduceResponse,
  metadataApi,
  produceApi,
  Writer,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { AnswerChecker } from './answer-checker.ts'
import { servedVersions } from './frame-source.ts'

function answer<Response>(
  api: ApiDefinition<unknown, Response> | ApiDefinition<never, Response>,
  version: number,
  correlationId: number,
  response: Response,
): Buffer {
  const writer = new Writer()
  writer.beginFrame()
  writer.int32(correlationId)
  if (api.responseHeaderVersion(version) > 0) writer.unsignedVarint(0)
  api.encodeResponse(writer, response, version)
  writer.endFrame()
  return Buffer.from(writer.toBuffer())
}

const ask = (correlationId: number) =>
  requestFrame(metadataApi, 12, createMetadataRequest({ topics: null }), correlationId)
const tell = (correlationId: number) => answer(metadataApi, 12, correlationId, createMetadataResponse({}))

/** What the checker says of these exchanges. */
function complaintsOf(sent: readonly Buffer[], received: readonly Buffer[]): string[] {
  const checker = new AnswerChecker(servedVersions)
  for (const bytes of sent) checker.onSent(bytes)
  for (const bytes of received) checker.onReceived(bytes)
  return checker.complaints
}

describe('answers', () => {
  test('that are right are no cause for complaint, in whatever pieces they come', () => {
    const all = Buffer.concat([tell(1), tell(2)])
    expect(complaintsOf([ask(1), ask(2)], [tell(1), tell(2)])).toEqual([])
    expect(
      complaintsOf(
        [Buffer.concat([ask(1), ask(2)])],
        Array.from(all, (_, at) => all.subarray(at, at + 1)),
      ),
    ).toEqual([])
  })

  test('in the wrong order, to nobody, or twice are found', () => {
    expect(complaintsOf([ask(1), ask(2)], [tell(2)])).toHaveLength(1)
    expect(complaintsOf([], [tell(1)])).toHaveLength(1)
    expect(complaintsOf([ask(1)], [tell(1), tell(1)])).toHaveLength(1)
  })

  test('of another version, cut, or with bytes behind them are found', () => {
    expect(complaintsOf([ask(1)], [answer(metadataApi, 1, 1, createMetadataResponse({}))])).toHaveLength(1)
    const cut = Buffer.from(tell(1).subarray(0, -2))
    cut.writeInt32BE(cut.length - 4, 0)
    expect(complaintsOf([ask(1)], [cut])).toHaveLength(1)
    const long = Buffer.concat([tell(1), Buffer.alloc(1)])
    long.writeInt32BE(long.length - 4, 0)
    expect(complaintsOf([ask(1)], [long])).toHaveLength(1)
    const checker = new AnswerChecker(servedVersions)
    checker.onSent(ask(1))
    checker.onReceived(tell(1).subarray(0, 9))
    checker.onClosed()
    expect(checker.complaints).toHaveLength(1)
  })

  test('may be missing for a Produce that wants none, and for nothing else', () => {
    const produce = requestFrame(produceApi, 9, createProduceRequest({ acks: 0, timeoutMs: 0, topicData: [] }), 1)
    const told = answer(produceApi, 9, 2, createProduceResponse({}))
    const asked = requestFrame(produceApi, 9, createProduceRequest({ acks: 1, timeoutMs: 0, topicData: [] }), 2)
    expect(complaintsOf([produce, ask(2)], [tell(2)])).toEqual([])
    expect(complaintsOf([produce, asked], [told])).toEqual([])
    expect(complaintsOf([ask(1), asked], [told])).toHaveLength(1)
    // One that wants an answer is not passed over, and one that wants none gets none.
    expect(complaintsOf([asked, ask(3)], [tell(3)])).toHaveLength(1)
    expect(complaintsOf([produce], [answer(produceApi, 9, 1, createProduceResponse({}))])).toHaveLength(1)
    const checker = new AnswerChecker(servedVersions)
    checker.onSent(produce)
    expect([checker.sentSilent, checker.overdueApi]).toEqual([true, null])
    checker.onSent(asked)
    expect(checker.overdueApi).toBe('Produce')
  })

  test('to versions of ApiVersions that are too new come in version 0', () => {
    const frame = requestFrame(apiVersionsApi, 4, createApiVersionsRequest({}), 1)
    frame.writeInt16BE(99, 6)
    expect(complaintsOf([frame], [answer(apiVersionsApi, 0, 1, createApiVersionsResponse({}))])).toEqual([])
    expect(complaintsOf([frame], [answer(apiVersionsApi, 4, 1, createApiVersionsResponse({}))])).toHaveLength(1)
  })

  test('are not due behind a frame that has none', () => {
    const frame = ask(1)
    frame.writeInt16BE(99, 6)
    const checker = new AnswerChecker(servedVersions)
    checker.onSent(frame)
    checker.onSent(ask(2))
    expect([checker.isRefused, checker.overdueApi]).toEqual([true, null])
  })

  test('that are overdue are named', () => {
    const checker = new AnswerChecker(servedVersions)
    checker.onSent(ask(1))
    expect(checker.overdueApi).toBe('Metadata')
    checker.onReceived(tell(1))
    expect(checker.overdueApi).toBeNull()
  })
})
