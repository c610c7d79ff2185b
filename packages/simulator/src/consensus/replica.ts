import type { Uuid } from '@millrace/base'
import {
  decodeVoters,
  FIRST_CHAIN,
  type LogIndex,
  type Message,
  RaftCore,
  type Ready,
  type Refusal,
  type ReplicaKey,
  type SnapshotPoint,
  type VoterSet,
} from '@millrace/consensus'
import { ProcessLoop } from '../world/process-loop.ts'
import type { RandomStream } from '../world/random-stream.ts'
import { must } from '../world/violation.ts'
import type { World } from '../world/world.ts'
import type { ConsensusChecker } from './consensus-checker.ts'
import type { ConsensusOptions, CrashPoint } from './consensus-scenario.ts'
import { DurableLog, entryHash } from './durable-log.ts'
import { decodeState, encodeState } from './state-machine.ts'

/** What a node needs of the world around it. */
export interface ReplicaSurroundings {
  readonly world: World
  readonly options: ConsensusOptions
  readonly checker: ConsensusChecker
  readonly bootstrapVoters: VoterSet
  send(from: number, message: Message): void
  onCrashed(replica: Replica): void
}

/**
 * One node of the quorum: a {@link RaftCore}, its durable log, a state machine that hashes what it applies, and the loop that a host has
 * to run between them. Its process may end at any step of that loop; what was not durable is then gone.
 */
export class Replica {
  readonly id: number
  /** Another one after the disk was wiped. */
  key: ReplicaKey
  log: DurableLog
  core: RaftCore | null = null
  loop: ProcessLoop
  /** Counts the lives of the process. */
  life = 0
  appliedIndex: LogIndex = 0
  appliedHash = 0
  /** Above 1: the disk is so much slower. */
  diskFactor = 1
  /** The next round of work ends the process here. */
  crashPoint: CrashPoint | null = null
  crashDownMs = 0
  isWriteDoomed = false
  #writing: Ready | null = null
  #voters: { readonly voters: VoterSet; readonly index: LogIndex }
  #isSaving = false
  #clockRate = 1
  readonly #drift: number
  readonly #around: ReplicaSurroundings
  readonly #random: RandomStream

  constructor(id: number, directoryId: Uuid, around: ReplicaSurroundings) {
    this.id = id
    this.key = { id, directoryId }
    this.log = new DurableLog(FIRST_CHAIN)
    this.#around = around
    this.#random = around.world.stream(`replica ${id}`)
    this.#drift = 1 + this.#random.real(-1, 1) * around.options.drift
    this.loop = new ProcessLoop(around.world, id)
    this.#voters = { voters: around.bootstrapVoters, index: 0 }
  }

  get isUp(): boolean {
    return this.core !== null
  }

  /** The process starts: from what is durable. */
  start(): void {
    const { world, options, bootstrapVoters } = this.#around
    this.life++
    this.loop = new ProcessLoop(world, this.id)
    this.crashPoint = null
    this.#isSaving = false
    const { snapshot, snapshotData } = this.log
    this.appliedIndex = snapshot?.index ?? 0
    this.appliedHash = snapshotData === null ? 0 : decodeState(snapshotData)
    this.#voters =
      snapshot === null
        ? { voters: bootstrapVoters, index: 0 }
        : { voters: snapshot.voters, index: snapshot.votersIndex }
    const contacts = Array.from({ length: options.nodeCount }, (_, id) => id).filter((id) => id !== this.id)
    this.core = new RaftCore({
      self: this.key,
      log: this.log,
      bootstrapVoters,
      contacts,
      appliedIndex: this.appliedIndex,
      random: world.stream(`core ${this.id} ${this.life}`),
      electionTicks: options.electionTicks,
      heartbeatTicks: options.heartbeatTicks,
      maxAppendBytes: options.maxAppendBytes,
      maxInFlightBytes: options.maxInFlightBytes,
      maxSnapshotChunkBytes: options.maxSnapshotChunkBytes,
      maxUncommittedBytes: options.maxUncommittedBytes,
      maxCommittedBytes: options.maxCommittedBytes,
    })
    world.trace?.(world.nowMs, this.id, `starts, life ${this.life}`)
    this.#tickLater()
    this.#checked()
    this.#pump()
  }

  /** The process is gone. A write that was under way is durable or not, as chance has it. */
  crash(): void {
    if (this.core === null) return
    const { world } = this.#around
    world.trace?.(world.nowMs, this.id, 'process ends')
    const writing = this.#writing
    this.core = null
    this.#writing = null
    this.loop.end()
    if (writing !== null) {
      const isDurable = this.#random.chance(0.5)
      world.mark(isDurable ? 'write of a dead process durable' : 'write of a dead process lost')
      if (isDurable) this.#makeDurable(writing)
    }
    this.#around.onCrashed(this)
  }

  /** The disk is empty, so this is another replica from now on. The process must be down. */
  wipe(directoryId: Uuid): void {
    this.key = { id: this.id, directoryId }
    this.log = new DurableLog(FIRST_CHAIN)
    this.appliedIndex = 0
    this.appliedHash = 0
  }

  /** The clock runs at this rate from now on, times its own drift. */
  setClockRate(rate: number): void {
    this.#clockRate = rate
  }

  receive(message: Message): void {
    this.#work((core) => {
      const before = core.status
      core.step(message)
      this.#around.checker.onStepped(this, message, before)
    })
  }

  propose(data: Buffer): LogIndex | Refusal {
    let outcome: LogIndex | Refusal = 'NOT_LEADER'
    this.#work((core) => {
      outcome = core.propose(data)
      this.#around.checker.onProposed(this, outcome, data.length)
    })
    return outcome
  }

  proposeVoters(next: VoterSet): LogIndex | Refusal {
    let outcome: LogIndex | Refusal = 'NOT_LEADER'
    this.#work((core) => {
      const before = core.status
      outcome = core.proposeVoters(next)
      this.#around.checker.onVotersProposed(this, next, outcome, before)
    })
    return outcome
  }

  /** Anything else that a host asks of the core. */
  ask(what: (core: RaftCore) => void): void {
    this.#work(what)
  }

  #work(what: (core: RaftCore) => void): void {
    const { core } = this
    if (core === null) return
    what(core)
    // At once: what is now committed may be applied in the same breath.
    this.#checked()
    this.#pump()
  }

  #checked(): void {
    if (this.core !== null) this.#around.checker.afterEvent(this, this.core.status)
  }

  #tickLater(): void {
    const { tickMs } = this.#around.options
    this.loop.after(tickMs / (this.#drift * this.#clockRate), 'tick', () => {
      this.#work((core) => core.tick())
      if (this.core !== null) this.#tickLater()
    })
  }

  /** The host's loop: rounds of work until one has to wait for the disk. */
  #pump(): void {
    if (this.core !== null && this.#writing !== null) this.#sendAll(this.core.takeSignsOfLife())
    for (let round = 0; this.core?.hasReady === true && this.#writing === null; round++) {
      must(round < 10_000, 'liveness', () => `node ${this.id} finds ever more work`)
      const ready = this.core.takeReady()
      if (this.#crashesAt('before early messages')) return
      this.#sendAll(ready.messagesBeforeWrite)
      if (this.#crashesAt('before write')) return
      if (!hasWrites(ready)) {
        this.#afterWrite(ready)
        continue
      }
      this.#writing = ready
      if (this.#crashesAt('during write')) return
      const { writeMs } = this.#around.options
      this.loop.after(this.#random.real(0.3, 1.7) * writeMs * this.diskFactor, 'written', () => this.#onWritten(ready))
    }
  }

  #onWritten(ready: Ready): void {
    if (this.isWriteDoomed) {
      // A failed write is final (S7): the process ends, and what of it is durable nobody knows.
      this.isWriteDoomed = false
      this.crash()
      return
    }
    this.#writing = null
    this.#makeDurable(ready)
    if (this.#crashesAt('after write')) return
    this.#afterWrite(ready)
    this.#pump()
  }

  #afterWrite(ready: Ready): void {
    const half = this.crashPoint === 'amid messages' ? ready.messages.length >> 1 : ready.messages.length
    this.#sendAll(ready.messages.slice(0, half))
    if (ready.messages.length > 0 && this.#crashesAt('amid messages')) return
    if (this.#crashesAt('before apply')) return
    this.#apply(ready)
    if (this.#crashesAt('before advance')) return
    this.core!.advance()
    this.#checked()
    this.#saveSnapshotIfDue()
  }

  #apply({ snapshot, committed, reads, refusedReads }: Ready): void {
    const { checker } = this.#around
    if (snapshot !== null) {
      this.appliedIndex = snapshot.point.index
      this.appliedHash = decodeState(snapshot.data)
      this.#voters = { voters: snapshot.point.voters, index: snapshot.point.votersIndex }
      checker.onSnapshotLoaded(this, snapshot.point)
    }
    for (const entry of committed) {
      checker.onApply(this, entry)
      this.appliedIndex = entry.index
      this.appliedHash = entryHash(this.appliedHash, entry)
      if (entry.kind === 'voters') this.#voters = { voters: votersOf(entry.data), index: entry.index }
      checker.onApplied(this, entry)
    }
    for (const { token, index } of reads) checker.onReadAnswered(this, token, index)
    for (const token of refusedReads) checker.onReadRefused(token)
  }

  #sendAll(messages: readonly Message[]): void {
    for (const message of messages) {
      this.#around.checker.onSend(this, message)
      this.#around.send(this.id, message)
    }
  }

  #makeDurable(ready: Ready): void {
    const truncated = this.#around.checker.onWriting(this, ready)
    this.log.write(ready, decodeState)
    this.#around.checker.onWritten(this, ready, truncated)
  }

  #saveSnapshotIfDue(): void {
    const { options, world, checker } = this.#around
    if (this.#isSaving || this.appliedIndex - (this.log.snapshot?.index ?? 0) < options.snapshotEntries) return
    const at = this.log.pointAt(this.appliedIndex)
    if (at === null) return
    this.#isSaving = true
    const { voters, index: votersIndex } = this.#voters
    const point: SnapshotPoint = { index: this.appliedIndex, term: at.term, chain: at.chain, voters, votersIndex }
    const data = encodeState(this.appliedHash, options.snapshotPadBytes)
    this.loop.after(2 * options.writeMs * this.diskFactor + 1, 'snapshot saved', () => {
      this.#isSaving = false
      world.mark('snapshot saved')
      this.log.saveSnapshot(point, data, point.index + 1 - options.keepEntries)
      checker.onSnapshotSaved(this)
      this.#work((core) => core.onSnapshotSaved())
    })
  }

  #crashesAt(point: CrashPoint): boolean {
    if (this.crashPoint !== point) return false
    this.crashPoint = null
    this.#around.world.mark(`crash ${point}`)
    this.crash()
    return true
  }
}

function hasWrites({ hardState, truncateFrom, entries, snapshot }: Ready): boolean {
  return hardState !== null || truncateFrom !== null || entries.length > 0 || snapshot !== null
}

function votersOf(data: Buffer): VoterSet {
  const voters = decodeVoters(data)
  must(voters !== null, 'C13', () => 'a committed entry of voters cannot be read')
  return voters
}
