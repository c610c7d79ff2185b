import {
  type Choices,
  ExhaustiveChoices,
  type Offset,
  RandomChoices,
  SeededRandom,
  type SimulatedDisk,
} from '@millrace/base'
import type { CrashCheck, FoundEnds } from './crash-check.ts'
import type { CrashPoint } from './crash-workload.ts'
import type { LogExpectation } from './workload-log.ts'

export interface ExplorerOptions {
  seed: number
  /** Outcomes of one crash that are tried one by one; where there may be more, as many are drawn, and the crash counts as sampled. */
  outcomesMax: number
  /** The same of a crash while recovering. */
  secondOutcomesMax: number
  /** Crashes while recovering are tried for every so many different outcomes of the first crash. */
  secondCrashInterval: number
  /** Asked between recoveries: true ends the search. */
  isStopped?: () => Promise<boolean>
}

/** What a search has seen. */
export interface ExplorerFigures {
  /** Crashes all of whose outcomes were looked at, and those of whose outcomes some were drawn. */
  exhaustiveCrashes: number
  sampledCrashes: number
  exhaustiveSecondCrashes: number
  sampledSecondCrashes: number
  /** Disks that a crash could leave. */
  outcomes: number
  /** Those that were not the same as one before, with the same to be found on it: each was recovered. */
  distinctOutcomes: number
  /** Recoveries that were interrupted before each of their changes. */
  interruptedRecoveries: number
}

/** A crash whose outcome did not recover. */
export class CrashFailure extends Error {}

/**
 * Tries what crashes may leave: of each point every outcome, and of each recovery of one every outcome of a crash before each of its
 * changes. Equal disks are recovered once.
 */
export class CrashExplorer {
  readonly figures: ExplorerFigures
  readonly #check: CrashCheck
  readonly #options: ExplorerOptions
  readonly #random: SeededRandom
  /** Disks that were well, by their digest and what had to be found but for how much was durable. */
  readonly #seen: Map<string, SeenDisk>

  constructor(check: CrashCheck, options: ExplorerOptions) {
    this.figures = {
      exhaustiveCrashes: 0,
      sampledCrashes: 0,
      exhaustiveSecondCrashes: 0,
      sampledSecondCrashes: 0,
      outcomes: 0,
      distinctOutcomes: 0,
      interruptedRecoveries: 0,
    }
    this.#check = check
    this.#options = options
    this.#random = new SeededRandom(options.seed)
    this.#seen = new Map()
  }

  /** Rejects with {@link CrashFailure} at the first outcome that does not recover. */
  async explore(points: readonly CrashPoint[]): Promise<void> {
    for (const [number, point] of points.entries()) {
      const isExhaustive = await this.#tryAll(
        point,
        this.#options.outcomesMax,
        `crash ${number} at ${point.step}`,
        true,
      )
      if (isExhaustive) this.figures.exhaustiveCrashes++
      else this.figures.sampledCrashes++
      if (await this.#isStopped()) return
    }
  }

  /** Whether every outcome was tried. */
  async #tryAll(point: CrashPoint, outcomesMax: number, name: string, isFirst: boolean): Promise<boolean> {
    const choices = new ExhaustiveChoices()
    await this.#tryOne(point, choices, `${name}, outcome 0`, isFirst)
    if (choices.estimatedCount > outcomesMax) {
      for (let number = 1; number < outcomesMax && !(await this.#isStopped()); number++) {
        await this.#tryOne(point, new RandomChoices(this.#random), `${name}, drawn outcome ${number}`, isFirst)
      }
      return false
    }
    for (let number = 1; choices.next(); number++) {
      if (number === outcomesMax || (await this.#isStopped())) return false
      await this.#tryOne(point, choices, `${name}, outcome ${number}`, isFirst)
    }
    return true
  }

  async #tryOne(point: CrashPoint, choices: Choices, name: string, isFirst: boolean): Promise<void> {
    const disk = point.disk.crashed(choices)
    this.figures.outcomes++
    const key = `${disk.digest()} ${keyOf(point)}`
    if (holdsDurable(this.#seen.get(key), point.logs)) return
    const hasSecond = isFirst && this.figures.distinctOutcomes % this.#options.secondCrashInterval === 0
    this.figures.distinctOutcomes++
    if (hasSecond) this.figures.interruptedRecoveries++
    const second: CrashPoint[] = []
    const ends = await this.#recover(disk, point, name, (logs) => {
      if (hasSecond) second.push({ ...point, disk: disk.fork(), logs })
    })
    this.#seen.set(key, { ends, durableOffsets: point.logs.map(({ durableOffset }) => durableOffset) })
    for (const [number, again] of second.entries()) {
      const againName = `${name}, second crash ${number}`
      const isExhaustive = await this.#tryAll(again, this.#options.secondOutcomesMax, againName, false)
      if (isExhaustive) this.figures.exhaustiveSecondCrashes++
      else this.figures.sampledSecondCrashes++
      if (await this.#isStopped()) return
    }
  }

  async #recover(
    disk: SimulatedDisk,
    point: CrashPoint,
    name: string,
    onOperation: (logs: LogExpectation[]) => void,
  ): Promise<FoundEnds> {
    try {
      return await this.#check.check(disk, point, onOperation)
    } catch (error) {
      throw new CrashFailure(name, { cause: error })
    }
  }

  async #isStopped(): Promise<boolean> {
    return (await this.#options.isStopped?.()) ?? false
  }
}

/** One random outcome of a crash, and one of a crash at a random moment of its recovery. Rejects as `CrashCheck.check` does. */
export async function sampleCrash(check: CrashCheck, point: CrashPoint, random: SeededRandom): Promise<void> {
  const disk = point.disk.crashed(new RandomChoices(random))
  let second: CrashPoint | null = null
  let seenCount = 0
  await check.check(disk, point, (logs) => {
    // Each later moment takes the place of the one before so that all are equally likely.
    seenCount++
    if (random.uint32() % seenCount === 0) second = { ...point, disk: disk.fork(), logs }
  })
  if (second === null) return
  const again: CrashPoint = second
  await check.check(again.disk.crashed(new RandomChoices(random)), again)
}

/** What is to be found, as far as it decides whether a disk is well, but for how much of it is durable. */
function keyOf({ logs, isRunning }: CrashPoint): string {
  const expected = logs.map(({ topicId, generation, logStartOffset }) => [topicId, generation, logStartOffset])
  return `${isRunning} ${expected.join(' ')}`
}

interface SeenDisk {
  ends: FoundEnds
  /** Of each log that was to be found. */
  durableOffsets: readonly Offset[]
}

/**
 * Whether a disk that was recovered holds what is durable by now: a sync that ends changes nothing on the disks that a crash may leave
 * of what it covered, and to recover each of them again would show only where their logs end.
 */
function holdsDurable(seen: SeenDisk | undefined, logs: readonly LogExpectation[]): boolean {
  if (seen === undefined) return false
  return logs.every(({ partition, durableOffset, logStartOffset }, slot) => {
    const end = seen.ends.get(partition)
    const isThere = end === undefined ? durableOffset <= logStartOffset : durableOffset <= end
    // Where less is durable than then, less may be gone from the start.
    return isThere && durableOffset >= seen.durableOffsets[slot]!
  })
}
