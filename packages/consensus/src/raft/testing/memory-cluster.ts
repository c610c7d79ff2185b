import { assert, SeededRandom, type Uuid } from '@millrace/base'
import { RaftCore } from '../raft-core.ts'
import type { RaftOptions } from '../raft-options.ts'
import type { Entry, Message, Ready, ReplicaKey, Voter, VoterSet } from '../types.ts'
import { MemoryLog } from './memory-log.ts'

/** A directory id that shows node and number. */
export function directory(id: number, generation = 0): Uuid {
  const bytes = Buffer.alloc(16)
  bytes[14] = id
  bytes[15] = generation
  return bytes.toString('base64url') as Uuid
}

export function voter(id: number, generation = 0): Voter {
  return { id, directoryId: directory(id, generation), host: `node${id}`, port: 9000 + id }
}

export function voters(...ids: number[]): VoterSet {
  return ids.map((id) => voter(id))
}

/** Small limits, so that tests reach them. */
export const TEST_OPTIONS: Omit<RaftOptions, 'self' | 'log' | 'bootstrapVoters' | 'appliedIndex' | 'random'> = {
  electionTicks: 10,
  heartbeatTicks: 1,
  maxAppendBytes: 512,
  maxInFlightBytes: 2048,
  maxSnapshotChunkBytes: 16,
  maxUncommittedBytes: 4096,
  maxCommittedBytes: 1024,
}

export type TestOptions = Partial<Omit<RaftOptions, 'self' | 'log' | 'appliedIndex' | 'random'>>

/** One node: what it keeps, the core that runs on it now, and what that has applied. */
export class MemoryNode {
  readonly self: ReplicaKey
  readonly log: MemoryLog
  readonly options: TestOptions
  readonly random: SeededRandom
  core: RaftCore
  applied: Entry[]
  answeredReads: { token: number; index: number }[]
  refusedReads: number[]

  constructor(self: ReplicaKey, options: TestOptions, seed: number) {
    this.self = self
    this.log = new MemoryLog()
    this.options = options
    this.random = new SeededRandom(seed)
    this.applied = []
    this.answeredReads = []
    this.refusedReads = []
    this.core = this.#start()
  }

  get id(): number {
    return this.self.id
  }

  /** What was not written is lost. */
  restart(): void {
    this.applied = []
    this.core = this.#start()
  }

  /** Does one `Ready`; the messages that leave. */
  process(): readonly Message[] {
    const ready = this.core.takeReady()
    this.write(ready)
    return this.finish(ready)
  }

  write(ready: Ready): void {
    this.log.write(ready)
  }

  finish(ready: Ready): readonly Message[] {
    if (ready.snapshot !== null) this.applied = []
    for (const entry of ready.committed) this.applied.push(entry)
    this.answeredReads.push(...ready.reads)
    this.refusedReads.push(...ready.refusedReads)
    this.core.advance()
    return [...ready.messagesBeforeWrite, ...ready.messages]
  }

  /** Snapshot at what is applied; entries before `keepFrom` go. */
  compact(data: Buffer, keepFrom = this.core.status.appliedIndex + 1): void {
    const point = this.core.snapshotPoint(this.core.status.appliedIndex)
    assert(point !== null, 'what is applied has a point')
    this.log.saveSnapshot(point, data, keepFrom)
    this.core.onSnapshotSaved()
  }

  #start(): RaftCore {
    return new RaftCore({
      ...TEST_OPTIONS,
      bootstrapVoters: [],
      ...this.options,
      self: this.self,
      log: this.log,
      appliedIndex: this.log.snapshot?.index ?? 0,
      random: this.random,
    })
  }
}

/** Nodes and the messages between them, which arrive in order unless a test says otherwise. */
export class MemoryCluster {
  readonly nodes: Map<number, MemoryNode>
  readonly seed: number
  /** Sent and neither delivered nor dropped. */
  messages: Message[]
  /** Of these, both directions are lost. */
  readonly isolated: Set<number>

  constructor(ids: readonly number[], options: TestOptions = {}, seed = 1) {
    this.nodes = new Map()
    this.seed = seed
    this.messages = []
    this.isolated = new Set()
    for (const id of ids) this.add(id, { bootstrapVoters: voters(...ids), ...options })
  }

  add(id: number, options: TestOptions, generation = 0): MemoryNode {
    const self = { id, directoryId: directory(id, generation) }
    const node = new MemoryNode(self, options, this.seed * 1000 + id)
    this.nodes.set(id, node)
    return node
  }

  node(id: number): MemoryNode {
    const node = this.nodes.get(id)
    assert(node !== undefined, 'the node exists')
    return node
  }

  core(id: number): RaftCore {
    return this.node(id).core
  }

  /** Takes and does all that nodes have ready. */
  process(): void {
    for (const node of this.nodes.values()) {
      while (node.core.hasReady) this.messages.push(...node.process())
    }
  }

  deliverAll(): void {
    const messages = this.messages
    this.messages = []
    for (const message of messages) {
      if (this.isolated.has(message.from.id) || this.isolated.has(message.to.id)) continue
      this.nodes.get(message.to.id)?.core.step(message)
    }
  }

  /** Until nothing moves any more. */
  settle(): void {
    for (let round = 0; round < 1000; round++) {
      this.process()
      if (this.messages.length === 0) return
      this.deliverAll()
    }
    assert(false, 'the cluster comes to rest')
  }

  tick(id: number, count = 1): void {
    for (let tick = 0; tick < count; tick++) this.core(id).tick()
  }

  tickAll(count = 1): void {
    for (let tick = 0; tick < count; tick++) {
      for (const node of this.nodes.values()) node.core.tick()
      this.settle()
    }
  }

  /** Ticks one node until it campaigns, then lets the election run. */
  elect(id: number): void {
    const { core } = this.node(id)
    for (let tick = 0; tick < 1000 && core.status.role !== 'leader'; tick++) {
      for (const node of this.nodes.values()) if (node.id === id || core.status.leaderId !== null) node.core.tick()
      this.settle()
    }
    assert(core.status.role === 'leader', 'the node is elected')
  }
}
