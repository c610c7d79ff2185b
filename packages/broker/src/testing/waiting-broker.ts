import { SimulatedClock, SimulatedTimers } from '@millrace/base'
import { ScriptedController } from '../cluster/testing/scripted-controller.ts'
import type { QuorumFigures, QuorumWait } from '../metrics/cluster-metrics.ts'
import { TcpListener } from '../network/tcp-listener.ts'
import type { AcceptedTransport, Listen, ListenOptions } from '../network/transport.ts'
import { MemoryNetwork, type MemorySocket } from './memory-network.ts'
import { TestBroker } from './test-broker.ts'

export interface WaitingBrokerOptions {
  readonly settings?: Readonly<Record<string, string>>
  /** Real sockets on loopback, at a port that the system chooses; connections in memory if left out. */
  readonly tcp?: boolean
}

/** A broker that has bound its port and waits for a majority of its cluster, which the test plays. */
export class WaitingBroker {
  readonly controller = new ScriptedController()
  readonly #clock = new SimulatedClock()
  readonly timers = new SimulatedTimers(this.#clock)
  /** Connections that were accepted. */
  readonly transports: AcceptedTransport[] = []
  /** As the quorum node would tell it. */
  figures: QuorumFigures | null = null
  wait: QuorumWait | null = { isFirst: false, voters: [1, 2, 3], missing: [2, 3], disagreeing: [] }
  readonly #network = new MemoryNetwork()
  readonly #barrier = this.controller.answers.get('readBarrier')!
  readonly #started: Promise<TestBroker>
  #port = 0

  private constructor({ settings = {}, tcp = false }: WaitingBrokerOptions) {
    this.controller.answers.delete('readBarrier')
    const listen = tcp ? (options: ListenOptions) => TcpListener.listen(options) : this.#network.listen
    const watched: Listen = async (options) => {
      const listener = await listen({
        ...options,
        onConnection: (transport) => {
          this.transports.push(transport)
          return options.onConnection(transport)
        },
      })
      this.#port = listener.port
      return listener
    }
    this.#started = TestBroker.start({
      settings,
      network: Object.assign(new MemoryNetwork(), { listen: watched }),
      clock: this.#clock,
      timers: this.timers,
      cluster: {
        port: this.controller,
        clusterId: 'cluster-1',
        quorumFigures: () => this.figures,
        quorumWait: () => this.wait,
      },
    })
    // Who looks at the outcome does so later.
    this.#started.catch(() => undefined)
  }

  /** Runs a test against a broker that waits; afterwards the broker is let in, unless it was before, and stopped. */
  static async run(
    options: WaitingBrokerOptions,
    body: (waiting: WaitingBroker, port: number) => Promise<void>,
  ): Promise<void> {
    const waiting = new WaitingBroker(options)
    await waiting.until('readBarrier')
    await body(waiting, waiting.#port)
    const broker = await waiting.letIn()
    await broker.stop()
    broker.assertSound()
  }

  /** The start, which ends when the broker is let in, or cannot be. */
  get started(): Promise<TestBroker> {
    return this.#started
  }

  connect(): MemorySocket {
    return this.#network.connect(this.#port)
  }

  /** Resolves once the broker asks the controller for something that waits for its answer. */
  async until(name: 'readBarrier' | 'registerBroker'): Promise<void> {
    while (!this.controller.asked.some((asked) => asked.name === name)) {
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  /** There is a controller now, and the broker has nothing to wait for. Resolves once it is ready. */
  letIn(): Promise<TestBroker> {
    const { controller } = this
    this.findController()
    controller.answers.set('readBarrier', this.#barrier)
    if (controller.asked.some(({ name }) => name === 'readBarrier')) {
      controller.take('readBarrier').answer(this.#barrier({} as never))
    }
    return this.#started
  }

  /** There is a controller now, which does not answer yet. */
  findController(): void {
    this.wait = null
    this.controller.events!.onActiveController(1)
  }
}
