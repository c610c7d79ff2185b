import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import { createWriteTxnMarkersRequest, createWriteTxnMarkersResponse, writeTxnMarkersApi } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import type { BrokerConnection } from './broker-connection.ts'
import { BrokerConnectionError } from './broker-connection.ts'
import { PeerCalls } from './peer-calls.ts'

/** Goal: calls of one purpose go one after the other over a kept connection, and nothing waits for a broker that it has nothing to do with. */

interface Pending {
  readonly place: string
  answer(): void
  fail(): void
}

class Peers {
  readonly timers = new SimulatedTimers(new SimulatedClock())
  /** Connections by number, as they were opened. */
  readonly opened: { brokerId: number; isClosed: boolean }[] = []
  refusesConnections = false
  pending: Pending[] = []
  readonly calls = new PeerCalls(
    {
      open: (brokerId) => {
        if (this.refusesConnections) return Promise.reject(new BrokerConnectionError('refused'))
        return Promise.resolve(this.#connection(brokerId))
      },
    },
    this.timers,
  )

  #connection(brokerId: number): BrokerConnection {
    const state = { brokerId, isClosed: false }
    const number = this.opened.push(state) - 1
    return {
      get isClosed() {
        return state.isClosed
      },
      call: () =>
        new Promise((resolve, reject) => {
          this.pending.push({
            place: `${brokerId} over ${number}`,
            answer: () => resolve(createWriteTxnMarkersResponse({})),
            fail: () => {
              state.isClosed = true
              reject(new BrokerConnectionError('cut off'))
            },
          })
        }),
      close: () => {
        state.isClosed = true
      },
    } as unknown as BrokerConnection
  }

  call(brokerId: number, purpose = 'a'): Promise<string> {
    const request = createWriteTxnMarkersRequest({})
    return this.calls
      .call(brokerId, purpose, writeTxnMarkersApi, request, 1_000, () => 'answered')
      .catch((error: unknown) => (error as Error).message)
  }

  async settle(): Promise<void> {
    await new Promise((resolve) => setImmediate(resolve))
  }

  get places(): string[] {
    return this.pending.map(({ place }) => place)
  }
}

describe('calls', () => {
  test('of one purpose go one after the other, others do not wait', async () => {
    const peers = new Peers()
    const first = peers.call(2)
    const second = peers.call(2)
    void peers.call(2, 'b')
    void peers.call(3)
    await peers.settle()
    expect(peers.places).toEqual(['2 over 0', '2 over 1', '3 over 2'])
    peers.pending[0]!.answer()
    expect(await first).toBe('answered')
    await peers.settle()
    expect(peers.places.at(-1)).toBe('2 over 0')
    peers.pending.at(-1)!.answer()
    expect(await second).toBe('answered')
  })

  test('go over a new connection after a failure, which is told to the one that met it', async () => {
    const peers = new Peers()
    const first = peers.call(2)
    const second = peers.call(2)
    await peers.settle()
    peers.pending[0]!.fail()
    expect(await first).toBe('cut off')
    await peers.settle()
    expect(peers.places.at(-1)).toBe('2 over 1')
    peers.pending.at(-1)!.answer()
    expect(await second).toBe('answered')
  })

  test('are tried anew where no connection could be opened', async () => {
    const peers = new Peers()
    peers.refusesConnections = true
    expect(await peers.call(2)).toBe('refused')
    peers.refusesConnections = false
    const again = peers.call(2)
    await peers.settle()
    peers.pending[0]!.answer()
    expect(await again).toBe('answered')
  })
})

describe('a connection', () => {
  test('that nobody uses is closed after a while, and none that is used', async () => {
    const peers = new Peers()
    const first = peers.call(2)
    await peers.settle()
    peers.timers.advance(120_000)
    expect(peers.opened[0]!.isClosed).toBe(false)
    peers.pending[0]!.answer()
    await first
    await peers.settle()
    peers.timers.advance(59_000)
    expect(peers.opened[0]!.isClosed).toBe(false)
    peers.timers.advance(2_000)
    expect(peers.opened[0]!.isClosed).toBe(true)
    void peers.call(2)
    await peers.settle()
    expect(peers.places.at(-1)).toBe('2 over 1')
  })

  test('is closed with everything, and no call comes after that', async () => {
    const peers = new Peers()
    void peers.call(2)
    const second = peers.call(2)
    await peers.settle()
    peers.calls.close()
    expect(peers.opened[0]!.isClosed).toBe(true)
    peers.pending[0]!.fail()
    expect(await second).toBe('this broker stops')
    expect(peers.timers.pendingCount).toBe(0)
  })
})
