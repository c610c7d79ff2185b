import type { Clock, Random, Timers } from '@millrace/base'
import { MetadataErrorCode } from '../metadata/controller/api-error.ts'
import type { ConfigRules, ControllerContext, ControllerSettings } from '../metadata/controller/context.ts'
import type { MetadataImage } from '../metadata/image.ts'
import type { CommittedEntry, Quorum, QuorumListener } from '../quorum/quorum.ts'
import { DEFAULT_QUORUM_TIMING } from '../quorum/quorum-options.ts'
import type { Term } from '../raft/types.ts'
import { PeerChannel, type PeerEvents, type PeerLoss, type PeerTransport } from '../transport/peer-transport.ts'
import { ActiveController, type ControllerTiming, DEFAULT_CONTROLLER_TIMING } from './active-controller.ts'
import { AnswerQueue } from './answer-queue.ts'
import { ControllerRequestError } from './controller-errors.ts'
import type { ControllerEvents, ControllerPort } from './controller-port.ts'
import type {
  BrokerHeartbeat,
  ControllerAnswer,
  ControllerRequest,
  ControllerRequestName,
  HeartbeatAnswer,
} from './controller-requests.ts'
import { LeaderRequests } from './leader-requests.ts'
import { decodeFrame, encodeFrame, type PeerFrame, type RequestFrame, type RequestOutcome } from './peer-protocol.ts'
import { RequestRouter } from './request-router.ts'
import { MetadataStateMachine } from './state-machine.ts'
import type { WriteLimits } from './write-queue.ts'

export interface ControllerNodeOptions {
  /** Of the node and of its broker, if it has one. */
  readonly nodeId: number
  readonly clusterId: string
  /** Makes the node's part in the quorum; called once, by `start`. `onFatal`: the quorum cannot go on. */
  openQuorum(listener: QuorumListener, onFatal: (error: Error) => void): Quorum
  /** Whoever made it gives the node's events of `PeerChannel.CONTROLLER` to this object, which implements `PeerEvents`. */
  readonly transport: PeerTransport
  readonly clock: Clock
  readonly timers: Timers
  readonly random: Random
  readonly configRules: ConfigRules
  /** Asked for each request, since some of it changes at run time. */
  settings(image: MetadataImage): ControllerSettings
  readonly timing?: Partial<ControllerTiming>
  readonly limits?: WriteLimits
  /** Milliseconds of one tick of the quorum, for times told by DescribeQuorum. */
  readonly quorumTickMs?: number
  /** Something went wrong that the node survives: a failed rule (it stepped down), a bad frame of a peer. */
  onProblem?(error: unknown): void
}

type Input =
  | { readonly type: 'committed'; readonly entries: readonly CommittedEntry[] }
  | { readonly type: 'snapshot'; readonly index: number; readonly data: Buffer }
  | { readonly type: 'elected'; readonly term: Term }
  | { readonly type: 'deposed' }
  | { readonly type: 'snapshotDue' }

const DEFAULT_QUORUM_TICK_MS = DEFAULT_QUORUM_TIMING.tickMs

/**
 * A node of the metadata quorum, voter or observer, as the broker beside it sees it: keeps the image, passes requests and heartbeats to
 * the active controller over the peers' connections, and is that controller while it leads the quorum.
 */
export class ControllerNode implements ControllerPort, PeerEvents {
  readonly #options: ControllerNodeOptions
  readonly #timing: ControllerTiming
  readonly #state: MetadataStateMachine
  readonly #router: RequestRouter
  readonly #answers: AnswerQueue
  readonly #losses = new Map<number, { readonly atMs: number; readonly why: PeerLoss }>()
  #events: ControllerEvents | null = null
  #quorum: Quorum | null = null
  #active: ActiveController | null = null
  #leaderRequests: LeaderRequests | null = null
  /** Inputs that wait until a snapshot is read; null: none is being read. */
  #held: Input[] | null = null
  #lastHeartbeat: BrokerHeartbeat | null = null
  #toldLeaderId: number | null = null
  /** Who led before, and when it was last heard. */
  #predecessor: { id: number; heardMs: number } | null = null
  #ended = false

  constructor(options: ControllerNodeOptions) {
    this.#options = options
    this.#timing = { ...DEFAULT_CONTROLLER_TIMING, ...options.timing }
    const { clock, timers, nodeId, transport, random } = options
    this.#state = new MetadataStateMachine(options.clusterId, timers, {
      onRecords: (startOffset, records) => this.#events?.onRecords(startOffset, records),
      onImage: (image) => this.#events?.onImage(image),
    })
    this.#router = new RequestRouter(
      {
        selfId: nodeId,
        performHere: (name, request, timeoutMs) => this.#performIfActive(name, request, timeoutMs),
        send: (to, frame) => this.#sendRequest(to, frame),
      },
      clock,
      timers,
      random,
    )
    this.#answers = new AnswerQueue(transport)
  }

  /** As far as this node knows: committed records only. */
  get image(): MetadataImage {
    return this.#state.image
  }

  /** Whether this node is the active controller. */
  get isActive(): boolean {
    return this.#active !== null
  }

  /** Null before `start`. */
  get quorum(): Quorum | null {
    return this.#quorum
  }

  start(events: ControllerEvents): void {
    this.#events = events
    // Not from inside this call, and before anything that the quorum tells.
    queueMicrotask(() => {
      if (!this.#ended) events.onImage(this.#state.image)
    })
    const listener: QuorumListener = {
      onCommitted: (entries) => this.#take({ type: 'committed', entries }),
      onSnapshot: (index, data) => this.#take({ type: 'snapshot', index, data }),
      onElected: (term) => this.#take({ type: 'elected', term }),
      onDeposed: () => this.#take({ type: 'deposed' }),
      onLeader: (leaderId, term) => this.#onLeader(leaderId, term),
      onSnapshotDue: () => this.#take({ type: 'snapshotDue' }),
    }
    this.#quorum = this.#options.openQuorum(listener, (error) => this.#onFatal(error))
  }

  request<N extends ControllerRequestName>(
    name: N,
    request: ControllerRequest<N>,
    timeoutMs: number,
  ): Promise<ControllerAnswer<N>> {
    return this.#router.request(name, request, timeoutMs)
  }

  heartbeat(heartbeat: BrokerHeartbeat): void {
    this.#lastHeartbeat = heartbeat
    this.#sendHeartbeat()
  }

  onMessage(from: number, channel: PeerChannel, payload: Buffer): void {
    if (channel !== PeerChannel.CONTROLLER || this.#ended) return
    const frame = decodeFrame(payload)
    if (frame === null) {
      this.#options.onProblem?.(new Error(`node ${from} sent a frame of ${payload.length} bytes that cannot be read`))
      return
    }
    if (this.#predecessor?.id === from) this.#predecessor.heardMs = this.#nowMs()
    switch (frame.kind) {
      case 'request':
        this.#onRequest(from, frame)
        break
      case 'answer':
        this.#router.onAnswer(from, frame.id, frame.outcome)
        break
      case 'heartbeat':
        this.#active?.onHeartbeat(frame.heartbeat, (answer) => {
          const { brokerEpoch } = frame.heartbeat
          this.#answers.send(from, toBytes({ kind: 'heartbeatAnswer', brokerEpoch, answer }))
        })
        break
      case 'heartbeatAnswer':
        if (frame.brokerEpoch === this.#lastHeartbeat?.brokerEpoch) this.#events?.onHeartbeatAnswer(frame.answer)
    }
  }

  onConnected(peer: number): void {
    this.#losses.delete(peer)
    this.#active?.onConnected(peer)
    this.#router.onConnected(peer)
    if (peer === this.#router.leaderId) this.#sendHeartbeat()
  }

  onLost(peer: number, why: PeerLoss): void {
    const known = this.#losses.get(peer)
    this.#losses.set(peer, { atMs: known?.atMs ?? this.#nowMs(), why })
    this.#answers.forget(peer)
    this.#active?.onLost(peer, why)
    this.#router.onLost(peer)
  }

  onWritable(peer: number): void {
    this.#answers.onWritable(peer)
    this.#router.onConnected(peer)
  }

  async close(): Promise<void> {
    if (this.#ended) return
    this.#end()
    await this.#quorum?.close()
  }

  #take(input: Input): void {
    if (this.#ended) return
    if (this.#held !== null) {
      this.#held.push(input)
      return
    }
    try {
      this.#handle(input)
    } catch (error) {
      this.#onFatal(error as Error)
    }
  }

  #handle(input: Input): void {
    switch (input.type) {
      case 'committed':
        for (const entry of input.entries) this.#state.apply(entry)
        if (this.#predecessor !== null && this.#active === null) this.#predecessor.heardMs = this.#nowMs()
        this.#active?.onCommitted(this.#state.image)
        this.#leaderRequests?.onApplied(this.#state.appliedIndex, this.#state.image.offset)
        break
      case 'snapshot':
        this.#held = []
        this.#state.load(input.index, input.data, (error) => this.#onLoaded(error))
        break
      case 'elected':
        this.#onElected(input.term)
        break
      case 'deposed':
        this.#endReign()
        break
      case 'snapshotDue':
        this.#state.save(
          (index, data) => this.#quorum!.saveSnapshot(index, data),
          (error) => this.#options.onProblem?.(error),
        )
    }
  }

  #onLoaded(error: Error | null): void {
    if (error !== null) {
      this.#onFatal(error)
      return
    }
    const held = this.#held ?? []
    this.#held = null
    // Taking one may begin another snapshot, which holds the rest back again.
    for (const input of held) this.#take(input)
  }

  #onElected(term: Term): void {
    this.#endReign()
    const { clock, nodeId, timers } = this.#options
    const quorum = this.#quorum!
    // While a snapshot was read it may have been deposed, and even elected again: what it would propose by this image might not follow
    // what the log holds by now, and end every node that takes it.
    if (quorum.status.role !== 'leader' || quorum.status.term !== term) return
    this.#leaderRequests = new LeaderRequests(
      quorum,
      clock,
      timers,
      this.#options.quorumTickMs ?? DEFAULT_QUORUM_TICK_MS,
    )
    this.#leaderRequests.onApplied(this.#state.appliedIndex, this.#state.image.offset)
    this.#active = new ActiveController({
      nodeId,
      quorum,
      clock,
      timers,
      timing: this.#timing,
      ...(this.#options.limits === undefined ? {} : { limits: this.#options.limits }),
      image: this.#state.image,
      takeover: {
        connected: this.#options.transport.connected,
        losses: this.#losses,
        predecessor: this.#predecessor?.id === nodeId ? null : this.#predecessor,
      },
      contextFor: (image) => this.#contextFor(image),
      onFault: (error) => this.#options.onProblem?.(error),
    })
    // Should this node be elected again, it takes over from itself.
    this.#predecessor = null
    this.#router.onActive()
    this.#sendHeartbeat()
  }

  #endReign(): void {
    this.#active?.end()
    this.#leaderRequests?.end()
    this.#active = null
    this.#leaderRequests = null
  }

  #onLeader(leaderId: number | null, term: Term): void {
    if (this.#ended) return
    if (leaderId !== null && leaderId !== this.#predecessor?.id && leaderId !== this.#options.nodeId) {
      this.#predecessor = { id: leaderId, heardMs: this.#nowMs() }
    }
    this.#router.onLeader(leaderId, term)
    if (leaderId !== this.#toldLeaderId) {
      this.#toldLeaderId = leaderId
      this.#events?.onActiveController(leaderId)
    }
    // The new one knows nothing of this broker until it hears from it.
    if (leaderId !== null) this.#sendHeartbeat()
  }

  #sendHeartbeat(): void {
    const heartbeat = this.#lastHeartbeat
    const leaderId = this.#router.leaderId
    if (heartbeat === null || leaderId === null || this.#ended) return
    if (leaderId !== this.#options.nodeId) {
      // Without room it is lost as it would be without a connection: the next one comes soon.
      this.#options.transport.send(leaderId, PeerChannel.CONTROLLER, toBytes({ kind: 'heartbeat', heartbeat }))
      return
    }
    this.#active?.onHeartbeat(heartbeat, (answer: HeartbeatAnswer) => {
      if (heartbeat.brokerEpoch === this.#lastHeartbeat?.brokerEpoch) this.#events?.onHeartbeatAnswer(answer)
    })
  }

  #sendRequest(to: number, frame: RequestFrame): boolean {
    const bytes = encodeFrame(frame)
    if (bytes !== null) return this.#options.transport.send(to, PeerChannel.CONTROLLER, bytes)
    throw new ControllerRequestError(MetadataErrorCode.POLICY_VIOLATION, `${frame.name}: the request is too large`)
  }

  #onRequest(from: number, { id, name, request, timeoutMs }: RequestFrame): void {
    const outcome = this.#answers.admit(from) ? this.#performIfActive(name, request, timeoutMs) : null
    if (outcome === null) {
      this.#answers.answer(from, id, this.#notController(false))
      return
    }
    this.#answers.begin(from)
    outcome.then((settled) => this.#answers.end(from, id, settled))
  }

  #performIfActive(
    name: ControllerRequestName,
    request: ControllerRequest<ControllerRequestName>,
    timeoutMs: number,
  ): Promise<RequestOutcome> | null {
    const active = this.#active
    const leaderRequests = this.#leaderRequests
    if (active === null || leaderRequests === null) return null
    const scene = {
      active,
      timers: this.#options.timers,
      contextFor: (image: MetadataImage) => this.#contextFor(image),
      nowMs: () => this.#nowMs(),
      deadlineMs: this.#nowMs() + timeoutMs,
    }
    return leaderRequests
      .perform(name, scene, request, (mayBeDone) => this.#notController(mayBeDone))
      .catch((error: unknown) => {
        this.#options.onProblem?.(error)
        const { UNKNOWN_SERVER_ERROR } = MetadataErrorCode
        return { status: 'failed', errorCode: UNKNOWN_SERVER_ERROR, message: 'the controller failed' } as const
      })
  }

  #notController(mayBeDone: boolean): RequestOutcome {
    // Before the start, too: other nodes may know this one from its life before.
    const { leaderId, term } = this.#quorum?.status ?? { leaderId: null, term: 0 }
    // A leader that is not active yet, or that has stepped down: the asker should come again, not look elsewhere.
    return { status: 'notController', mayBeDone, leaderId, term }
  }

  #contextFor(image: MetadataImage): ControllerContext {
    const { random, settings, configRules } = this.#options
    const voterIds = this.#quorum?.status.voters.map(({ id }) => id) ?? []
    return { image, random, settings: settings(image), configRules, voterIds }
  }

  /** The log is damaged or contradicts itself: this node must not go on. */
  #onFatal(error: Error): void {
    if (this.#ended) return
    this.#end()
    this.#events?.onFatal(error)
    this.#quorum?.close().catch((second: unknown) => this.#options.onProblem?.(second))
  }

  #end(): void {
    this.#ended = true
    this.#endReign()
    this.#state.close()
    this.#router.close()
  }

  #nowMs(): number {
    return this.#options.clock.monotonicMs()
  }
}

function toBytes(frame: PeerFrame): Buffer {
  return encodeFrame(frame)!
}
