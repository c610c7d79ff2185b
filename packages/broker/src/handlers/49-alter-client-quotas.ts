import {
  type AlterClientQuotasRequest,
  type AlterClientQuotasResponse,
  alterClientQuotasApi,
  createAlterClientQuotasResponse,
  createAlterClientQuotasResponseEntityData,
  createAlterClientQuotasResponseEntryData,
} from '@millrace/protocol'
import type { MetadataService } from '../metadata/metadata-service.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

/** AlterClientQuotas 0–1 (KIP-546). The limits are kept and shown; nothing is throttled by them yet (`docs/operations.md`). */
export function alterClientQuotasHandler(deps: {
  metadata: Pick<MetadataService, 'alterClientQuotas'>
}): ApiHandler<AlterClientQuotasRequest, AlterClientQuotasResponse> {
  return defineHandler(alterClientQuotasApi, async ({ entries, validateOnly }) => {
    const alterations = entries.map(({ entity, ops }) => ({
      entity: entity.map(({ entityType, entityName }) => ({ entityType, entityName })),
      // What is no number a limit can have is refused with those that are not above 0.
      ops: ops.map(({ key, value, remove }) => ({ key, value: Number.isFinite(value) ? value : -1, remove })),
    }))
    const results = await deps.metadata.alterClientQuotas(alterations, validateOnly)
    return createAlterClientQuotasResponse({
      entries: results.map(({ entity, errorCode, errorMessage }) =>
        createAlterClientQuotasResponseEntryData({
          errorCode,
          errorMessage,
          entity: entity.map(createAlterClientQuotasResponseEntityData),
        }),
      ),
    })
  })
}
