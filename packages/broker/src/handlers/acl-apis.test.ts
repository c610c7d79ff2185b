import {
  createAclCreation,
  createAclsApi,
  createCreateAclsRequest,
  createDeleteAclsFilter,
  createDeleteAclsRequest,
  createDescribeAclsRequest,
  type DescribeAclsResponse,
  deleteAclsApi,
  describeAclsApi,
  ErrorCode,
} from '@millrace/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { GuardedBroker } from '../authorization/testing/guarded-broker.ts'
import { versionsOf } from './testing/exchange.ts'

let guarded: GuardedBroker

beforeEach(async () => {
  guarded = await GuardedBroker.start()
})

afterEach(() => guarded.stop())

const creation = (resourceName: string, init: Partial<Parameters<typeof createAclCreation>[0]> = {}) =>
  createAclCreation({
    resourceType: 2,
    resourceName,
    resourcePatternType: 3,
    principal: 'User:alice',
    host: '*',
    operation: 3,
    permissionType: 3,
    ...init,
  })

const create = async (version: number, ...creations: ReturnType<typeof creation>[]) =>
  (await guarded.admin.call(createAclsApi, version, createCreateAclsRequest({ creations }))).results

/** Any rule, where nothing else is said. */
const filter = {
  resourceTypeFilter: 1,
  resourceNameFilter: null as string | null,
  patternTypeFilter: 1,
  principalFilter: null as string | null,
  hostFilter: null as string | null,
  operation: 1,
  permissionType: 1,
}

const describeAcls = (version: number, wanted: Partial<typeof filter> = {}) =>
  guarded.admin.call(describeAclsApi, version, createDescribeAclsRequest({ ...filter, ...wanted }))

const found = ({ resources }: DescribeAclsResponse) =>
  resources
    .flatMap(({ resourceName, patternType, acls }) =>
      acls.map(({ operation }) => [resourceName, patternType, operation]),
    )
    .sort()

const remove = async (version: number, ...filters: Partial<typeof filter>[]) => {
  const request = createDeleteAclsRequest({
    filters: filters.map((one) => createDeleteAclsFilter({ ...filter, ...one })),
  })
  return (await guarded.admin.call(deleteAclsApi, version, request)).filterResults
}

describe.each(versionsOf(createAclsApi))('version %i', (version) => {
  test('makes rules, shows them by resource, and deletes them', async () => {
    const results = await create(
      version,
      creation('orders'),
      creation('ord', { resourcePatternType: 4 }),
      creation('orders', { operation: 4 }),
      creation('orders'),
    )
    expect(results.map(({ errorCode, errorMessage }) => [errorCode, errorMessage])).toEqual(
      Array(4).fill([ErrorCode.NONE, null]),
    )
    const all = await describeAcls(version)
    expect(all).toMatchObject({ errorCode: 0, errorMessage: null })
    expect(all.resources).toHaveLength(2)
    expect(found(all)).toEqual([
      ['ord', 4, 3],
      ['orders', 3, 3],
      ['orders', 3, 4],
    ])
    expect(found(await describeAcls(version, { resourceNameFilter: 'orders', patternTypeFilter: 2 }))).toHaveLength(3)
    expect(found(await describeAcls(version, { resourceNameFilter: 'orders' }))).toHaveLength(2)
    const [gone, nothing] = await remove(version, { operation: 4 }, { principalFilter: 'User:bob' })
    expect(gone).toMatchObject({
      errorCode: 0,
      errorMessage: null,
      matchingAcls: [
        {
          errorCode: 0,
          errorMessage: null,
          resourceType: 2,
          resourceName: 'orders',
          patternType: 3,
          principal: 'User:alice',
          host: '*',
          operation: 4,
          permissionType: 3,
        },
      ],
    })
    expect(nothing).toMatchObject({ errorCode: 0, matchingAcls: [] })
    expect(found(await describeAcls(version))).toHaveLength(2)
  })

  test('refuses each thing for itself', async () => {
    const results = await create(
      version,
      creation('good'),
      creation(''),
      creation('a', { resourceType: 1 }),
      creation('a', { principal: 'alice' }),
      creation('b', { resourceType: 4 }),
      creation('kafka-cluster', { resourceType: 4 }),
    )
    expect(results.map(({ errorCode }) => errorCode)).toEqual([0, 42, 42, 42, 42, 0])
    expect(results[1]!.errorMessage).toContain('empty')
    const [refused, done] = await remove(version, { permissionType: 0 }, { resourceNameFilter: 'good' })
    expect(refused).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST, matchingAcls: [] })
    expect(done!.matchingAcls).toHaveLength(1)
    // A kind that there is not yet: nothing is of it.
    expect(await describeAcls(version, { resourceTypeFilter: 99 })).toMatchObject({ errorCode: 0, resources: [] })
    expect(await describeAcls(version, { operation: 0 })).toMatchObject({
      errorCode: ErrorCode.INVALID_REQUEST,
      resources: [],
    })
  })
})

test('many rules are described over several turns, and the same', async () => {
  const names = Array.from({ length: 1_500 }, (_, n) => `t${n}`)
  await create(3, ...names.map((name) => creation(name)))
  expect((await describeAcls(3)).resources.map(({ resourceName }) => resourceName).sort()).toEqual(names.sort())
  expect((await remove(3, {}))[0]!.matchingAcls).toHaveLength(1_500)
  expect((await describeAcls(3)).resources).toEqual([])
})
