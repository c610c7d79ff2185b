import { assert, SeededRandom } from '@millrace/base'
import type { Message, Voter } from '../types.ts'
import { InvariantChecker } from './invariant-checker.ts'
import { MemoryCluster, type MemoryNode, voter } from './memory-cluster.ts'

/** What happens how often, relative to each other. */
export interface RunWeights {
  readonly tick: number
  readonly process: number
  readonly crash: number
  readonly deliver: number
  readonly drop: number
  readonly duplicate: number
  readonly propose: number
  readonly read: number
  readonly changeVoters: number
  readonly transfer: number
  readonly compact: number
  readonly lose: number
  readonly isolate: number
}

const MEAN_WEIGHTS: RunWeights = {
  tick: 200,
  process: 500,
  crash: 8,
  deliver: 900,
  drop: 30,
  duplicate: 20,
  propose: 60,
  read: 20,
  changeVoters: 8,
  transfer: 4,
  compact: 8,
  lose: 8,
  isolate: 4,
}
const MAX_MESSAGES = 500

export interface RunResult {
  readonly committed: number
  readonly terms: number
  readonly installedSnapshots: number
  readonly voterChanges: number
  readonly answeredReads: number
  readonly digest: string
}

/**
 * Nodes, messages in any order, lost and repeated, crashes at each point of a `Ready`, changes of voters, transfers, snapshots: chosen by the
 * seed, checked after each event. At the end the faults stop and everything must converge. Throws the first broken invariant.
 */
export class RandomRun {
  readonly #random: SeededRandom
  readonly #cluster: MemoryCluster
  readonly #checker: InvariantChecker
  readonly #weights: RunWeights
  readonly #spares: readonly Voter[]
  #nextRead = 0
  #nextValue = 0
  #installed = 0
  #voterChanges = 0
  #digest = 0

  constructor(seed: number) {
    this.#random = new SeededRandom(seed)
    const voterCount = 1 + this.#below(5)
    const ids = Array.from({ length: voterCount }, (_, slot) => slot + 1)
    this.#cluster = new MemoryCluster(ids, { contacts: ids, heartbeatTicks: 3 }, seed)
    this.#checker = new InvariantChecker()
    // Some kinds of events are left out of each run: that finds more than all of them always.
    this.#weights = Object.fromEntries(
      Object.entries(MEAN_WEIGHTS).map(([name, weight]) => {
        const needed = name === 'tick' || name === 'process' || name === 'deliver' || name === 'propose'
        return [name, needed ? weight : this.#below(4) === 0 ? 0 : weight * (0.25 + this.#below(8) / 4)]
      }),
    ) as unknown as RunWeights
    this.#spares = [voterCount + 1, voterCount + 2].map((id) => voter(id))
    for (const spare of this.#spares)
      this.#cluster.add(spare.id, { bootstrapVoters: [], contacts: ids, heartbeatTicks: 3 })
  }

  run(eventCount: number): RunResult {
    for (let event = 0; event < eventCount; event++) {
      this.#event()
      if (event % 500 === 0) this.#checker.compareLogs(this.#cluster.nodes.values())
    }
    this.#converge()
    const leader = this.#leader()!
    return {
      committed: this.#checker.committedIndex,
      terms: leader.core.status.term,
      installedSnapshots: this.#installed,
      voterChanges: this.#voterChanges,
      answeredReads: [...this.#cluster.nodes.values()].reduce((sum, node) => sum + node.answeredReads.length, 0),
      digest: `${this.#digest} ${leader.log.pointAt(leader.log.lastIndex)?.chain.toString('hex')}`,
    }
  }

  #event(): void {
    const name = this.#choose()
    const node = this.#anyNode()
    this.#digest =
      (Math.imul(this.#digest, 31) + node.id * 131 + name.charCodeAt(0) + this.#cluster.messages.length) | 0
    switch (name) {
      case 'tick':
        node.core.tick()
        break
      case 'process': {
        const busy = [...this.#cluster.nodes.values()].filter(({ core }) => core.hasReady)
        if (busy.length > 0) this.#process(busy[this.#below(busy.length)]!)
        return
      }
      case 'crash':
        this.#crash(node)
        break
      case 'deliver':
        for (let count = this.#below(4); count >= 0; count--) this.#deliver(true)
        return
      case 'drop':
        this.#takeMessage()
        break
      case 'duplicate':
        this.#deliver(false)
        return
      case 'propose':
        for (const { core } of this.#cluster.nodes.values()) {
          core.propose(Buffer.from(`${this.#nextValue++}`.padEnd(this.#below(200), '.')))
        }
        break
      case 'read':
        for (const { core } of this.#cluster.nodes.values()) {
          this.#checker.onReadAsked(this.#nextRead)
          core.readIndex(this.#nextRead++)
        }
        break
      case 'changeVoters':
        for (const other of this.#cluster.nodes.values()) this.#changeVoters(other)
        break
      case 'transfer':
        node.core.transferLeadership(1 + this.#below(this.#cluster.nodes.size + 1))
        break
      case 'compact':
        this.#compact(node)
        break
      case 'lose':
        if (this.#below(2) === 0) node.core.onPeerLost(this.#anyNode().id)
        else if (this.#below(3) === 0) node.core.resign()
        else node.core.reportUnreachable(this.#anyNode().id)
        break
      case 'isolate':
        if (this.#cluster.isolated.size > 0) this.#cluster.isolated.clear()
        else this.#cluster.isolated.add(node.id)
        break
    }
    this.#checker.onStep(node, this.#cluster.nodes.values())
  }

  #process(node: MemoryNode): void {
    if (!node.core.hasReady) return
    const ready = node.core.takeReady()
    this.#checker.onSentEarly(node, ready)
    this.#queue(ready.messagesBeforeWrite)
    // What arrives while the write is under way.
    for (let count = this.#below(4); count > 0; count--) this.#deliverTo(node)
    node.write(ready)
    this.#checker.onWritten(node, ready)
    this.#checker.onStep(node, this.#cluster.nodes.values())
    this.#queue(ready.messages)
    for (let count = this.#below(2); count > 0; count--) this.#deliverTo(node)
    if (ready.snapshot !== null) this.#installed++
    node.finish(ready)
    this.#checker.onStep(node, this.#cluster.nodes.values())
  }

  /** Before the write, after it, or after sending what depends on it; what was in memory is gone. */
  #crash(node: MemoryNode): void {
    if (node.core.hasReady) {
      const ready = node.core.takeReady()
      const point = this.#below(4)
      if (point > 0) this.#queue(ready.messagesBeforeWrite)
      if (point > 1) {
        node.write(ready)
        this.#checker.onWritten(node, ready)
      }
      if (point > 2) this.#queue(ready.messages)
    }
    node.restart()
  }

  #queue(messages: readonly Message[]): void {
    this.#cluster.messages.push(...messages)
    while (this.#cluster.messages.length > MAX_MESSAGES) this.#takeMessage()
  }

  #takeMessage(): Message | null {
    const { messages } = this.#cluster
    if (messages.length === 0) return null
    // Mostly the oldest few: total disorder rarely gets anywhere.
    const slot = this.#below(this.#below(10) === 0 ? messages.length : Math.min(4, messages.length))
    return messages.splice(slot, 1)[0]!
  }

  #deliver(remove: boolean): void {
    const message = this.#takeMessage()
    if (message === null) return
    if (!remove) this.#cluster.messages.push(message)
    this.#step(message)
  }

  #deliverTo(node: MemoryNode): void {
    const slot = this.#cluster.messages.findIndex((message) => message.to.id === node.id)
    if (slot >= 0) this.#step(this.#cluster.messages.splice(slot, 1)[0]!)
  }

  #step(message: Message): void {
    const { isolated, nodes } = this.#cluster
    const node = nodes.get(message.to.id)
    if (node === undefined || isolated.has(message.from.id) || isolated.has(message.to.id)) return
    node.core.step(message)
    this.#checker.onStep(node, nodes.values())
  }

  #changeVoters(node: MemoryNode): void {
    const current = node.core.status.voters
    const absent = [...this.#cluster.nodes.values()].filter(({ id }) => !current.some((other) => other.id === id))
    const add = this.#below(2) === 0 && absent.length > 0
    const next = add
      ? [...current, voter(absent[this.#below(absent.length)]!.id)].sort((left, right) => left.id - right.id)
      : current.filter((_, slot) => slot !== this.#below(current.length))
    if (typeof node.core.proposeVoters(next) === 'number') this.#voterChanges++
  }

  #compact(node: MemoryNode): void {
    const { appliedIndex } = node.core.status
    // A snapshot is a write of its own; the host does not begin it while another is under way.
    if (appliedIndex <= (node.log.snapshot?.index ?? 0) || node.core.snapshotPoint(appliedIndex) === null) return
    node.compact(Buffer.alloc(1 + this.#below(100), appliedIndex), appliedIndex + 1 - this.#below(3))
  }

  /** L1, L2, L5: with all nodes and no faults one leader is found, what is proposed commits, and the logs become equal. */
  #converge(): void {
    const { nodes, isolated } = this.#cluster
    isolated.clear()
    for (let round = 0; round < 600; round++) {
      for (const node of nodes.values()) node.core.tick()
      for (let pass = 0; pass < 6; pass++) {
        for (const node of nodes.values()) {
          while (node.core.hasReady) this.#process(node)
          this.#checker.onStep(node, nodes.values())
        }
        for (const message of this.#cluster.messages.splice(0)) this.#step(message)
      }
      if (round === 300) this.#leader()?.core.propose(Buffer.from('at the end'))
    }
    this.#checker.compareLogs(nodes.values())
    const leader = this.#leader()
    assert(leader !== null, 'L1: a leader is found')
    const { status } = leader.core
    assert(status.commitIndex === status.lastIndex, 'L1: what is proposed commits')
    for (const node of nodes.values()) {
      const { appliedIndex, commitIndex, leaderId, lastIndex } = node.core.status
      const detail = () => `L2: node ${node.id} follows, ${JSON.stringify(node.core.status)} ${JSON.stringify(status)}`
      if (leaderId !== leader.id || commitIndex !== status.commitIndex || appliedIndex !== commitIndex) {
        throw new Error(detail())
      }
      assert(lastIndex === status.lastIndex, 'L2: the logs are equal')
    }
  }

  #leader(): MemoryNode | null {
    const leaders = [...this.#cluster.nodes.values()].filter(({ core }) => core.status.role === 'leader')
    return leaders.sort((left, right) => right.core.status.term - left.core.status.term)[0] ?? null
  }

  #choose(): keyof RunWeights {
    const entries = Object.entries(this.#weights) as [keyof RunWeights, number][]
    let rest = this.#below(Math.floor(entries.reduce((sum, [, weight]) => sum + weight, 0)))
    for (const [name, weight] of entries) {
      if (rest < weight) return name
      rest -= weight
    }
    return 'tick'
  }

  #anyNode(): MemoryNode {
    const nodes = [...this.#cluster.nodes.values()]
    return nodes[this.#below(nodes.length)]!
  }

  #below(range: number): number {
    return this.#random.uint32() % range
  }
}
