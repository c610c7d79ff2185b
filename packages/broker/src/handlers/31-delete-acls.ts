import {
  createDeleteAclsFilterResult,
  createDeleteAclsResponse,
  type DeleteAclsRequest,
  type DeleteAclsResponse,
  deleteAclsApi,
} from '@millrace/protocol'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'
import { NO_AUTHORIZER } from './no-authorizer.ts'

/** DeleteAcls 1–3: a row for each filter. */
export function deleteAclsHandler(): ApiHandler<DeleteAclsRequest, DeleteAclsResponse> {
  return defineHandler(deleteAclsApi, ({ filters }) =>
    createDeleteAclsResponse({ filterResults: filters.map(() => createDeleteAclsFilterResult(NO_AUTHORIZER)) }),
  )
}
