import { AssertionError } from '@millrace/base'
import { expect, test } from 'vitest'
import { cluster, idOf, imageOf } from '../testing/cluster.ts'
import { quotaKey, scramKey } from './image.ts'
import type { MetadataRecord } from './records.ts'
import { applyRecord, applyRecords, emptyImage } from './reducer.ts'
import { snapshotRecords } from './snapshot.ts'

const alice = [
  { entityType: 'user', entityName: 'alice' },
  { entityType: 'client-id', entityName: null },
]
const acl: MetadataRecord = {
  type: 'AccessControlEntryRecord',
  id: idOf(7),
  resourceType: 2,
  resourceName: 'orders',
  patternType: 3,
  principal: 'User:alice',
  host: '*',
  operation: 3,
  permissionType: 3,
}
const credential: MetadataRecord = {
  type: 'UserScramCredentialRecord',
  name: 'alice',
  mechanism: 1,
  salt: 'c2FsdA==',
  storedKey: 'AA==',
  serverKey: 'AQ==',
  iterations: 4096,
}

test('a quota is found whatever the order of its entity, and goes when its last value does', () => {
  const set = (key: string, value: number | null): MetadataRecord => ({
    type: 'ClientQuotaRecord',
    entity: alice,
    key,
    value,
  })
  const image = imageOf(set('producer_byte_rate', 10), set('consumer_byte_rate', 20))
  const key = quotaKey([...alice].reverse())
  expect(image.clientQuotas.get(key)?.values).toEqual(
    new Map([
      ['producer_byte_rate', 10],
      ['consumer_byte_rate', 20],
    ]),
  )
  const one = applyRecords(image, [set('producer_byte_rate', null)])
  expect(one.image.clientQuotas.get(key)?.values.size).toBe(1)
  expect(one.delta).toMatchObject({ quotasChanged: true, aclsChanged: false, scramChanged: false })
  expect(applyRecord(one.image, set('consumer_byte_rate', null)).clientQuotas.size).toBe(0)
})

test('ACLs and credentials come and go; removing what is not there is a broken log', () => {
  const image = imageOf(acl, credential)
  expect(image.acls.get(idOf(7))).toMatchObject({ resourceName: 'orders', principal: 'User:alice' })
  expect(image.scramCredentials.get(scramKey(1, 'alice'))?.iterations).toBe(4096)
  const removals: MetadataRecord[] = [
    { type: 'RemoveAccessControlEntryRecord', id: idOf(7) },
    { type: 'RemoveUserScramCredentialRecord', name: 'alice', mechanism: 1 },
  ]
  const { image: after, delta } = applyRecords(image, removals)
  expect([after.acls.size, after.scramCredentials.size]).toEqual([0, 0])
  expect(delta).toMatchObject({ aclsChanged: true, scramChanged: true, quotasChanged: false })
  for (const removal of removals) expect(() => applyRecord(after, removal)).toThrow(AssertionError)
})

test('a snapshot carries controllers, quotas, ACLs and credentials', () => {
  const image = imageOf(...cluster(1), acl, credential, {
    type: 'RegisterControllerRecord',
    controllerId: 5,
    incarnationId: idOf(9),
    endPoints: [],
    features: { 'metadata.version': { min: 7, max: 30 } },
  })
  const restored = applyRecords(emptyImage('cluster'), snapshotRecords(image)).image
  expect(new Map(restored.controllers)).toEqual(new Map(image.controllers))
  expect(new Map(restored.acls)).toEqual(new Map(image.acls))
  expect(new Map(restored.scramCredentials)).toEqual(new Map(image.scramCredentials))
})
