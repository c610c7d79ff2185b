import { describe, expect, it } from 'vitest'
import { batchOf } from '../testing/batches.ts'
import { DataClient } from '../testing/data-client.ts'
import { MemoryNetwork } from '../testing/memory-network.ts'
import { TestBroker } from '../testing/test-broker.ts'
import type { ListenOptions } from './transport.ts'

/** A network on which somebody is at each port as soon as it is bound. */
function crowdedNetwork(onBound: (network: MemoryNetwork, port: number) => void): MemoryNetwork {
  const network = new MemoryNetwork()
  const { listen } = network
  return Object.assign(network, {
    listen: async (options: ListenOptions) => {
      const listener = await listen(options)
      onBound(network, listener.port)
      return listener
    },
  })
}

describe('socket server', () => {
  it('answers who connected before the broker was ready once it is', async () => {
    const early: DataClient[] = []
    const answers: Promise<{ topicId: string }>[] = []
    const network = crowdedNetwork((bound, port) => {
      const client = new DataClient(bound.connect(port), new Map())
      early.push(client)
      answers.push(client.createTopic('early').then((topicId) => ({ topicId })))
    })
    await TestBroker.run({ network }, async (client, broker) => {
      await broker.idle()
      expect(early).toHaveLength(1)
      expect((await answers[0]!).topicId).toMatch(/^.{22}$/)
      expect((await early[0]!.produce('early', batchOf(['a']))).errorCode).toBe(0)
      expect((await client.fetchFrom('early', 0, 12)).highWatermark).toBe(1)
    })
  })

  it('counts them among the connections only as long as they stay', async () => {
    const network = crowdedNetwork((bound, port) => bound.connect(port).close())
    await TestBroker.run({ network, settings: { 'max.connections': '1' } }, async (client) => {
      expect(await client.createTopic('t')).toMatch(/^.{22}$/)
    })
  })
})
