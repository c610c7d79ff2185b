import {
  DiskError,
  type DiskOperation,
  SeededRandom,
  SimulatedClock,
  SimulatedDisk,
  type SimulatedDiskOptions,
  SimulatedTimers,
} from '@millrace/base'

/** What every workload is told. */
export interface WorldOptions {
  readonly seed: number
  /** Share of the disk's changes at which a crash is to be tried. */
  readonly crashShare: number
  readonly disk?: SimulatedDiskOptions
  /** Errors of the disk are expected: calls may be refused. */
  readonly isFaulty?: boolean
}

/**
 * What a random workload runs on: a simulated disk, whose thread pool ends what it does when the workload lets it, in any order; time, and
 * chance, all from one seed. The process that runs on it may end and begin again on what is left of the disk.
 */
export class WorkloadWorld {
  /** Decides what the workload does. */
  readonly random: SeededRandom
  readonly clock: SimulatedClock
  /** Of the process as it runs now. */
  timers: SimulatedTimers
  disk: SimulatedDisk
  readonly #options: WorldOptions
  /** Of its own, so that trying more crashes changes nothing else. */
  readonly #crashRandom: SeededRandom
  #waiting: (() => void)[]

  constructor(options: WorldOptions) {
    const random = new SeededRandom(options.seed)
    this.#options = options
    this.random = random.fork('workload')
    this.#crashRandom = random.fork('crash')
    this.clock = new SimulatedClock()
    this.timers = new SimulatedTimers(this.clock)
    this.disk = new SimulatedDisk({
      random: random.fork('disk'),
      clock: this.clock,
      coldShare: 0.3,
      writeBackShare: 0.1,
      ...options.disk,
    })
    this.#waiting = []
  }

  /** Another process begins, on this disk. What belongs to the one before, timers and what waits, ends with it. */
  restart(disk: SimulatedDisk, onChange: (operation: DiskOperation, path: string) => void): void {
    this.timers = new SimulatedTimers(this.clock)
    this.#waiting = []
    this.disk = disk
    disk.onChange = onChange
  }

  /** Whether a crash is to be tried at this change of the disk. */
  drawCrash(): boolean {
    return this.#crashRandom.uint32() < this.#options.crashShare * 2 ** 32
  }

  /** A number below `count`. */
  draw(count: number): number {
    return this.random.uint32() % count
  }

  /** One of the kinds, each as often as its weight says in relation to the others. */
  drawKind<Kind extends string>(weights: Readonly<Partial<Record<Kind, number>>>): Kind {
    const kinds = Object.entries(weights) as [Kind, number][]
    let left = (this.random.uint32() / 2 ** 32) * kinds.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [kind, weight] of kinds) {
      left -= weight
      if (left < 0) return kind
    }
    return kinds.at(-1)![0]
  }

  /** Operations of the thread pool that have not ended. */
  get waitingCount(): number {
    return this.#waiting.length
  }

  /** How an operation of the thread pool ends: once it is let go. Nobody but the checks reads, and they do not wait. */
  wait(operation: DiskOperation): Promise<void> {
    return operation === 'read' ? Promise.resolve() : new Promise((resolve) => this.#waiting.push(resolve))
  }

  /** Lets so many operations end, or as many as there are, in any order. */
  release(count: number): void {
    for (let number = 0; number < count && this.#waiting.length > 0; number++) {
      const [wake] = this.#waiting.splice(this.draw(this.#waiting.length), 1)
      wake!()
    }
  }

  /** Lets all of them end, in the order they came in. */
  releaseAll(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }

  /** A call that the disk may keep from being done. */
  expectingRefusal(call: () => void): void {
    try {
      call()
    } catch (error) {
      this.onRefused(error)
    }
  }

  /** Passes over an error of the disk where such are expected; throws any other. */
  onRefused(error: unknown): void {
    if (!(error instanceof DiskError) || this.#options.isFaulty !== true) throw error
  }
}
