import { attackWithFault, attackWithLies, exploreTrace, sampleWorkload } from './attacks.ts'
import { sampleFlavour } from './flavour-attacks.ts'
import { LONG_FLAVOUR_NAMES } from './flavours.ts'
import { Tally, type TallyResult } from './tally.ts'

/** A part of the campaign that depends on nothing but its seed, and can be done by any process. */
export type Task =
  | { readonly kind: 'trace'; readonly seed: number; readonly operations: number; readonly outcomes: number }
  /** Random crashes of workloads of all kinds: `count` at most. */
  | { readonly kind: 'samples'; readonly seed: number; readonly count: number }
  | { readonly kind: 'faults'; readonly seed: number; readonly count: number }
  | { readonly kind: 'lies'; readonly seed: number }

export interface TaskResult extends TallyResult {
  /** Of a trace: what tells it apart. */
  readonly digest: string
  /** Crash points that were sampled. */
  readonly sampledCount: number
}

/** `isAborted` ends it early. Whatever the checks find is in the result; rejects only for what is wrong with the campaign. */
export async function runTask(task: Task, isAborted: () => boolean): Promise<TaskResult> {
  const tally = new Tally()
  // A broken promise inside storage has no other way to be seen.
  const onUnhandled = (error: unknown): void => {
    tally.failures.push(`unhandled rejection: ${error instanceof Error ? error.stack : error}`)
  }
  process.on('unhandledRejection', onUnhandled)
  try {
    return { ...(await attack(task, tally, isAborted)), figures: tally.figures, failures: tally.failures }
  } finally {
    // It is reported between turns of the loop.
    await nextTurn()
    process.off('unhandledRejection', onUnhandled)
  }
}

async function attack(
  task: Task,
  tally: Tally,
  isAborted: () => boolean,
): Promise<{ digest: string; sampledCount: number }> {
  let askedCount = 0
  // Simulated time leaves the process no turn to notice a signal or a broken promise in: it is given one now and then.
  const isStopped = async (): Promise<boolean> => {
    if (askedCount++ % ASKED_PER_TURN === 0) await nextTurn()
    return isAborted() || tally.isStopped
  }
  if (task.kind === 'trace') {
    tally.add('traces')
    const digest = await exploreTrace(task.seed, task.operations, task.outcomes, tally, isStopped)
    return { digest, sampledCount: 0 }
  }
  if (task.kind === 'samples') return { digest: '', sampledCount: await sample(task.seed, task.count, tally) }
  if (task.kind === 'lies') await attackWithLies(task.seed, tally)
  else {
    for (let number = 0; number < task.count && !(await isStopped()); number++) {
      await attackWithFault(task.seed + number, tally)
    }
  }
  return { digest: '', sampledCount: 0 }
}

/** One workload of everything, and one of a kind in turn. */
async function sample(seed: number, count: number, tally: Tally): Promise<number> {
  const mixedCount = await sampleWorkload(seed, count, tally)
  if (mixedCount === count) return count
  const flavour = LONG_FLAVOUR_NAMES[seed % LONG_FLAVOUR_NAMES.length]!
  return mixedCount + (await sampleFlavour(flavour, seed, count - mixedCount, tally))
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

const ASKED_PER_TURN = 8
