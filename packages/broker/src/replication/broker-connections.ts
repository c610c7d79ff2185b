import type { Random, Timers } from '@millrace/base'
import type { MetadataImage } from '@millrace/consensus'
import type { Connect } from '../network/transport.ts'
import { BrokerConnection, BrokerConnectionError, type BrokerConnectionProof } from './broker-connection.ts'

export interface BrokerConnectionsOptions {
  readonly connect: Connect
  readonly timers: Timers
  readonly random: Random
  readonly nodeId: number
  /** By which brokers prove to each other that they are of one cluster; null: they do not. */
  readonly secret: Buffer | null
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
    const { connect, timers, nodeId, interBrokerListener } = this.#options
    const image = this.#options.image()
    const listener = interBrokerListener()
    const endpoints = image?.brokers.get(brokerId)?.endpoints ?? []
    const endpoint = endpoints.find((candidate) => candidate.listener === listener)
    if (endpoint === undefined) throw new BrokerConnectionError(`broker ${brokerId} has no listener ${listener}`)
    const { host, port } = endpoint
    const clientId = `broker-${nodeId}`
    const proof = image === null ? null : this.#proofFor(brokerId, image.clusterId)
    const options = { connect, timers, host, port, clientId, maxAnswerBytes: MAX_ANSWER_BYTES, proof }
    return BrokerConnection.open(options, timeoutMs)
  }

  #proofFor(targetId: number, clusterId: string): BrokerConnectionProof | null {
    const { secret, random, nodeId: brokerId } = this.#options
    return secret === null ? null : { brokerId, targetId, clusterId, secret, random }
  }
}
