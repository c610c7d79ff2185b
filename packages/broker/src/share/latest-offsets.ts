import type { Offset, Timers } from '@millrace/base'
import type { MetadataImage } from '@millrace/consensus'
import {
  createListOffsetsPartition,
  createListOffsetsRequest,
  createListOffsetsTopic,
  ErrorCode,
  listOffsetsApi,
} from '@millrace/protocol'
import type { LatestOffsets } from '../coordinator/group/share/share-groups.ts'
import type { PartitionManager } from '../partition/partition-manager.ts'
import { BrokerConnectionError } from '../replication/broker-connection.ts'
import { BrokerLane, type OpenConnection } from './state/broker-lane.ts'

const REQUEST_TIMEOUT_MS = 10_000
const LATEST = -1

interface End {
  readonly errorCode: number
  readonly offset: Offset
}

export interface LatestOffsetsDeps {
  readonly nodeId: number
  readonly timers: Timers
  readonly partitions: PartitionManager
  metadata(): MetadataImage
  /** Null where there are no other brokers. */
  readonly open: OpenConnection | null
}

/** Ends of partitions as consumers see them: from the partitions that this node leads, and from other leaders. */
export class ClusterLatestOffsets implements LatestOffsets {
  readonly #deps: LatestOffsetsDeps
  /** By broker. */
  readonly #lines = new Map<number, { readonly lane: BrokerLane; last: Promise<unknown> }>()

  constructor(deps: LatestOffsetsDeps) {
    this.#deps = deps
  }

  async latest(topic: string, partitions: readonly number[]): Promise<readonly End[]> {
    const image = this.#deps.metadata().topics.get(topic)
    const ends = new Map<number, End>()
    const elsewhere = new Map<number, number[]>()
    for (const number of partitions) {
      const leader = image?.partitions[number]?.leader ?? -1
      if (image?.partitions[number] === undefined) ends.set(number, failed(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION))
      else if (leader === this.#deps.nodeId) ends.set(number, this.#here(topic, number))
      else if (leader < 0) ends.set(number, failed(ErrorCode.LEADER_NOT_AVAILABLE))
      else elsewhere.set(leader, [...(elsewhere.get(leader) ?? []), number])
    }
    await Promise.all(
      Array.from(elsewhere, async ([leader, numbers]) => {
        for (const [number, end] of await this.#ask(leader, topic, numbers)) ends.set(number, end)
      }),
    )
    return partitions.map((number) => ends.get(number) ?? failed(ErrorCode.UNKNOWN_SERVER_ERROR))
  }

  close(): void {
    for (const { lane } of this.#lines.values()) lane.close()
    this.#lines.clear()
  }

  #here(topic: string, number: number): End {
    const partition = this.#deps.partitions.find(topic, number)
    const errorCode = partition === null ? ErrorCode.NOT_LEADER_OR_FOLLOWER : partition.checkLeader(-1)
    if (partition === null || errorCode !== ErrorCode.NONE) return failed(errorCode)
    return { errorCode: ErrorCode.NONE, offset: partition.log.highWatermark }
  }

  async #ask(leader: number, topic: string, numbers: readonly number[]): Promise<Map<number, End>> {
    const { open, timers } = this.#deps
    if (open === null) return new Map(numbers.map((number) => [number, failed(ErrorCode.LEADER_NOT_AVAILABLE)]))
    let line = this.#lines.get(leader)
    if (line === undefined) {
      line = { lane: new BrokerLane(open, timers), last: Promise.resolve() }
      this.#lines.set(leader, line)
    }
    const { lane } = line
    const partitions = numbers.map((partitionIndex) =>
      createListOffsetsPartition({ partitionIndex, timestamp: LATEST }),
    )
    const request = createListOffsetsRequest({
      replicaId: -1,
      topics: [createListOffsetsTopic({ name: topic, partitions })],
    })
    const asked = line.last.then(async () => {
      try {
        const { topics } = await lane.call(leader, listOffsetsApi, request, REQUEST_TIMEOUT_MS)
        const answers = topics.flatMap((answer) => answer.partitions)
        return new Map(
          answers.map(({ partitionIndex, errorCode, offset }) => [
            partitionIndex,
            { errorCode, offset: Number(offset) },
          ]),
        )
      } catch (error) {
        if (!(error instanceof BrokerConnectionError)) throw error
        return new Map(numbers.map((number) => [number, failed(ErrorCode.NETWORK_EXCEPTION)]))
      }
    })
    line.last = asked.catch(() => undefined)
    return asked
  }
}

function failed(errorCode: number): End {
  return { errorCode, offset: -1 }
}
