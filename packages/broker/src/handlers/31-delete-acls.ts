import {
  createDeleteAclsFilterResult,
  createDeleteAclsMatchingAcl,
  createDeleteAclsResponse,
  type DeleteAclsRequest,
  type DeleteAclsResponse,
  deleteAclsApi,
} from '@millrace/protocol'
import type { Logger } from '../logger.ts'
import type { MetadataService } from '../metadata/metadata-service.ts'
import { logAclChange } from './acl-changes.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'
import { NO_AUTHORIZER } from './no-authorizer.ts'

/** DeleteAcls 1–3: a row for each filter, with the rules that went. */
export function deleteAclsHandler(deps: {
  /** Whether there is an authorizer. */
  readonly isEnabled: boolean
  readonly metadata: Pick<MetadataService, 'deleteAcls'>
  readonly logger: Logger
}): ApiHandler<DeleteAclsRequest, DeleteAclsResponse> {
  return defineHandler(deleteAclsApi, async ({ filters }, { connection }) => {
    if (!deps.isEnabled) {
      return createDeleteAclsResponse({ filterResults: filters.map(() => createDeleteAclsFilterResult(NO_AUTHORIZER)) })
    }
    const results = await deps.metadata.deleteAcls(
      filters.map((filter) => ({
        resourceType: filter.resourceTypeFilter,
        resourceName: filter.resourceNameFilter,
        patternType: filter.patternTypeFilter,
        principal: filter.principalFilter,
        host: filter.hostFilter,
        operation: filter.operation,
        permissionType: filter.permissionType,
      })),
    )
    const gone = results.flatMap(({ deleted }) => deleted)
    logAclChange(deps.logger, 'ACLs deleted', connection, gone)
    return createDeleteAclsResponse({
      filterResults: results.map(({ errorCode, errorMessage, deleted }) =>
        createDeleteAclsFilterResult({
          errorCode,
          errorMessage,
          matchingAcls: deleted.map((acl) => createDeleteAclsMatchingAcl({ ...acl, errorMessage: null })),
        }),
      ),
    })
  })
}
