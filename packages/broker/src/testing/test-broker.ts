import { SeededRandom, SimulatedClock, SimulatedDisk, SimulatedTimers, type Uuid } from '@millrace/base'
import { Broker } from '../broker.ts'
import { ANONYMOUS } from '../broker-ports.ts'
import type { ClusterAccess } from '../cluster/cluster-membership.ts'
import { Configuration } from '../config/configuration.ts'
import { RecordingLogger } from '../coordinator/testing/recording-logger.ts'
import type { BatchChecks } from '../partition/batch-checks.ts'
import { DataClient } from './data-client.ts'
import { MemoryNetwork, type MemorySocket } from './memory-network.ts'

export interface TestBrokerOptions {
  /** Over the defaults of a broker and of {@link TEST_SETTINGS}. */
  settings?: Readonly<Record<string, string>>
  /** A disk that another broker left behind; an empty one if absent. */
  disk?: SimulatedDisk
  seed?: number
  clock?: SimulatedClock
  /** For who lets time pass while it starts. */
  timers?: SimulatedTimers
  /** Ports that another broker uses too. */
  network?: MemoryNetwork
  /** Where large batches are checked; in a turn of their own if left out. */
  batchChecks?: BatchChecks
  /** Who comes from which address; all others are anonymous. */
  principals?: Readonly<Record<string, string>>
  /** The other nodes; the broker is its own cluster if left out. */
  cluster?: ClusterAccess
  /** Files and sockets that the process may open; no bound if left out. The disk does not refuse more. */
  descriptorLimit?: number
}

const TEST_SETTINGS: Readonly<Record<string, string>> = {
  listeners: 'PLAINTEXT://127.0.0.1:0',
  'log.dirs': '/data',
  'offsets.topic.num.partitions': '1',
  'group.initial.rebalance.delay.ms': '0',
  'auto.create.topics.enable': 'false',
}

/** Turns of the event loop after which everything that needs no time has happened: the simulated disk answers in microtasks. */
const IDLE_TURNS = 24

/**
 * A whole broker in this process: simulated disk, clock and timers, connections in memory. Nothing but the event loop runs by itself:
 * time passes when a test calls `advance`.
 */
export class TestBroker {
  readonly disk: SimulatedDisk
  readonly clock: SimulatedClock
  readonly timers: SimulatedTimers
  readonly logger = new RecordingLogger()
  /** What would have ended the process. */
  readonly fatalErrors: Error[] = []
  /** Of the topics made through its clients. */
  readonly topicIds = new Map<string, Uuid>()
  readonly network: MemoryNetwork
  #broker: Broker | null = null
  #killed = false

  private constructor(options: TestBrokerOptions) {
    this.clock = options.clock ?? new SimulatedClock()
    this.timers = options.timers ?? new SimulatedTimers(this.clock)
    this.network = options.network ?? new MemoryNetwork()
    this.disk = options.disk ?? new SimulatedDisk({ random: new SeededRandom(options.seed ?? 1) })
  }

  static async start(options: TestBrokerOptions = {}): Promise<TestBroker> {
    const started = new TestBroker(options)
    const { disk, clock, timers, logger, network } = started
    const settings = new Map(Object.entries({ ...TEST_SETTINGS, ...options.settings }))
    started.#broker = await Broker.start({
      configuration: new Configuration(settings, logger),
      logger,
      loggers: { levels: () => new Map([['root', 'INFO']]), setLevel: () => undefined, unsetLevel: () => undefined },
      onFatal: (error) => started.fatalErrors.push(error),
      ports: {
        disk,
        clock,
        timers,
        random: new SeededRandom((options.seed ?? 1) + 1),
        listen: network.listen,
        connect: network.connectPeer,
        principalOf: (address) => options.principals?.[address] ?? ANONYMOUS,
        ...(options.cluster === undefined ? {} : { cluster: options.cluster }),
        scheduleTurn: (callback) => setImmediate(() => started.#runTurn(callback)),
        ...(options.batchChecks === undefined ? {} : { batchChecks: options.batchChecks }),
        ...(options.descriptorLimit === undefined ? {} : { descriptorLimit: options.descriptorLimit }),
      },
    })
    return started
  }

  /** Runs a test against a broker of its own, and checks at the end that nothing went wrong where nobody looks. */
  static async run(
    options: TestBrokerOptions,
    body: (client: DataClient, broker: TestBroker) => Promise<void>,
  ): Promise<void> {
    const started = await TestBroker.start(options)
    await body(started.connect(), started)
    if (!started.#killed) await started.stop()
    started.assertSound()
  }

  /** Throws if something would have ended the process, or a handler failed. */
  assertSound(): void {
    const [fatal] = this.fatalErrors
    if (fatal !== undefined) throw fatal
    const [line] = this.logger.lines.filter(({ level }) => level === 'error')
    if (line !== undefined) throw new Error(`logged: ${line.message} ${JSON.stringify(line.fields)}`)
  }

  get broker(): Broker {
    return this.#broker!
  }

  get port(): number {
    return this.broker.endpoints[0]!.port
  }

  connect(remoteAddress?: string): DataClient {
    return new DataClient(this.openSocket(remoteAddress), this.topicIds)
  }

  /** What `/metrics` says, once the server that is loaded with the first request is there. */
  async metrics(): Promise<string> {
    const socket = this.openSocket()
    let text = ''
    socket.onBytes = (bytes) => {
      text += bytes.toString()
    }
    socket.send(Buffer.from('GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n'))
    for (let turn = 0; turn < 3_000_000 && !socket.isClosed; turn++) {
      await new Promise((resolve) => setImmediate(resolve))
    }
    if (!socket.isClosed) throw new Error(`/metrics was not answered to its end: ${text.length} characters came`)
    return text
  }

  /** A connection of bare bytes. */
  openSocket(remoteAddress?: string): MemorySocket {
    return this.network.connect(this.port, remoteAddress)
  }

  /** Lets everything happen that needs no time. */
  async idle(): Promise<void> {
    for (let turn = 0; turn < IDLE_TURNS; turn++) await new Promise((resolve) => setImmediate(resolve))
  }

  /** Lets time pass, then lets happen what follows. */
  async advance(durationMs: number): Promise<void> {
    await this.idle()
    this.timers.advance(durationMs)
    await this.idle()
  }

  async stop(): Promise<void> {
    await this.broker.stop()
  }

  /** The process is gone from one instant to the next; what it wrote to the disk's cache is still there. */
  kill(): SimulatedDisk {
    this.#killed = true
    return this.disk.killed()
  }

  /** Power is gone: what was not synced may be lost. `choose(n)` picks one of n ways for each open question. */
  crash(choose: (count: number) => number): SimulatedDisk {
    this.#killed = true
    return this.disk.crashed({ choose })
  }

  #runTurn(callback: () => void): void {
    if (!this.#killed) callback()
  }
}
