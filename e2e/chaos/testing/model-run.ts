import { SeededRandom } from '@millrace/base'
import type { Consumed, History, Key, Operation, Outcome, Place, Seen, Step } from '../history/operation.ts'
import { shareRules } from './build.ts'
import { ModelShares } from './model-shares.ts'

/** Two logs that transactions and readers use, and one that is used as a register. */
export const modelKeys: readonly Key[] = ['t/0', 't/1', 'register/0']

const clients = ['a', 'b', 'c', 'd']
/** Members of a share group, of the log that transactions write to. */
const sharers = ['m', 'n']

interface Client {
  readonly name: string
  freeMs: number
  positions: Map<Key, number>
}

/** Without what only the whole history knows. */
type Draft = Operation extends infer O ? (O extends Operation ? Omit<O, 'id'> : never) : never

/**
 * Plays a correct cluster: operations take effect one at a time, at a moment within their own time, while those of other clients are under
 * way. Some outcomes are unknown, some sends fail, offsets have gaps. At the end a reader takes everything from the beginning.
 */
export function modelHistory(seed: number, operationCount: number): History {
  return new ModelRun(seed).play(operationCount)
}

class ModelRun {
  readonly #random: SeededRandom
  readonly #logs = new Map<Key, (string | null)[]>(modelKeys.map((key) => [key, []]))
  readonly #committed = new Map<Key, number>()
  /** Where the group reads the first log on that processes it into the second. */
  #processed = 0
  readonly #clients: Client[] = clients.map((name) => ({ name, freeMs: 0, positions: new Map() }))
  readonly #sharers: Client[] = sharers.map((name) => ({ name, freeMs: 0, positions: new Map() }))
  readonly #onlooker: Client = { name: 'onlooker', freeMs: 0, positions: new Map() }
  readonly #shares: ModelShares
  readonly #drafts: Draft[] = []
  #nowMs = 0
  #valueCount = 0

  constructor(seed: number) {
    this.#random = new SeededRandom(seed)
    const key = modelKeys[1]!
    this.#shares = new ModelShares(key, this.#random.fork('shares'), this.#logs.get(key)!)
  }

  play(operationCount: number): History {
    for (const sharer of this.#sharers) {
      this.#nowMs += 20
      this.#log(sharer, 'ok', (base) => ({ ...base, kind: 'join', group: 'sharers', rules: shareRules }))
    }
    while (this.#drafts.length < operationCount) {
      this.#nowMs += 1 + this.#below(5)
      const free = this.#clients.filter(({ freeMs }) => freeMs < this.#nowMs)
      const client = free[this.#below(Math.max(1, free.length))]
      if (client !== undefined) this.#act(client)
      const sharer = this.#sharers[this.#below(this.#sharers.length)]!
      if (sharer.freeMs < this.#nowMs && this.#below(3) === 0) this.#share(sharer, false)
    }
    const healedMs = this.#nowMs + 50
    this.#nowMs = healedMs
    this.#readAll()
    this.#shareAll()
    const operations = this.#drafts
      .sort((left, right) => left.invokedMs - right.invokedMs)
      .map((draft, id): Operation => ({ ...draft, id }))
    const faults = [{ kind: 'kill-one', detail: 'node 1', nodes: [1], beginMs: 0, brokenMs: 0, endMs: healedMs / 2 }]
    return { operations, faults, healedMs, endMs: this.#nowMs }
  }

  #act(client: Client): void {
    const choice = this.#below(14)
    if (choice < 4) this.#send(client)
    else if (choice < 7) this.#poll(client)
    else if (choice < 8) this.#assign(client)
    else if (choice < 9) this.#transact(client)
    else if (choice < 10) this.#useOffsets(client)
    else if (choice < 11) this.#read(client)
    else if (choice < 13) this.#process(client)
    else this.#askEnds(client)
  }

  #send(client: Client): void {
    const key = this.#key()
    const value = this.#value()
    const outcome = this.#outcome()
    // An unknown outcome means that it may be there.
    const isStored = outcome === 'ok' || (outcome === 'info' && this.#below(2) === 0)
    const stored = isStored ? this.#append(key, value) : null
    // Some clients do not know where an acknowledged record lies.
    const offset = outcome === 'ok' && this.#below(8) > 0 ? stored : null
    this.#log(client, outcome, (base) => ({ ...base, kind: 'send', steps: [{ step: 'send', key, value, offset }] }))
  }

  #poll(client: Client): void {
    const records = this.#take(client)
    const steps: Step[] = [{ step: 'poll', records, isRebalanced: false }]
    this.#log(client, 'ok', (base) => ({ ...base, kind: 'poll', steps }))
  }

  #assign(client: Client): void {
    const places = modelKeys.slice(0, 2).map((key) => ({ key, offset: this.#below(this.#end(key) + 1) }))
    client.positions = new Map(places.map(({ key, offset }) => [key, offset]))
    this.#log(client, 'ok', (base) => ({ ...base, kind: 'assign', places }))
  }

  #transact(client: Client): void {
    const outcome = this.#outcome()
    const isCommitted = outcome === 'ok' || (outcome === 'info' && this.#below(2) === 0)
    const sends = Array.from({ length: 1 + this.#below(3) }, () => ({
      key: modelKeys[this.#below(2)]!,
      value: this.#value(),
    }))
    // Polled before anything of its own is visible.
    const poll: Step[] =
      this.#below(2) === 0 ? [{ step: 'poll', records: this.#take(client), isRebalanced: false }] : []
    const steps = sends.map(({ key, value }): Step => {
      const offset = this.#append(key, isCommitted ? value : null)
      return { step: 'send', key, value, offset: outcome === 'ok' ? offset : null }
    })
    // The marker of the end takes an offset too.
    for (const key of new Set(sends.map((send) => send.key))) this.#append(key, null)
    this.#log(client, outcome, (base) => ({ ...base, kind: 'txn', steps: [...poll, ...steps] }))
  }

  /** Takes the next records of the group, and commits what comes of them together with their offsets. */
  #process(client: Client): void {
    const [from, to] = [modelKeys[0]!, modelKeys[1]!]
    const taken = { name: client.name, freeMs: 0, positions: new Map([[from, this.#processed]]) }
    const records = this.#take(taken)
    if (records.length === 0) return
    const place = { key: from, offset: taken.positions.get(from)! }
    const consumed: Consumed = { group: 'processors', records, places: [place] }
    const outcome = this.#outcome()
    const isCommitted = outcome === 'ok' || (outcome === 'info' && this.#below(2) === 0)
    if (isCommitted) this.#processed = place.offset
    const steps = records.map((): Step => {
      const value = this.#value()
      const offset = this.#append(to, isCommitted ? value : null)
      return { step: 'send', key: to, value, offset: outcome === 'ok' ? offset : null }
    })
    this.#append(to, null)
    this.#log(client, outcome, (base) => ({ ...base, kind: 'txn', steps, consumed }))
  }

  #useOffsets(client: Client): void {
    const key = modelKeys[0]!
    const group = 'group'
    const committed = this.#committed.get(key)
    if (committed !== undefined && this.#below(2) === 0) {
      this.#log(client, 'ok', (base) => ({ ...base, kind: 'committed', group, places: [{ key, offset: committed }] }))
      return
    }
    const outcome = this.#outcome()
    const offset = (committed ?? 0) + this.#below(3)
    if (outcome === 'ok' || (outcome === 'info' && this.#below(2) === 0)) this.#committed.set(key, offset)
    this.#log(client, outcome, (base) => ({ ...base, kind: 'commit', group, places: [{ key, offset }] }))
  }

  #read(client: Client): void {
    const key = modelKeys[2]!
    const value = this.#logs.get(key)!.findLast((stored) => stored !== null) ?? null
    this.#log(client, 'ok', (base) => ({ ...base, kind: 'read', key, value }))
  }

  #askEnds(client: Client): void {
    const places = modelKeys.map((key): Place => ({ key, offset: this.#end(key) }))
    this.#log(client, 'ok', (base) => ({ ...base, kind: 'ends', isolation: 'read_committed', places }))
  }

  /** A member says something of what it has, or is handed out more. True: there was something. */
  #share(sharer: Client, isRushed: boolean): boolean {
    const group = 'sharers'
    const verdicts = this.#shares.acknowledge(sharer.name, isRushed)
    if (verdicts.length === 0) {
      const records = this.#shares.acquire(sharer.name)
      this.#log(sharer, 'ok', (base) => ({ ...base, kind: 'acquire', group, records }))
      return records.length > 0
    }
    // Whether it is heard that it was taken or not.
    const taken = this.#below(5) === 0 ? [] : verdicts.map(({ key, offset }) => ({ key, offset }))
    this.#log(sharer, 'ok', (base) => ({ ...base, kind: 'acknowledge', group, verdicts, taken }))
    this.#tellShares({ places: [{ key: this.#shares.key, offset: this.#shares.start }], drained: [] })
    return true
  }

  #tellShares(told: { readonly places: readonly Place[]; readonly drained: readonly Key[] }): void {
    this.#log(this.#onlooker, 'ok', (base) => ({ ...base, kind: 'share-progress', group: 'sharers', ...told }))
  }

  /** To the end: what members still have, and what is left, is accepted. */
  #shareAll(): void {
    for (let idle = 0; idle < 40; ) {
      this.#nowMs += 20
      const isBusy = this.#sharers.map((sharer) => this.#share(sharer, true)).includes(true)
      idle = isBusy ? 0 : idle + 1
    }
    this.#nowMs += 100
    this.#tellShares({ places: [], drained: [this.#shares.key] })
  }

  #readAll(): void {
    const reader: Client = { name: 'final', freeMs: 0, positions: new Map(modelKeys.map((key) => [key, 0])) }
    const places = modelKeys.map((key) => ({ key, offset: 0 }))
    this.#log(reader, 'ok', (base) => ({ ...base, kind: 'assign', places }))
    for (;;) {
      this.#nowMs += 20
      const records = this.#take(reader)
      if (records.length === 0) return
      const steps: Step[] = [{ step: 'poll', records, isRebalanced: false }]
      this.#log(reader, 'ok', (base) => ({ ...base, kind: 'poll', steps }))
    }
  }

  /** The next visible records of what a client has assigned, a few of each log. */
  #take({ positions }: Client): Seen[] {
    const records: Seen[] = []
    for (const [key, position] of positions) {
      const log = this.#logs.get(key)!
      let next = position
      for (let left = 1 + this.#below(4); next < log.length && left > 0; next++) {
        const value = log[next]!
        if (value === null) continue
        records.push({ key, offset: next, value })
        left--
      }
      positions.set(key, next)
    }
    return records
  }

  #log(client: Client, outcome: Outcome, make: (base: Omit<Draft, 'kind'>) => unknown): void {
    const invokedMs = Math.max(client.freeMs + 0.1, this.#nowMs - this.#below(10)) - 0.05
    const completedMs = this.#nowMs + 0.05 + this.#below(10)
    client.freeMs = completedMs
    const base = {
      process: client.name,
      outcome,
      invokedMs,
      completedMs: outcome === 'info' ? Number.POSITIVE_INFINITY : completedMs,
    }
    this.#drafts.push(make(base as Omit<Draft, 'kind'>) as Draft)
  }

  #append(key: Key, value: string | null): number {
    return this.#logs.get(key)!.push(value) - 1
  }

  #end(key: Key): number {
    return this.#logs.get(key)!.length
  }

  #key(): Key {
    return modelKeys[this.#below(modelKeys.length)]!
  }

  #value(): string {
    return `v${this.#valueCount++}`
  }

  #outcome(): Outcome {
    const choice = this.#below(10)
    return choice === 0 ? 'fail' : choice === 1 ? 'info' : 'ok'
  }

  #below(bound: number): number {
    return this.#random.uint32() % bound
  }
}
