import {
  createWritableTxnMarkerPartitionResult,
  createWritableTxnMarkerResult,
  createWritableTxnMarkerTopicResult,
  createWriteTxnMarkersResponse,
  type WritableTxnMarker,
  type WriteTxnMarkersRequest,
  type WriteTxnMarkersResponse,
  writeTxnMarkersApi,
} from '@millrace/protocol'
import type { Marker } from '../coordinator/transaction/marker.ts'
import type { MarkerWriter } from '../coordinator/transaction/marker-writer.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler, RequestContext } from './handler.ts'
import { mapAsyncInSlices, type NextTurn } from './slices.ts'

/**
 * A coordinator has more to tell than the marker of a partition whose replicas do not answer, and comes again. An administrator who ends
 * a transaction by hand waits as for any other request.
 */
const BROKER_WAIT_MS = 2_000
/** As brokers name themselves to each other. */
const BROKER_CLIENT_ID = /^broker-\d+$/

export interface WriteTxnMarkersDeps {
  readonly markers: Pick<MarkerWriter, 'write'>
  readonly requestTimeoutMs: number
  readonly nextTurn: NextTurn
}

/** WriteTxnMarkers 1–2: how transactions ended, for partitions that this node leads. Each partition is answered by itself. */
export function writeTxnMarkersHandler(
  deps: WriteTxnMarkersDeps,
): ApiHandler<WriteTxnMarkersRequest, WriteTxnMarkersResponse> {
  return defineHandler(writeTxnMarkersApi, async (request, context) => {
    const waitMs = isBroker(context) ? Math.min(BROKER_WAIT_MS, deps.requestTimeoutMs) : deps.requestTimeoutMs
    const places = request.markers.flatMap((marker) =>
      marker.topics.flatMap(({ name, partitionIndexes }) =>
        partitionIndexes.map((partitionIndex) => ({ marker: markerOf(marker), topic: name, partitionIndex })),
      ),
    )
    const codes = await mapAsyncInSlices(places, deps.nextTurn, ({ marker, topic, partitionIndex }) =>
      deps.markers.write(marker, topic, partitionIndex, waitMs),
    )
    let slot = 0
    const markers = request.markers.map(({ producerId, topics }) =>
      createWritableTxnMarkerResult({
        producerId,
        topics: topics.map(({ name, partitionIndexes }) =>
          createWritableTxnMarkerTopicResult({
            name,
            partitions: partitionIndexes.map((partitionIndex) =>
              createWritableTxnMarkerPartitionResult({ partitionIndex, errorCode: codes[slot++]! }),
            ),
          }),
        ),
      }),
    )
    return createWriteTxnMarkersResponse({ markers })
  })
}

function isBroker({ clientId, connection }: RequestContext): boolean {
  return connection.brokerId >= 0 || BROKER_CLIENT_ID.test(clientId)
}

function markerOf(marker: WritableTxnMarker): Marker {
  const { producerEpoch, transactionResult, coordinatorEpoch, transactionVersion } = marker
  const producerId = Number(marker.producerId)
  return { producerId, producerEpoch, commit: transactionResult, coordinatorEpoch, transactionVersion }
}
