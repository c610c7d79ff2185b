import { SeededRandom } from '@millrace/base'
import {
  CrashCheck,
  type CrashPoint,
  CrashWorkload,
  checkDamage,
  checkDamagedIndex,
  checkDamagedMark,
  checkDamagedProducer,
  checkDamagedSize,
  checkFileDamage,
  checkLostIndex,
  sampleCrash,
} from '@millrace/storage/testing'
import { checkReports } from './attacks.ts'
import { type LongFlavourName, longWorkload } from './flavours.ts'
import type { Tally } from './tally.ts'

/** Every so many crash points one is also tried with each kind of damage. */
const DAMAGE_INTERVAL = 8
/** Transaction indexes that are lost after the stop of one workload, each alone. */
const LOST_INDEXES = 2

/** Random crashes of one workload of a flavour, until `count` were tried or there are no more. Gives how many. */
export async function sampleFlavour(
  flavour: LongFlavourName,
  seed: number,
  count: number,
  tally: Tally,
): Promise<number> {
  const workload = await runFlavour(flavour, seed, tally)
  const { check, random, name } = workload
  let doneCount = 0
  for (const [number, point] of workload.points.entries()) {
    if (doneCount === count || tally.isStopped) break
    doneCount++
    await tally.attempt(`${name}, crash ${number} at ${point.step}`, () => sampleCrash(check, point, random))
    if (number % DAMAGE_INTERVAL === 0) await damage(workload, number, point, tally)
  }
  await loseIndexes(workload, tally)
  tally.add('sampledPoints', doneCount)
  addChecks(workload, tally)
  return doneCount
}

/** Each kind of damage before each crash of one workload of a flavour is recovered. */
export async function damageFlavour(flavour: LongFlavourName, seed: number, tally: Tally): Promise<void> {
  const workload = await runFlavour(flavour, seed, tally)
  for (const [number, point] of workload.points.entries()) {
    if (tally.isStopped) break
    await damage(workload, number, point, tally)
  }
  addChecks(workload, tally)
}

/** One workload of a flavour is stopped, and indexes are lost then: see `checkLostIndex`. */
export async function loseIndexesOfFlavour(flavour: LongFlavourName, seed: number, tally: Tally): Promise<void> {
  const workload = await runFlavour(flavour, seed, tally)
  await loseIndexes(workload, tally)
  addChecks(workload, tally)
}

interface FlavourRun {
  name: string
  workload: CrashWorkload
  points: readonly CrashPoint[]
  options: ReturnType<typeof longWorkload>['options']
  random: SeededRandom
  /** Of damaged sizes: what else a seed does, it does with or without them. */
  sizeRandom: SeededRandom
  /** Of damaged producers, and of lost indexes, likewise. */
  producerRandom: SeededRandom
  lostRandom: SeededRandom
  /** Of crashes. */
  check: CrashCheck
  /** Of damaged disks, which may be walked further back than to the checkpoint. */
  damageCheck: CrashCheck
}

async function runFlavour(flavour: LongFlavourName, seed: number, tally: Tally): Promise<FlavourRun> {
  const { options, checksExtent } = longWorkload(flavour, seed)
  const name = `${flavour} ${seed}`
  const workload = new CrashWorkload(options)
  await tally.attempt(name, async () => {
    await workload.run()
    checkReports(workload)
  })
  tally.addEvaluations(workload.evaluations)
  return {
    name,
    workload,
    points: workload.crashPoints,
    options,
    random: new SeededRandom(seed),
    sizeRandom: new SeededRandom(seed),
    producerRandom: new SeededRandom(seed),
    lostRandom: new SeededRandom(seed),
    check: new CrashCheck(options.config, checksExtent),
    damageCheck: new CrashCheck(options.config),
  }
}

async function damage(run: FlavourRun, number: number, point: CrashPoint, tally: Tally): Promise<void> {
  const { name, random, sizeRandom, producerRandom, options, damageCheck } = run
  const { evaluations } = damageCheck
  const tries: [figure: string, what: string, attempt: () => Promise<boolean>][] = [
    ['flippedBits', 'a flipped bit', () => checkDamage(point, random, evaluations, options.config)],
    ['damagedLogFiles', 'a damaged log file', () => checkFileDamage(point, random, evaluations, options.config)],
    ['damagedMarks', 'a damaged mark', () => checkDamagedMark(point, random, evaluations, options.config)],
    ['damagedIndexes', 'a damaged index', () => checkDamagedIndex(point, random, damageCheck)],
    ['damagedSizes', 'a damaged size', () => checkDamagedSize(point, sizeRandom, evaluations, options.config)],
    [
      'damagedProducers',
      'a damaged producer',
      () => checkDamagedProducer(point, producerRandom, evaluations, options.config),
    ],
  ]
  for (const [figure, what, attempt] of tries) {
    await tally.attempt(`${name}, ${what} before crash ${number} at ${point.step}`, async () => {
      if (await attempt()) tally.add(figure)
    })
  }
}

/** Ends the workload. */
async function loseIndexes(run: FlavourRun, tally: Tally): Promise<void> {
  const { name, workload, lostRandom, options, damageCheck } = run
  if (tally.isStopped) return
  await tally.attempt(`${name}, the stop`, () => workload.end())
  // What was staged is written by the stop: it must be there, too.
  const stopped = { ...workload.pointNow('the stop'), isRunning: false }
  for (let count = 0; count < LOST_INDEXES && !tally.isStopped; count++) {
    await tally.attempt(`${name}, lost index ${count} after the stop`, async () => {
      const startCount = await checkLostIndex(stopped, lostRandom, damageCheck.evaluations, options.config)
      if (startCount > 0) tally.add('lostIndexes')
      tally.add('recoveries', startCount)
    })
  }
}

function addChecks({ check, damageCheck }: FlavourRun, tally: Tally): void {
  for (const { recoveryCount, evaluations } of [check, damageCheck]) {
    tally.add('recoveries', recoveryCount)
    tally.addEvaluations(evaluations)
  }
}
