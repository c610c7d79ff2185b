import type { ControllerContext } from './controller/context.ts'
import { ELIGIBLE_LEADER_REPLICAS_VERSION, newClusterFeatures } from './controller/features.ts'
import { elrSafetyRecords } from './controller/update-features.ts'
import type { MetadataRecord } from './records.ts'

/** First records of a new cluster: the newest feature levels, and what they need. */
export function bootstrapRecords(context: ControllerContext): MetadataRecord[] {
  const records: MetadataRecord[] = []
  for (const [name, featureLevel] of newClusterFeatures(context.settings.supportedFeatures)) {
    if (name === ELIGIBLE_LEADER_REPLICAS_VERSION && featureLevel > 0) records.push(...elrSafetyRecords(context))
    records.push({ type: 'FeatureLevelRecord', name, featureLevel })
  }
  return records
}
