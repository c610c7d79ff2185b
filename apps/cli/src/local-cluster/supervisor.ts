import type { Timers } from '@millrace/base'
import { type NodeCommand, type NodeEnd, NodeProcess } from './node-process.ts'

/** Where the supervisor says things. Whole lines, without the line feed. */
export interface SupervisorVoice {
  /** For scripts: `ready` lines. */
  out(line: string): void
  /** For people: what nodes log, and what becomes of them. */
  log(line: string): void
}

export interface SupervisorOptions {
  /** By node, in the order of their ids, which count from 1. */
  readonly commands: readonly NodeCommand[]
  readonly voice: SupervisorVoice
  readonly timers: Timers
  /** How long a node may take to stop before it is killed. */
  readonly stopTimeoutMs: number
  /** What goes before each line of a node. */
  readonly prefix: (nodeId: number) => string
  /** All nodes serve. */
  readonly onAllReady: () => void
}

const EXIT_OK = 0
const EXIT_FAILED = 1

/**
 * Runs the nodes of a cluster as processes. A node that ends while it should serve is told of, and the others go on: that is what a cluster is
 * for. One that ends before it ever served ends them all, since what keeps it from starting is most often wrong for the others too.
 */
export class Supervisor {
  readonly #options: SupervisorOptions
  readonly #nodes: NodeProcess[] = []
  readonly #isReady: boolean[]
  readonly #finished = Promise.withResolvers<number>()
  #stopping: Promise<void> | null = null
  #exitCode = EXIT_OK

  constructor(options: SupervisorOptions) {
    this.#options = options
    this.#isReady = options.commands.map(() => false)
  }

  /** Starts all nodes and resolves, when all have ended, to the exit code: 0 if they were told to stop and did. */
  run(): Promise<number> {
    for (const [slot, command] of this.#options.commands.entries()) this.#start(slot, command)
    return this.#finished.promise
  }

  /**
   * Stops the nodes one after the other, the last one first: each can hand its leaderships to those that still run. Calls after the first
   * have no effect.
   */
  stop(): void {
    this.#stopping ??= this.#stopAll()
  }

  /** Ends all nodes at once, as a crash would. */
  kill(): void {
    for (const node of this.#nodes) node.signal('SIGKILL')
  }

  #start(slot: number, command: NodeCommand): void {
    const { voice, prefix } = this.#options
    const nodeId = slot + 1
    const node = new NodeProcess(command, {
      onReady: (line) => {
        this.#isReady[slot] = true
        voice.out(line)
        if (this.#stopping === null && this.#isReady.every(Boolean)) this.#options.onAllReady()
      },
      onLine: (line) => voice.log(`${prefix(nodeId)}${line}`),
    })
    this.#nodes[slot] = node
    void node.ended.then((end) => this.#onEnd(slot, end))
  }

  #onEnd(slot: number, end: NodeEnd): void {
    const nodeId = slot + 1
    const ranOut = this.#nodes.every(({ hasEnded }) => hasEnded)
    if (this.#stopping === null) {
      const leftCount = this.#nodes.filter(({ hasEnded }) => !hasEnded).length
      this.#exitCode = EXIT_FAILED
      if (!this.#isReady[slot]) {
        // The code says why: 2 is a wrong setting.
        this.#exitCode = end.code || EXIT_FAILED
        this.#say(`node ${nodeId} could not start (${endText(end)})${leftCount > 0 ? ': stopping the others' : ''}`)
        this.stop()
      } else if (leftCount > 0) {
        this.#say(`node ${nodeId} ended (${endText(end)}); ${leftCount === 1 ? '1 goes' : `${leftCount} go`} on`)
      } else {
        this.#say(`node ${nodeId} ended (${endText(end)}); none is left`)
      }
    } else if (end.code !== 0 && end.signal !== 'SIGTERM') {
      this.#exitCode ||= EXIT_FAILED
      this.#say(`node ${nodeId} did not stop in order (${endText(end)})`)
    }
    if (ranOut) this.#finished.resolve(this.#exitCode)
  }

  async #stopAll(): Promise<void> {
    // What became of nodes before is told already; from now on only how they stop counts.
    if (this.#isReady.every(Boolean)) this.#exitCode = EXIT_OK
    for (const [slot, node] of [...this.#nodes.entries()].reverse()) {
      if (node.hasEnded) continue
      node.signal('SIGTERM')
      const { stopTimeoutMs } = this.#options
      const late = this.#options.timers.setTimer(stopTimeoutMs, () => {
        this.#say(`node ${slot + 1} did not stop within ${stopTimeoutMs / 1000} s and is killed`)
        node.signal('SIGKILL')
      })
      await node.ended
      late.cancel()
    }
  }

  #say(text: string): void {
    this.#options.voice.log(`millrace: ${text}`)
  }
}

function endText({ code, signal }: NodeEnd): string {
  if (signal !== null) return signal
  return code === null ? 'it could not be run' : `exit code ${code}`
}
