import {
  type AddPartitionsToTxnResult,
  type AddPartitionsToTxnTransaction,
  addPartitionsToTxnApi,
  createAddPartitionsToTxnRequest,
  createWritableTxnMarker,
  createWritableTxnMarkerTopic,
  createWriteTxnMarkersRequest,
  ErrorCode,
  type WritableTxnMarker,
  type WriteTxnMarkersResponse,
  writeTxnMarkersApi,
} from '@millrace/protocol'
import type { PeerCalls } from '../../replication/peer-calls.ts'
import type { MarkerWork, SendMarkers } from './marker-sender.ts'

/** Well above what a broker waits for a marker to be committed (`27-write-txn-markers.ts`): its answer tells the partitions apart. */
const MARKER_ANSWER_MS = 10_000

/** Takes markers to other brokers, over connections of their own. */
export function sendMarkersOver(peers: PeerCalls): SendMarkers {
  return (brokerId, works, isSlow) => {
    const purpose = isSlow ? 'slow markers' : 'markers'
    const request = createWriteTxnMarkersRequest({ markers: markersOf(works) })
    return peers.call(brokerId, purpose, writeTxnMarkersApi, request, MARKER_ANSWER_MS, (response) =>
      codesOf(works, response),
    )
  }
}

/** One entry per transaction. */
function markersOf(works: readonly MarkerWork[]): WritableTxnMarker[] {
  const markers = new Map<object, WritableTxnMarker>()
  for (const { transaction, topic, partition } of works) {
    const { producerId, producerEpoch, commit, coordinatorEpoch, transactionVersion } = transaction.decided
    let marker = markers.get(transaction)
    if (marker === undefined) {
      marker = createWritableTxnMarker({
        ...{ producerId, producerEpoch, coordinatorEpoch, transactionVersion },
        transactionResult: commit,
        topics: [],
      })
      markers.set(transaction, marker)
    }
    const topics = marker.topics.find(({ name }) => name === topic)
    if (topics === undefined) {
      marker.topics.push(createWritableTxnMarkerTopic({ name: topic, partitionIndexes: [partition] }))
    } else {
      topics.partitionIndexes.push(partition)
    }
  }
  return [...markers.values()]
}

/** A marker that is not answered is as one that could not be written. */
function codesOf(works: readonly MarkerWork[], { markers }: WriteTxnMarkersResponse): number[] {
  const codes = new Map<string, number>()
  for (const { producerId, topics } of markers) {
    for (const { name, partitions } of topics) {
      for (const { partitionIndex, errorCode } of partitions)
        codes.set(`${producerId}/${partitionIndex}/${name}`, errorCode)
    }
  }
  return works.map(({ transaction, topic, partition }) => {
    const { producerId } = transaction.decided
    return codes.get(`${producerId}/${partition}/${topic}`) ?? ErrorCode.UNKNOWN_SERVER_ERROR
  })
}

/**
 * Asks the coordinator on another broker whether partitions are in transactions, or adds them; all of ids of one partition of
 * `__transaction_state`. Rejects with `BrokerConnectionError`.
 */
export type AskCoordinator = (
  brokerId: number,
  statePartition: number,
  transactions: AddPartitionsToTxnTransaction[],
  timeoutMs: number,
) => Promise<{ errorCode: number; results: readonly AddPartitionsToTxnResult[] }>

export function askCoordinatorOver(peers: PeerCalls): AskCoordinator {
  return (brokerId, statePartition, transactions, timeoutMs) => {
    const request = createAddPartitionsToTxnRequest({ transactions })
    const purpose = `verification ${statePartition}`
    return peers.call(brokerId, purpose, addPartitionsToTxnApi, request, timeoutMs, (response) => ({
      errorCode: response.errorCode,
      results: response.resultsByTransaction,
    }))
  }
}
