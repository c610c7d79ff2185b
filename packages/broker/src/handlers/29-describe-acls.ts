import {
  type AclFilter,
  type AclImage,
  AclPatternType,
  type MetadataImage,
  matchesAclFilter,
} from '@millrace/consensus'
import {
  createAclDescription,
  createDescribeAclsResource,
  createDescribeAclsResponse,
  type DescribeAclsRequest,
  type DescribeAclsResource,
  type DescribeAclsResponse,
  describeAclsApi,
  ErrorCode,
} from '@millrace/protocol'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'
import { NO_AUTHORIZER } from './no-authorizer.ts'
import { mapInSlices, type NextTurn, whenMapped } from './slices.ts'

/** DescribeAcls 1–3: the rules that a filter means, by resource. What asks for kinds that are newer than this broker finds none. */
export function describeAclsHandler(deps: {
  /** Whether there is an authorizer. */
  readonly isEnabled: boolean
  image(): MetadataImage
  readonly nextTurn: NextTurn
}): ApiHandler<DescribeAclsRequest, DescribeAclsResponse> {
  return defineHandler(describeAclsApi, (request, context) => {
    if (!deps.isEnabled) return createDescribeAclsResponse(NO_AUTHORIZER)
    const filter = filterOf(request)
    const { resourceType, patternType, operation, permissionType } = filter
    if ([resourceType, patternType, operation, permissionType].includes(0)) {
      const errorMessage = 'A filter must say of everything what it asks for, or that anything will do'
      return createDescribeAclsResponse({ errorCode: ErrorCode.INVALID_REQUEST, errorMessage })
    }
    const resources = new Map<string, DescribeAclsResource>()
    const acls = [...deps.image().acls.values()]
    const told = mapInSlices(acls, deps.nextTurn, (acl) => tell(resources, filter, acl), context)
    return whenMapped(told, () =>
      createDescribeAclsResponse({ errorMessage: null, resources: [...resources.values()] }),
    )
  })
}

function filterOf(request: DescribeAclsRequest): AclFilter {
  return {
    resourceType: request.resourceTypeFilter,
    resourceName: request.resourceNameFilter,
    patternType: request.patternTypeFilter,
    principal: request.principalFilter,
    host: request.hostFilter,
    operation: request.operation,
    permissionType: request.permissionType,
  }
}

function tell(resources: Map<string, DescribeAclsResource>, filter: AclFilter, acl: AclImage): void {
  if (!matchesAclFilter(filter, acl)) return
  const { resourceType, resourceName, patternType, principal, host, operation, permissionType } = acl
  const key = `${resourceType} ${patternType === AclPatternType.PREFIXED ? 'prefixed' : 'literal'} ${resourceName}`
  let resource = resources.get(key)
  if (resource === undefined) {
    resource = createDescribeAclsResource({ resourceType, resourceName, patternType })
    resources.set(key, resource)
  }
  resource.acls.push(createAclDescription({ principal, host, operation, permissionType }))
}
