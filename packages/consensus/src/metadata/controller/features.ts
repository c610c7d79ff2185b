import type { FeatureRange } from '../image.ts'

export const METADATA_VERSION = 'metadata.version'
/** Level 1: consumer groups (KIP-848) are served. */
export const GROUP_VERSION = 'group.version'
export const ELIGIBLE_LEADER_REPLICAS_VERSION = 'eligible.leader.replicas.version'
/** 1: share groups (KIP-932). */
export const SHARE_VERSION = 'share.version'

/** Oldest level that may be finalized (3.3-IV3). */
export const MIN_METADATA_VERSION = 7
/** 4.3-IV0, what a new cluster begins with. */
export const LATEST_METADATA_VERSION = 30

/**
 * Levels of `metadata.version` that changed what records say. Going back over one would lose what the records hold, so it is
 * refused.
 */
const METADATA_CHANGES: readonly number[] = [7, 8, 11, 13, 14, 15, 17, 23, 30]

/** Levels that one feature needs of another: feature, its level, the other, its least level. */
const DEPENDENCIES: readonly (readonly [string, number, string, number])[] = [
  [ELIGIBLE_LEADER_REPLICAS_VERSION, 1, METADATA_VERSION, 23],
]

/** What this software supports. Features whose APIs are not served are not among them. */
export const SUPPORTED_FEATURES: ReadonlyMap<string, FeatureRange> = new Map([
  [METADATA_VERSION, { min: MIN_METADATA_VERSION, max: LATEST_METADATA_VERSION }],
  [ELIGIBLE_LEADER_REPLICAS_VERSION, { min: 0, max: 1 }],
  [GROUP_VERSION, { min: 0, max: 1 }],
  [SHARE_VERSION, { min: 0, max: 1 }],
])

/** Levels of a new cluster: the newest of everything. */
export function newClusterFeatures(supported: ReadonlyMap<string, FeatureRange>): Map<string, number> {
  return new Map([...supported].map(([name, range]) => [name, range.max]))
}

/** Whether records that level `from` may have written cannot be kept at the lower level `to`. */
export function losesMetadata(from: number, to: number): boolean {
  return METADATA_CHANGES.some((level) => level > to && level <= from)
}

/** Why a level cannot stand beside the others, or null. */
export function dependencyComplaint(name: string, level: number, levels: ReadonlyMap<string, number>): string | null {
  for (const [feature, featureLevel, other, otherLevel] of DEPENDENCIES) {
    if (feature === name && level >= featureLevel && (levels.get(other) ?? 0) < otherLevel) {
      return `${name} could not be set to ${level} because it depends on ${other} level ${otherLevel}`
    }
  }
  return null
}
