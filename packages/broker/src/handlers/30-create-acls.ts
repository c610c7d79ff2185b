import {
  type CreateAclsRequest,
  type CreateAclsResponse,
  createAclCreationResult,
  createAclsApi,
  createCreateAclsResponse,
} from '@millrace/protocol'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'
import { NO_AUTHORIZER } from './no-authorizer.ts'

/** CreateAcls 1–3: a row for each. */
export function createAclsHandler(): ApiHandler<CreateAclsRequest, CreateAclsResponse> {
  return defineHandler(createAclsApi, ({ creations }) =>
    createCreateAclsResponse({ results: creations.map(() => createAclCreationResult(NO_AUTHORIZER)) }),
  )
}
