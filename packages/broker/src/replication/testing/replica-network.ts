import type { Timers } from '@millrace/base'
import { apis, Reader, type RequestHeader, readRequestHeader, Writer } from '@millrace/protocol'
import type { ApiHandler, RequestContext } from '../../handlers/handler.ts'
import { requestContext } from '../../handlers/testing/exchange.ts'
import type { Connect, Transport, TransportEvents } from '../../network/transport.ts'

/** What a node serves to others. */
export type ReplicaServer = ReadonlyMap<number, ApiHandler>

/**
 * Connections between nodes in memory, as far as replication uses them: whole frames, each on its way for a while; links can be cut, so
 * that everything on them is lost without a word, and die with their nodes. The port is the node's id.
 */
export class ReplicaNetwork {
  readonly #timers: Timers
  readonly #delayMs: () => number
  readonly #servers = new Map<number, ReplicaServer>()
  readonly #cut = new Set<string>()
  readonly #links = new Set<ReplicaLink>()

  constructor(timers: Timers, delayMs: () => number) {
    this.#timers = timers
    this.#delayMs = delayMs
  }

  serve(nodeId: number, server: ReplicaServer): void {
    this.#servers.set(nodeId, server)
  }

  /** The node is gone: its connections break, on both sides. */
  stop(nodeId: number): void {
    this.#servers.delete(nodeId)
    for (const link of this.#links) if (link.from === nodeId || link.to === nodeId) link.close()
  }

  cut(a: number, b: number): void {
    this.#cut.add(`${a}-${b}`).add(`${b}-${a}`)
  }

  heal(): void {
    this.#cut.clear()
  }

  isCut(a: number, b: number): boolean {
    return this.#cut.has(`${a}-${b}`)
  }

  connectFrom(from: number): Connect {
    return ({ port: to, events }) =>
      new Promise((resolve, reject) => {
        this.after(() => {
          if (this.isCut(from, to)) return
          if (!this.#servers.has(to)) {
            reject(new Error('connection refused'))
            return
          }
          const link = new ReplicaLink(this, from, to, events)
          this.#links.add(link)
          resolve(link)
        })
      })
  }

  server(nodeId: number): ReplicaServer | undefined {
    return this.#servers.get(nodeId)
  }

  after(action: () => void): void {
    this.#timers.setTimer(this.#delayMs(), action)
  }

  forget(link: ReplicaLink): void {
    this.#links.delete(link)
  }
}

/** One connection, as its client sees it. */
class ReplicaLink implements Transport {
  readonly remoteAddress = '127.0.0.1'
  readonly remotePort = 0
  readonly bufferedBytes = 0
  readonly untakenBytes = 0
  readonly from: number
  readonly to: number
  readonly #network: ReplicaNetwork
  readonly #events: TransportEvents
  readonly #connection = requestContext(0, 0).connection
  #isOpen = true
  #abandon: (() => void) | null = null

  constructor(network: ReplicaNetwork, from: number, to: number, events: TransportEvents) {
    this.#network = network
    this.from = from
    this.to = to
    this.#events = events
  }

  write(chunks: readonly Buffer[]): void {
    const frame = Buffer.concat(chunks)
    this.#network.after(() => this.#serve(frame))
  }

  pauseReading(): void {
    throw new Error('never asked for')
  }

  resumeReading(): void {
    throw new Error('never asked for')
  }

  end(): void {
    this.destroy()
  }

  destroy(): void {
    this.close()
  }

  close(): void {
    if (!this.#isOpen) return
    this.#isOpen = false
    this.#network.forget(this)
    queueMicrotask(() => {
      this.#abandon?.()
      this.#events.onClose(null)
    })
  }

  #serve(frame: Buffer): void {
    const server = this.#network.server(this.to)
    if (!this.#isOpen || server === undefined || this.#network.isCut(this.from, this.to)) return
    const reader = new Reader(frame, 4)
    const header = readRequestHeader(reader)
    const handler = server.get(header.requestApiKey)
    if (handler === undefined) throw new Error(`API ${header.requestApiKey} is not served`)
    const context: RequestContext = {
      ...requestContext(header.requestApiKey, header.requestApiVersion),
      connection: this.#connection,
      onAbandoned: (callback) => {
        this.#abandon = callback
      },
    }
    const request = handler.decodeRequest(reader, header.requestApiVersion)
    Promise.resolve(handler.handle(request, context)).then((response) => this.#answer(handler, header, response))
  }

  #answer(handler: ApiHandler, header: RequestHeader, response: unknown): void {
    this.#abandon = null
    const writer = new Writer()
    writer.beginFrame()
    writer.int32(header.correlationId)
    if (apis[handler.apiKey]!.responseHeaderVersion(header.requestApiVersion) > 0) writer.unsignedVarint(0)
    handler.encodeResponse(writer, response, header.requestApiVersion)
    writer.endFrame()
    const frame = Buffer.from(writer.toBuffer())
    this.#network.after(() => {
      if (this.#isOpen && !this.#network.isCut(this.from, this.to)) this.#deliver(frame)
    })
  }

  /** As a socket that reads into what it is given. */
  #deliver(frame: Buffer): void {
    for (let start = 0; start < frame.length && this.#isOpen; ) {
      const target = this.#events.nextReadBuffer()
      const sizeBytes = target === null ? Math.min(7, frame.length - start) : frame.copy(target, 0, start)
      if (target === null) this.#events.onBytes(frame, start, start + sizeBytes)
      else this.#events.onBytes(target, 0, sizeBytes)
      start += sizeBytes
    }
  }
}
