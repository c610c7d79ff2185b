import { SeededRandom } from '@millrace/base'
import type { Recorder } from '../history/recorder.ts'
import { ClientProgram, type Library, libraries, sharingLibraries } from './client-program.ts'
import type { GroupProtocol } from './client-protocol.ts'
import { Knowledge, keyOf } from './knowledge.ts'
import { Processor } from './processor.ts'
import { type ClientIdentity, RecordedClient } from './recorded-client.ts'
import { shareGroup } from './share-group.ts'
import { Sharer } from './sharer.ts'
import { Transactor } from './transactor.ts'
import { type Role, Worker } from './worker.ts'

export const loadTopic = 'chaos'
export const registerTopic = 'register'
/** What the processors make of the topic under load. */
export const outputTopic = 'outputs'
export const processorGroup = 'processors'
/** What the share group reads: single records, and such as transactions brought. Few partitions, so that members have them in common. */
export const sharedTopics: readonly string[] = [registerTopic, outputTopic]

/** Of each library. `modern-member`: by the newer protocol of groups. */
const roles = ['mixed', 'mixed', 'member', 'modern-member', 'register', 'transactor', 'processor'] as const
/** Members of the share group, of each library that has such. */
const SHARERS = 3

export interface WorkloadOptions {
  readonly bootstrap: string
  readonly recorder: Recorder
  readonly seed: number
  /** Of the topic under load. */
  readonly partitions: number
  readonly outputPartitions: number
  /** Things done in a second by all clients together. */
  readonly ratePerSecond: number
}

interface Running {
  run(signal: AbortSignal): Promise<void>
}

/** Clients of three vendors, each of which sends, reads and commits by its own dice. */
export class Workload {
  readonly programs: readonly ClientProgram[]
  readonly knowledge: Knowledge
  readonly #options: WorkloadOptions
  readonly #random: SeededRandom
  readonly #stopSending = new AbortController()
  readonly #stopProcessing = new AbortController()
  readonly #stopSharing = new AbortController()
  #sending: Promise<unknown> = Promise.resolve()
  #processing: Promise<unknown> = Promise.resolve()
  #sharing: Promise<unknown> = Promise.resolve()

  constructor(options: WorkloadOptions) {
    this.#options = options
    this.#random = new SeededRandom(options.seed)
    this.programs = libraries.map((library) => new ClientProgram(library, options.bootstrap))
    this.knowledge = new Knowledge(keysOf(loadTopic, options.partitions))
  }

  start(): void {
    for (const program of this.programs) program.start()
    const senders = this.programs.flatMap((program) => this.#senders(program))
    const processors = this.programs.map((program) => this.#processor(program))
    this.#sending = Promise.all(senders.map((worker) => worker.run(this.#stopSending.signal)))
    this.#processing = Promise.all(processors.map((worker) => worker.run(this.#stopProcessing.signal)))
    const sharers = this.programs.flatMap((program) => this.#sharers(program))
    this.#sharing = Promise.all(sharers.map((worker) => worker.run(this.#stopSharing.signal)))
    // Whoever stops them gets the failure.
    for (const working of [this.#sending, this.#processing, this.#sharing]) working.catch(() => this.#abort())
  }

  /** Lets the clients finish what they do, except those that process what is there already. */
  async stopSending(): Promise<void> {
    this.#stopSending.abort()
    await this.#sending
  }

  /** Lets the others finish, too. */
  async stopProcessing(): Promise<void> {
    this.#stopProcessing.abort()
    await this.#processing
  }

  /** Lets the members of the share group finish. */
  async stopSharing(): Promise<void> {
    this.#stopSharing.abort()
    await this.#sharing
  }

  /** Ends the programs, whatever they do. */
  async end(): Promise<void> {
    this.#abort()
    await Promise.all(this.programs.map((program) => program.end()))
  }

  #abort(): void {
    this.#stopSending.abort()
    this.#stopProcessing.abort()
    this.#stopSharing.abort()
  }

  #senders(program: ClientProgram): Running[] {
    const { library } = program
    const names = roles.map((role, slot) => ({ role, name: `${library}-${slot}` }))
    return names.flatMap(({ role, name }): Running[] => {
      switch (role) {
        case 'processor':
          return []
        case 'transactor':
          return [this.#transactor(program, name)]
        case 'member':
          return [this.#worker(program, 'member', { name, group: 'members' }, 0.002)]
        case 'modern-member':
          return [this.#worker(program, 'member', { name, group: 'modern-members', groupProtocol: 'consumer' }, 0.02)]
        default:
          return [this.#worker(program, role, { name, group: `group-${name}` }, 0.002)]
      }
    })
  }

  #worker(program: ClientProgram, role: Role, identity: ClientIdentity, leaveChance: number): Worker {
    return new Worker({
      client: this.#client(program, identity),
      role,
      random: this.#random.fork(identity.name),
      knowledge: this.knowledge,
      topic: loadTopic,
      registerKey: keyOf(registerTopic, 0),
      pauseMs: this.#pauseMs,
      leaveChance,
    })
  }

  #transactor(program: ClientProgram, name: string): Transactor {
    const others = libraries.filter((library) => library !== program.library)
    return new Transactor({
      client: this.#client(program, { name, group: `group-${name}` }),
      random: this.#random.fork(name),
      pauseMs: this.#pauseMs,
      keys: this.knowledge.keys,
      transactionalIds: [program.library, ...others].map(transactionalIdOf),
    })
  }

  #processor(program: ClientProgram): Processor {
    const name = `${program.library}-${roles.indexOf('processor')}`
    return new Processor({
      client: this.#client(program, { name, group: processorGroup, groupProtocol: this.#processorProtocol }),
      random: this.#random.fork(name),
      pauseMs: this.#pauseMs,
      topic: loadTopic,
      inputs: this.knowledge.keys,
      outputs: keysOf(outputTopic, this.#options.outputPartitions),
      transactionalId: `processor-${program.library}`,
    })
  }

  #sharers(program: ClientProgram): Sharer[] {
    if (!sharingLibraries.includes(program.library)) return []
    return Array.from({ length: SHARERS }, (_, slot) => {
      const name = `${program.library}-sharer-${slot}`
      return new Sharer({
        client: this.#client(program, { name, group: shareGroup, groupProtocol: 'share' }),
        random: this.#random.fork(name),
        pauseMs: this.#pauseMs,
        topics: sharedTopics,
        isCalm: () => this.#stopSending.signal.aborted,
      })
    })
  }

  /** Offsets that go with transactions are refused by a rule of each protocol: seeds that are even ask the one, others the other. */
  get #processorProtocol(): GroupProtocol {
    return this.#options.seed % 2 === 0 ? 'classic' : 'consumer'
  }

  #client(program: ClientProgram, identity: ClientIdentity): RecordedClient {
    return new RecordedClient(identity, program, this.#options.recorder, this.knowledge)
  }

  get #pauseMs(): number {
    const clients = this.programs.length * roles.length + sharingLibraries.length * SHARERS
    return (clients * 1000) / this.#options.ratePerSecond
  }
}

function keysOf(topic: string, partitions: number): string[] {
  return Array.from({ length: partitions }, (_, partition) => keyOf(topic, partition))
}

function transactionalIdOf(library: Library): string {
  return `transactor-${library}`
}
