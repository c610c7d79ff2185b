import { assert } from '@millrace/base'
import type { Message, Ready } from '../types.ts'
import { describeEntries, describeEntry, describeMessage, describeReady, describeStatus } from './describe.ts'
import { MemoryCluster, type MemoryNode, type TestOptions, voter, voters } from './memory-cluster.ts'

/**
 * Runs a scenario script and gives it back with the transcript renewed. A line `> command` is done; the indented lines after it are what
 * happened; `# text` and empty lines are kept. Commands, nodes by id:
 *
 * - `nodes 1 2 3`: voters; `observer 4`: no voter, knows all ids; `option name value`: before the nodes that it is for
 * - `elect 1`, `settle`: without a transcript. `trace`: settles with one
 * - `campaign 1 2 3`: node 1 becomes leader by the votes of 2 and 3, and stops before it has done anything in that role
 * - `tick 1 [count]`, `tick all [count]` (settles after each), `expire 1`: ticks until it campaigns, no more
 * - `process 1`: one Ready done; `take 1`, `write 1`, `finish 1`: its steps; `restart 1`: whatever was not written is lost
 * - `deliver 1 2`, `drop 1 2`, `duplicate 1 2`, `reverse 1 2`: what waits from 1 to 2; `hold 1 2` and `release 1 2`: not delivered by `settle`
 * - `isolate 1`, `heal`, `cut 1 2` (one way)
 * - `propose 1 text`, `fill 1 count bytes`, `voters 1 2 3 4` (node 1 proposes 2 3 4), `transfer 1 2`, `read 1 token`, `resign 1`
 * - `lost 1 2`: node 1 loses the connection to 2; `unreachable 1 2`; `compact 1 [entries kept]`; `wipe 1`: another directory
 * - `inject 2 1 type key=value ...`: a message made by hand
 * - `status [1 ...]`, `log 1`, `peers 1`, `applied 1`, `reads 1`, `messages`: shows
 */
export class Scenario {
  #cluster: MemoryCluster
  #options: Record<string, number>
  readonly #taken: Map<number, Ready>
  readonly #held: Set<string>
  readonly #cut: Set<string>
  #generation: number

  constructor() {
    this.#cluster = new MemoryCluster([])
    this.#options = {}
    this.#taken = new Map()
    this.#held = new Set()
    this.#cut = new Set()
    this.#generation = 0
  }

  run(script: string): string {
    const kept = script.split('\n').filter((line) => !line.startsWith('  '))
    const lines = kept.flatMap((line) => {
      if (!line.startsWith('> ')) return [line]
      return [line, ...this.#command(line.slice(2)).map((output) => `  ${output}`)]
    })
    return lines.join('\n')
  }

  #command(line: string): string[] {
    const [name, ...words] = line.split(' ')
    const numbers = words.map(Number)
    const [first, second] = numbers as [number, number]
    switch (name) {
      case 'option':
        this.#options[words[0]!] = second
        return []
      case 'nodes':
        for (const id of numbers) this.#add(id, { bootstrapVoters: voters(...numbers) })
        return []
      case 'observer':
        this.#add(first, { contacts: [...this.#cluster.nodes.keys()] })
        return []
      case 'wipe':
        this.#generation++
        this.#cluster.add(first, this.#node(first).options, this.#generation)
        return []
      case 'elect':
        this.#elect(first)
        return [`${first} ${describeStatus(this.#node(first).core.status)}`]
      case 'campaign':
        this.#campaign(this.#node(first), numbers.slice(1))
        return [`${first} ${describeStatus(this.#node(first).core.status)}`]
      case 'settle':
        this.#settle()
        return []
      case 'trace':
        return this.#settle()
      case 'tick':
        return this.#tick(words[0]!, words[1] === undefined ? 1 : second)
      case 'expire':
        return this.#expire(this.#node(first))
      case 'restart':
        this.#taken.delete(first)
        this.#node(first).restart()
        return []
      case 'isolate':
        this.#cluster.isolated.add(first)
        return []
      case 'heal':
        this.#cluster.isolated.clear()
        this.#cut.clear()
        return []
      case 'cut':
        this.#cut.add(`${first} ${second}`)
        return []
      case 'hold':
        this.#held.add(`${first} ${second}`)
        return []
      case 'release':
        this.#held.delete(`${first} ${second}`)
        return []
      case 'inject':
        this.#inject(words)
        return []
      default:
        return (
          this.#ready(name!, words) ?? this.#link(name!, first, second) ?? this.#ask(name!, words) ?? this.#show(line)
        )
    }
  }

  #ready(name: string, words: readonly string[]): string[] | null {
    const id = Number(words[0])
    switch (name) {
      case 'process': {
        const node = this.#node(id)
        if (!node.core.hasReady) return ['nothing']
        const ready = node.core.takeReady()
        node.write(ready)
        this.#cluster.messages.push(...node.finish(ready))
        return describeReady(ready)
      }
      case 'take': {
        const ready = this.#node(id).core.takeReady()
        this.#taken.set(id, ready)
        return describeReady(ready)
      }
      case 'write':
        this.#node(id).write(this.#taken.get(id)!)
        return []
      case 'finish':
        this.#cluster.messages.push(...this.#node(id).finish(this.#taken.get(id)!))
        this.#taken.delete(id)
        return []
      default:
        return null
    }
  }

  #link(name: string, from: number, to: number): string[] | null {
    const queued = this.#cluster.messages.filter((message) => message.from.id === from && message.to.id === to)
    switch (name) {
      case 'deliver':
      case 'duplicate':
        if (name === 'deliver') this.#remove(queued)
        for (const message of queued) this.#node(to).core.step(message)
        return queued.map(describeMessage)
      case 'drop':
        this.#remove(queued)
        return queued.map(describeMessage)
      case 'reverse':
        this.#remove(queued)
        this.#cluster.messages.push(...queued.reverse())
        return queued.map(describeMessage)
      default:
        return null
    }
  }

  #ask(name: string, words: readonly string[]): string[] | null {
    const node = this.#cluster.nodes.get(Number(words[0]))
    const argument = Number(words[1])
    if (node === undefined) return null
    const { core } = node
    switch (name) {
      case 'propose':
        return [`${core.propose(Buffer.from(words.slice(1).join(' ')))}`]
      case 'fill': {
        const answers = Array.from({ length: argument }, () => core.propose(Buffer.alloc(Number(words[2]), '.')))
        return [`${answers.filter((answer) => typeof answer === 'number').length} accepted, last: ${answers.at(-1)}`]
      }
      case 'voters':
        return [`${core.proposeVoters(words.slice(1).map((id) => this.#voter(Number(id))))}`]
      case 'transfer':
        core.transferLeadership(argument)
        return []
      case 'read':
        core.readIndex(argument)
        return []
      case 'resign':
        core.resign()
        return []
      case 'lost':
        core.onPeerLost(argument)
        return []
      case 'unreachable':
        core.reportUnreachable(argument)
        return []
      case 'compact': {
        const kept = words[1] === undefined ? 0 : argument
        node.compact(
          Buffer.from(`state as of ${core.status.appliedIndex}, in chunks`),
          core.status.appliedIndex + 1 - kept,
        )
        return [`snapshot at ${node.log.snapshot?.index}, log from ${node.log.firstIndex}`]
      }
      default:
        return null
    }
  }

  #show(line: string): string[] {
    const [name, ...words] = line.split(' ')
    if (name === 'messages') return this.#cluster.messages.map(describeMessage)
    if (name === 'status' && words.length === 0) {
      return [...this.#cluster.nodes.values()].map((node) => `${node.id} ${describeStatus(node.core.status)}`)
    }
    const nodes = words.map((id) => this.#node(Number(id)))
    const [node] = nodes
    assert(node !== undefined, `no such command: ${line}`)
    switch (name) {
      case 'status':
        return nodes.map(({ id, core }) => `${id} ${describeStatus(core.status)}`)
      case 'log': {
        const { log } = node
        return log.entries(log.firstIndex, log.lastIndex + 1, Number.POSITIVE_INFINITY).map(describeEntry)
      }
      case 'applied':
        return [describeEntries(node.applied)]
      case 'reads':
        return [
          ...node.answeredReads.map(({ token, index }) => `read ${token} answered at ${index}`),
          ...node.refusedReads.map((token) => `read ${token} refused`),
        ]
      case 'peers':
        return node.core.status.peers.map(({ id, isVoter, matchIndex, state, inFlightBytes }) => {
          return `${id} ${isVoter ? 'voter' : 'observer'} ${state} match ${matchIndex} in flight ${inFlightBytes}`
        })
      case 'counters': {
        const { rejectedMessages, chainMismatches } = node.core.status
        return [`rejected ${rejectedMessages}, chain mismatches ${chainMismatches}`]
      }
      default:
        throw new Error(`no such command: ${line}`)
    }
  }

  #add(id: number, options: TestOptions): void {
    this.#cluster.add(id, { ...this.#options, ...options })
  }

  #node(id: number): MemoryNode {
    return this.#cluster.node(id)
  }

  /** The voter as the node is now: a wiped one has another directory. */
  #voter(id: number) {
    return { ...voter(id), directoryId: this.#cluster.nodes.get(id)?.self.directoryId ?? voter(id).directoryId }
  }

  #remove(messages: readonly Message[]): void {
    this.#cluster.messages = this.#cluster.messages.filter((message) => !messages.includes(message))
  }

  #settle(): string[] {
    const lines: string[] = []
    for (let round = 0; round < 200; round++) {
      for (const node of this.#cluster.nodes.values()) {
        while (node.core.hasReady && !this.#taken.has(node.id)) {
          const ready = node.core.takeReady()
          node.write(ready)
          this.#cluster.messages.push(...node.finish(ready))
          if (ready.committed.length > 0) lines.push(`${node.id} applies ${describeEntries(ready.committed)}`)
          if (ready.snapshot !== null) lines.push(`${node.id} installs snapshot ${ready.snapshot.point.index}`)
        }
      }
      const due = this.#cluster.messages.filter(({ from, to }) => !this.#held.has(`${from.id} ${to.id}`))
      if (due.length === 0) return lines
      this.#remove(due)
      for (const message of due) {
        const isCut = this.#isCut(message)
        lines.push(`${describeMessage(message)}${isCut ? ' (lost)' : ''}`)
        if (!isCut) this.#cluster.nodes.get(message.to.id)?.core.step(message)
      }
    }
    throw new Error('the nodes do not come to rest')
  }

  #isCut({ from, to }: Message): boolean {
    const { isolated } = this.#cluster
    return isolated.has(from.id) || isolated.has(to.id) || this.#cut.has(`${from.id} ${to.id}`)
  }

  #tick(who: string, count: number): string[] {
    for (let tick = 0; tick < count; tick++) {
      if (who !== 'all') this.#node(Number(who)).core.tick()
      else for (const node of this.#cluster.nodes.values()) node.core.tick()
      if (who === 'all') this.#settle()
    }
    return []
  }

  #expire({ id, core }: MemoryNode): string[] {
    for (let tick = 0; tick < 100 && !core.hasReady; tick++) core.tick()
    return [`${id} ${describeStatus(core.status)}`]
  }

  #elect(id: number): void {
    const { core } = this.#node(id)
    // The others must not have heard a leader for an election timeout, or they refuse.
    for (const node of this.#cluster.nodes.values()) node.core.onPeerLost(node.core.status.leaderId ?? -1)
    for (let tick = 0; tick < 100 && core.status.role !== 'leader'; tick++) {
      core.tick()
      this.#settle()
    }
  }

  #campaign({ id, core }: MemoryNode, supporters: readonly number[]): void {
    const leads = () => core.status.role === 'leader'
    this.#cluster.messages = []
    for (let round = 0; round < 1000 && !leads(); round++) {
      if (core.hasReady) this.#ready('process', [`${id}`])
      else core.tick()
      for (const supporter of supporters) {
        this.#link('deliver', id, supporter)
        while (this.#node(supporter).core.hasReady) this.#ready('process', [`${supporter}`])
        if (!leads()) this.#link('deliver', supporter, id)
      }
      this.#cluster.messages = []
    }
  }

  #inject([from, to, type, ...fields]: readonly string[]): void {
    const target = this.#node(Number(to))
    const body = Object.fromEntries(
      fields.map((field) => field.split('=') as [string, string]).map(([key, value]) => [key, parseField(value)]),
    )
    const sender = this.#cluster.nodes.get(Number(from))?.self ?? voter(Number(from))
    const defaults = {
      readRound: 0,
      commitIndex: 0,
      previousIndex: 0,
      previousTerm: 0,
      previousChain: Buffer.alloc(16),
      entries: [],
    }
    const message = { ...defaults, ...body, type, from: sender, to: target.self }
    target.core.step(message as unknown as Message)
  }
}

function parseField(text: string): number | boolean {
  if (text === 'true' || text === 'false') return text === 'true'
  return Number(text)
}
