import type { Campaign, CampaignContext, CampaignResult } from '../../campaign.ts'
import { inOrder } from '../in-order.ts'
import { FLAVOURS, flavourOf, POINTS_PER_WORKLOAD } from './flavours.ts'
import { missingChecks, missingFaults, Tally } from './tally.ts'
import { runTask, type Task, type TaskResult } from './task.ts'
import { WorkerPool } from './worker-pool.ts'

/** From this many fault runs on, a fault class that befell nothing is a gap in the workload. */
const FAULT_RUNS_FOR_ALL = 1000
/** From this many samples on, a check that looked at nothing is one. */
const SAMPLES_FOR_ALL = 2000
/** Fault runs that a process is given at once. */
const FAULTS_PER_TASK = 20
/** A trace takes as long as hundreds of samples. */
const TRACE_WEIGHT = 1000
const SLOW_TRACE_SECONDS = 60
/** Of `operations`, by tens of traces, one of each flavour. */
const LENGTH_SHARES = [1, 0.85, 0.7, 0.55, 0.4]

export const tracesCampaign: Campaign = {
  name: 'traces',
  summary:
    'crashes of storage on a simulated disk: all outcomes of short traces, random ones of long ones, failing disks',
  sizes: {
    ci: { traces: 3, first: 0, operations: 20, outcomes: 30, samples: 300, faults: 80, lies: 3, workers: 2 },
    full: {
      traces: 50,
      first: 0,
      operations: 200,
      outcomes: 400,
      samples: 100_000,
      faults: 5000,
      lies: 200,
      workers: 2,
    },
  },
  run,
}

async function run(context: CampaignContext): Promise<CampaignResult> {
  const { workers = 1 } = context.size
  const tally = new Tally()
  // None: in this process, as a debugger wants it.
  const pool = workers > 0 ? new WorkerPool(workers) : null
  // What the processes are about is of no more use.
  const onAbort = (): void => pool?.end()
  context.signal.addEventListener('abort', onAbort)
  try {
    await attack(context, tally, pool)
  } catch (error) {
    if (!context.signal.aborted) throw error
  } finally {
    context.signal.removeEventListener('abort', onAbort)
    pool?.end()
  }
  const { recoveries = 0, faultRuns = 0 } = tally.figures
  return { passedCount: recoveries + faultRuns, failures: tally.failures, figures: tally.figures }
}

async function attack(context: CampaignContext, tally: Tally, pool: WorkerPool | null): Promise<void> {
  const { size, signal, progress, report } = context
  const { traces = 0, samples = 0, faults = 0, lies = 0, workers = 1 } = size
  const totalCount = traces * TRACE_WEIGHT + samples + faults + lies
  let doneCount = 0
  const different = new Set<string>()
  const isStopped = (): boolean => signal.aborted || tally.isStopped
  const sampling: Sampling = { leftCount: samples, number: 0 }
  const timed = async (task: Task): Promise<[TaskResult, number]> => {
    const startMs = performance.now()
    const result = await (pool === null ? runTask(task, () => signal.aborted) : pool.run(task))
    return [result, (performance.now() - startMs) / 1000]
  }
  const onResult = ([result, seconds]: [TaskResult, number], task: Task): void => {
    tally.merge(result)
    if (task.kind === 'trace') {
      different.add(result.digest)
      if (seconds > SLOW_TRACE_SECONDS) {
        report(`trace ${task.seed} (${flavourOf(task.seed)}) took ${seconds.toFixed(0)} s`)
      }
    } else if (task.kind === 'samples') sampling.leftCount += task.count - Math.max(1, result.sampledCount)
    doneCount += weightOf(task, result)
    progress(Math.min(doneCount, totalCount), totalCount)
  }
  const concurrency = Math.max(1, workers)
  await inOrder(tasksOf(context, sampling, isStopped), concurrency, timed, onResult)
  // The last workloads may have had fewer crash points than they were to have.
  while (sampling.leftCount > 0 && !isStopped()) {
    await inOrder(samplesOf(context, sampling, isStopped), concurrency, timed, onResult)
  }
  tally.add('differentTraces', different.size)
  if (isStopped()) return
  const idleFaults = faults >= FAULT_RUNS_FOR_ALL ? missingFaults(tally.figures) : []
  if (idleFaults.length > 0) tally.failures.push(`faults that befell nothing: ${idleFaults.join(', ')}`)
  const idleChecks = faults > 0 && samples >= SAMPLES_FOR_ALL ? missingChecks(tally.figures) : []
  if (idleChecks.length > 0) tally.failures.push(`checks that looked at nothing: ${idleChecks.join(', ')}`)
}

function weightOf(task: Task, { sampledCount }: TaskResult): number {
  if (task.kind === 'trace') return TRACE_WEIGHT
  if (task.kind === 'samples') return sampledCount
  return task.kind === 'faults' ? task.count : 1
}

interface Sampling {
  /** Crash points that are still to be sampled, without those of tasks that were given out. */
  leftCount: number
  /** Of the next workload. */
  number: number
}

function* tasksOf(context: CampaignContext, sampling: Sampling, isStopped: () => boolean): Iterable<Task> {
  const { traces = 0, first = 0, operations = 0, outcomes = 0, faults = 0, lies = 0 } = context.size
  const firstSeed = firstSeedOf(context)
  // From another one on where a long run is done in parts.
  for (let number = first; number < first + traces && !isStopped(); number++) {
    const share = LENGTH_SHARES[Math.floor(number / FLAVOURS.length) % LENGTH_SHARES.length]!
    yield { kind: 'trace', seed: firstSeed + number, operations: Math.ceil(operations * share), outcomes }
  }
  yield* samplesOf(context, sampling, isStopped)
  for (let number = 0; number < faults && !isStopped(); number += FAULTS_PER_TASK) {
    yield { kind: 'faults', seed: firstSeed + number, count: Math.min(FAULTS_PER_TASK, faults - number) }
  }
  for (let number = 0; number < lies && !isStopped(); number++) yield { kind: 'lies', seed: firstSeed + number }
}

function* samplesOf(context: CampaignContext, sampling: Sampling, isStopped: () => boolean): Iterable<Task> {
  while (sampling.leftCount > 0 && !isStopped()) {
    // Two workloads.
    const count = Math.min(sampling.leftCount, 2 * POINTS_PER_WORKLOAD)
    sampling.leftCount -= count
    yield { kind: 'samples', seed: firstSeedOf(context) + sampling.number++, count }
  }
}

function firstSeedOf({ seed }: CampaignContext): number {
  return seed * 1_000_000
}
