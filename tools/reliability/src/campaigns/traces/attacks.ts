import { createHash } from 'node:crypto'
import { SeededRandom } from '@millrace/base'
import {
  CrashCheck,
  CrashExplorer,
  type CrashPoint,
  CrashWorkload,
  checkAfterLies,
  checkDamage,
  FAULT_CLASSES,
  type FaultClass,
  type FaultPlan,
  InvariantError,
  recoverWithFault,
  runWithFault,
  sampleCrash,
  type WorkloadOptions,
} from '@millrace/storage/testing'
import { flavourOf, POINTS_PER_WORKLOAD, traceOptions } from './flavours.ts'
import type { Tally } from './tally.ts'

/** Of more outcomes of a crash while recovering as many are drawn, and it counts as sampled. */
const SECOND_OUTCOMES_MAX = 12
/** So many different outcomes are recovered for each whose recovery is interrupted, before each of its changes. */
const SECOND_CRASH_INTERVAL = 100
/** Every so many crash points one is also tried with a flipped bit, and with a fault during recovery. */
const DAMAGE_INTERVAL = 8

/**
 * Records one short trace and tries every outcome of a crash before and after each of its operations; where one has more than
 * `outcomesMax`, as many are drawn, and it counts as sampled. Gives what tells the trace apart.
 */
export async function exploreTrace(
  seed: number,
  operationCount: number,
  outcomesMax: number,
  tally: Tally,
  isStopped: () => Promise<boolean>,
): Promise<string> {
  const options = traceOptions(seed, operationCount)
  const digest = createHash('sha1')
  await tally.attempt(`trace ${seed} (${flavourOf(seed)})`, async () => {
    const workload = new CrashWorkload(options)
    await workload.run()
    for (const { step } of workload.crashPoints) digest.update(step)
    const check = new CrashCheck(options.config)
    const limits = {
      seed,
      outcomesMax,
      secondOutcomesMax: SECOND_OUTCOMES_MAX,
      secondCrashInterval: SECOND_CRASH_INTERVAL,
      isStopped,
    }
    const explorer = new CrashExplorer(check, limits)
    try {
      await explorer.explore(workload.crashPoints)
    } finally {
      tally.add('traceOperations', workload.operationCount)
      tally.addAll({ ...explorer.figures })
      tally.add('recoveries', check.recoveryCount)
      tally.addEvaluations(check.evaluations)
      tally.addEvaluations(workload.evaluations)
    }
    checkReports(workload)
    await workload.end()
  })
  return digest.digest('hex')
}

/** Random outcomes of crashes of one large workload, until `count` were tried or there are no more. Gives how many. */
export async function sampleWorkload(seed: number, count: number, tally: Tally): Promise<number> {
  let doneCount = 0
  const workload = new CrashWorkload(largeOptions(seed))
  await tally.attempt(`workload ${seed}`, async () => {
    await workload.run()
    checkReports(workload)
  })
  const check = new CrashCheck()
  const random = new SeededRandom(seed)
  for (const [number, point] of workload.crashPoints.entries()) {
    if (doneCount === count || tally.isStopped) break
    doneCount++
    await tally.attempt(`workload ${seed}, crash ${number} at ${point.step}`, () => sampleCrash(check, point, random))
    if (number % DAMAGE_INTERVAL !== 0) continue
    await tally.attempt(`workload ${seed}, damage before crash ${number} at ${point.step}`, async () => {
      if (await checkDamage(point, random, check.evaluations)) tally.add('flippedBits')
    })
    await faultyRecovery(seed, number, point, random, check, tally)
  }
  tally.add('sampledPoints', doneCount)
  tally.add('recoveries', check.recoveryCount)
  tally.addEvaluations(check.evaluations)
  return doneCount
}

function largeOptions(seed: number): WorkloadOptions {
  const stepCount = 100 + (seed % 5) * 40
  return {
    seed,
    stepCount,
    crashShare: POINTS_PER_WORKLOAD / (stepCount * 4),
    mapping: seed % 2 === 0,
    partitionCount: 1 + (seed % 3),
    disk: { finePageBytes: [1024, 4096, 0][seed % 3]! },
  }
}

async function faultyRecovery(
  seed: number,
  number: number,
  point: CrashPoint,
  random: SeededRandom,
  check: CrashCheck,
  tally: Tally,
): Promise<void> {
  const plan = planOf(random, 12)
  await tally.attempt(
    `workload ${seed}, ${plan.kind} of ${plan.operation} ${plan.firstOccurrence} recovering crash ${number} at ${point.step}`,
    async () => {
      if (await recoverWithFault(plan, point, random, check)) tally.addFault(plan, 1)
    },
  )
}

/** One workload on a disk with a fault: of one class, or of each class in turn. */
export async function attackWithFault(
  seed: number,
  tally: Tally,
  faultClass: FaultClass = FAULT_CLASSES[seed % FAULT_CLASSES.length]!,
): Promise<void> {
  const random = new SeededRandom(seed)
  const plan: FaultPlan = { ...planOf(random, 60), ...faultClass }
  const check = new CrashCheck()
  await tally.attempt(`fault run ${seed}, ${plan.kind} of ${plan.operation} ${plan.firstOccurrence}`, async () => {
    const isMapped = Math.floor(seed / FAULT_CLASSES.length) % 2 === 0
    const { firedCount, isOffline } = await runWithFault(plan, seed, isMapped, check)
    tally.addFault(plan, firedCount)
    if (isOffline) tally.add('offlineDirectories')
  })
  tally.add('faultRuns')
  tally.add('recoveries', check.recoveryCount)
  tally.addEvaluations(check.evaluations)
}

function planOf(random: SeededRandom, occurrencesMax: number): FaultPlan {
  const faultClass = FAULT_CLASSES[random.uint32() % FAULT_CLASSES.length]!
  // Some operations are rare: mostly one of the first.
  const firstOccurrence = random.uint32() % (1 + (random.uint32() % occurrencesMax))
  return { ...faultClass, firstOccurrence, occurrenceCount: [1, 3, Number.POSITIVE_INFINITY][random.uint32() % 3]! }
}

/** One workload on a disk that says it synced and, now and then, did not. */
export async function attackWithLies(seed: number, tally: Tally): Promise<void> {
  const random = new SeededRandom(seed)
  await tally.attempt(`run ${seed} on a disk that lies`, async () => {
    const steps = { append: 30, flush: 20, settle: 30, 'append large': 5, checkpoint: 3, wait: 4, 'next epoch': 1 }
    const workload = new CrashWorkload({ ...largeOptions(seed), steps })
    workload.onStarted = (disk) => {
      disk.syncLies = () => {
        const isLie = random.uint32() % 10 === 0
        if (isLie) tally.add('syncsThatLied')
        return isLie
      }
    }
    await workload.run()
    const { evaluations } = new CrashCheck()
    for (const point of workload.crashPoints) {
      if (await checkAfterLies(point, random, evaluations)) tally.add('lossesByLies')
      tally.add('crashesAfterLies')
    }
    tally.addEvaluations(evaluations)
  })
}

/** Storage that nothing befell has nothing to complain of. */
export function checkReports(workload: CrashWorkload): void {
  const reports = [...workload.earlierErrors, ...workload.harness.errors]
  if (reports.length > 0) throw new InvariantError('S8', `without a fault storage reported: ${reports.join('; ')}`)
  if (workload.harness.failures.length > 0) throw new InvariantError('S7', 'without a fault the directory failed')
}
