import type { Campaign } from '../../campaign.ts'
import { CrashRun, makeBrokerDirectory } from './crash-run.ts'

export const killsCampaign: Campaign = {
  name: 'kills',
  summary:
    'the shipped broker is killed (SIGKILL) under the load of several vendors’ clients; all that was acknowledged is there',
  sizes: { ci: { kills: 15 }, full: { kills: 1000 } },
  run(context) {
    return new CrashRun(context, {
      name: 'kills',
      killCount: context.size.kills ?? 0,
      afterKill: () => [],
      unsyncedLoss: false,
      expectsFailure: false,
      directory: makeBrokerDirectory(),
      environment: {},
    }).run()
  },
}
