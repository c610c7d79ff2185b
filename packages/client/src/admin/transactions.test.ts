import {
  ApiKey,
  createDescribeProducersResponse,
  createDescribeTransactionsResponse,
  createDescribeTransactionsResponseTopicData,
  createDescribeTransactionsResponseTransactionState,
  createListTransactionsResponse,
  createListTransactionsResponseTransactionState,
  createPartitionResponse,
  createProducerState,
  createTopicResponse,
  createWritableTxnMarkerPartitionResult,
  createWritableTxnMarkerResult,
  createWritableTxnMarkerTopicResult,
  createWriteTxnMarkersResponse,
  type DescribeTransactionsRequest,
  ErrorCode,
  type ListTransactionsRequest,
  type WriteTxnMarkersRequest,
} from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { UnsupportedVersionError } from '../errors/client-errors.ts'
import { FakeCluster } from '../testing/fake-cluster.ts'
import { withAdmin } from '../testing/with-admin.ts'

describe('transactional ids', () => {
  test('are listed from all brokers, in order, with every condition passed on', async () => {
    const cluster = new FakeCluster({ brokers: 2 })
    cluster.intercept(ApiKey.LIST_TRANSACTIONS, ({ nodeId }) =>
      createListTransactionsResponse({
        transactionStates: [
          createListTransactionsResponseTransactionState({
            ...{ transactionalId: nodeId === 1 ? 'b' : 'a', producerId: 7, transactionState: 'Ongoing' },
          }),
        ],
      }),
    )
    const found = await withAdmin(cluster, (admin) =>
      admin.listTransactions({ states: ['Ongoing'], producerIds: [7n], longerThanMs: 500, pattern: '.' }),
    )
    expect(found).toEqual([
      { transactionalId: 'a', producerId: 7n, state: 'Ongoing', coordinator: 2 },
      { transactionalId: 'b', producerId: 7n, state: 'Ongoing', coordinator: 1 },
    ])
    const [request] = cluster.requests<ListTransactionsRequest>(ApiKey.LIST_TRANSACTIONS)
    expect(request!.body).toMatchObject({ stateFilters: ['Ongoing'], transactionalIdPattern: '.' })
    expect([request!.body.producerIdFilters.map(Number), Number(request!.body.durationFilter)]).toEqual([[7], 500])
  })

  test('are not listed without a condition that a broker does not know', async () => {
    const cluster = new FakeCluster()
    cluster.brokers.get(1)!.versionLimits.set(ApiKey.LIST_TRANSACTIONS, { min: 0, max: 1 })
    cluster.intercept(ApiKey.LIST_TRANSACTIONS, () => createListTransactionsResponse({}))
    expect(await withAdmin(cluster, (admin) => admin.listTransactions({ longerThanMs: 1 }))).toEqual([])
    const refused = withAdmin(cluster, (admin) => admin.listTransactions({ pattern: 'x' }))
    await expect(refused).rejects.toThrow(UnsupportedVersionError)
  })

  test('are asked for again while their coordinator loads', async () => {
    const cluster = new FakeCluster()
    let tries = 0
    cluster.intercept(ApiKey.LIST_TRANSACTIONS, () => {
      const errorCode = tries++ < 2 ? ErrorCode.COORDINATOR_LOAD_IN_PROGRESS : ErrorCode.NONE
      return createListTransactionsResponse({ errorCode })
    })
    expect(await withAdmin(cluster, (admin) => admin.listTransactions())).toEqual([])
    expect(tries).toBe(3)
  })

  test('are described by whoever coordinates them, each with its own error', async () => {
    const cluster = new FakeCluster({ brokers: 2 })
    cluster.intercept(ApiKey.DESCRIBE_TRANSACTIONS, ({ nodeId, body }) => {
      const transactionStates = (body as DescribeTransactionsRequest).transactionalIds.map((transactionalId) => {
        const state = createDescribeTransactionsResponseTransactionState({ transactionalId })
        const home = transactionalId === 'gone' ? 1 : 2
        if (nodeId !== home) return { ...state, errorCode: ErrorCode.NOT_COORDINATOR }
        if (transactionalId === 'gone') return { ...state, errorCode: ErrorCode.TRANSACTIONAL_ID_NOT_FOUND }
        const topics = [createDescribeTransactionsResponseTopicData({ topic: 't', partitions: [3, 1] })]
        const producer = { producerId: 7, producerEpoch: 2, transactionTimeoutMs: 60_000 }
        const startMs = transactionalId === 'idle' ? -1 : 1_000
        return {
          ...state,
          ...{ ...producer, transactionState: 'Ongoing', transactionStartTimeMs: startMs, topics },
        }
      })
      return createDescribeTransactionsResponse({ transactionStates })
    })
    const [open, gone, idle] = await withAdmin(cluster, (admin) => admin.describeTransactions(['x', 'gone', 'idle']))
    expect(open).toEqual({
      ...{ transactionalId: 'x', state: 'Ongoing', producerId: 7n, producerEpoch: 2, timeoutMs: 60_000 },
      ...{ startMs: 1_000, coordinator: 2, error: null },
      partitions: [
        { topic: 't', partition: 1 },
        { topic: 't', partition: 3 },
      ],
    })
    expect(gone!.error).toMatchObject({ code: 'TRANSACTIONAL_ID_NOT_FOUND' })
    expect(idle).toMatchObject({ startMs: null, error: null })
  })
})

describe('producers of partitions', () => {
  test('are told by the leaders, and again where leaders move', async () => {
    const cluster = new FakeCluster({ brokers: 2 })
    cluster.createTopic('t', 2)
    let refusals = 0
    cluster.intercept(ApiKey.DESCRIBE_PRODUCERS, ({ nodeId }) => {
      const errorCode = nodeId === 2 && refusals++ === 0 ? ErrorCode.NOT_LEADER_OR_FOLLOWER : ErrorCode.NONE
      const activeProducers = [
        createProducerState({
          producerId: 7,
          producerEpoch: 1,
          lastSequence: 4,
          lastTimestamp: 9,
          coordinatorEpoch: -1,
        }),
        createProducerState({ producerId: 8, producerEpoch: 0, coordinatorEpoch: 3, currentTxnStartOffset: 0 }),
      ]
      const partitions = [createPartitionResponse({ partitionIndex: nodeId - 1, errorCode, activeProducers })]
      return createDescribeProducersResponse({ topics: [createTopicResponse({ name: 't', partitions })] })
    })
    const partitions = [0, 1].map((partition) => ({ topic: 't', partition }))
    const found = await withAdmin(cluster, (admin) => admin.describeProducers(partitions))
    expect(found).toMatchObject([
      { partition: 0, error: null },
      { partition: 1, error: null },
    ])
    expect(found[0]!.producers).toMatchObject([
      { producerId: 7n, producerEpoch: 1, lastSequence: 4, coordinatorEpoch: null, transactionStartOffset: null },
      { producerId: 8n, producerEpoch: 0, coordinatorEpoch: 3, transactionStartOffset: 0n },
    ])
    expect(refusals).toBe(2)
  })
})

describe('a transaction that hangs', () => {
  const hanging = { topic: 't', partition: 0, producerId: 8n, producerEpoch: 2, coordinatorEpoch: 3 }

  async function abort(errorCode: number, coordinatorEpoch: number | null = 3) {
    const cluster = new FakeCluster()
    cluster.createTopic('t')
    cluster.intercept(ApiKey.WRITE_TXN_MARKERS, () => {
      const partitions = [createWritableTxnMarkerPartitionResult({ partitionIndex: 0, errorCode })]
      const topics = [createWritableTxnMarkerTopicResult({ name: 't', partitions })]
      return createWriteTxnMarkersResponse({ markers: [createWritableTxnMarkerResult({ producerId: 8, topics })] })
    })
    const outcome = await withAdmin(cluster, (admin) =>
      admin.abortTransaction({ ...hanging, coordinatorEpoch }).catch((error: unknown) => error),
    )
    return { outcome, requests: cluster.requests<WriteTxnMarkersRequest>(ApiKey.WRITE_TXN_MARKERS) }
  }

  test('is aborted by a marker with the epochs that the partition has', async () => {
    const { outcome, requests } = await abort(ErrorCode.NONE)
    expect(outcome).toBeUndefined()
    expect(requests[0]!.body.markers).toMatchObject([
      {
        producerEpoch: 2,
        transactionResult: false,
        coordinatorEpoch: 3,
        topics: [{ name: 't', partitionIndexes: [0] }],
      },
    ])
    expect((await abort(ErrorCode.NONE, null)).requests[0]!.body.markers[0]!.coordinatorEpoch).toBe(0)
  })

  test('is not where the partition refuses', async () => {
    const { outcome, requests } = await abort(ErrorCode.TRANSACTION_COORDINATOR_FENCED)
    expect(outcome).toMatchObject({ code: 'TRANSACTION_COORDINATOR_FENCED' })
    expect(requests).toHaveLength(1)
  })
})
