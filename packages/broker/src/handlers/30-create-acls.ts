import type { AclBinding } from '@millrace/consensus'
import {
  type CreateAclsRequest,
  type CreateAclsResponse,
  createAclCreationResult,
  createAclsApi,
  createCreateAclsResponse,
  ErrorCode,
} from '@millrace/protocol'
import type { Logger } from '../logger.ts'
import type { MetadataService } from '../metadata/metadata-service.ts'
import { logAclChange } from './acl-changes.ts'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'
import { NO_AUTHORIZER } from './no-authorizer.ts'

/** CreateAcls 1–3: a row for each. */
export function createAclsHandler(deps: {
  /** Whether there is an authorizer. */
  readonly isEnabled: boolean
  readonly metadata: Pick<MetadataService, 'createAcls'>
  readonly logger: Logger
}): ApiHandler<CreateAclsRequest, CreateAclsResponse> {
  return defineHandler(createAclsApi, async ({ creations }, { connection }) => {
    if (!deps.isEnabled) {
      return createCreateAclsResponse({ results: creations.map(() => createAclCreationResult(NO_AUTHORIZER)) })
    }
    const acls = creations.map(
      ({
        resourceType,
        resourceName,
        resourcePatternType,
        principal,
        host,
        operation,
        permissionType,
      }): AclBinding => ({
        resourceType,
        resourceName,
        patternType: resourcePatternType,
        principal,
        host,
        operation,
        permissionType,
      }),
    )
    const results = await deps.metadata.createAcls(acls)
    const made = acls.filter((_, slot) => results[slot]?.errorCode === ErrorCode.NONE)
    logAclChange(deps.logger, 'ACLs created', connection, made)
    return createCreateAclsResponse({ results: results.map((result) => createAclCreationResult(result)) })
  })
}
