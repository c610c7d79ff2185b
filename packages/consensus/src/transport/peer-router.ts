import { PeerChannel, type PeerEvents, type PeerLoss } from './peer-transport.ts'

/**
 * Gives the events of one transport to those who share it: frames to the one whose channel it is, the rest to all. A transport is made
 * before those who use it; what comes before they are there is dropped, as the network may do.
 */
export class PeerRouter implements PeerEvents {
  readonly #targets = new Map<PeerChannel, PeerEvents>()

  attach(channel: PeerChannel, target: PeerEvents): void {
    this.#targets.set(channel, target)
  }

  onMessage(from: number, channel: PeerChannel, payload: Buffer): void {
    this.#targets.get(channel)?.onMessage(from, channel, payload)
  }

  onConnected(peer: number): void {
    for (const channel of CHANNELS) this.#targets.get(channel)?.onConnected(peer)
  }

  onLost(peer: number, why: PeerLoss): void {
    for (const channel of CHANNELS) this.#targets.get(channel)?.onLost(peer, why)
  }

  onWritable(peer: number): void {
    for (const channel of CHANNELS) this.#targets.get(channel)?.onWritable(peer)
  }
}

const CHANNELS = Object.values(PeerChannel)
