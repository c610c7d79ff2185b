import {
  ApiKey,
  apis,
  createApiVersion,
  createApiVersionsResponse,
  createFinalizedFeatureKey,
  decodeRequestHeader,
  encodeResponseHeader,
  Reader,
  Writer,
} from '@millrace/protocol'
import type { BrokerAddress } from '../network/transport.ts'
import type { FakeNetwork, ServerChannel } from './fake-network.ts'

/** One request as a handler sees it. */
export interface FakeRequest<Body = unknown> {
  nodeId: number
  apiKey: number
  version: number
  clientId: string | null
  body: Body
  channel: ServerChannel
}

/** `drop`: never answered. `break`: the connection ends without an answer. */
export type FakeAnswer = object | 'drop' | 'break'

export type FakeHandler = (request: FakeRequest) => FakeAnswer | Promise<FakeAnswer>

/** A broker that speaks the real protocol and answers what its handlers say: one request of a connection at a time, as Kafka. */
export class FakeBroker {
  readonly nodeId: number
  readonly address: BrokerAddress
  /** Every request that came, in order. */
  readonly requests: FakeRequest[] = []
  /** Versions served, other than all that the protocol package knows; null: not served. */
  readonly versionLimits = new Map<number, { min: number; max: number } | null>()
  /** Levels that the cluster has agreed on, by feature. */
  readonly features = new Map<string, number>()
  readonly #network: FakeNetwork
  readonly #handle: FakeHandler

  constructor(network: FakeNetwork, nodeId: number, handle: FakeHandler) {
    this.nodeId = nodeId
    this.address = { host: 'broker', port: 9000 + nodeId }
    this.#network = network
    this.#handle = handle
  }

  start(): void {
    this.#network.listen(this.address, {
      accept: (channel) => {
        const queue: Buffer[] = []
        let busy = false
        let rest = Buffer.alloc(0)
        const work = async () => {
          if (busy) return
          busy = true
          for (let frame = queue.shift(); frame !== undefined; frame = queue.shift())
            await this.#onFrame(channel, frame)
          busy = false
        }
        return (bytes) => {
          rest = Buffer.concat([rest, bytes])
          while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
            queue.push(rest.subarray(4, 4 + rest.readInt32BE(0)))
            rest = rest.subarray(4 + rest.readInt32BE(0))
          }
          void work()
        }
      },
    })
  }

  /** Ends every connection and takes no new ones. */
  stop(): void {
    this.#network.shutDown(this.address)
  }

  breakConnections(): void {
    this.#network.breakAll(this.address)
  }

  /** Requests of one API. */
  of<Body>(apiKey: number): FakeRequest<Body>[] {
    return this.requests.filter((request) => request.apiKey === apiKey) as FakeRequest<Body>[]
  }

  async #onFrame(channel: ServerChannel, frame: Buffer): Promise<void> {
    const apiKey = frame.readInt16BE(0)
    const version = frame.readInt16BE(2)
    const api = apis[apiKey]!
    const reader = new Reader(frame)
    const header = decodeRequestHeader(reader, api.requestHeaderVersion(version))
    if (apiKey === ApiKey.API_VERSIONS) {
      this.#reply(channel, header.correlationId, apiKey, this.#apiVersionsVersion(version), this.#apiVersions(version))
      return
    }
    const body = api.decodeRequest(reader, version)
    const request: FakeRequest = { nodeId: this.nodeId, apiKey, version, clientId: header.clientId, body, channel }
    this.requests.push(request)
    const answer = await this.#handle(request)
    if (answer === 'break') channel.break()
    else if (answer !== 'drop' && channel.isOpen) this.#reply(channel, header.correlationId, apiKey, version, answer)
  }

  #apiVersionsVersion(asked: number): number {
    const limit = this.versionLimits.get(ApiKey.API_VERSIONS)
    return limit !== undefined && limit !== null && asked > limit.max ? 0 : asked
  }

  #apiVersions(asked: number): object {
    const limit = this.versionLimits.get(ApiKey.API_VERSIONS)
    const apiKeys = apis
      .filter((api) => api !== undefined)
      .filter((api) => this.versionLimits.get(api.key) !== null)
      .map((api) => {
        const own = this.versionLimits.get(api.key)
        return createApiVersion({
          apiKey: api.key,
          minVersion: own?.min ?? api.minVersion,
          maxVersion: own?.max ?? api.maxVersion,
        })
      })
    const isUnknown = limit !== undefined && limit !== null && asked > limit.max
    const finalizedFeatures = [...this.features].map(([name, level]) =>
      createFinalizedFeatureKey({ name, minVersionLevel: level, maxVersionLevel: level }),
    )
    const finalizedFeaturesEpoch = finalizedFeatures.length > 0 ? 1 : -1
    return createApiVersionsResponse({
      errorCode: isUnknown ? 35 : 0,
      apiKeys,
      finalizedFeatures,
      finalizedFeaturesEpoch,
    })
  }

  #reply(channel: ServerChannel, correlationId: number, apiKey: number, version: number, body: object): void {
    const api = apis[apiKey]!
    const writer = new Writer()
    writer.beginFrame()
    encodeResponseHeader(writer, { correlationId, unknownTaggedFields: null }, api.responseHeaderVersion(version))
    api.encodeResponse(writer, body, version)
    writer.endFrame()
    channel.send(Buffer.concat(writer.takeChunks()))
  }
}
