import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { SeededRandom } from '@millrace/base'
import type { Broker } from '@millrace/e2e'
import { createElectLeadersRequest, electLeadersApi } from '@millrace/protocol'
import type { Campaign, CampaignContext, CampaignResult } from '../../campaign.ts'
import { WireClient } from '../../load/wire-client.ts'
import { CrashRun, makeBrokerDirectory } from '../kills/crash-run.ts'
import { isLoss, unseenLosses } from './losses.ts'
import { PowerCut } from './power-cut.ts'
import { compilePreload, preloadEnvironment } from './preload.ts'
import type { IgnoresSyncs } from './shadow-disk.ts'

export const powerLossCampaign: Campaign = {
  name: 'power-loss',
  summary: 'as kills, and each time the disk forgets some or all of what had not been synced',
  sizes: { ci: { kills: 12 }, full: { kills: 200 } },
  async run(context) {
    const result = await runPowerLoss(context, false)
    if (context.signal.aborted) return result
    const failures = [...result.failures]
    let passedCount = result.passedCount
    // A net without holes is shown by what it catches: where a disk keeps nothing at a sync, losses must be found.
    for (const { ignoresSyncs, what, missing } of PROOFS) {
      const proof = await runPowerLoss({ ...context, size: { kills: PROOF_KILLS } }, ignoresSyncs)
      if (context.signal.aborted) return result
      const unseen = missing(proof.failures)
      const found = proof.failures.find(isLoss)
      if (unseen.length > 0 || found === undefined) {
        const others = found ?? proof.failures[0]
        const only = others === undefined ? '' : `, only this: ${others.slice(0, 300)}`
        failures.push(`${what} was not found to lose ${unseen.join(', ')}${only}: the checks see nothing of it`)
        continue
      }
      passedCount++
      context.report(`${what} is found out by ${proof.failures.length} losses: ${found.slice(0, 200)}`)
    }
    return { ...result, passedCount, failures }
  },
}

/** Cuts until a disk that ignores syncs must have been found out. The first that is looked at loses all topics, mostly. */
const PROOF_KILLS = 20
/** Kafka's number of that kind of election. */
const UNCLEAN = 1
const ELECTION_MS = 10_000

interface Proof {
  readonly ignoresSyncs: Exclude<IgnoresSyncs, false>
  readonly what: string
  /** What must have been found, and was not. */
  missing(failures: readonly string[]): string[]
}

const PROOFS: readonly Proof[] = [
  {
    ignoresSyncs: true,
    what: 'a disk that ignores syncs',
    missing: (failures) => (failures.some(isLoss) ? [] : ['anything']),
  },
  // Topics that are gone hide what was in them. So here the metadata stays, and what says whose directory it is.
  {
    ignoresSyncs: (path) => path !== '' && !path.startsWith('metadata') && !path.startsWith('meta.properties'),
    what: 'a disk that ignores syncs of data',
    missing: unseenLosses,
  },
]

async function runPowerLoss(context: CampaignContext, ignoresSyncs: IgnoresSyncs): Promise<CampaignResult> {
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
      ...(ignoresSyncs === false ? {} : { afterStart: giveUpLostLogs }),
      unsyncedLoss: true,
      expectsFailure: ignoresSyncs === false ? false : ignoresSyncs === true ? 'at once' : 'read back',
      directory,
      environment: preloadEnvironment(library, root, trace),
    }).run()
    return { ...result, figures: { ...result.figures, ...powerCut.figures } }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/**
 * Of logs whose directories such a disk has lost the broker knows, and keeps their partitions offline. An operator who has them begun anew
 * shows the checks what is gone.
 */
async function giveUpLostLogs({ port }: Broker): Promise<void> {
  const client = await WireClient.open(port)
  const request = createElectLeadersRequest({ electionType: UNCLEAN, topicPartitions: null, timeoutMs: ELECTION_MS })
  const { errorCode } = await client.call(electLeadersApi, 2, request)
  client.close()
  if (errorCode !== 0) throw new Error(`lost logs could not be given up: error ${errorCode}`)
}
