import type { Campaign } from '../campaign.ts'
import { defectsCampaign } from './defects/index.ts'
import { filesCampaign } from './files/index.ts'
import { framesCampaign } from './frames/index.ts'
import { killsCampaign } from './kills/index.ts'
import { overloadCampaign } from './overload/index.ts'
import { powerLossCampaign } from './power-loss/index.ts'
import { recoveryCampaign } from './recovery/index.ts'
import { soakCampaign } from './soak/index.ts'
import { tracesCampaign } from './traces/index.ts'

/** In the order of `all`: from the parts to the whole. */
export const campaigns: readonly Campaign[] = [
  tracesCampaign,
  defectsCampaign,
  filesCampaign,
  framesCampaign,
  killsCampaign,
  powerLossCampaign,
  overloadCampaign,
  recoveryCampaign,
  soakCampaign,
]
