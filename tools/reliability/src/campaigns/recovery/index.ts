import type { Campaign } from '../../campaign.ts'
import { runFilled } from './filled-partitions.ts'
import { Findings } from './findings.ts'
import { runIdle } from './idle-partitions.ts'

/** How fast the shipped broker is back after a kill and after a clean stop, and that nothing is missing then. */
export const recoveryCampaign: Campaign = {
  name: 'recovery',
  summary: 'start after kills and stops, with much data and with many partitions, and what idle partitions cost',
  sizes: {
    ci: { mebibytes: 200, partitions: 20, idlePartitions: 500, idleSeconds: 2, judged: 0 },
    full: { mebibytes: 10_240, partitions: 100, idlePartitions: 10_000, idleSeconds: 10, judged: 1 },
  },
  async run(context) {
    const findings = new Findings(context.size.judged === 1)
    if (context.size.mebibytes! > 0) await runFilled(context, findings)
    if (context.size.idlePartitions! > 0 && !context.signal.aborted) await runIdle(context, findings)
    return findings.result()
  },
}
