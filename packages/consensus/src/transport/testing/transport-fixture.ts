import { RealClock, RealRandom, RealTimers, type Uuid } from '@millrace/base'
import type { PeerChannel, PeerEvents, PeerLoss } from '../peer-transport.ts'
import type { TransportLimits, WsTransportOptions } from '../transport-options.ts'
import { WsTransport } from '../ws-transport.ts'

export const SECRET = Buffer.from('correct horse battery staple')

/** Fast, so that tests need not wait long for what time decides. */
export const TEST_LIMITS: Partial<TransportLimits> = {
  minReconnectMs: 5,
  maxReconnectMs: 20,
  pingIntervalMs: 40,
  handshakeTimeoutMs: 2000,
}

export interface Received {
  readonly from: number
  readonly channel: PeerChannel
  readonly payload: Buffer
}

/** What a transport told, and promises of what it will tell. */
export class RecordingEvents implements PeerEvents {
  readonly messages: Received[] = []
  readonly told: string[] = []
  readonly refused: string[] = []
  #waiting: { readonly holds: () => boolean; resolve(): void }[] = []

  onMessage(from: number, channel: PeerChannel, payload: Buffer): void {
    this.messages.push({ from, channel, payload })
    this.#wake()
  }

  onConnected(peer: number): void {
    this.#tell(`connected ${peer}`)
  }

  onLost(peer: number, why: PeerLoss): void {
    this.#tell(`${why} ${peer}`)
  }

  onWritable(peer: number): void {
    this.#tell(`writable ${peer}`)
  }

  onRefused(reason: string): void {
    this.refused.push(reason)
    this.#wake()
  }

  /** Resolves at the first event after which the condition holds. */
  until(holds: () => boolean): Promise<void> {
    if (holds()) return Promise.resolve()
    return new Promise((resolve) => this.#waiting.push({ holds, resolve }))
  }

  untilTold(text: string): Promise<void> {
    return this.until(() => this.told.includes(text))
  }

  #tell(text: string): void {
    this.told.push(text)
    this.#wake()
  }

  #wake(): void {
    this.#waiting = this.#waiting.filter(({ holds, resolve }) => {
      if (!holds()) return true
      resolve()
      return false
    })
  }
}

export interface TestPeer {
  readonly transport: WsTransport
  readonly events: RecordingEvents
}

/** Transports over loopback on free ports, closed together. */
export class TransportFixture {
  readonly #peers: TestPeer[] = []
  readonly timers = new RealTimers()

  async open(nodeId: number, init: Partial<WsTransportOptions> = {}): Promise<TestPeer> {
    const events = new RecordingEvents()
    const transport = await WsTransport.open(
      {
        identity: { clusterId: 'cluster', nodeId, directoryId: directoryOf(nodeId) },
        listen: { host: '127.0.0.1', port: 0 },
        secret: SECRET,
        tls: null,
        timers: this.timers,
        clock: new RealClock(),
        random: new RealRandom(),
        onRefused: (reason) => events.onRefused(reason),
        onTurnedAway: (reason) => events.onRefused(`turned away: ${reason}`),
        ...init,
        limits: { ...TEST_LIMITS, ...init.limits },
      },
      events,
    )
    const peer = { transport, events }
    this.#peers.push(peer)
    return peer
  }

  async close(): Promise<void> {
    await Promise.all(this.#peers.map(({ transport }) => transport.close()))
  }
}

export function endpointsOf(
  peers: readonly (readonly [id: number, peer: TestPeer | number])[],
): Map<number, { host: string; port: number }> {
  return new Map(
    peers.map(([id, peer]) => [id, { host: '127.0.0.1', port: typeof peer === 'number' ? peer : peer.transport.port }]),
  )
}

export function directoryOf(id: number): Uuid {
  const bytes = Buffer.alloc(16)
  bytes.writeUInt32BE(id, 12)
  return bytes.toString('base64url') as Uuid
}
