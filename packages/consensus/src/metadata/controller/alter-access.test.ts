import { describe, expect, test } from 'vitest'
import { contextOf, imageOf } from '../../testing/cluster.ts'
import type { MetadataImage, QuotaEntity } from '../image.ts'
import type { MetadataRecord } from '../records.ts'
import { applyRecords } from '../reducer.ts'
import { alterClientQuotas, type QuotaAlteration } from './alter-client-quotas.ts'
import {
  type AlterScramCredentialsRequest,
  alterScramCredentials,
  type ScramUpsertion,
} from './alter-scram-credentials.ts'
import { MetadataErrorCode } from './api-error.ts'

const { NONE, INVALID_REQUEST, POLICY_VIOLATION } = MetadataErrorCode

describe('client quotas', () => {
  const entityOf = (parts: Readonly<Record<string, string | null>>): QuotaEntity =>
    Object.entries(parts).map(([entityType, entityName]) => ({ entityType, entityName }))
  const alteration = (
    parts: Readonly<Record<string, string | null>>,
    values: Readonly<Record<string, number | null>>,
  ): QuotaAlteration => ({
    entity: entityOf(parts),
    ops: Object.entries(values).map(([key, value]) => ({ key, value: value ?? 0, remove: value === null })),
  })
  const alter = (image: MetadataImage, alterations: readonly QuotaAlteration[], validateOnly = false) => {
    const { records, response } = alterClientQuotas(contextOf(image), alterations, validateOnly)
    return {
      records,
      codes: response.map(({ errorCode }) => errorCode),
      response,
      after: applyRecords(image, records).image,
    }
  }
  const valuesOf = (image: MetadataImage) =>
    [...image.clientQuotas.values()].map(({ values }) => Object.fromEntries(values))

  test('only what differs is written', () => {
    const first = alter(imageOf(), [alteration({ user: 'a' }, { producer_byte_rate: 5, consumer_byte_rate: 6 })])
    expect(first.records).toHaveLength(2)
    const again = alter(first.after, [
      alteration({ user: 'a' }, { producer_byte_rate: 5, consumer_byte_rate: null, request_percentage: null }),
    ])
    expect(again.records).toMatchObject([{ key: 'consumer_byte_rate', value: null }])
    expect(valuesOf(again.after)).toEqual([{ producer_byte_rate: 5 }])
    expect(alter(again.after, [alteration({ user: 'a' }, { producer_byte_rate: null })], true).records).toEqual([])
  })

  test('each entity all or nothing; one named twice, in whatever order, not at all', () => {
    const { codes, after } = alter(imageOf(), [
      alteration({ user: 'a' }, { producer_byte_rate: 5, bad: 1 }),
      alteration({ user: 'b', 'client-id': 'c' }, { producer_byte_rate: 5 }),
      alteration({ user: 'd' }, { request_percentage: 1.5 }),
      alteration({ 'client-id': 'c', user: 'b' }, { consumer_byte_rate: 5 }),
    ])
    expect(codes).toEqual([INVALID_REQUEST, INVALID_REQUEST, NONE])
    expect(valuesOf(after)).toEqual([{ request_percentage: 1.5 }])
  })

  test.each([
    ['nobody', {}, { producer_byte_rate: 1 }],
    ['an unknown type', { group: 'g' }, { producer_byte_rate: 1 }],
    ['an empty name', { user: '' }, { producer_byte_rate: 1 }],
    ['a very long name', { user: 'x'.repeat(1001) }, { producer_byte_rate: 1 }],
    ['an address with a user', { ip: '10.0.0.1', user: 'a' }, { connection_creation_rate: 1 }],
    ['no address', { ip: '10.0.0.256' }, { connection_creation_rate: 1 }],
    ['too few numbers', { ip: '10.0.1' }, { connection_creation_rate: 1 }],
    ['no host name', { ip: 'a b' }, { connection_creation_rate: 1 }],
    ['a key of users at an address', { ip: null }, { producer_byte_rate: 1 }],
    ['a key of addresses at a user', { user: 'a' }, { connection_creation_rate: 1 }],
    ['nothing at all', { user: 'a' }, { producer_byte_rate: 0 }],
    ['less than nothing', { user: 'a' }, { request_percentage: -1 }],
    ['a part of a byte', { user: 'a' }, { consumer_byte_rate: 1.5 }],
    ['a part of a connection', { ip: null }, { connection_creation_rate: 0.5 }],
    ['too much for a long', { user: 'a' }, { producer_byte_rate: 2 ** 64 }],
    ['too much for an int', { ip: null }, { connection_creation_rate: 2 ** 31 }],
  ] as [string, Record<string, string>, Record<string, number>][])('refused: %s', (_, entity, values) => {
    const { codes, records, response } = alter(imageOf(), [alteration(entity, values)])
    expect([codes, records]).toEqual([[INVALID_REQUEST], []])
    expect(response[0]!.errorMessage).not.toBeNull()
  })

  test.each(['10.0.0.1', '::1', 'fe80::1%eth0', '::ffff:10.0.0.1', 'host-1.example.org', 'localhost'])(
    'an address: %s',
    (ip) => {
      expect(alter(imageOf(), [alteration({ ip }, { connection_creation_rate: 3 })]).codes).toEqual([NONE])
    },
  )

  test('a key twice is refused', () => {
    const twice = {
      ...alteration({ user: 'a' }, {}),
      ops: [1, 2].map((value) => ({ key: 'producer_byte_rate', value, remove: false })),
    }
    expect(alter(imageOf(), [twice]).codes).toEqual([INVALID_REQUEST])
  })

  test('there is an end to the number of entities; those that are there can be changed', () => {
    const full = Array.from(
      { length: 10_000 },
      (_, n): MetadataRecord => ({
        type: 'ClientQuotaRecord',
        entity: entityOf({ user: `user-${n}` }),
        key: 'producer_byte_rate',
        value: 1,
      }),
    )
    const { codes } = alter(imageOf(...full), [
      alteration({ user: 'new' }, { producer_byte_rate: 2 }),
      alteration({ user: 'user-7' }, { producer_byte_rate: 2 }),
    ])
    expect(codes).toEqual([POLICY_VIOLATION, NONE])
  })
})

describe('SCRAM credentials', () => {
  const upsertion = (init: Partial<ScramUpsertion> = {}): ScramUpsertion => {
    const key = Buffer.alloc(init.mechanism === 2 ? 64 : 32, 1).toString('base64')
    return { name: 'a', mechanism: 1, iterations: 4096, salt: 'c2FsdA==', storedKey: key, serverKey: key, ...init }
  }
  const alter = (image: MetadataImage, request: Partial<AlterScramCredentialsRequest>) => {
    const { records, response } = alterScramCredentials(contextOf(image), { deletions: [], upsertions: [], ...request })
    const codes = Object.fromEntries(response.map(({ user, errorCode }) => [user, errorCode]))
    return { codes, records, after: applyRecords(image, records).image }
  }

  test('one of each mechanism for a user, set anew and deleted', () => {
    const one = alter(imageOf(), { upsertions: [upsertion()] })
    const two = alter(one.after, { upsertions: [upsertion({ mechanism: 2, iterations: 16_384 })] })
    expect([...two.after.scramCredentials.values()]).toMatchObject([
      { mechanism: 1 },
      { mechanism: 2, iterations: 16_384 },
    ])
    const gone = alter(two.after, { deletions: [{ name: 'a', mechanism: 1 }] })
    expect(gone.codes).toEqual({ a: NONE })
    expect([...gone.after.scramCredentials.values()]).toMatchObject([{ mechanism: 2 }])
  })

  test('a user named twice is left as it is, others are not held up', () => {
    const { codes, after } = alter(alter(imageOf(), { upsertions: [upsertion()] }).after, {
      deletions: [{ name: 'a', mechanism: 1 }],
      upsertions: [upsertion({ mechanism: 2 }), upsertion({ name: 'b' })],
    })
    expect(codes).toEqual({ a: MetadataErrorCode.DUPLICATE_RESOURCE, b: NONE })
    expect([...after.scramCredentials.values()].map(({ name, mechanism }) => [name, mechanism])).toEqual([
      ['a', 1],
      ['b', 1],
    ])
  })

  test.each([
    ['no name', { name: '' }, MetadataErrorCode.UNACCEPTABLE_CREDENTIAL],
    ['a very long name', { name: 'x'.repeat(1001) }, MetadataErrorCode.UNACCEPTABLE_CREDENTIAL],
    ['an unknown mechanism', { mechanism: 3 }, MetadataErrorCode.UNSUPPORTED_SASL_MECHANISM],
    ['too few iterations', { iterations: 4095 }, MetadataErrorCode.UNACCEPTABLE_CREDENTIAL],
    ['too many iterations', { iterations: 16_385 }, MetadataErrorCode.UNACCEPTABLE_CREDENTIAL],
    ['a key of another mechanism', { storedKey: 'AAAA' }, MetadataErrorCode.UNACCEPTABLE_CREDENTIAL],
    ['a huge salt', { salt: 'A'.repeat(2000) }, MetadataErrorCode.UNACCEPTABLE_CREDENTIAL],
  ])('refused: %s', (_, init, code) => {
    const { codes, records } = alter(imageOf(), { upsertions: [upsertion(init)] })
    expect([Object.values(codes), records]).toEqual([[code], []])
  })

  test('what is not there cannot be deleted', () => {
    const { codes, records } = alter(imageOf(), {
      deletions: [
        { name: 'a', mechanism: 1 },
        { name: 'b', mechanism: 7 },
      ],
    })
    const { RESOURCE_NOT_FOUND, UNSUPPORTED_SASL_MECHANISM } = MetadataErrorCode
    expect([codes, records]).toEqual([{ a: RESOURCE_NOT_FOUND, b: UNSUPPORTED_SASL_MECHANISM }, []])
  })
})
