import type { Timer, Timers, Uuid } from '@millrace/base'
import type { ReplicaKey, VoterSet } from '../raft/types.ts'
import { PeerChannel, type PeerEvents, type PeerTransport } from '../transport/peer-transport.ts'
import { decodeFirstVoters, encodeFirstVoters, type FirstVotersFrame } from './first-voters-codec.ts'

/** A first voter as the settings name it: the directory of its log is not known before it was heard. */
export interface NamedVoter {
  readonly id: number
  readonly host: string
  readonly port: number
}

export interface FirstVotersOptions {
  readonly self: ReplicaKey
  /** As this node's settings have them, ascending by id, this node among them. */
  readonly named: readonly NamedVoter[]
  /** What this node has kept; null: it does not know them yet. */
  readonly known: VoterSet | null
  readonly transport: PeerTransport
  readonly timers: Timers
  /** Once, unless they are known already: must be durable before it returns, since others are told after it. */
  onKnown(voters: VoterSet): void
  /** Every 10 s or so: who was not heard yet, and who was but names other voters. */
  onWaiting?(missing: readonly number[], disagreeing: readonly number[]): void
}

const ASK_INTERVAL_MS = 500
const ASKS_PER_WARNING = 20

/**
 * Finds out who the first voters are, with the directory of each one's log (KIP-853), before anybody votes. Directory ids are made up at
 * random at a node's first start, so settings cannot hold them. The voter with the lowest id makes the list, once it has heard all others
 * and none knows of one; the others take it over, from whoever has it. So there is never more than one list:
 * - a majority can act only after it has taken the list over, and every node that has it tells it;
 * - a voter that lost its log finds itself in the list with another directory. It does not vote then, nor does the maker of the list make
 *   a second one while any node that has the first can be asked, and it asks all.
 *
 * Therefore a quorum begins only when all first voters are up, once; later a majority is enough. Answers questions for as long as it lives.
 */
export class FirstVoters implements PeerEvents {
  readonly #options: FirstVotersOptions
  readonly #heard: Map<number, FirstVotersFrame>
  #known: VoterSet | null
  #timer: Timer | null
  #askCount: number
  #isClosed: boolean
  #badMessageCount: number

  constructor(options: FirstVotersOptions) {
    this.#options = options
    this.#heard = new Map()
    this.#known = options.known
    this.#timer = null
    this.#askCount = 0
    this.#isClosed = false
    this.#badMessageCount = 0
    if (this.#known !== null) return
    const { named, self, transport, timers } = options
    transport.setPeers(
      new Map(named.filter(({ id }) => id !== self.id).map(({ id, host, port }) => [id, { host, port }])),
    )
    this.#timer = timers.setTimer(0, () => this.#onTimer())
  }

  get known(): VoterSet | null {
    return this.#known
  }

  /** While they are not known: who was not heard yet, and who was but names other voters. */
  get waitsFor(): { readonly missing: readonly number[]; readonly disagreeing: readonly number[] } {
    const others = this.#others
    return {
      missing: others.filter((id) => !this.#heard.has(id)),
      disagreeing: others.filter((id) => this.#heard.has(id) && !this.#agrees(id)),
    }
  }

  /** Frames that could not be read. */
  get badMessageCount(): number {
    return this.#badMessageCount
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
  }

  onMessage(from: number, channel: PeerChannel, payload: Buffer): void {
    if (channel !== PeerChannel.FIRST_VOTERS || this.#isClosed) return
    const frame = decodeFirstVoters(payload)
    if (frame === null) {
      this.#badMessageCount++
      return
    }
    if (this.#known === null) this.#learn(from, frame)
    if (frame.isQuestion) this.#tell(from, false)
  }

  onConnected(peer: number): void {
    if (this.#known === null && !this.#isClosed) this.#tell(peer, true)
  }

  /** It may come back with another directory. */
  onLost(peer: number): void {
    this.#heard.delete(peer)
  }

  onWritable(): void {
    // Who still waits asks again.
  }

  #onTimer(): void {
    if (this.#isClosed || this.#known !== null) return
    this.#timer = this.#options.timers.setTimer(ASK_INTERVAL_MS, () => this.#onTimer())
    this.#decide()
    if (this.#known !== null) return
    for (const id of this.#others) this.#tell(id, true)
    if (++this.#askCount % ASKS_PER_WARNING !== 0) return
    const { missing, disagreeing } = this.waitsFor
    this.#options.onWaiting?.(missing, disagreeing)
  }

  get #others(): number[] {
    const { named, self } = this.#options
    return named.map(({ id }) => id).filter((id) => id !== self.id)
  }

  #learn(from: number, frame: FirstVotersFrame): void {
    if (frame.voters !== null) {
      this.#settle(frame.voters)
    } else if (this.#others.includes(from)) {
      this.#heard.set(from, frame)
      this.#decide()
    }
  }

  #decide(): void {
    const { named, self } = this.#options
    if (named[0]!.id !== self.id || !this.#others.every((id) => this.#agrees(id))) return
    const directoryOf = (id: number): Uuid => (id === self.id ? self.directoryId : this.#heard.get(id)!.directoryId)
    this.#settle(named.map(({ id, host, port }) => ({ id, host, port, directoryId: directoryOf(id) })))
    for (const id of this.#others) this.#tell(id, false)
  }

  /** Two nodes with other voters in their settings must not each begin a quorum of its own. */
  #agrees(id: number): boolean {
    const { named } = this.#options
    const theirs = this.#heard.get(id)?.named
    return theirs?.length === named.length && named.every((voter, slot) => voter.id === theirs[slot])
  }

  #settle(voters: VoterSet): void {
    this.#timer?.cancel()
    this.#heard.clear()
    this.#options.onKnown(voters)
    this.#known = voters
  }

  #tell(to: number, isQuestion: boolean): void {
    const { self, named, transport } = this.#options
    const ids = named.map(({ id }) => id)
    const frame = { isQuestion, directoryId: self.directoryId, named: ids, voters: this.#known }
    // Without a connection it is said again when there is one.
    transport.send(to, PeerChannel.FIRST_VOTERS, encodeFirstVoters(frame))
  }
}
