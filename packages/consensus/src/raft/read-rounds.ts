import type { LogIndex } from './types.ts'

interface WaitingReads {
  readonly round: number
  readonly index: LogIndex
  readonly tokens: readonly number[]
}

/** Most reads that wait at once; more are refused. */
const MAX_WAITING_READS = 65_536

/**
 * Reads that wait until a majority has confirmed, in answer to messages sent after the read was asked for, that this node still leads
 * (Raft thesis 6.4, C17). All reads that came since the last round share the next. Rounds are counted per term.
 */
export class ReadRounds {
  #round: number
  #asked: number[]
  #rounds: WaitingReads[]
  #waitingCount: number

  constructor() {
    this.#round = 0
    this.#asked = []
    this.#rounds = []
    this.#waitingCount = 0
  }

  /** The newest round: messages carry it. */
  get round(): number {
    return this.#round
  }

  get hasAsked(): boolean {
    return this.#asked.length > 0
  }

  /** False: too many wait. */
  ask(token: number): boolean {
    if (this.#waitingCount === MAX_WAITING_READS) return false
    this.#asked.push(token)
    this.#waitingCount++
    return true
  }

  /** Begins a round for the reads asked so far; they see at least `commitIndex`. */
  begin(commitIndex: LogIndex): void {
    this.#round++
    this.#rounds.push({ round: this.#round, index: commitIndex, tokens: this.#asked })
    this.#asked = []
  }

  /** Takes the reads of rounds up to `round`, which a majority has answered. */
  takeConfirmed(round: number): readonly WaitingReads[] {
    const count = this.#rounds.findIndex((waiting) => waiting.round > round)
    const confirmed = this.#rounds.splice(0, count === -1 ? this.#rounds.length : count)
    for (const { tokens } of confirmed) this.#waitingCount -= tokens.length
    return confirmed
  }

  /** Takes all reads: they will not be answered. */
  takeAll(): number[] {
    const tokens = [...this.#rounds.flatMap((waiting) => waiting.tokens), ...this.#asked]
    this.#rounds = []
    this.#asked = []
    this.#waitingCount = 0
    return tokens
  }
}
