import { SeededRandom } from '@millrace/base'
import type { Recorder } from '../history/recorder.ts'
import { ClientProgram, libraries } from './client-program.ts'
import { Knowledge, keyOf } from './knowledge.ts'
import { RecordedClient } from './recorded-client.ts'
import { type Role, Worker } from './worker.ts'

export const loadTopic = 'chaos'
export const registerTopic = 'register'

/** Of each library. */
const roles: readonly Role[] = ['mixed', 'mixed', 'member', 'register']

export interface WorkloadOptions {
  readonly bootstrap: string
  readonly recorder: Recorder
  readonly seed: number
  readonly partitions: number
  /** Things done in a second by all clients together. */
  readonly ratePerSecond: number
}

/** Clients of three vendors, each of which sends, reads and commits by its own dice. */
export class Workload {
  readonly programs: readonly ClientProgram[]
  readonly knowledge: Knowledge
  readonly #options: WorkloadOptions
  readonly #stop = new AbortController()
  #working: Promise<unknown> = Promise.resolve()

  constructor(options: WorkloadOptions) {
    this.#options = options
    this.programs = libraries.map((library) => new ClientProgram(library, options.bootstrap))
    const load = Array.from({ length: options.partitions }, (_, partition) => keyOf(loadTopic, partition))
    this.knowledge = new Knowledge(load)
  }

  start(): void {
    const { recorder, seed, ratePerSecond } = this.#options
    const random = new SeededRandom(seed)
    for (const program of this.programs) program.start()
    const pauseMs = (this.programs.length * roles.length * 1000) / ratePerSecond
    const workers = this.programs.flatMap((program) =>
      roles.map((role, slot) => {
        const name = `${program.library}-${slot}`
        const group = role === 'member' ? 'members' : `group-${name}`
        const client = new RecordedClient(name, group, program, recorder, this.knowledge)
        const registerKey = keyOf(registerTopic, 0)
        const { knowledge } = this
        return new Worker({
          client,
          role,
          random: random.fork(name),
          knowledge,
          topic: loadTopic,
          registerKey,
          pauseMs,
        })
      }),
    )
    this.#working = Promise.all(workers.map((worker) => worker.run(this.#stop.signal)))
    // Whoever stops it gets the failure.
    this.#working.catch(() => this.#stop.abort())
  }

  /** Lets the clients finish what they do. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#working
  }

  /** Ends the programs, whatever they do. */
  async end(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.programs.map((program) => program.end()))
  }
}
