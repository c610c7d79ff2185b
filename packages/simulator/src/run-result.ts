import { ViolationError } from './world/violation.ts'
import type { World } from './world/world.ts'

export type Layer = 'consensus' | 'cluster'

/** What one run came to; survives `JSON.stringify`, since it may come from another process. */
export interface RunResult {
  readonly layer: Layer
  readonly seed: number
  readonly eventCount: number
  readonly virtualMs: number
  readonly operationCount: number
  /** Of everything that happened: equal for equal runs. */
  readonly digest: string
  readonly marks: Readonly<Record<string, number>>
  readonly faults: Readonly<Record<string, number>>
  readonly judged: Readonly<Record<string, number>>
  readonly failure: RunFailure | null
}

export interface RunFailure {
  /** `assertion`: the system itself found itself wrong, or threw what nobody expected. */
  readonly invariant: string
  readonly message: string
  readonly atMs: number
}

/** Runs to the end or to the first thing that is wrong. */
export function resultOf(layer: Layer, seed: number, world: World, operationCount: number, run: () => void): RunResult {
  let failure: RunFailure | null = null
  try {
    run()
  } catch (error) {
    failure = failureOf(error, world.nowMs)
  }
  return resultWith(layer, seed, world, operationCount, failure)
}

export function resultWith(
  layer: Layer,
  seed: number,
  world: World,
  operationCount: number,
  failure: RunFailure | null,
): RunResult {
  return {
    layer,
    seed,
    eventCount: world.eventCount,
    virtualMs: world.nowMs,
    operationCount,
    digest: world.digest.toString(),
    marks: Object.fromEntries(world.marks),
    faults: Object.fromEntries(world.faults),
    judged: Object.fromEntries(world.judged),
    failure,
  }
}

export function failureOf(error: unknown, atMs: number): RunFailure {
  if (error instanceof ViolationError) return { invariant: error.invariant, message: error.message, atMs }
  const text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  return { invariant: 'assertion', message: text, atMs }
}
