import type { Timer } from '@millrace/base'
import { ClientClosedError, ConnectionError, TimeoutError } from '../errors/client-errors.ts'
import type { ClientPorts } from '../ports/client-ports.ts'
import type { Api, RequestMessage } from './api.ts'
import type { ApiVersionsTable } from './api-versions-table.ts'
import { BrokerLink, type Handshake, type LinkOptions } from './broker-link.ts'
import type { Answer, RequestOptions } from './connection.ts'
import { negotiateVersions } from './handshake.ts'
import type { BrokerAddress } from './transport.ts'

/** How long one bootstrap server may be slow before the next is tried beside it. */
const BOOTSTRAP_STAGGER_MS = 250

/**
 * What a connection is for. A broker answers in order, so a fetch that waits for data or a JoinGroup that waits for members would
 * hold up everything behind it: these have connections of their own.
 */
export type Lane = 'main' | 'fetch' | 'coordinator' | 'join'

const LANES: readonly Lane[] = ['main', 'fetch', 'coordinator', 'join']

export interface ConnectionsOptions extends LinkOptions {
  bootstrapServers: readonly BrokerAddress[]
  requestTimeoutMs: number
  connectionsMaxIdleMs: number
}

/** All connections of one client: to the brokers that metadata names, and to the bootstrap servers while it names none. */
export class Connections {
  readonly #ports: ClientPorts
  readonly #options: ConnectionsOptions
  readonly #onLost: (error: ConnectionError) => void
  readonly #handshake: Handshake
  readonly #addresses = new Map<number, BrokerAddress>()
  readonly #links = new Map<string, BrokerLink>()
  #bootstrapLinks: BrokerLink[]
  #idleTimer: Timer | null = null
  #features: ReadonlyMap<string, number> = new Map()
  #featuresEpoch = -1
  #closed = false

  /** `onLost` hears of every connection that failed or broke. */
  constructor(ports: ClientPorts, options: ConnectionsOptions, onLost: (error: ConnectionError) => void) {
    this.#ports = ports
    this.#options = options
    this.#onLost = onLost
    this.#handshake = async (connection) => {
      const table = await negotiateVersions(connection, options.requestTimeoutMs)
      this.#learnFeatures(table)
      return table
    }
    this.#bootstrapLinks = options.bootstrapServers.map((address) => this.#newLink(address))
    this.#watchIdle()
  }

  /** Takes the brokers that metadata names now. A bootstrap connection to one of them becomes that broker's. */
  updateBrokers(brokers: ReadonlyMap<number, BrokerAddress>): void {
    for (const [nodeId, address] of brokers) {
      this.#addresses.set(nodeId, address)
      for (const lane of LANES) this.#links.get(linkKey(nodeId, lane))?.moveTo(address)
      this.#adoptBootstrap(nodeId, address)
    }
    for (const nodeId of this.#addresses.keys()) {
      if (!brokers.has(nodeId)) this.#forget(nodeId)
    }
  }

  /** Takes one broker that an answer named before metadata did. */
  addBroker(nodeId: number, address: BrokerAddress): void {
    if (!this.#addresses.has(nodeId)) this.#addresses.set(nodeId, address)
  }

  /** Ids of the brokers that metadata named last. */
  nodeIds(): number[] {
    return [...this.#addresses.keys()]
  }

  /** The level of a feature that the cluster has agreed on, as of the newest answer of any broker; 0 if none names it. */
  featureLevel(name: string): number {
    return this.#features.get(name) ?? 0
  }

  /** The way to a broker, or null if metadata does not name it. */
  link(nodeId: number, lane: Lane = 'main'): BrokerLink | null {
    const key = linkKey(nodeId, lane)
    const link = this.#links.get(key)
    if (link !== undefined) return link
    const address = this.#addresses.get(nodeId)
    if (address === undefined || this.#closed) return null
    const created = this.#newLink(address)
    this.#links.set(key, created)
    return created
  }

  /** Sends a request to whichever broker answers soonest. Rejects as {@link BrokerLink.request}. */
  async requestAny<Request extends object, Response>(
    api: Api<Request, Response>,
    message: RequestMessage<Request>,
    options: RequestOptions,
  ): Promise<Answer<Response>> {
    const startMs = this.#ports.clock.monotonicMs()
    const link = await this.#anyConnected(options.timeoutMs)
    const leftMs = options.timeoutMs - (this.#ports.clock.monotonicMs() - startMs)
    return link.request(api, message, { ...options, timeoutMs: Math.max(1, leftMs) })
  }

  /** Closes every connection. What is pending is rejected. May be called any number of times. */
  close(): void {
    this.#closed = true
    this.#idleTimer?.cancel()
    for (const link of this.#links.values()) link.close()
    for (const link of this.#bootstrapLinks) link.close()
  }

  #learnFeatures({ finalizedFeatures, finalizedFeaturesEpoch }: ApiVersionsTable): void {
    if (finalizedFeaturesEpoch < this.#featuresEpoch) return
    this.#featuresEpoch = finalizedFeaturesEpoch
    this.#features = new Map(finalizedFeatures.map(({ name, level }) => [name, level]))
  }

  #newLink(address: BrokerAddress): BrokerLink {
    return new BrokerLink(address, this.#ports, this.#options, this.#handshake, (error) => this.#onLost(error))
  }

  #adoptBootstrap(nodeId: number, address: BrokerAddress): void {
    const key = linkKey(nodeId, 'main')
    if (this.#links.has(key)) return
    const slot = this.#bootstrapLinks.findIndex(
      (link) =>
        link.address.host === address.host && link.address.port === address.port && link.readyConnection !== null,
    )
    if (slot === -1) return
    this.#links.set(key, this.#bootstrapLinks[slot]!)
    this.#bootstrapLinks[slot] = this.#newLink(address)
  }

  /** Whoever uses a link of the broker may try again: elsewhere, or there once metadata names it again. */
  #forget(nodeId: number): void {
    this.#addresses.delete(nodeId)
    for (const lane of LANES) {
      const key = linkKey(nodeId, lane)
      const link = this.#links.get(key)
      if (link === undefined) continue
      const { host, port } = link.address
      link.close(new ConnectionError('CONNECTION_CLOSED', host, port, `broker ${nodeId} is no longer in the cluster`))
      this.#links.delete(key)
    }
  }

  /**
   * A connected link: a ready one with the least in flight, else the first that connects. Known brokers come first; the bootstrap
   * servers again when none is known or all known ones fail (KIP-899). Attempts are staggered, so a server that hangs costs
   * little.
   */
  async #anyConnected(timeoutMs: number): Promise<BrokerLink> {
    if (this.#closed) throw new ClientClosedError('client')
    const known = this.nodeIds().map((nodeId) => this.link(nodeId)!)
    const ready = known
      .filter((link) => link.readyConnection !== null)
      .sort((a, b) => a.inFlightCount - b.inFlightCount)
    if (ready.length > 0) return ready[0]!
    const hopeful = this.#shuffled(known.filter((link) => !link.isBackingOff))
    const bootstrap = this.#shuffled(this.#bootstrapLinks)
    const candidates = [...hopeful, ...bootstrap.filter((link) => !link.isBackingOff), ...bootstrap]
    return this.#firstToConnect([...new Set(candidates)], timeoutMs)
  }

  #firstToConnect(candidates: readonly BrokerLink[], timeoutMs: number): Promise<BrokerLink> {
    return new Promise((resolve, reject) => {
      let next = 0
      let failedCount = 0
      let done = false
      let stagger: Timer | null = null
      const finish = (settle: () => void) => {
        if (done) return
        done = true
        stagger?.cancel()
        limit.cancel()
        settle()
      }
      const limit = this.#ports.timers.setTimer(timeoutMs, () => {
        finish(() => reject(new TimeoutError(`no broker could be reached within ${timeoutMs} ms`, timeoutMs)))
      })
      const tryNext = () => {
        if (done || next === candidates.length) return
        const link = candidates[next++]!
        link.connect().then(
          () => finish(() => resolve(link)),
          (error: unknown) => {
            failedCount++
            if (failedCount === candidates.length) finish(() => reject(error))
            else tryNext()
          },
        )
        stagger?.cancel()
        stagger = this.#ports.timers.setTimer(BOOTSTRAP_STAGGER_MS, tryNext)
      }
      tryNext()
    })
  }

  #shuffled<T>(items: readonly T[]): T[] {
    const list = [...items]
    for (let slot = list.length - 1; slot > 0; slot--) {
      const other = this.#ports.random.uint32() % (slot + 1)
      const item = list[slot]!
      list[slot] = list[other]!
      list[other] = item
    }
    return list
  }

  #watchIdle(): void {
    const { connectionsMaxIdleMs } = this.#options
    if (connectionsMaxIdleMs <= 0) return
    this.#idleTimer = this.#ports.timers.setTimer(Math.max(1000, connectionsMaxIdleMs / 4), () => {
      for (const link of this.#links.values()) link.closeIfIdle(connectionsMaxIdleMs)
      for (const link of this.#bootstrapLinks) link.closeIfIdle(connectionsMaxIdleMs)
      this.#watchIdle()
    })
  }
}

function linkKey(nodeId: number, lane: Lane): string {
  return `${nodeId}/${lane}`
}
