import {
  createDescribeAclsResponse,
  type DescribeAclsRequest,
  type DescribeAclsResponse,
  describeAclsApi,
} from '@millrace/protocol'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'
import { NO_AUTHORIZER } from './no-authorizer.ts'

/** DescribeAcls 1–3. */
export function describeAclsHandler(): ApiHandler<DescribeAclsRequest, DescribeAclsResponse> {
  return defineHandler(describeAclsApi, () => createDescribeAclsResponse(NO_AUTHORIZER))
}
