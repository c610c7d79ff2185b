import { ErrorCode } from '@millrace/protocol'
import { Metadata } from '../cluster/metadata.ts'
import { ClientClosedError } from '../errors/client-errors.ts'
import { ProtocolError } from '../errors/protocol-error.ts'
import type { Api, RequestMessage } from '../network/api.ts'
import type { Answer, RequestOptions } from '../network/connection.ts'
import { Connections, type Lane } from '../network/connections.ts'
import type { ClientPorts } from '../ports/client-ports.ts'
import { systemPorts } from '../ports/system-ports.ts'
import { retrying } from '../retry/retrying.ts'
import { type ClientOptions, type ResolvedClientOptions, resolveClientOptions } from './client-options.ts'
import { CoordinatorFinder } from './coordinator-finder.ts'

export interface CoreTraits {
  maxInFlightRequestsPerConnection: number
  allowAutoTopicCreation: boolean
}

/** What producer, consumer and admin client stand on: ports, connections, metadata, coordinators, one retry policy. */
export class ClientCore {
  readonly ports: ClientPorts
  readonly options: ResolvedClientOptions
  readonly connections: Connections
  readonly metadata: Metadata
  readonly coordinators: CoordinatorFinder
  readonly #closing = new AbortController()

  constructor(options: ClientOptions, traits: CoreTraits) {
    this.ports = { ...systemPorts(), ...options.ports }
    this.options = resolveClientOptions(options)
    const settings = this.options
    this.connections = new Connections(
      this.ports,
      {
        ...settings,
        connectionSetupTimeoutMs: settings.socketConnectionSetupTimeoutMs,
        maxInFlightRequestsPerConnection: traits.maxInFlightRequestsPerConnection,
      },
      // A broken connection is the first sign of a leader that moves.
      () => this.metadata.requestUpdate(),
    )
    this.metadata = new Metadata(this.ports, this.connections, {
      ...settings,
      allowAutoTopicCreation: traits.allowAutoTopicCreation,
    })
    this.coordinators = new CoordinatorFinder(this.connections, settings.requestTimeoutMs)
  }

  get isClosed(): boolean {
    return this.#closing.signal.aborted
  }

  /** Aborts when the client closes. */
  get closing(): AbortSignal {
    return this.#closing.signal
  }

  /** Throws `ClientClosedError` once closed. */
  assertOpen(): void {
    if (this.isClosed) throw new ClientClosedError('client')
  }

  /**
   * One request to one broker. A node that metadata does not name (any more) rejects with the retriable NETWORK_EXCEPTION and
   * asks for metadata.
   */
  async requestNode<Request extends object, Response>(
    nodeId: number,
    lane: Lane,
    api: Api<Request, Response>,
    message: RequestMessage<Request>,
    options?: Partial<RequestOptions>,
  ): Promise<Answer<Response>> {
    this.assertOpen()
    const link = this.connections.link(nodeId, lane)
    if (link === null) {
      this.metadata.requestUpdate()
      throw new ProtocolError(ErrorCode.NETWORK_EXCEPTION, { message: `node ${nodeId} is not known` })
    }
    return link.request(api, message, { timeoutMs: this.options.requestTimeoutMs, ...options })
  }

  /** One request to any broker. */
  requestAny<Request extends object, Response>(
    api: Api<Request, Response>,
    message: RequestMessage<Request>,
    options?: Partial<RequestOptions>,
  ): Promise<Answer<Response>> {
    return this.connections.requestAny(api, message, { timeoutMs: this.options.requestTimeoutMs, ...options })
  }

  /** {@link retrying} with this client's settings. */
  retrying<T>(what: string, timeoutMs: number, attempt: (leftMs: number) => Promise<T>): Promise<T> {
    const { retryBackoffMs, retryBackoffMaxMs } = this.options
    const closing = this.#closing.signal
    return retrying(this.ports, { what, timeoutMs, retryBackoffMs, retryBackoffMaxMs, closing }, attempt)
  }

  /** Makes sure that at least one Metadata answer has come. */
  async ensureMetadata(timeoutMs: number): Promise<void> {
    if (this.metadata.view.brokers.size > 0) return
    await this.retrying('asking for metadata', timeoutMs, () => this.metadata.update())
  }

  /** Ends everything now. May be called any number of times. */
  close(): void {
    this.#closing.abort()
    this.metadata.close()
    this.connections.close()
  }
}
