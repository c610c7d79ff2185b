import { SimulatedClock } from '@millrace/base'
import { createHeartbeatRequest, createHeartbeatResponse, heartbeatApi } from '@millrace/protocol'
import { expect, it } from 'vitest'
import { RecordingLogger } from '../coordinator/testing/recording-logger.ts'
import { defineHandler } from '../handlers/define-handler.ts'
import type { ApiHandler } from '../handlers/handler.ts'
import { NetworkMetrics } from '../metrics/network-metrics.ts'
import { requestFrame } from '../testing/test-client.ts'
import { AnswersInMaking } from './answers-in-making.ts'
import type { Connection } from './connection.ts'
import { Dispatcher } from './request-dispatcher.ts'

const nextTurn = () => Promise.resolve()

function dispatcherOf(handler: ApiHandler): Dispatcher {
  return new Dispatcher({
    handlers: [handler],
    rawHandlers: [],
    maxRequestBytes: 1024,
    clock: new SimulatedClock(),
    logger: new RecordingLogger(),
    metrics: new NetworkMetrics(),
    nextTurn,
    making: new AnswersInMaking(1024 * 1024, nextTurn),
    onFatal: (error) => {
      throw error
    },
    onClosed: () => undefined,
  })
}

it('tells a handler that begins to wait after its client has gone, as it tells one that waited before', async () => {
  const ready = Promise.withResolvers<void>()
  const told: string[] = []
  const handler = defineHandler(heartbeatApi, async (_request, context) => {
    context.onAbandoned(() => told.push('before'))
    await ready.promise
    context.onAbandoned(() => told.push('after'))
    return createHeartbeatResponse({})
  })
  const frame = requestFrame(heartbeatApi, 4, createHeartbeatRequest({}))
  const connection = { context: { clientAddress: '10.0.0.1' } } as Connection
  const slot = dispatcherOf(handler as ApiHandler).dispatch(connection, frame, 4, frame.length, false)
  slot!.abandon()
  expect(told).toEqual(['before'])
  ready.resolve()
  await ready.promise
  await nextTurn()
  expect(told).toEqual(['before', 'after'])
})
