import { setTimeout as delay } from 'node:timers/promises'
import {
  batchSizeOf,
  createFetchRequest,
  createFetchRequestFetchPartition,
  createFetchRequestFetchTopic,
  ErrorCode,
  errorInfo,
  type FetchResponsePartitionData,
  fetchApi,
  lastOffsetOf,
  recordsBuffer,
} from '@millrace/protocol'
import { ProtocolWire } from '../protocol-wire.ts'

const VERSION = 12
const READ_COMMITTED = 1
const MAX_WAIT_MS = 500
const LIMIT_MS = 10_000

/** Reads a partition as a consumer with `isolation.level=read_committed` that waits for what comes, and notes how long records took to it. */
export class CommittedReader {
  readonly #wire: ProtocolWire
  readonly #topic: string
  readonly #partition: number
  /** Stored and not read yet, in the order of the log. */
  readonly #awaited: { readonly lastOffset: number; readonly sinceMs: number }[] = []
  #offset = 0
  #latenciesMs: number[] = []

  constructor(port: number, topic: string, partition: number) {
    this.#wire = new ProtocolWire(port)
    this.#topic = topic
    this.#partition = partition
  }

  /** Resolves once the broker serves the partition: it may tell of a leader that has not heard of it yet. */
  async whenServed(): Promise<void> {
    for (const startMs = performance.now(); ; await delay(50)) {
      const { errorCode } = await this.#fetch(0)
      if (errorCode === ErrorCode.NONE) return
      const isOver = performance.now() - startMs > LIMIT_MS
      if (isOver || !errorInfo(errorCode).retriable) throw new Error(`Fetch: ${errorInfo(errorCode).name}`)
    }
  }

  /** Records up to this offset are in the log, and were sent then. */
  expect(lastOffset: number, sinceMs: number): void {
    this.#awaited.push({ lastOffset, sinceMs })
  }

  /** Reads until nothing more will come and all that was expected has. Gives how long each took. */
  async readUntil(isOver: () => boolean): Promise<number[]> {
    const latenciesMs: number[] = []
    this.#latenciesMs = latenciesMs
    let progressMs = performance.now()
    while (!isOver() || this.#awaited.length > 0) {
      const before = this.#offset
      await this.#readOnce()
      if (this.#offset > before) progressMs = performance.now()
      else if (performance.now() - progressMs > LIMIT_MS) throw new Error(`nothing to read at offset ${before}`)
    }
    return latenciesMs
  }

  close(): void {
    this.#wire.close()
  }

  async #readOnce(): Promise<void> {
    const { errorCode, records } = await this.#fetch(MAX_WAIT_MS)
    if (errorCode !== ErrorCode.NONE) throw new Error(`Fetch: ${errorInfo(errorCode).name}`)
    const nowMs = performance.now()
    const bytes = recordsBuffer(records)
    if (bytes === null) return
    for (let at = 0; at + 12 <= bytes.length && at + batchSizeOf(bytes, at) <= bytes.length; ) {
      this.#offset = lastOffsetOf(bytes, at) + 1
      at += batchSizeOf(bytes, at)
    }
    while (this.#awaited.length > 0 && this.#awaited[0]!.lastOffset < this.#offset) {
      this.#latenciesMs.push(nowMs - this.#awaited.shift()!.sinceMs)
    }
  }

  async #fetch(maxWaitMs: number): Promise<FetchResponsePartitionData> {
    const partition = createFetchRequestFetchPartition({
      ...{ partition: this.#partition, fetchOffset: this.#offset, partitionMaxBytes: 1 << 20 },
    })
    const request = createFetchRequest({
      ...{ maxWaitMs, minBytes: 1, maxBytes: 1 << 20, isolationLevel: READ_COMMITTED, replicaId: -1 },
      sessionEpoch: -1,
      topics: [createFetchRequestFetchTopic({ topic: this.#topic, partitions: [partition] })],
    })
    const { responses } = await this.#wire.call(fetchApi, VERSION, request)
    return responses[0]!.partitions[0]!
  }
}
