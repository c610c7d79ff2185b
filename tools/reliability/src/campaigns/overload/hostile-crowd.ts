import type { Socket } from 'node:net'
import type { SeededRandom } from '@millrace/base'
import { requestFrame } from '@millrace/broker/testing'
import {
  createFetchRequest,
  createFetchRequestFetchPartition,
  createFetchRequestFetchTopic,
  createMetadataRequest,
  fetchApi,
  metadataApi,
} from '@millrace/protocol'
import { open } from './idle-crowd.ts'

const FETCH_VERSION = 12
/** Requests for the metadata of all topics that one slow reader sends at once. */
const PIPELINED_REQUESTS = 64
const ANNOUNCED_BYTES = 100 * 1024 * 1024
/** Sent of such a frame at once; then a little at a time. */
const FIRST_PART_BYTES = 2 * 1024 * 1024
const DRIP_BYTES = 64
const COME_AGAIN_MS = 1000
const MAX_GARBAGE_BYTES = 4096
/** How long a connection that sent garbage waits for the broker to close it. */
const GARBAGE_STAYS_MS = 500

/** Clients that take more than they give back, or send what is no request. */
export class HostileCrowd {
  readonly #port: number
  readonly #random: SeededRandom
  garbageSent = 0
  visits = 0
  slowBegun = 0
  halfSentBegun = 0

  constructor(port: number, random: SeededRandom) {
    this.#port = port
    this.#random = random
  }

  /** Half of them want records, the others the metadata of all topics, over and over. */
  async startSlowReaders(count: number, topic: string): Promise<void> {
    const wanted = createFetchRequestFetchPartition({ partition: 0, fetchOffset: 0, partitionMaxBytes: 50 << 20 })
    const topics = [createFetchRequestFetchTopic({ topic, partitions: [wanted] })]
    const request = createFetchRequest({ maxWaitMs: 0, minBytes: 1, maxBytes: 2 ** 31 - 1, sessionEpoch: -1, topics })
    const fetches = requestFrame(fetchApi, FETCH_VERSION, request)
    const metadata = requestFrame(metadataApi, 12, createMetadataRequest({ topics: null }))
    const metadatas = Buffer.concat(Array.from({ length: PIPELINED_REQUESTS }, () => metadata))
    for (let n = 0; n < count; n++) await this.#openSlowReader(n % 2 === 0 ? fetches : metadatas)
  }

  async #openSlowReader(requests: Buffer): Promise<void> {
    const comeAgain = () => this.#later(() => this.#openSlowReader(requests))
    const socket = await open(this.#port)
    if (socket === null) {
      comeAgain()
      return
    }
    this.slowBegun++
    socket.pause()
    socket.write(requests)
    const timer = setInterval(() => socket.read(1), 1000)
    socket.once('close', () => {
      clearInterval(timer)
      comeAgain()
    })
  }

  async startHalfSent(count: number): Promise<void> {
    const first = Buffer.alloc(FIRST_PART_BYTES)
    first.writeInt32BE(ANNOUNCED_BYTES, 0)
    // A Produce request, as far as it goes.
    first.writeInt16BE(9, 6)
    for (let n = 0; n < count; n++) await this.#openHalfSent(first)
  }

  async #openHalfSent(first: Buffer): Promise<void> {
    const comeAgain = () => this.#later(() => this.#openHalfSent(first))
    const socket = await open(this.#port)
    if (socket === null) {
      comeAgain()
      return
    }
    this.halfSentBegun++
    socket.resume()
    socket.write(first)
    const timer = setInterval(() => {
      if (socket.writableLength < FIRST_PART_BYTES) socket.write(Buffer.alloc(DRIP_BYTES))
    }, 1000)
    socket.once('close', () => {
      clearInterval(timer)
      comeAgain()
    })
  }

  #later(open: () => Promise<void>): void {
    setTimeout(() => open().catch(reportLost), COME_AGAIN_MS)
  }

  startGarbage(perSecond: number): void {
    if (perSecond === 0) return
    setInterval(() => {
      open(this.#port).then((socket) => {
        if (socket !== null) this.#sendGarbage(socket)
      }, reportLost)
    }, 1000 / perSecond)
  }

  #sendGarbage(socket: Socket): void {
    this.garbageSent++
    socket.resume()
    socket.write(this.#garbage())
    const timer = setTimeout(() => socket.destroy(), GARBAGE_STAYS_MS)
    socket.once('close', () => clearTimeout(timer))
  }

  #garbage(): Buffer {
    const random = this.#random
    const bytes = random.bytes(16 + (random.uint32() % MAX_GARBAGE_BYTES))
    switch (random.uint32() % 5) {
      case 0:
        return bytes
      case 1:
        return Buffer.concat([Buffer.from('GET /metrics HTTP/1.1\r\nHost: '), bytes])
      case 2:
        bytes[0] = 0x16
        return bytes
      default:
        // A frame with a header that may be one, and a body that is none.
        bytes.writeInt32BE(bytes.length - 4, 0)
        bytes.writeInt16BE(random.uint32() % 90, 4)
        bytes.writeInt16BE(random.uint32() % 20, 6)
        bytes.writeInt16BE(-1, 12)
        return bytes
    }
  }

  startVisits(perSecond: number): void {
    if (perSecond === 0) return
    setInterval(() => {
      open(this.#port).then((socket) => {
        this.visits++
        socket?.destroy()
      }, reportLost)
    }, 1000 / perSecond)
  }
}

/** `open` gives null where a connection could not be opened: what comes here is a fault of the crowd's. */
function reportLost(error: unknown): void {
  console.error('a hostile client was lost', error)
}
