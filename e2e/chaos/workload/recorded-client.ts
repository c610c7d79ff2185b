import type { Asked } from '../history/history-event.ts'
import type {
  AcknowledgeOperation,
  Consumed,
  Delivered,
  Key,
  Place,
  Seen,
  ShareRules,
  TransactionEnd,
} from '../history/operation.ts'
import type { Recorder } from '../history/recorder.ts'
import { type ClientProgram, NO_ANSWER } from './client-program.ts'
import type { ClientAnswer, ClientRequest, GroupProtocol, WirePlace } from './client-protocol.ts'
import { type Knowledge, keyOf, partitionOf } from './knowledge.ts'

/** A transaction to be done. */
export interface TransactionPlan {
  readonly sends: readonly { readonly key: Key; readonly value: string }[]
  /** What its sends came of, and where the group of the client reads on after it. */
  readonly consumed?: Consumed
  readonly pauseMs: number
  readonly end: TransactionEnd
}

/** How a transaction ended. `isBroken`: the client can do no more of them. */
export interface Transacted {
  readonly type: 'ok' | 'fail' | 'info'
  readonly isBroken: boolean
}

/** Whom a client is of; its group is told by {@link RecordedClient.group}. */
export interface ClientIdentity {
  readonly name: string
  readonly group: string
  readonly groupProtocol?: GroupProtocol
}

/** A client of which all that it is asked and answers is recorded. Each life of it is a process of its own in the history. */
export class RecordedClient {
  readonly program: ClientProgram
  readonly group: string
  readonly #name: string
  readonly #groupProtocol: GroupProtocol
  readonly #recorder: Recorder
  readonly #knowledge: Knowledge
  #life = 0
  #programLife = 0
  #isStuck = false
  sendsUnderWay = 0
  /** Requests in a row that did not go well. */
  badStreak = 0

  constructor(identity: ClientIdentity, program: ClientProgram, recorder: Recorder, knowledge: Knowledge) {
    this.program = program
    this.group = identity.group
    this.#name = identity.name
    this.#groupProtocol = identity.groupProtocol ?? 'classic'
    this.#recorder = recorder
    this.#knowledge = knowledge
  }

  get process(): string {
    return `${this.#name}.${this.#life}`
  }

  /** The program that held it has ended since, or nobody knows where its consumer stands: only a new life goes on. */
  get isLost(): boolean {
    return this.#isStuck || this.#programLife !== this.program.life
  }

  /**
   * Begins a new life. False: the program could not make a client. With an id its producer does transactions, and whoever had the id before
   * does no more.
   */
  async open(transactionalId: string | null = null): Promise<boolean> {
    this.#life++
    this.#programLife = this.program.life
    this.badStreak = 0
    this.sendsUnderWay = 0
    this.#isStuck = false
    const settings = { group: this.group, groupProtocol: this.#groupProtocol, transactionalId }
    const { type } = await this.program.ask(this.process, { op: 'open', ...settings })
    return type === 'ok'
  }

  async close(): Promise<void> {
    await this.closer()()
  }

  /** What closes the client in the life that it has now, however many come after. */
  closer(): () => Promise<void> {
    const { process, program } = this
    return async () => {
      await program.ask(process, { op: 'close' })
    }
  }

  /** Its offset; null if it is not known, whether or not the record is there. */
  async send(key: Key, value: string): Promise<number | null> {
    const [topic, partition] = partitionOf(key)
    const life = this.#life
    this.sendsUnderWay++
    const { type, offset } = await this.#ask(
      { kind: 'send', key, value },
      { op: 'send', topic, partition, value },
      (answer) => ({ offset: known(answer.offset) }),
    )
    if (life === this.#life) this.sendsUnderWay--
    if (type !== 'ok') return null
    this.#knowledge.onAcknowledged(key, known(offset))
    return known(offset)
  }

  /** Does a transaction with all that belongs to it. */
  async transact({ sends, consumed, pauseMs, end }: TransactionPlan): Promise<Transacted> {
    const { type, isBroken, offsets } = await this.#ask(
      { kind: 'txn', sends, end, ...(consumed === undefined ? {} : { consumed }) },
      {
        op: 'txn',
        sends: sends.map(({ key, value }) => [...partitionOf(key), value] as const),
        offsets: (consumed?.places ?? []).map(toWire),
        pauseMs,
        end,
      },
      (answer) => ({ offsets: (answer.offsets ?? []).map(known) }),
    )
    if (type === 'ok' && end === 'commit')
      for (const [slot, { key }] of sends.entries()) this.#knowledge.onAcknowledged(key, known(offsets?.[slot]))
    // A program that says nothing has ended, or hangs.
    return { type, isBroken: isBroken ?? type !== 'ok' }
  }

  async assign(places: readonly Place[]): Promise<boolean> {
    const { type } = await this.#ask({ kind: 'assign', places }, { op: 'assign', places: places.map(toWire) })
    return type === 'ok'
  }

  async subscribe(topic: string): Promise<boolean> {
    const { type } = await this.#ask({ kind: 'subscribe', group: this.group }, { op: 'subscribe', topics: [topic] })
    return type === 'ok'
  }

  /** Null: it failed, and where the reader stands is for it to know. */
  async poll(maxMs: number): Promise<{ records: Seen[]; isRebalanced: boolean } | null> {
    const answer = await this.#ask({ kind: 'poll' }, { op: 'poll', maxMs }, ({ records = [], rebalanced = false }) => ({
      records: records.map(([topic, partition, offset, value]) => ({ key: keyOf(topic, partition), offset, value })),
      isRebalanced: rebalanced,
    }))
    if (answer.type !== 'ok') return null
    const records = (answer.records ?? []).map(
      ([topic, partition, offset, value]): Seen => ({ key: keyOf(topic, partition), offset, value }),
    )
    this.#knowledge.onPolled(records)
    return { records, isRebalanced: answer.rebalanced ?? false }
  }

  /** Becomes a member of its share group. */
  async join(topics: readonly string[], rules: ShareRules): Promise<boolean> {
    const { type } = await this.#ask({ kind: 'join', group: this.group, rules }, { op: 'subscribe', topics })
    return type === 'ok'
  }

  /** What its share group hands it out. Null: it failed. */
  async acquire(maxMs: number): Promise<Delivered[] | null> {
    const answer = await this.#ask({ kind: 'acquire', group: this.group }, { op: 'acquire', maxMs }, toDelivered)
    return answer.type === 'ok' ? toDelivered(answer).delivered : null
  }

  /** Says what became of records: at once, or with the next {@link acquire}. Ends when it is known whether the group heard it. */
  async acknowledge(verdicts: AcknowledgeOperation['verdicts'], isAwaited: boolean): Promise<void> {
    const wire = verdicts.map(({ key, offset, verdict }) => [...partitionOf(key), offset, verdict] as const)
    await this.#ask(
      { kind: 'acknowledge', group: this.group, verdicts },
      { op: 'acknowledge', verdicts: wire, isAwaited },
      ({ taken = [], refused = [] }) => ({
        taken: taken.map(fromWire),
        refused: refused.map(fromWire),
      }),
    )
  }

  async commit(places: readonly Place[]): Promise<boolean> {
    const asked: Asked = { kind: 'commit', group: this.group, places }
    const { type } = await this.#ask(asked, { op: 'commit', places: places.map(toWire) })
    return type === 'ok'
  }

  async committed(keys: readonly Key[]): Promise<void> {
    await this.#ask(
      { kind: 'committed', group: this.group },
      { op: 'committed', partitions: keys.map(partitionOf) },
      toPlaces,
    )
  }

  /** Null: it failed. */
  async ends(keys: readonly Key[]): Promise<Place[] | null> {
    const asked: Asked = { kind: 'ends', isolation: 'read_committed' }
    const answer = await this.#ask(asked, { op: 'ends', partitions: keys.map(partitionOf) }, toPlaces)
    return answer.type === 'ok' ? toPlaces(answer).places : null
  }

  /** Reads the newest value of a log, by its end and the record before it. False: it could not. */
  async read(key: Key): Promise<boolean> {
    const id = this.#recorder.invoke(this.process, { kind: 'read', key })
    const value = await this.#newest(key)
    this.#recorder.complete(id, value === undefined ? { outcome: 'fail' } : { outcome: 'ok', value })
    return value !== undefined
  }

  async #newest(key: Key): Promise<string | null | undefined> {
    const [end] = (await this.ends([key])) ?? []
    if (end === undefined) return undefined
    if (end.offset === 0) return null
    if (!(await this.assign([{ key, offset: end.offset - 1 }]))) return undefined
    for (let tries = 0; tries < 10; tries++) {
      const polled = await this.poll(500)
      if (polled === null) return undefined
      const found = polled.records.find(({ offset }) => offset === end.offset - 1)
      if (found !== undefined) return found.value
    }
    return undefined
  }

  async #ask(
    asked: Asked,
    request: ClientRequest,
    body: (answer: ClientAnswer) => object = () => ({}),
  ): Promise<ClientAnswer> {
    const life = this.#life
    const id = this.#recorder.invoke(this.process, asked)
    const answer = await this.program.ask(this.process, request)
    const { type, error } = answer
    this.#recorder.complete(id, {
      outcome: type,
      ...(error === undefined ? {} : { error }),
      ...(type === 'ok' ? body(answer) : {}),
    })
    // What a life that is over was asked says nothing of the next one.
    if (life !== this.#life) return answer
    if (error === NO_ANSWER && asked.kind !== 'send') this.#isStuck = true
    this.badStreak = type === 'ok' ? 0 : this.badStreak + 1
    return answer
  }
}

/** Libraries tell an offset that they do not know as one below zero. */
function known(offset: number | undefined): number | null {
  return offset === undefined || offset < 0 ? null : offset
}

function toWire({ key, offset }: Place): readonly [string, number, number] {
  return [...partitionOf(key), offset]
}

function toDelivered({ delivered = [] }: ClientAnswer): { delivered: Delivered[] } {
  return {
    delivered: delivered.map(([topic, partition, offset, value, count]) => {
      return { key: keyOf(topic, partition), offset, value, count }
    }),
  }
}

function toPlaces({ places = [] }: ClientAnswer): { places: Place[] } {
  return { places: places.map(fromWire) }
}

function fromWire([topic, partition, offset]: WirePlace): Place {
  return { key: keyOf(topic, partition), offset }
}
