import { type ClientOptions, type ClientPorts, isRetriable } from '@millrace/client'
import { clientTransport } from '../network/byte-ports.ts'
import type { StreamNetwork } from '../network/stream-network.ts'
import { ProcessLoop } from '../world/process-loop.ts'
import { must } from '../world/violation.ts'
import type { World } from '../world/world.ts'

/** Within it every call must have ended, one way or the other (L3). */
const CALL_LIMIT_MS = 60_000
/** A client waits so long for one answer, and a consumer that leaves no longer for its group. */
export const REQUEST_TIMEOUT_MS = 5_000
export const CLOSE_LIMIT_MS = 5_000
/** Ids of clients on the network: of the first host from here on, of each other one so much later. Nodes have smaller ones. */
export const FIRST_CLIENT = 100
export const CLIENTS_MAX = 1_000

/** A client's process in the world: what it is made with, and its time. */
export interface ClientSeat {
  readonly options: ClientOptions & { readonly ports: ClientPorts }
  readonly loop: ProcessLoop
}

/** Where the clients of a run live: gives each a process and a place on the network, counts their calls and holds that each ends (L3). */
export class ClientHost {
  readonly world: World
  /** Calls that ended, well or not. */
  callCount = 0
  /** First thing that went wrong in a client's own course. */
  failure: unknown = null
  readonly #network: StreamNetwork
  readonly #nodeCount: number
  readonly #firstId: number
  #seatCount = 0
  #openCalls = 0

  /** `firstId`: of the clients on the network; those of another host, and nodes, have others. */
  constructor(world: World, network: StreamNetwork, nodeCount: number, firstId: number) {
    this.world = world
    this.#network = network
    this.#nodeCount = nodeCount
    this.#firstId = firstId
  }

  get openCalls(): number {
    return this.#openCalls
  }

  /** For one client: its randomness is the stream of that name. */
  seat(clientId: string): ClientSeat {
    const loop = new ProcessLoop(this.world, this.#firstId + this.#seatCount++)
    const ports: ClientPorts = {
      clock: loop,
      timers: loop,
      random: this.world.stream(clientId),
      transport: clientTransport(this.#network, loop),
      defer: (callback) => {
        loop.after(0, 'defer', callback)
      },
    }
    const options = {
      bootstrapServers: Array.from({ length: this.#nodeCount }, (_, id) => `node-${id}:9092`),
      clientId,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
      defaultApiTimeoutMs: 20_000,
      metadataMaxAgeMs: 10_000,
      socketConnectionSetupTimeoutMs: 2_000,
      ports,
    }
    return { options, loop }
  }

  /** The client's process is killed: nothing of it happens any more, and its connections close. Its open calls never end. */
  kill({ loop }: ClientSeat): void {
    loop.end()
    this.#network.onProcessEnded(loop)
  }

  /** A call may fail in a way that says so, which is false; anything else ends the run. `expected`: codes beside those of {@link isExpected}. */
  async call(name: string, call: () => Promise<void>, expected: ReadonlySet<string> = NO_CODES): Promise<boolean> {
    const startMs = this.world.nowMs
    this.#openCalls++
    try {
      await call()
      this.world.mark(`${name} ok`)
      return true
    } catch (error) {
      if (!isExpected(error) && !expected.has(codeOf(error))) throw error
      this.world.mark(`${name} failed`)
      this.world.trace?.(this.world.nowMs, -1, `${name}: ${String(error)}`)
      return false
    } finally {
      this.#openCalls--
      this.callCount++
      const tookMs = this.world.nowMs - startMs
      this.world.judge('L3')
      must(tookMs <= CALL_LIMIT_MS, 'L3', () => `${name} took ${tookMs} ms`)
    }
  }

  /** The process of a client ends at once, amid whatever it does: its calls never end by themselves. */
  end({ loop }: ClientSeat): void {
    loop.end()
    this.#network.onProcessEnded(loop)
  }

  /** A course that nobody waits for: what it throws ends the run. */
  own(course: Promise<void>): void {
    course.catch((error: unknown) => {
      this.failure ??= error
    })
  }

  /** Virtual time passes for a client. */
  pass(loop: ProcessLoop, delayMs: number, name: string): Promise<void> {
    return new Promise((resolve) => loop.after(delayMs, name, resolve))
  }
}

const NO_CODES: ReadonlySet<string> = new Set()

function codeOf(error: unknown): string {
  const { code } = error as { code?: unknown }
  return typeof code === 'string' ? code : ''
}

/** What any client may be told while nodes fail. */
function isExpected(error: unknown): boolean {
  return isRetriable(error) || EXPECTED_CODES.has(codeOf(error))
}

/** Ends of calls that are not to be tried again as they are, and yet no mistake of anybody. */
const EXPECTED_CODES = new Set([
  'TIMEOUT',
  'REBALANCE_IN_PROGRESS',
  'ILLEGAL_GENERATION',
  'UNKNOWN_MEMBER_ID',
  'COMMIT_FAILED',
])
