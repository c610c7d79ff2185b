import {
  ApiKey,
  type CreateAclsRequest,
  createAclCreationResult,
  createAclDescription,
  createCreateAclsResponse,
  createDeleteAclsFilterResult,
  createDeleteAclsMatchingAcl,
  createDeleteAclsResponse,
  createDescribeAclsResource,
  createDescribeAclsResponse,
  type DeleteAclsRequest,
  type DescribeAclsRequest,
  ErrorCode,
} from '@millrace/protocol'
import { expect, test } from 'vitest'
import { FakeCluster } from '../testing/fake-cluster.ts'
import { withAdmin } from '../testing/with-admin.ts'
import type { Acl } from './acls.ts'

const rule: Acl = {
  resourceType: 'transactional-id',
  resourceName: 'tx-',
  patternType: 'prefixed',
  principal: 'User:alice',
  host: '10.0.0.1',
  operation: 'describe-configs',
  permission: 'deny',
}

test('rules come in words, in order, without those that have no words', async () => {
  const cluster = new FakeCluster()
  let asked: DescribeAclsRequest | null = null
  cluster.intercept(ApiKey.DESCRIBE_ACLS, ({ body }) => {
    asked = body as DescribeAclsRequest
    const acl = (operation: number, permissionType = 2) =>
      createAclDescription({ principal: 'User:alice', host: '10.0.0.1', operation, permissionType })
    return createDescribeAclsResponse({
      resources: [
        createDescribeAclsResource({ resourceType: 99, resourceName: 'new', acls: [acl(3)] }),
        createDescribeAclsResource({ resourceType: 5, resourceName: 'tx-', patternType: 4, acls: [acl(10), acl(99)] }),
        createDescribeAclsResource({ resourceType: 2, resourceName: 'b', acls: [acl(3, 3)] }),
        createDescribeAclsResource({ resourceType: 2, resourceName: 'a', acls: [acl(4, 3)] }),
      ],
    })
  })
  const found = await withAdmin(cluster, (admin) => admin.describeAcls({ resourceName: 'tx-1', patternType: 'match' }))
  expect(asked).toMatchObject({
    resourceTypeFilter: 1,
    resourceNameFilter: 'tx-1',
    patternTypeFilter: 2,
    principalFilter: null,
    hostFilter: null,
    operation: 1,
    permissionType: 1,
  })
  expect(found.map(({ resourceName, operation }) => [resourceName, operation])).toEqual([
    ['a', 'write'],
    ['b', 'read'],
    ['tx-', 'describe-configs'],
  ])
  expect(found[2]).toEqual(rule)
})

test('without an authorizer the call rejects', async () => {
  const cluster = new FakeCluster()
  cluster.intercept(ApiKey.DESCRIBE_ACLS, () =>
    createDescribeAclsResponse({ errorCode: ErrorCode.SECURITY_DISABLED, errorMessage: 'none here' }),
  )
  await expect(withAdmin(cluster, (admin) => admin.describeAcls())).rejects.toMatchObject({ code: 'SECURITY_DISABLED' })
})

test('rules are made, each with its own outcome', async () => {
  const cluster = new FakeCluster()
  let asked: CreateAclsRequest | null = null
  cluster.intercept(ApiKey.CREATE_ACLS, ({ body }) => {
    asked = body as CreateAclsRequest
    return createCreateAclsResponse({
      results: [
        createAclCreationResult({ errorMessage: null }),
        createAclCreationResult({ errorCode: ErrorCode.INVALID_REQUEST, errorMessage: 'not like this' }),
      ],
    })
  })
  const outcomes = await withAdmin(cluster, (admin) => admin.createAcls([rule, { ...rule, resourceName: '' }]))
  expect(asked!.creations[0]).toMatchObject({
    resourceType: 5,
    resourceName: 'tx-',
    resourcePatternType: 4,
    principal: 'User:alice',
    host: '10.0.0.1',
    operation: 10,
    permissionType: 2,
  })
  expect(outcomes[0]).toEqual({ ...rule, error: null })
  expect(outcomes[1]!.error).toMatchObject({ code: 'INVALID_REQUEST' })
  expect(outcomes[1]!.error!.message).toContain('not like this')
})

test('deletions tell what went, by filter', async () => {
  const cluster = new FakeCluster()
  let asked: DeleteAclsRequest | null = null
  cluster.intercept(ApiKey.DELETE_ACLS, ({ body }) => {
    asked = body as DeleteAclsRequest
    const matchingAcls = [
      createDeleteAclsMatchingAcl({
        resourceType: 5,
        resourceName: 'tx-',
        patternType: 4,
        principal: 'User:alice',
        host: '10.0.0.1',
        operation: 10,
        permissionType: 2,
      }),
    ]
    return createDeleteAclsResponse({
      filterResults: [
        createDeleteAclsFilterResult({ errorMessage: null, matchingAcls }),
        createDeleteAclsFilterResult({ errorCode: ErrorCode.CLUSTER_AUTHORIZATION_FAILED, errorMessage: null }),
      ],
    })
  })
  const filters = [{ principal: 'User:alice' }, { operation: 'all', permission: 'allow' }] as const
  const outcomes = await withAdmin(cluster, (admin) => admin.deleteAcls(filters))
  expect(asked!.filters).toMatchObject([
    { principalFilter: 'User:alice', operation: 1, permissionType: 1 },
    { principalFilter: null, operation: 2, permissionType: 3 },
  ])
  expect(outcomes[0]).toEqual({ filter: filters[0], deleted: [rule], error: null })
  expect(outcomes[1]).toMatchObject({ deleted: [], error: { code: 'CLUSTER_AUTHORIZATION_FAILED' } })
})
