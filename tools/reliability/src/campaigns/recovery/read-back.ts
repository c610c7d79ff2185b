import {
  BATCH_HEADER_BYTES,
  baseOffsetOf,
  batchCrcOk,
  batchSizeOf,
  createFetchRequest,
  createFetchRequestFetchPartition,
  createFetchRequestFetchTopic,
  createListOffsetsPartition,
  createListOffsetsRequest,
  createListOffsetsTopic,
  fetchApi,
  lastOffsetOf,
  listOffsetsApi,
  storedCrcOf,
} from '@millrace/protocol'
import { WireClient } from '../../load/wire-client.ts'
import { type BatchKind, faultsOf, type PartitionHistory, type ReadBatch } from './acknowledged.ts'

const FETCH_VERSION = 12
const LIST_OFFSETS_VERSION = 7
const LATEST = -1
const FETCH_BYTES = 8 << 20
const CONNECTION_COUNT = 2

/** Reads all partitions of a topic and holds them against what was acknowledged. Returns what is wrong, and how many batches were held. */
export async function checkAll(
  port: number,
  topic: string,
  histories: readonly PartitionHistory[],
  kinds: readonly BatchKind[],
): Promise<{ faults: string[]; batchCount: number }> {
  const left = [...histories]
  const faults: string[] = []
  let batchCount = 0
  const workers = Array.from({ length: CONNECTION_COUNT }, async () => {
    const client = await WireClient.open(port)
    try {
      for (let history = left.pop(); history !== undefined; history = left.pop()) {
        const endOffset = await endOffsetOf(client, topic, history.partition)
        const batches = await readPartition(client, topic, history.partition, endOffset)
        batchCount += batches.length
        faults.push(...faultsOf(history, kinds, batches))
        const readEnd = (batches.at(-1)?.lastOffset ?? -1) + 1
        if (readEnd !== endOffset)
          faults.push(`partition ${history.partition} ends at ${endOffset}, read up to ${readEnd}`)
        if (endOffset < history.acknowledgedEnd) {
          faults.push(
            `partition ${history.partition} ends at ${endOffset}, acknowledged up to ${history.acknowledgedEnd}`,
          )
        }
      }
    } finally {
      client.close()
    }
  })
  await Promise.all(workers)
  return { faults, batchCount }
}

/** The end of every partition of a topic must be what was acknowledged: of partitions to which nothing else was sent. */
export async function checkEnds(
  port: number,
  topic: string,
  histories: readonly PartitionHistory[],
): Promise<string[]> {
  const client = await WireClient.open(port)
  try {
    const partitions = histories.map(({ partition }) =>
      createListOffsetsPartition({ partitionIndex: partition, timestamp: LATEST }),
    )
    const topics = [createListOffsetsTopic({ name: topic, partitions })]
    const request = createListOffsetsRequest({ replicaId: -1, topics })
    const answer = await client.call(listOffsetsApi, LIST_OFFSETS_VERSION, request)
    return wrongEnds(topic, histories, answer.topics[0]?.partitions ?? [])
  } finally {
    client.close()
  }
}

/** Each partition must be told of, and end where what was acknowledged does. */
export function wrongEnds(
  topic: string,
  histories: readonly PartitionHistory[],
  told: readonly { partitionIndex: number; errorCode: number; offset: number | bigint }[],
): string[] {
  const byPartition = new Map(told.map((partition) => [partition.partitionIndex, partition]))
  const faults: string[] = []
  for (const { partition, acknowledgedEnd } of histories) {
    const found = byPartition.get(partition)
    if (found === undefined) faults.push(`${topic}-${partition} is not told of, acknowledged up to ${acknowledgedEnd}`)
    else if (found.errorCode !== 0 || Number(found.offset) !== acknowledgedEnd) {
      const { errorCode, offset } = found
      faults.push(`${topic}-${partition} ends at ${offset} (error ${errorCode}), acknowledged up to ${acknowledgedEnd}`)
    }
  }
  return faults
}

async function endOffsetOf(client: WireClient, topic: string, partition: number): Promise<number> {
  const topics = [
    createListOffsetsTopic({
      name: topic,
      partitions: [createListOffsetsPartition({ partitionIndex: partition, timestamp: LATEST })],
    }),
  ]
  const answer = await client.call(
    listOffsetsApi,
    LIST_OFFSETS_VERSION,
    createListOffsetsRequest({ replicaId: -1, topics }),
  )
  const { errorCode, offset } = answer.topics[0]!.partitions[0]!
  if (errorCode !== 0) throw new Error(`${topic}-${partition}: list offsets was answered with error ${errorCode}`)
  return Number(offset)
}

async function readPartition(
  client: WireClient,
  topic: string,
  partition: number,
  endOffset: number,
): Promise<ReadBatch[]> {
  const batches: ReadBatch[] = []
  for (let fetchOffset = 0; fetchOffset < endOffset; ) {
    const wanted = createFetchRequestFetchPartition({ partition, fetchOffset, partitionMaxBytes: FETCH_BYTES })
    const topics = [createFetchRequestFetchTopic({ topic, partitions: [wanted] })]
    const request = createFetchRequest({
      maxWaitMs: 1000,
      minBytes: 1,
      maxBytes: FETCH_BYTES,
      sessionEpoch: -1,
      topics,
    })
    const answer = await client.call(fetchApi, FETCH_VERSION, request)
    const { errorCode, records } = answer.responses[0]!.partitions[0]!
    if (errorCode !== 0)
      throw new Error(`${topic}-${partition} at ${fetchOffset}: fetch was answered with error ${errorCode}`)
    const bytes = Buffer.isBuffer(records) ? records : Buffer.concat(records ?? [])
    const readBefore = batches.length
    for (let at = 0; at + BATCH_HEADER_BYTES <= bytes.length && at + batchSizeOf(bytes, at) <= bytes.length; ) {
      batches.push(batchAt(bytes, at))
      at += batchSizeOf(bytes, at)
    }
    if (batches.length === readBefore)
      throw new Error(`${topic}-${partition} at ${fetchOffset}: nothing to read below ${endOffset}`)
    fetchOffset = batches.at(-1)!.lastOffset + 1
  }
  return batches
}

function batchAt(bytes: Buffer, position: number): ReadBatch {
  return {
    baseOffset: baseOffsetOf(bytes, position),
    lastOffset: lastOffsetOf(bytes, position),
    crc: storedCrcOf(bytes, position),
    sizeBytes: batchSizeOf(bytes, position),
    sound: batchCrcOk(bytes, position),
  }
}
