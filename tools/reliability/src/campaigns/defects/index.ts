import { SeededRandom } from '@millrace/base'
import type { Campaign, CampaignContext, CampaignResult } from '../../campaign.ts'
import { tooLittle } from '../../load/work.ts'
import { inOrder } from '../in-order.ts'
import { type Attack, nameOfAttack } from './attack.ts'
import type { Defect } from './defect.ts'
import { defects, quickDefects } from './defects.ts'
import { type Caught, defectsPage } from './defects-page.ts'
import { ALL_ATTACKS } from './run-attack.ts'
import { type Hunted, startHunt } from './start-hunt.ts'

export const defectsCampaign: Campaign = {
  name: 'defects',
  summary: 'deliberate mistakes in storage, each of which the checks of `traces` must find',
  sizes: {
    ci: { defects: 4, rounds: 30, soundRounds: 1, hunts: 2 },
    full: { defects: defects.length, rounds: 90, soundRounds: 12, hunts: 2 },
  },
  run,
}

async function run(context: CampaignContext): Promise<CampaignResult> {
  const { size, seed, signal, progress, report } = context
  const { defects: count = 0, rounds = 0, soundRounds = 0, hunts = 1 } = size
  const chosen = choose(count, seed)
  const isAll = chosen.length === defects.length
  const caught: Caught[] = []
  const failures: string[] = []
  let doneCount = 0
  const advance = (): void => progress(++doneCount, chosen.length + hunts)
  const huntOne = (defect: Defect): Promise<Hunted> =>
    signal.aborted
      ? Promise.resolve(STOPPED)
      : startHunt(defect, { seed, rounds, named: defect.shownBy, general: ALL_ATTACKS, signal })
  await inOrder(chosen, Math.max(1, hunts), huntOne, (hunted, defect) => {
    if (signal.aborted) return
    const { kind, recoveryCount, seconds, attack, reason } = hunted
    if (kind === 'found') {
      caught.push({ defect, hunted })
      const cost = `${recoveryCount} recoveries, ${seconds.toFixed(0)} s`
      report(`"${defect.name}" caught after ${cost} (${attack}): ${reason}`)
    } else failures.push(`"${defect.name}" was ${kind} after ${seconds.toFixed(0)} s: ${reason}`)
    advance()
  })
  const shown = new Set(caught.map(({ hunted }) => hunted.attack))
  const sound = attacksOf(
    chosen,
    ALL_ATTACKS.filter((attack) => isAll || shown.has(nameOfAttack(attack))),
  )
  const soundRecoveries = await huntInSound(context, sound, soundRounds, failures, advance)
  if (!signal.aborted) failures.push(...soundComplaints(soundRecoveries, sound.length))
  const figures = {
    caughtDefects: caught.length,
    mostRecoveries: Math.max(0, ...caught.map(({ hunted }) => hunted.recoveryCount)),
    longestHuntSeconds: Math.round(Math.max(0, ...caught.map(({ hunted }) => hunted.seconds))),
    soundRecoveries,
  }
  const pages = isAll ? [{ path: 'docs/defects.md', contents: defectsPage(caught, soundRecoveries) }] : []
  return { passedCount: caught.length, failures, figures, pages }
}

/** Each of all attacks, round after round, on a machine that others use too. */
const SOUND_MS_MAX = 3_600_000

const STOPPED: Hunted = {
  kind: 'broken',
  recoveryCount: 0,
  seconds: 0,
  invariant: '-',
  attack: '-',
  reason: 'stopped',
}

/** What finds something in sound storage proves nothing: the attacks that show the defects are run on it, too. */
async function huntInSound(
  { seed, signal, size: { hunts = 1 } }: CampaignContext,
  attacks: readonly Attack[],
  rounds: number,
  failures: string[],
  advance: () => void,
): Promise<number> {
  const shares = Array.from({ length: Math.max(1, hunts) }, (_, share) =>
    attacks.filter((_, slot) => slot % Math.max(1, hunts) === share),
  )
  let recoveryCount = 0
  const huntShare = (named: readonly Attack[]): Promise<Hunted> =>
    signal.aborted
      ? Promise.resolve(STOPPED)
      : startHunt(null, { seed, rounds, named, general: [], signal, msMax: SOUND_MS_MAX })
  await inOrder(shares, shares.length, huntShare, (hunted) => {
    if (signal.aborted) return
    if (hunted.kind === 'not found') recoveryCount += hunted.recoveryCount
    else failures.push(`without a defect: ${hunted.reason}`)
    advance()
  })
  return recoveryCount
}

/** Finds prove something only if the same attacks were tried where nothing is to be found. */
export function soundComplaints(soundRecoveries: number, attackCount: number): string[] {
  return tooLittle([
    { what: 'recoveries of storage without a defect', count: soundRecoveries, least: Math.max(1, attackCount) },
  ])
}

/** Each of the attacks that show the defects, or are to be tried as well, once. */
function attacksOf(chosen: readonly Defect[], general: readonly Attack[]): Attack[] {
  const tried = [...chosen.flatMap(({ shownBy }) => shownBy), ...general]
  return [...new Map(tried.map((attack) => [nameOfAttack(attack), attack])).values()]
}

/** Others for each seed, and quick ones, unless all are wanted. */
function choose(count: number, seed: number): readonly Defect[] {
  if (count > quickDefects.length) return defects
  const random = new SeededRandom(seed)
  const left = [...quickDefects]
  return Array.from({ length: count }, () => left.splice(random.uint32() % left.length, 1)[0]!)
}
