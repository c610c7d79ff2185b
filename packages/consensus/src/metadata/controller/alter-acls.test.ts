import { describe, expect, test } from 'vitest'
import { contextOf, idOf, imageOf } from '../../testing/cluster.ts'
import {
  type AclBinding,
  type AclFilter,
  AclOperation,
  AclPatternType,
  AclPermissionType,
  AclResourceType,
} from '../acl.ts'
import type { MetadataImage } from '../image.ts'
import type { MetadataRecord } from '../records.ts'
import { applyRecords } from '../reducer.ts'
import { createAcls, deleteAcls, MAX_ACLS } from './alter-acls.ts'
import { MetadataErrorCode } from './api-error.ts'

const { NONE, INVALID_REQUEST, POLICY_VIOLATION } = MetadataErrorCode

const acl = (init: Partial<AclBinding> = {}): AclBinding => ({
  resourceType: AclResourceType.TOPIC,
  resourceName: 'orders',
  patternType: AclPatternType.LITERAL,
  principal: 'User:alice',
  host: '*',
  operation: AclOperation.READ,
  permissionType: AclPermissionType.ALLOW,
  ...init,
})
const anything: AclFilter = {
  resourceType: AclResourceType.ANY,
  resourceName: null,
  patternType: AclPatternType.ANY,
  principal: null,
  host: null,
  operation: AclOperation.ANY,
  permissionType: AclPermissionType.ANY,
}
const record = (number: number, init: Partial<AclBinding> = {}): MetadataRecord => ({
  type: 'AccessControlEntryRecord',
  id: idOf(number),
  ...acl(init),
})

function create(image: MetadataImage, ...creations: AclBinding[]) {
  const { records, response } = createAcls(contextOf(image), creations)
  return {
    records,
    codes: response.map(({ errorCode }) => errorCode),
    messages: response.map(({ errorMessage }) => errorMessage),
    after: applyRecords(image, records).image,
  }
}

function remove(image: MetadataImage, ...filters: Partial<AclFilter>[]) {
  const { records, response } = deleteAcls(
    contextOf(image),
    filters.map((filter) => ({ ...anything, ...filter })),
  )
  return {
    codes: response.map(({ errorCode }) => errorCode),
    deleted: response.map(({ deleted }) => deleted.map(({ resourceName }) => resourceName).sort()),
    left: [...applyRecords(image, records).image.acls.values()].map(({ resourceName }) => resourceName).sort(),
    count: records.length,
  }
}

describe('creating', () => {
  test('writes a record for each, with an id of its own', () => {
    const { codes, records, after } = create(imageOf(), acl(), acl({ resourceName: 'o', patternType: 4 }))
    expect(codes).toEqual([NONE, NONE])
    expect(records).toHaveLength(2)
    expect([...after.acls.values()]).toEqual(
      expect.arrayContaining([expect.objectContaining(acl()), expect.objectContaining({ resourceName: 'o' })]),
    )
  })

  test('what is there already, or stands in the request twice, is a success without a record', () => {
    const { after } = create(imageOf(), acl())
    const { codes, records } = create(after, acl(), acl({ host: '10.0.0.1' }), acl({ host: '10.0.0.1' }))
    expect(codes).toEqual([NONE, NONE, NONE])
    expect(records).toHaveLength(1)
    // Any other field makes another rule.
    const others = [
      acl({ resourceType: AclResourceType.GROUP }),
      acl({ resourceName: 'order' }),
      acl({ patternType: AclPatternType.PREFIXED }),
      acl({ principal: 'User:bob' }),
      acl({ operation: AclOperation.ALL }),
      acl({ permissionType: AclPermissionType.DENY }),
    ]
    expect(create(after, ...others).records).toHaveLength(others.length)
  })

  test.each([
    ['no type of resource', { resourceType: 0 }],
    ['any type of resource', { resourceType: AclResourceType.ANY }],
    ['a type that there is not', { resourceType: 8 }],
    ['any pattern', { patternType: AclPatternType.ANY }],
    ['patterns that match', { patternType: AclPatternType.MATCH }],
    ['an unknown pattern', { patternType: 5 }],
    ['any operation', { operation: AclOperation.ANY }],
    ['an unknown operation', { operation: 16 }],
    ['no operation', { operation: 0 }],
    ['any permission', { permissionType: AclPermissionType.ANY }],
    ['an unknown permission', { permissionType: 4 }],
    ['no name', { resourceName: '' }],
    ['another cluster', { resourceType: AclResourceType.CLUSTER, resourceName: 'orders' }],
    ['all clusters', { resourceType: AclResourceType.CLUSTER, resourceName: '*' }],
    ['a principal without a type', { principal: 'alice' }],
    ['a very long name', { resourceName: 'x'.repeat(1001) }],
    ['a very long principal', { principal: `User:${'x'.repeat(1001)}` }],
    ['a very long host', { host: 'x'.repeat(1001) }],
  ] as [string, Partial<AclBinding>][])('refused alone: %s', (_, init) => {
    const { codes, records, messages } = create(imageOf(), acl(), acl(init))
    expect(codes).toEqual([NONE, INVALID_REQUEST])
    expect(messages[1]).not.toBeNull()
    expect(records).toHaveLength(1)
  })

  test('a record holds nothing of the request but the rule', () => {
    const { records } = create(imageOf(), { ...acl(), unknownTaggedFields: null } as AclBinding)
    expect(Object.keys(records[0]!).sort()).toEqual(['id', 'type', ...Object.keys(acl())].sort())
  })

  test('there is an end to their number, and to that of one request', () => {
    const full = imageOf(...Array.from({ length: MAX_ACLS }, (_, n) => record(n, { resourceName: `t${n}` })))
    expect(create(full, acl({ resourceName: 'new' }), acl({ resourceName: 't7' })).codes).toEqual([
      POLICY_VIOLATION,
      NONE,
    ])
    const many = Array.from({ length: 10_001 }, (_, n) => acl({ resourceName: `t${n}` }))
    const { codes, records } = create(imageOf(), ...many)
    expect([new Set(codes), records]).toEqual([new Set([POLICY_VIOLATION]), []])
  })
})

describe('deleting', () => {
  const image = imageOf(
    record(1, { resourceName: 'orders' }),
    record(2, { resourceName: 'ord', patternType: AclPatternType.PREFIXED }),
    record(3, { resourceName: '*' }),
    record(4, { resourceName: 'other', principal: 'User:bob', host: '10.0.0.1' }),
    record(5, { resourceType: AclResourceType.GROUP, resourceName: 'group', operation: AclOperation.ALL }),
    record(6, { resourceName: 'denied', permissionType: AclPermissionType.DENY }),
  )
  const all = ['*', 'denied', 'group', 'ord', 'orders', 'other']

  test.each([
    ['everything', {}, all],
    ['a name', { resourceName: 'orders' }, ['orders']],
    ['a name that only a prefix covers', { resourceName: 'ordinary' }, []],
    ['the wildcard itself', { resourceName: '*' }, ['*']],
    ['a prefix', { resourceName: 'ord', patternType: AclPatternType.PREFIXED }, ['ord']],
    ['no prefix of this name', { resourceName: 'orders', patternType: AclPatternType.PREFIXED }, []],
    ['all prefixes', { patternType: AclPatternType.PREFIXED }, ['ord']],
    ['all that bear on a name', { resourceName: 'orders', patternType: AclPatternType.MATCH }, ['*', 'ord', 'orders']],
    ['all that bear on another', { resourceName: 'ordinary', patternType: AclPatternType.MATCH }, ['*', 'ord']],
    ['all that bear on anything', { patternType: AclPatternType.MATCH }, all],
    ['a type', { resourceType: AclResourceType.GROUP }, ['group']],
    ['a principal', { principal: 'User:bob' }, ['other']],
    ['a host', { host: '10.0.0.1' }, ['other']],
    ['an operation, which ALL is not', { operation: AclOperation.WRITE }, []],
    ['the operation ALL', { operation: AclOperation.ALL }, ['group']],
    ['a permission', { permissionType: AclPermissionType.DENY }, ['denied']],
  ] as [string, Partial<AclFilter>, string[]][])('by %s', (_, filter, expected) => {
    const { codes, deleted, left } = remove(image, filter)
    expect([codes, deleted]).toEqual([[NONE], [expected]])
    expect(left).toEqual(all.filter((name) => !expected.includes(name)))
  })

  test('each filter has a row of its own, also with what another took', () => {
    const { codes, deleted, count } = remove(image, { resourceName: 'orders' }, { operation: 0 }, { host: '*' })
    expect(codes).toEqual([NONE, INVALID_REQUEST, NONE])
    expect(deleted[0]).toEqual(['orders'])
    expect(deleted[2]).toContain('orders')
    expect(count).toBe(5)
  })

  test.each([
    ['type of resource', { resourceType: 0 }],
    ['newer type of resource', { resourceType: 77 }],
    ['pattern', { patternType: 0 }],
    ['newer pattern', { patternType: 9 }],
    ['operation', { operation: 99 }],
    ['permission', { permissionType: 0 }],
  ])('a filter with an unknown %s is refused', (_, filter) => {
    expect(remove(image, filter)).toMatchObject({ codes: [INVALID_REQUEST], count: 0 })
  })

  test('too many at once, or too many looks, and none is deleted', () => {
    const many = imageOf(...Array.from({ length: 10_001 }, (_, n) => record(n, { resourceName: `t${n}` })))
    expect(remove(many, { resourceName: 't1' }, {})).toMatchObject({
      codes: [INVALID_REQUEST, INVALID_REQUEST],
      count: 0,
    })
    expect(remove(many, { resourceName: 't1' }).count).toBe(1)
    const wide = Array.from({ length: 201 }, () => ({ host: '10.9.9.9' }))
    expect(remove(many, ...wide).codes).toEqual(wide.map(() => INVALID_REQUEST))
    const narrow = Array.from({ length: 201 }, (_, n) => ({ resourceName: `t${n}` }))
    expect(remove(many, ...narrow).count).toBe(201)
  })
})
