import { SeededRandom, type Timers, type Uuid } from '@millrace/base'
import { SUPPORTED_FEATURES } from '../../metadata/controller/features.ts'
import type { MetadataImage } from '../../metadata/image.ts'
import type { MetadataRecord } from '../../metadata/records.ts'
import { applyRecords } from '../../metadata/reducer.ts'
import { directoryOf, idOf, testConfigRules, testSettings } from '../../testing/cluster.ts'
import { ControllerNode, type ControllerNodeOptions } from '../controller-node.ts'
import type { ControllerEvents } from '../controller-port.ts'
import type { BrokerHeartbeat, ControllerRequest, HeartbeatAnswer } from '../controller-requests.ts'
import { FakeCluster, FakeQuorum, FakeTransport } from './fake-quorum.ts'

/** Where a test's broker runs. */
export interface BrokerHost {
  readonly timers: Timers
  /** Null: the process is gone; false: it stands still. */
  runs(brokerId: number): boolean | null
}

/** A broker that does no more than follow the metadata, register and send heartbeats. */
export class TestBroker implements ControllerEvents {
  readonly id: number
  readonly node: ControllerNode
  readonly #host: BrokerHost
  readonly incarnationId: Uuid
  image: MetadataImage | null = null
  readonly records: MetadataRecord[] = []
  readonly answers: HeartbeatAnswer[] = []
  readonly leaders: (number | null)[] = []
  fatal: Error | null = null
  epoch = -1
  beats = true
  heartbeatInit: Partial<BrokerHeartbeat> = {}

  constructor(host: BrokerHost, id: number, node: ControllerNode, incarnation: number) {
    this.#host = host
    this.id = id
    this.node = node
    this.incarnationId = idOf(3_000_000 + id * 1000 + incarnation)
  }

  onRecords(startOffset: number, records: readonly MetadataRecord[]): void {
    if (this.image === null || this.image.offset !== startOffset) throw new Error('records with a gap before them')
    this.image = applyRecords(this.image, records).image
    this.records.push(...records)
  }

  onImage(image: MetadataImage): void {
    this.image = image
  }

  onActiveController(id: number | null): void {
    this.leaders.push(id)
  }

  onHeartbeatAnswer(answer: HeartbeatAnswer): void {
    this.answers.push(answer)
  }

  onFatal(error: Error): void {
    this.fatal = error
  }

  async register(init: Partial<ControllerRequest<'registerBroker'>> = {}): Promise<void> {
    const answer = await this.node.request(
      'registerBroker',
      {
        clusterId: 'cluster',
        brokerId: this.id,
        incarnationId: this.incarnationId,
        rack: null,
        endpoints: [{ listener: 'PLAINTEXT', host: 'localhost', port: 9092, securityProtocol: 'PLAINTEXT' }],
        features: [...SUPPORTED_FEATURES],
        directories: [directoryOf(this.id)],
        recoveredCleanly: true,
        previousBrokerEpoch: -1,
        ...init,
      },
      10_000,
    )
    if (!('brokerEpoch' in answer)) throw new Error(`registration refused: ${JSON.stringify(answer)}`)
    const isFirst = this.epoch === -1
    this.epoch = answer.brokerEpoch
    if (isFirst) this.beat()
  }

  beat(): void {
    const runs = this.#host.runs(this.id)
    if (runs === true && this.beats) {
      this.node.heartbeat({
        brokerId: this.id,
        brokerEpoch: this.epoch,
        incarnationId: this.incarnationId,
        appliedOffset: this.image?.offset ?? 0,
        wantFence: false,
        wantShutDown: false,
        offlineDirectories: [],
        ...this.heartbeatInit,
      })
    }
    if (runs !== null) this.#host.timers.setTimer(200, () => this.beat())
  }
}

export class ControllerCluster {
  readonly fake: FakeCluster
  readonly brokers = new Map<number, TestBroker>()
  readonly problems: unknown[] = []
  readonly #init: Partial<ControllerNodeOptions>
  #incarnation = 0

  constructor(nodeIds: readonly number[], init: Partial<ControllerNodeOptions> = {}) {
    this.fake = new FakeCluster(nodeIds)
    this.#init = init
    for (const id of nodeIds) this.start(id)
  }

  start(id: number, before: (quorum: FakeQuorum) => void = () => undefined): TestBroker {
    const { fake } = this
    const transport = new FakeTransport(fake, id)
    const node = new ControllerNode({
      nodeId: id,
      clusterId: 'cluster',
      openQuorum: (listener) => {
        const quorum = new FakeQuorum(fake, id, listener)
        before(quorum)
        const { leaderId, term } = fake
        if (leaderId !== null) quorum.deliver(() => listener.onLeader(leaderId, term))
        return quorum
      },
      transport,
      clock: fake.clock,
      timers: fake.timers,
      random: new SeededRandom(id),
      configRules: testConfigRules,
      settings: () => ({ ...testSettings, nodeId: id }),
      onProblem: (error) => this.problems.push(error),
      ...this.#init,
    })
    transport.events = node
    const host = {
      timers: fake.timers,
      runs: (brokerId: number) => (fake.quorums.has(brokerId) ? !fake.frozen.has(brokerId) : null),
    }
    const broker = new TestBroker(host, id, node, this.#incarnation++)
    this.brokers.set(id, broker)
    node.start(broker)
    return broker
  }

  broker(id: number): TestBroker {
    return this.brokers.get(id)!
  }

  /** Elects a node, registers all brokers and lets them come into service. */
  async form(leaderId: number): Promise<void> {
    this.fake.elect(leaderId)
    await this.result(Promise.all([...this.brokers.values()].map((broker) => broker.register())))
    await this.advance(500)
  }

  advance(durationMs: number): Promise<void> {
    return this.fake.advance(durationMs)
  }

  /** What a promise comes to while time passes. */
  async result<T>(promise: Promise<T>, durationMs = 1000): Promise<T> {
    let settled = false
    const outcome = promise.finally(() => {
      settled = true
    })
    // Awaited below; until then a rejection has an owner.
    outcome.catch(() => undefined)
    for (let passed = 0; passed < durationMs && !settled; passed += 10) await this.advance(10)
    if (!settled) throw new Error(`nothing came of it in ${durationMs} ms`)
    return outcome
  }
}
