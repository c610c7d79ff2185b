import { AssertionError } from '@millrace/base'
import type { Entry, LogIndex, Message, Ready, ReplicaKey, Term } from '../types.ts'
import { majorityValue, sameReplica } from '../voter-set.ts'
import type { MemoryNode } from './memory-cluster.ts'

function check(condition: boolean, rule: string, detail: () => string): void {
  if (!condition) throw new AssertionError(`${rule}: ${detail()}`)
}

/**
 * The invariants of the core (C1 to C19 of the reliability reference) as a ghost that sees everything: votes, leaders, durable logs, what
 * was committed and applied, what left each node. Nothing of it is read by the nodes.
 */
export class InvariantChecker {
  readonly #leaders = new Map<Term, string>()
  readonly #votes = new Map<string, string>()
  /** Chain and term of every entry that some leader has committed, by index. */
  readonly #committed: Entry[] = []
  readonly #terms = new Map<string, Term>()
  readonly #commits = new Map<MemoryNode, { core: unknown; commit: LogIndex; applied: LogIndex }>()
  /** Reads: what was committed anywhere when they were asked for. */
  readonly #reads = new Map<number, LogIndex>()
  committedIndex: LogIndex = 0

  onReadAsked(token: number): void {
    this.#reads.set(token, this.committedIndex)
  }

  /** What the node has done for a `Ready`: written it, but not yet sent or applied. */
  onWritten(node: MemoryNode, ready: Ready): void {
    const { term, vote } = node.log.hardState
    const name = nameOf(node.self)
    check(term >= (this.#terms.get(name) ?? 0), 'C3', () => `${name} went back to term ${term}`)
    this.#terms.set(name, term)
    if (vote !== null) {
      const key = `${name} in ${term}`
      const before = this.#votes.get(key) ?? nameOf(vote)
      check(before === nameOf(vote), 'C2', () => `${key} voted for ${before} and ${nameOf(vote)}`)
      this.#votes.set(key, nameOf(vote))
    }
    for (const message of ready.messages) this.#onSent(node, message)
    for (const entry of ready.committed) this.#onApplied(node, entry)
    for (const { token, index } of ready.reads) {
      const asked = this.#reads.get(token)
      check(asked !== undefined && index >= asked, 'C17', () => `read ${token} at ${index}, committed was ${asked}`)
    }
    const { snapshot } = ready
    if (snapshot !== null) {
      const entry = this.#committed[snapshot.point.index - 1]
      check(
        entry?.chain.equals(snapshot.point.chain) === true,
        'C16',
        () => `${name} installed ${snapshot.point.index}`,
      )
      check(node.core.status.role !== 'leader', 'C16', () => `leader ${name} installed a snapshot`)
    }
  }

  /** Before its write is done only what promises nothing about this disk may leave, and only in a durable term. */
  onSentEarly(node: MemoryNode, ready: Ready): void {
    for (const message of ready.messagesBeforeWrite) {
      check(
        message.type === 'append' || message.type === 'heartbeat' || message.type === 'snapshotChunk',
        'C10',
        () => `${message.type} left before the write`,
      )
      check(node.log.hardState.term >= message.term, 'C3', () => `${nameOf(node.self)} sent term ${message.term} early`)
    }
  }

  /** After every event. */
  onStep(node: MemoryNode, allNodes: Iterable<MemoryNode>): void {
    const { status } = node.core
    const name = nameOf(node.self)
    if (status.role === 'leader') {
      const before = this.#leaders.get(status.term) ?? name
      check(before === name, 'C1', () => `${before} and ${name} lead term ${status.term}`)
      if (!this.#leaders.has(status.term)) this.#onElected(node)
      this.#leaders.set(status.term, name)
      for (const peer of status.peers) {
        const limit = node.options.maxInFlightBytes ?? 2048
        check(peer.inFlightBytes <= Math.max(limit, 1024), 'C19', () => `${peer.inFlightBytes} bytes to ${peer.id}`)
      }
    }
    // Leaders learn of a commit first, but one that is removed by it leads no more when it is seen here.
    this.#onCommit(node, allNodes)
    const before = this.#commits.get(node)
    if (before !== undefined && before.core === node.core) {
      check(status.commitIndex >= before.commit, 'C9', () => `commit of ${name} fell to ${status.commitIndex}`)
      check(status.appliedIndex >= before.applied, 'C9', () => `applied of ${name} fell to ${status.appliedIndex}`)
    }
    this.#commits.set(node, { core: node.core, commit: status.commitIndex, applied: status.appliedIndex })
    check(status.appliedIndex <= status.commitIndex, 'C9', () => `${name} applied ${status.appliedIndex}`)
    check(status.commitIndex <= status.lastIndex, 'C9', () => `${name} committed ${status.commitIndex}`)
    check(status.chainMismatches === 0, 'C5', () => `${name} refused a chain`)
    check(status.rejectedMessages === 0, 'protocol', () => `${name} rejected a message`)
  }

  /** Equal index and term anywhere mean equal logs up to there, by the chains. */
  compareLogs(nodes: Iterable<MemoryNode>): void {
    const seen = new Map<string, Buffer>()
    for (const { log, self } of nodes) {
      for (let index = log.firstIndex; index <= log.lastIndex; index++) {
        const { term, chain } = log.pointAt(index)!
        const key = `${index} in ${term}`
        const other = seen.get(key) ?? chain
        check(other.equals(chain), 'C5', () => `entry ${key} of ${nameOf(self)} differs`)
        seen.set(key, chain)
      }
    }
  }

  #onSent(node: MemoryNode, message: Message): void {
    const { log, self } = node
    if (message.type === 'leaderHint') return
    const asked = message.type === 'voteRequest' ? message.preVote : message.type === 'voteReply' && message.preVote
    if (!asked) check(log.hardState.term >= message.term, 'C3', () => `${nameOf(self)} sent term ${message.term}`)
    if (message.type === 'appendReply' && message.success) {
      check(message.index <= log.lastIndex, 'C10', () => `${nameOf(self)} confirmed ${message.index}`)
    }
    if (message.type === 'voteReply' && message.granted && !message.preVote) {
      const { vote, term } = log.hardState
      // A later term may be durable by now: the promise of the earlier one is then kept by that.
      const kept = term > message.term || (vote !== null && vote.id === message.to.id)
      check(kept, 'C2', () => `${nameOf(self)} granted what it did not write`)
    }
  }

  #onApplied(node: MemoryNode, entry: Entry): void {
    const known = this.#committed[entry.index - 1]
    check(known?.chain.equals(entry.chain) === true, 'C7', () => `${nameOf(node.self)} applied another ${entry.index}`)
    check(entry.index <= node.log.lastIndex, 'C10', () => `${nameOf(node.self)} applied ${entry.index} unwritten`)
  }

  /** A new leader has everything that was committed (C6). */
  #onElected(node: MemoryNode): void {
    for (const entry of this.#committed) {
      if (entry.index < node.log.firstIndex) continue
      const local = node.log.pointAt(entry.index)
      check(local?.chain.equals(entry.chain) === true, 'C6', () => `${nameOf(node.self)} leads without ${entry.index}`)
    }
  }

  /** C8, judged by what is durable: the leader's tables are not asked. */
  #onCommit(node: MemoryNode, allNodes: Iterable<MemoryNode>): void {
    const { commitIndex, voters, term } = node.core.status
    if (commitIndex <= this.committedIndex) return
    const nodes = [...allNodes]
    const holders = nodes.filter(({ log }) => log.pointAt(commitIndex)?.term === term)
    const held = voters.map((voter) => holders.some(({ self }) => sameReplica(self, voter)))
    const index = majorityValue(held.map((holds) => (holds ? commitIndex : 0)))
    check(index === commitIndex, 'C8', () => `${nameOf(node.self)} committed ${commitIndex} without a majority`)
    const { log } = holders[0]!
    for (const entry of log.entries(this.committedIndex + 1, commitIndex + 1, Number.POSITIVE_INFINITY)) {
      this.#committed.push(entry)
    }
    this.committedIndex = commitIndex
  }
}

function nameOf({ id, directoryId }: ReplicaKey): string {
  return `${id}/${directoryId.slice(-4)}`
}
