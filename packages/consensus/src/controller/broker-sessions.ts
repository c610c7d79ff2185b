import type { ShutdownProgress } from '../metadata/controller/broker-heartbeat.ts'
import type { PeerLoss } from '../transport/peer-transport.ts'

/** How soon a broker counts as dead (`design.md`, 4). */
export interface SessionTiming {
  /** Early sign: the connection of the broker's node was lost and has not come back for this long. */
  readonly earlyGraceMs: number
  /** Late sign: no heartbeat for this long, however alive the connection looks. */
  readonly lateMs: number
  /** How long a new controller waits for brokers to connect before it believes that those whose port refuses are gone. */
  readonly takeoverGraceMs: number
}

export const DEFAULT_SESSION_TIMING: SessionTiming = { earlyGraceMs: 150, lateMs: 1500, takeoverGraceMs: 300 }

/** What a new controller knows of the nodes when it takes over. */
export interface TakeoverView {
  readonly registered: Iterable<{ readonly id: number; readonly epoch: number }>
  readonly connected: ReadonlySet<number>
  /** Nodes without a connection: when and how it ended. */
  readonly losses: ReadonlyMap<number, { readonly atMs: number; readonly why: PeerLoss }>
  /** The node it takes over from and when that was last heard; null if there is none. */
  readonly predecessor: { readonly id: number; readonly heardMs: number } | null
}

export interface LossSign {
  readonly brokerId: number
  readonly sign: 'early' | 'late'
}

interface Session {
  readonly brokerId: number
  epoch: number
  /** Last heartbeat, or when waiting for one began. */
  contactMs: number
  /** When the connection was lost; null while it stands, or if it never stood under this controller. */
  lostMs: number | null
  /** When the early sign is due; null: none to be expected. */
  earlyMs: number | null
  earlyTold: boolean
  /** Whether a heartbeat came over the present connection: a new one may belong to a new process. */
  isProven: boolean
  appliedOffset: number
  shutdownOffset: number | null
}

/** A call of `signs` that is later than this was held up by a stall of this node: the silence is its own. */
const STALL_MS = 250

/**
 * Which brokers are alive, as the active controller sees it; node ids are broker ids. Pure: time comes with each call, milliseconds of
 * one monotonic clock. The controller's own broker has no connection, only heartbeats.
 */
export class BrokerSessions {
  readonly #timing: SessionTiming
  readonly #selfId: number
  readonly #sessions = new Map<number, Session>()
  /** Early signs of nodes that have not been connected yet count from here. */
  readonly #takeoverEndMs: number
  #signsMs: number

  constructor(timing: SessionTiming, selfId: number, view: TakeoverView, nowMs: number) {
    this.#timing = timing
    this.#selfId = selfId
    this.#takeoverEndMs = nowMs + timing.takeoverGraceMs
    this.#signsMs = nowMs
    for (const { id, epoch } of view.registered) {
      const session = this.#add(id, epoch, nowMs)
      const { predecessor } = view
      // Nobody counted its silence while it was the one to count. If it is alive it needs a moment to say so.
      if (predecessor?.id === id) {
        const earliestMs = nowMs - timing.lateMs + timing.takeoverGraceMs
        session.contactMs = Math.min(nowMs, Math.max(predecessor.heardMs, earliestMs))
      }
      const loss = view.losses.get(id)
      if (loss === undefined || loss.why === 'silent' || view.connected.has(id) || id === selfId) continue
      if (predecessor?.id === id) this.#lose(session, loss.atMs, loss.atMs + timing.earlyGraceMs)
      else if (loss.why === 'refused') this.#lose(session, nowMs, this.#takeoverEndMs)
    }
  }

  onRegistered(brokerId: number, epoch: number, nowMs: number): void {
    const known = this.#sessions.get(brokerId)
    if (known?.epoch === epoch) return
    this.#add(brokerId, epoch, nowMs)
  }

  onUnregistered(brokerId: number): void {
    this.#sessions.delete(brokerId)
  }

  /** A heartbeat of the registration with this epoch, which the caller has checked. */
  onHeartbeat(brokerId: number, epoch: number, appliedOffset: number, nowMs: number): void {
    let session = this.#sessions.get(brokerId)
    if (session === undefined || session.epoch !== epoch) session = this.#add(brokerId, epoch, nowMs)
    session.contactMs = nowMs
    session.isProven = true
    session.lostMs = null
    session.earlyMs = null
    session.earlyTold = false
    session.appliedOffset = Math.max(session.appliedOffset, appliedOffset)
  }

  onConnected(nodeId: number): void {
    const session = this.#sessions.get(nodeId)
    if (session === undefined) return
    session.lostMs = null
    session.earlyMs = null
    session.earlyTold = false
  }

  onLost(nodeId: number, why: PeerLoss, nowMs: number): void {
    const session = this.#sessions.get(nodeId)
    // Silence of a connection says no more than silence of the broker, which has a time of its own.
    if (session === undefined || why === 'silent' || session.lostMs !== null) return
    this.#lose(session, nowMs, Math.max(nowMs + this.#timing.earlyGraceMs, why === 'refused' ? this.#takeoverEndMs : 0))
  }

  /** Whether this incarnation is certainly at work: another one with its id must be refused. */
  hasLiveSession(brokerId: number, nowMs: number): boolean {
    const session = this.#sessions.get(brokerId)
    return session?.isProven === true && nowMs - session.contactMs < this.#timing.lateMs
  }

  /**
   * Brokers that show signs of death, of those for which `matters` holds (the unfenced ones). An early sign is told once, a late one
   * each time. To be called every few ten milliseconds.
   */
  signs(nowMs: number, matters: (brokerId: number) => boolean): LossSign[] {
    this.#forgiveOwnStall(nowMs)
    const signs: LossSign[] = []
    for (const session of this.#sessions.values()) {
      const { brokerId } = session
      if (!matters(brokerId)) continue
      if (nowMs - session.contactMs >= this.#timing.lateMs) signs.push({ brokerId, sign: 'late' })
      else if (!session.earlyTold && session.earlyMs !== null && nowMs >= session.earlyMs) {
        if (this.#suspectsItself(session, matters)) continue
        session.earlyTold = true
        signs.push({ brokerId, sign: 'early' })
      }
    }
    return signs
  }

  /** The broker was told to go on shutting down; only the first time counts. */
  onShutdownBegun(brokerId: number, offset: number): void {
    const session = this.#sessions.get(brokerId)
    if (session !== undefined) session.shutdownOffset ??= offset
  }

  /** `isActive` tells whose knowledge of the metadata matters. */
  shutdownProgress(brokerId: number, isActive: (brokerId: number) => boolean): ShutdownProgress {
    let lowestActiveOffset = Number.MAX_SAFE_INTEGER
    for (const session of this.#sessions.values()) {
      if (isActive(session.brokerId)) lowestActiveOffset = Math.min(lowestActiveOffset, session.appliedOffset)
    }
    return { shutdownOffset: this.#sessions.get(brokerId)?.shutdownOffset ?? null, lowestActiveOffset }
  }

  #add(brokerId: number, epoch: number, nowMs: number): Session {
    const session: Session = {
      brokerId,
      epoch,
      contactMs: nowMs,
      lostMs: null,
      earlyMs: null,
      earlyTold: false,
      isProven: false,
      appliedOffset: -1,
      shutdownOffset: null,
    }
    this.#sessions.set(brokerId, session)
    return session
  }

  #lose(session: Session, lostMs: number, earlyMs: number): void {
    if (session.brokerId === this.#selfId) return
    session.lostMs = lostMs
    session.earlyMs = earlyMs
    session.earlyTold = false
    session.isProven = false
  }

  /**
   * If half of all sessions vanish together it is rather this node that was cut off: only the late sign is believed then. Those that
   * vanished with this one count also when they are fenced by now.
   */
  #suspectsItself({ lostMs }: Session, matters: (brokerId: number) => boolean): boolean {
    let vanishedCount = 0
    let count = 0
    for (const other of this.#sessions.values()) {
      const vanished = other.lostMs !== null && Math.abs(other.lostMs - lostMs!) <= this.#timing.earlyGraceMs
      if (vanished) vanishedCount++
      if (vanished || matters(other.brokerId)) count++
    }
    return vanishedCount * 2 >= count
  }

  /** A stall of this node looks like silence of all others. What they said meanwhile may still wait to be read. */
  #forgiveOwnStall(nowMs: number): void {
    const stallMs = nowMs - this.#signsMs
    this.#signsMs = nowMs
    if (stallMs < STALL_MS) return
    for (const session of this.#sessions.values()) {
      session.contactMs = Math.min(nowMs, session.contactMs + stallMs)
      if (session.earlyMs !== null) session.earlyMs += stallMs
    }
  }
}
