import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { SeededRandom } from '@millrace/base'
import {
  type ApiDefinition,
  apis,
  createMetadataRequest,
  ErrorCode,
  fetchApi,
  metadataApi,
  produceApi,
} from '@millrace/protocol'
import { describe, expect, it } from 'vitest'
import { servedApis } from '../handlers/served-apis.ts'
import { batchOf } from './batches.ts'
import { type DataClient, valuesIn } from './data-client.ts'
import { mutateFrame, RequestGrammar } from './request-grammar.ts'
import { TestBroker } from './test-broker.ts'
import { ConnectionClosedError, requestFrame } from './test-client.ts'

/**
 * Goal: no bytes from one client stop the broker or harm another. Method: requests of every API and version, made by a grammar, whole
 * and damaged, over many connections at once, while a neighbour goes on working. A seed makes a run repeatable; `FUZZ_SEEDS` (a list)
 * and `FUZZ_ROUNDS` in the environment make longer ones.
 */
const ROUNDS = Number(process.env.FUZZ_ROUNDS ?? 30)
const CONNECTIONS_PER_ROUND = 12
const REQUESTS_PER_CONNECTION = 5
const DAMAGED_SHARE = 0.35
const MAX_HEAP_GROWTH_BYTES = 64 * 1024 * 1024

const versions = servedApis().flatMap(({ key, minVersion, maxVersion }) =>
  Array.from({ length: maxVersion - minVersion + 1 }, (_, n) => ({ key, version: minVersion + n })),
)

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

class Fuzzer {
  readonly #broker: TestBroker
  readonly #random: SeededRandom
  readonly #grammar: RequestGrammar
  #next = 0
  sentCount = 0
  answeredCount = 0

  constructor(broker: TestBroker, seed: number) {
    this.#broker = broker
    this.#random = new SeededRandom(seed)
    this.#grammar = new RequestGrammar(this.#random.fork('grammar'))
  }

  async round(): Promise<void> {
    for (const [name, id] of this.#broker.topicIds) if (name !== 'neighbour') this.#grammar.topicIds.push(id)
    const clients = Array.from({ length: CONNECTIONS_PER_ROUND }, () => this.#broker.connect())
    for (let n = 0; n < REQUESTS_PER_CONNECTION; n++) {
      for (const client of clients) if (!client.socket.isClosed) this.#send(client)
      if (this.#random.uint32() % 2 === 0) await new Promise((resolve) => setImmediate(resolve))
    }
    await this.#broker.advance(this.#random.uint32() % 20_000)
    for (const client of clients) client.close()
    await this.#broker.idle()
  }

  #send(client: DataClient): void {
    // Every version has its turn; which of them meet is up to chance.
    const { key, version } = versions[this.#next++ % versions.length]!
    const api = apis[key]!
    const request = this.#grammar.request(key, version)
    this.sentCount++
    if (this.#grammar.chance(DAMAGED_SHARE)) {
      client.expectNothing()
      client.socket.send(mutateFrame(requestFrame(api, version, request), this.#random))
      return
    }
    if (key === produceApi.key && request.acks === 0) client.post(api, version, request)
    else this.#call(client, api, version, request)
  }

  #call(client: DataClient, api: ApiDefinition, version: number, request: unknown): void {
    client.call(api, version, request).then(
      (answer) => {
        this.answeredCount++
        if (api.key === fetchApi.key) this.#grammar.sessionIds.push((answer as { sessionId: number }).sessionId)
      },
      (error: unknown) => {
        if (!(error instanceof ConnectionClosedError))
          this.#broker.logger.error('bad answer', { api: api.name, version, error: String(error) })
      },
    )
  }
}

async function checkNeighbour(neighbour: DataClient, round: number): Promise<void> {
  const { baseOffset, errorCode } = await neighbour.produce('neighbour', batchOf([`${round}`]))
  expect([errorCode, baseOffset]).toEqual([ErrorCode.NONE, round])
  expect(valuesIn((await neighbour.fetchFrom('neighbour', round)).records)).toEqual([`${round}`])
  const metadata = await neighbour.call(metadataApi, 12, createMetadataRequest({ topics: null }))
  expect(metadata.topics.some(({ name }) => name === 'neighbour')).toBe(true)
}

/** Topics that requests may hit; those that were deleted come back. */
async function restoreTopics(client: DataClient): Promise<void> {
  const { topics } = await client.call(metadataApi, 12, createMetadataRequest({ topics: null }))
  const names = new Set(topics.map(({ name }) => name))
  if (!names.has('t')) await client.createTopic('t', 2)
  if (!names.has('u')) await client.createTopic('u', 1)
  if (!names.has('compacted')) await client.createTopic('compacted', 1, { 'cleanup.policy': 'compact' })
}

describe('a broker under fire', () => {
  it.each((process.env.FUZZ_SEEDS ?? '1,2,3').split(',').map(Number))(
    'stays up and serves a neighbour (seed %i)',
    async (seed) => {
      const settings = { 'auto.create.topics.enable': String(seed % 2 === 1) }
      await TestBroker.run({ seed, settings }, async (neighbour, broker) => {
        await neighbour.createTopic('neighbour')
        const fuzzer = new Fuzzer(broker, seed)
        collectGarbage()
        const heapBytes = process.memoryUsage().heapUsed
        for (let round = 0; round < ROUNDS; round++) {
          await restoreTopics(neighbour)
          await fuzzer.round()
          await checkNeighbour(neighbour, round)
          broker.assertSound()
        }
        expect(fuzzer.answeredCount).toBeGreaterThan(fuzzer.sentCount / 10)
        broker.logger.lines.length = 0
        collectGarbage()
        expect(process.memoryUsage().heapUsed - heapBytes).toBeLessThan(MAX_HEAP_GROWTH_BYTES)
      })
    },
  )
})
