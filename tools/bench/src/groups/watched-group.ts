import { type CpuSeconds, cpuSecondsOf } from '../process-stats.ts'
import { ClassicMember } from './classic-member.ts'
import { ConsumerMember } from './consumer-member.ts'
import type { GroupPlan, Member } from './member.ts'
import { Ownership } from './ownership.ts'

export type GroupProtocol = 'classic' | 'consumer'

/** When a group had come to rest, and what the broker had spent by then. */
export interface Settled {
  readonly atMs: number
  readonly cpu: CpuSeconds
}

/** All members of one group, in this process, and who has which partitions. */
export class WatchedGroup {
  readonly #members: Member[]
  /** Numbers of those that were not lost. */
  readonly #here: Set<number>
  readonly #ownership: Ownership
  readonly #pids: readonly number[]
  readonly #quietMs: number
  readonly #heartbeatsMs: number[] = []
  /** Since when it has been as it is, if that is even. */
  #even: Settled | null = null
  #quietTimer: NodeJS.Timeout | undefined
  #limitTimer: NodeJS.Timeout | undefined
  #onSettled: ((settled: Settled) => void) | null = null
  #onFailed: ((error: Error) => void) | null = null
  #failure: Error | null = null

  /** `quietMs`: for how long nothing may change in what is taken for settled. `pids`: of the broker. */
  constructor(protocol: GroupProtocol, plan: GroupPlan, quietMs: number, pids: readonly number[]) {
    this.#ownership = new Ownership(plan.partitionCount)
    this.#quietMs = quietMs
    this.#pids = pids
    const Kind = protocol === 'classic' ? ClassicMember : ConsumerMember
    this.#members = Array.from(
      { length: plan.memberCount },
      (_, number) =>
        new Kind(number, plan, {
          onOwned: (member, partitions) => this.#onOwned(member, partitions),
          onHeartbeat: (ms) => this.#heartbeatsMs.push(ms),
          onFailed: (error) => this.#fail(new Error(`member ${number}: ${error.message}`, { cause: error })),
        }),
    )
    this.#here = new Set(this.#members.keys())
  }

  /** How long heartbeats have taken so far. */
  get heartbeatsMs(): readonly number[] {
    return this.#heartbeatsMs
  }

  async connect(): Promise<void> {
    await Promise.all(this.#members.map((member) => member.connect()))
  }

  start(): void {
    for (const member of this.#members) member.start()
  }

  /** So many members take their leave, or vanish. They come from all over the group. */
  async lose(count: number, way: 'leave' | 'vanish'): Promise<void> {
    const step = this.#members.length / count
    const lost = Array.from({ length: count }, (_, slot) => Math.floor(slot * step))
    const leaving = lost.map((number) => {
      this.#ownership.drop(number)
      this.#here.delete(number)
      return way === 'leave' ? this.#members[number]!.leave() : this.#members[number]!.vanish()
    })
    this.#onChanged()
    await Promise.all(leaving)
  }

  /**
   * Resolves once all partitions have had the same owners for `quietMs`, with the moment when that began. To be called just before what
   * it is to settle after.
   */
  settled(limitMs: number): Promise<Settled> {
    return new Promise((resolve, reject) => {
      this.#onSettled = (settled) => {
        clearTimeout(this.#limitTimer)
        this.#onSettled = null
        resolve(settled)
      }
      this.#onFailed = reject
      this.#limitTimer = setTimeout(() => reject(new Error(`the group has not settled in ${limitMs} ms`)), limitMs)
      if (this.#failure !== null) reject(this.#failure)
    })
  }

  /** All that are left take their leave, so that nothing of the group is on the broker's mind any more. */
  async end(): Promise<void> {
    clearTimeout(this.#quietTimer)
    await Promise.all([...this.#here].map((number) => this.#members[number]!.leave()))
    this.#here.clear()
  }

  /** Ends all connections. */
  close(): void {
    clearTimeout(this.#quietTimer)
    clearTimeout(this.#limitTimer)
    for (const member of this.#members) member.vanish()
  }

  #fail(error: Error): void {
    this.#failure ??= error
    this.#onFailed?.(error)
  }

  #onOwned(member: number, partitions: readonly number[]): boolean {
    const isNew = this.#ownership.set(member, partitions)
    if (isNew) this.#onChanged()
    return isNew
  }

  #onChanged(): void {
    clearTimeout(this.#quietTimer)
    this.#even = this.#ownership.isEven ? { atMs: performance.now(), cpu: cpuSecondsOf(this.#pids) } : null
    if (this.#even === null) return
    this.#quietTimer = setTimeout(() => this.#onSettled?.(this.#even!), this.#quietMs)
  }
}
