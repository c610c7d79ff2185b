import type { Timers } from '@millrace/base'
import type { MetadataImage } from '@millrace/consensus'
import type { Connect } from '../network/transport.ts'
import { BrokerConnection, BrokerConnectionError } from './broker-connection.ts'

export interface BrokerConnectionsOptions {
  readonly connect: Connect
  readonly timers: Timers
  readonly clientId: string
  image(): MetadataImage | null
  /** Name of the listener that brokers use among themselves. */
  interBrokerListener(): string
}

/** Longest answer of another broker that is taken: with a largest batch, which is sent whole whatever was asked for, far above any. */
const MAX_ANSWER_BYTES = 256 * 1024 * 1024

/** Opens connections to other brokers, where the metadata says that they are. Whoever opens one closes it. */
export class BrokerConnections {
  readonly #options: BrokerConnectionsOptions

  constructor(options: BrokerConnectionsOptions) {
    this.#options = options
  }

  /** Rejects with {@link BrokerConnectionError}. */
  async open(brokerId: number, timeoutMs: number): Promise<BrokerConnection> {
    const { connect, timers, clientId, image, interBrokerListener } = this.#options
    const listener = interBrokerListener()
    const endpoints = image()?.brokers.get(brokerId)?.endpoints ?? []
    const endpoint = endpoints.find((candidate) => candidate.listener === listener)
    if (endpoint === undefined) throw new BrokerConnectionError(`broker ${brokerId} has no listener ${listener}`)
    const { host, port } = endpoint
    return BrokerConnection.open({ connect, timers, host, port, clientId, maxAnswerBytes: MAX_ANSWER_BYTES }, timeoutMs)
  }
}
