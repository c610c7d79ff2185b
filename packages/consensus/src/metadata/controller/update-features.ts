import { ConfigResourceType, configsOf, parseConfigKey } from '../image.ts'
import type { MetadataRecord } from '../records.ts'
import { type ApiError, apiError, MetadataErrorCode } from './api-error.ts'
import type { ControllerContext, Outcome } from './context.ts'
import { dependencyComplaint, ELIGIBLE_LEADER_REPLICAS_VERSION, losesMetadata, METADATA_VERSION } from './features.ts'

/** Kafka's numbers of what a user agrees to. */
export const UpgradeType = { UPGRADE: 1, SAFE_DOWNGRADE: 2, UNSAFE_DOWNGRADE: 3 } as const

export interface FeatureUpdate {
  readonly feature: string
  readonly maxVersionLevel: number
  readonly upgradeType: number
}

/**
 * Works out new feature levels (`controller.md`, 6): all or none. Null: done. Every refusal is INVALID_UPDATE_VERSION and names
 * the first update that cannot be.
 */
export function updateFeatures(
  context: ControllerContext,
  updates: readonly FeatureUpdate[],
  validateOnly: boolean,
): Outcome<ApiError | null> {
  // Of several updates of one feature the last counts.
  const byName = new Map(updates.map((update) => [update.feature, update]))
  const proposed = new Map(context.image.features)
  for (const update of byName.values()) proposed.set(update.feature, update.maxVersionLevel)
  const records: MetadataRecord[] = []
  for (const update of byName.values()) {
    const complaint = updateComplaint(context, update, proposed)
    if (complaint !== null) return { records: [], response: refusal(update, complaint) }
    const { feature, maxVersionLevel } = update
    if (feature === ELIGIBLE_LEADER_REPLICAS_VERSION && maxVersionLevel > 0) records.push(...elrSafetyRecords(context))
    records.push({ type: 'FeatureLevelRecord', name: feature, featureLevel: maxVersionLevel })
  }
  return { records: validateOnly ? [] : records, response: null }
}

/**
 * What eligible replicas need before they are switched on: one `min.insync.replicas` for the cluster and none for single brokers.
 * Nothing if all is there.
 */
export function elrSafetyRecords(context: ControllerContext): MetadataRecord[] {
  const key = 'min.insync.replicas'
  const records: MetadataRecord[] = []
  const set = (resourceName: string, value: string | null) => {
    records.push({ type: 'ConfigRecord', resourceType: ConfigResourceType.BROKER, resourceName, name: key, value })
  }
  if (!configsOf(context.image, ConfigResourceType.BROKER, '').has(key)) {
    set('', String(context.configRules.staticMinInsyncReplicas()))
  }
  for (const [resource, configs] of context.image.configs) {
    const { resourceType, resourceName } = parseConfigKey(resource)
    const isSingleBroker = resourceType === ConfigResourceType.BROKER && resourceName !== ''
    if (isSingleBroker && configs.has(key)) set(resourceName, null)
  }
  return records
}

function updateComplaint(
  context: ControllerContext,
  update: FeatureUpdate,
  proposed: ReadonlyMap<string, number>,
): string | null {
  const { feature, maxVersionLevel: level, upgradeType } = update
  const { UPGRADE, UNSAFE_DOWNGRADE } = UpgradeType
  if (upgradeType < UPGRADE || upgradeType > UNSAFE_DOWNGRADE) {
    return 'The controller does not support the given upgrade type.'
  }
  if (level < 0) return 'A feature version cannot be less than 0.'
  const unsupported = supportComplaint(context, feature, level)
  if (unsupported !== null) return unsupported
  const current = context.image.features.get(feature) ?? 0
  if (level < current && upgradeType === UPGRADE) {
    return 'A lower version needs an upgrade type of safe or unsafe downgrade.'
  }
  if (level > current && upgradeType !== UPGRADE) return 'A downgrade cannot lead to a newer version.'
  if (feature !== METADATA_VERSION) return dependencyComplaint(feature, level, proposed)
  if (level < current && losesMetadata(current, level)) {
    return `Going from ${current} to ${level} might delete metadata, which is refused even as an unsafe downgrade.`
  }
  for (const [name, otherLevel] of proposed) {
    const complaint = dependencyComplaint(name, otherLevel, proposed)
    if (complaint !== null) return complaint
  }
  return null
}

/** This controller, all that vote and every registered broker, fenced ones too, must know the level. */
function supportComplaint(context: ControllerContext, feature: string, level: number): string | null {
  const { settings, image, voterIds } = context
  const nodes = [
    { name: `Local controller ${settings.nodeId}`, features: settings.supportedFeatures },
    ...[...image.brokers.values()].map((broker) => ({ name: `Broker ${broker.id}`, features: broker.features })),
  ]
  for (const id of voterIds) {
    const controller = image.controllers.get(id)
    if (id === settings.nodeId) continue
    // It may lead next, and then it must know what the records say.
    if (controller === undefined)
      return `Controller ${id} votes and is not registered, so nobody knows what it supports.`
    nodes.push({ name: `Controller ${id}`, features: controller.features })
  }
  for (const { name, features } of nodes) {
    const range = features.get(feature)
    if (range === undefined) {
      if (level === 0) continue
      return `${name} does not support this feature.`
    }
    if (level < range.min || level > range.max) {
      return `${name} only supports versions ${range.min}-${range.max}`
    }
  }
  return null
}

function refusal(update: FeatureUpdate, complaint: string): ApiError {
  return apiError(
    MetadataErrorCode.INVALID_UPDATE_VERSION,
    `Invalid update version ${update.maxVersionLevel} for feature ${update.feature}. ${complaint}`,
  )
}
