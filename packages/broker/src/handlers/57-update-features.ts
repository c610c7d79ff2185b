import { UpgradeType } from '@millrace/consensus'
import {
  createUpdatableFeatureResult,
  createUpdateFeaturesResponse,
  type FeatureUpdateKey,
  type UpdateFeaturesRequest,
  type UpdateFeaturesResponse,
  updateFeaturesApi,
} from '@millrace/protocol'
import type { MetadataService } from '../metadata/metadata-service.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** UpdateFeatures 0–2: all levels or none; up to v1 a success has a row per feature (`controller.md`, 6). */
export function updateFeaturesHandler(deps: {
  metadata: Pick<MetadataService, 'updateFeatures'>
}): ApiHandler<UpdateFeaturesRequest, UpdateFeaturesResponse> {
  return defineHandler(updateFeaturesApi, async (request, context) => {
    const version = context.apiVersion
    const updates = request.featureUpdates.map((update) => ({
      feature: update.feature,
      maxVersionLevel: update.maxVersionLevel,
      upgradeType: upgradeTypeOf(update, version),
    }))
    const error = await deps.metadata.updateFeatures(updates, request.validateOnly, request.timeoutMs)
    if (error !== null) {
      const errorMessage = `No feature was updated, since one of them had an error: ${error.message}`
      return createUpdateFeaturesResponse({ errorCode: error.code, errorMessage })
    }
    const results = version <= 1 ? updates.map(({ feature }) => createUpdatableFeatureResult({ feature })) : []
    return createUpdateFeaturesResponse({ errorMessage: null, results })
  })
}

/** v0 knows only a permission to go down. */
function upgradeTypeOf(update: FeatureUpdateKey, version: number): number {
  if (version >= 1) return update.upgradeType
  return update.allowDowngrade ? UpgradeType.SAFE_DOWNGRADE : UpgradeType.UPGRADE
}
