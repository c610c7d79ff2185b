import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SeededRandom } from '@millrace/base'
import type { Campaign, CampaignContext, CampaignResult } from '../../campaign.ts'
import { CrashRun, makeBrokerDirectory } from '../kills/crash-run.ts'
import { isLoss } from './losses.ts'
import { PowerCut } from './power-cut.ts'
import { compilePreload, preloadEnvironment } from './preload.ts'

export const powerLossCampaign: Campaign = {
  name: 'power-loss',
  summary: 'as kills, and each time the disk forgets some or all of what had not been synced',
  sizes: { ci: { kills: 12 }, full: { kills: 200 } },
  async run(context) {
    const result = await runPowerLoss(context, false)
    if (context.signal.aborted) return result
    // A net without holes is shown by what it catches: on a disk that keeps nothing at a sync, losses must be found.
    const proof = await runPowerLoss({ ...context, size: { kills: PROOF_KILLS } }, true)
    if (context.signal.aborted) return result
    const found = proof.failures.find(isLoss)
    if (found === undefined) {
      const others = proof.failures[0] === undefined ? '' : `, only this: ${proof.failures[0].slice(0, 300)}`
      const failure = `a disk that ignores syncs was not found to lose anything${others}: the checks see nothing`
      return { ...result, failures: [...result.failures, failure] }
    }
    context.report(`a disk that ignores syncs is found out: ${found.slice(0, 200)}`)
    return { ...result, passedCount: result.passedCount + 1 }
  },
}

/** Cuts until a disk that ignores syncs must have been found out. The first that is looked at loses all topics, mostly. */
const PROOF_KILLS = 20

async function runPowerLoss(context: CampaignContext, ignoresSyncs: boolean): Promise<CampaignResult> {
  const folder = mkdtempSync(join(tmpdir(), 'millrace-lost-writes-'))
  try {
    const library = compilePreload(context.root, folder)
    const directory = makeBrokerDirectory()
    const [root, trace] = [join(directory, 'data'), join(folder, 'trace')]
    const random = new SeededRandom(context.seed).fork('power cuts')
    const powerCut = new PowerCut({ root, trace, random, ignoresSyncs })
    const result = await new CrashRun(context, {
      name: 'power-loss',
      killCount: context.size.kills ?? 0,
      afterKill: () => powerCut.cut(),
      unsyncedLoss: true,
      expectsFailure: ignoresSyncs,
      directory,
      environment: preloadEnvironment(library, root, trace),
    }).run()
    return { ...result, figures: { ...result.figures, ...powerCut.figures } }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
