import {
  alterClientQuotasApi,
  alterUserScramCredentialsApi,
  createAclCreation,
  createAclsApi,
  createAlterClientQuotasRequest,
  createAlterClientQuotasRequestEntityData,
  createAlterClientQuotasRequestEntryData,
  createAlterUserScramCredentialsRequest,
  createComponentData,
  createCreateAclsRequest,
  createDeleteAclsFilter,
  createDeleteAclsRequest,
  createDescribeAclsRequest,
  createDescribeClientQuotasRequest,
  createDescribeUserScramCredentialsRequest,
  createOpData,
  createScramCredentialDeletion,
  createScramCredentialUpsertion,
  createUserName,
  deleteAclsApi,
  describeAclsApi,
  describeClientQuotasApi,
  describeUserScramCredentialsApi,
  ErrorCode,
  ScramMechanismType,
  saltPassword,
  scramClientKey,
  scramStoredKey,
} from '@millrace/protocol'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { MetadataService } from '../metadata/metadata-service.ts'
import { TestBroker } from '../testing/test-broker.ts'
import { alterUserScramCredentialsHandler } from './51-alter-user-scram-credentials.ts'
import type { RequestContext } from './handler.ts'
import { versionsOf } from './testing/exchange.ts'

let broker: TestBroker

beforeEach(async () => {
  broker = await TestBroker.start()
})

afterEach(async () => {
  await broker.stop()
  broker.assertSound()
})

type Entity = Readonly<Record<string, string | null>>

const alter = async (
  entity: Entity,
  ops: Readonly<Record<string, number | null>>,
  validateOnly = false,
  version = 1,
) => {
  const parts = Object.entries(entity).map(([entityType, entityName]) =>
    createAlterClientQuotasRequestEntityData({ entityType, entityName }),
  )
  const data = Object.entries(ops).map(([key, value]) =>
    createOpData({ key, value: value ?? 0, remove: value === null }),
  )
  const entries = [createAlterClientQuotasRequestEntryData({ entity: parts, ops: data })]
  const request = createAlterClientQuotasRequest({ entries, validateOnly })
  return (await broker.connect().call(alterClientQuotasApi, version, request)).entries[0]!
}

const describeQuotas = async (
  components: readonly [type: string, matchType: number, match: string | null][] = [],
  strict = false,
) => {
  const request = createDescribeClientQuotasRequest({
    components: components.map(([entityType, matchType, match]) =>
      createComponentData({ entityType, matchType, match }),
    ),
    strict,
  })
  const answer = await broker.connect().call(describeClientQuotasApi, 1, request)
  const entries = answer.entries?.map(({ entity, values }) => [
    Object.fromEntries(entity.map(({ entityType, entityName }) => [entityType, entityName])),
    Object.fromEntries(values.map(({ key, value }) => [key, value])),
  ])
  return { errorCode: answer.errorCode, entries: entries ?? null }
}

describe('client quotas', () => {
  test.each(versionsOf(alterClientQuotasApi))(
    'version %i sets, changes and takes away, and shows what is',
    async (v) => {
      expect(
        await alter({ user: 'a' }, { producer_byte_rate: 1000, request_percentage: 12.5 }, false, v),
      ).toMatchObject({
        errorCode: 0,
        errorMessage: null,
        entity: [{ entityType: 'user', entityName: 'a' }],
      })
      expect(
        (await alter({ user: 'a' }, { producer_byte_rate: null, request_percentage: 50 }, false, v)).errorCode,
      ).toBe(0)
      expect((await describeQuotas()).entries).toEqual([[{ user: 'a' }, { request_percentage: 50 }]])
      expect((await alter({ user: 'a' }, { request_percentage: null }, false, v)).errorCode).toBe(0)
      expect((await describeQuotas()).entries).toEqual([])
    },
  )

  test('only validated, nothing is kept; not a number is no limit', async () => {
    expect((await alter({ ip: '10.0.0.1' }, { connection_creation_rate: 5 }, true)).errorCode).toBe(0)
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY]) {
      const answer = await alter({ user: null }, { request_percentage: value })
      expect(answer).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST })
    }
    expect((await describeQuotas()).entries).toEqual([])
  })

  test('are there again after a restart', async () => {
    await alter({ user: null, 'client-id': 'c' }, { consumer_byte_rate: 7 })
    await broker.stop()
    broker = await TestBroker.start({ disk: broker.disk })
    expect((await describeQuotas()).entries).toEqual([[{ user: null, 'client-id': 'c' }, { consumer_byte_rate: 7 }]])
  })

  test('are found by name, default or type; strictly only where nothing else is in the entity', async () => {
    const a = { user: 'a' }
    const both = { user: 'a', 'client-id': 'c' }
    const rest = { user: null }
    for (const entity of [a, both, rest]) await alter(entity, { producer_byte_rate: 1 })
    const found = async (...args: Parameters<typeof describeQuotas>) =>
      (await describeQuotas(...args)).entries!.map(([entity]) => entity)
    expect(await found([['user', 0, 'a']])).toEqual([a, both])
    expect(await found([['user', 0, 'a']], true)).toEqual([a])
    expect(await found([['user', 1, null]])).toEqual([rest])
    expect(await found([['user', 2, null]])).toEqual([a, both, rest])
    expect(await found([['client-id', 2, null]])).toEqual([both])
    expect(await found([['ip', 2, null]])).toEqual([])
  })

  test.each([
    ['empty type', [['', 0, 'a']], ErrorCode.INVALID_REQUEST],
    [
      'a type twice',
      [
        ['user', 0, 'a'],
        ['user', 2, null],
      ],
      ErrorCode.INVALID_REQUEST,
    ],
    ['an unknown type', [['group', 0, 'a']], ErrorCode.UNSUPPORTED_VERSION],
    ['an unknown match', [['user', 3, null]], ErrorCode.INVALID_REQUEST],
    ['no name to match', [['user', 0, null]], ErrorCode.INVALID_REQUEST],
    ['a name beside the default', [['user', 1, 'a']], ErrorCode.INVALID_REQUEST],
    [
      'an address with a user',
      [
        ['ip', 2, null],
        ['user', 2, null],
      ],
      ErrorCode.INVALID_REQUEST,
    ],
  ] as [string, [string, number, string | null][], number][])('asked for wrongly: %s', async (_, components, code) => {
    expect(await describeQuotas(components)).toEqual({ errorCode: code, entries: null })
  })
})

describe('SCRAM credentials', () => {
  const salt = Buffer.from('some salt')
  const saltedPassword = saltPassword('SCRAM-SHA-256', 'secret', salt, 4096)
  const upsertion = createScramCredentialUpsertion({
    name: 'alice',
    mechanism: ScramMechanismType.SCRAM_SHA_256,
    iterations: 4096,
    salt,
    saltedPassword,
  })
  const alterUsers = async (request: Parameters<typeof createAlterUserScramCredentialsRequest>[0]) =>
    (
      await broker.connect().call(alterUserScramCredentialsApi, 0, createAlterUserScramCredentialsRequest(request))
    ).results.map(({ user, errorCode }) => [user, errorCode])
  const describeUsers = async (...names: string[]) => {
    const users = names.length === 0 ? null : names.map((name) => createUserName({ name }))
    const request = createDescribeUserScramCredentialsRequest({ users })
    return (await broker.connect().call(describeUserScramCredentialsApi, 0, request)).results
  }

  test('are stored as what can only be checked against, described without keys, and deleted', async () => {
    expect(await alterUsers({ upsertions: [upsertion, { ...upsertion, name: 'bob', mechanism: 9 }] })).toEqual([
      ['alice', ErrorCode.NONE],
      ['bob', ErrorCode.UNSUPPORTED_SASL_MECHANISM],
    ])
    const info = { mechanism: ScramMechanismType.SCRAM_SHA_256, iterations: 4096 }
    expect(await describeUsers()).toMatchObject([{ user: 'alice', errorCode: 0, credentialInfos: [info] }])
    const journal = broker.disk.peek('/data/metadata/journal').toString('latin1')
    const storedKey = scramStoredKey('SCRAM-SHA-256', scramClientKey('SCRAM-SHA-256', saltedPassword))
    expect(journal).toContain(storedKey.toString('base64'))
    expect(journal).not.toContain(saltedPassword.toString('base64'))
    const deletions = [createScramCredentialDeletion({ name: 'alice', mechanism: info.mechanism })]
    expect(await alterUsers({ deletions })).toEqual([['alice', ErrorCode.NONE]])
    expect(await alterUsers({ deletions })).toEqual([['alice', ErrorCode.RESOURCE_NOT_FOUND]])
    expect(await describeUsers()).toEqual([])
  })

  test('of impossible length are refused, and never hashed', async () => {
    const huge = Buffer.alloc(1_000_000)
    const passed: number[] = []
    const handler = alterUserScramCredentialsHandler({
      metadata: {
        alterScramCredentials: async ({ upsertions }) => {
          for (const { salt, storedKey, serverKey } of upsertions) {
            passed.push(salt.length + storedKey.length + serverKey.length)
          }
          return []
        },
      },
      nextTurn: () => Promise.resolve(),
    })
    const upsertions = [
      { ...upsertion, name: 'password', saltedPassword: huge },
      { ...upsertion, name: 'salt', salt: huge },
    ]
    await handler.handle(createAlterUserScramCredentialsRequest({ upsertions }), {} as RequestContext)
    expect(passed.length).toBe(2)
    expect(Math.max(...passed)).toBeLessThan(4_000)
    expect(await alterUsers({ upsertions })).toEqual([
      ['password', ErrorCode.UNACCEPTABLE_CREDENTIAL],
      ['salt', ErrorCode.UNACCEPTABLE_CREDENTIAL],
    ])
  })

  // Found by fuzzing: the keys of ten thousand took a sixth of a second in one turn.
  test('of thousands of users are reckoned over many turns', async () => {
    let turnCount = 0
    const nextTurn = async (): Promise<void> => {
      turnCount++
    }
    const alterScramCredentials: MetadataService['alterScramCredentials'] = async ({ upsertions }) =>
      upsertions.map(({ name }) => ({ user: name, errorCode: ErrorCode.NONE, errorMessage: null }))
    const handler = alterUserScramCredentialsHandler({ metadata: { alterScramCredentials }, nextTurn })
    const upsertions = Array.from({ length: 1100 }, (_, n) => ({ ...upsertion, name: `user ${n}` }))
    const request = createAlterUserScramCredentialsRequest({ upsertions })
    const answer = await handler.handle(request, {} as RequestContext)
    expect([turnCount, answer?.results.length, answer?.results[1099]?.user]).toEqual([3, 1100, 'user 1099'])
  })

  test('of one user twice, or of one that is not there', async () => {
    await alterUsers({ upsertions: [upsertion] })
    expect(await describeUsers('alice', 'nobody', 'twice', 'twice')).toMatchObject([
      { user: 'alice', errorCode: 0 },
      { user: 'nobody', errorCode: ErrorCode.RESOURCE_NOT_FOUND, credentialInfos: [] },
      { user: 'twice', errorCode: ErrorCode.DUPLICATE_RESOURCE, credentialInfos: [] },
    ])
  })
})

test('ACLs are not taken where nobody would enforce them, as by Kafka without an authorizer', async () => {
  const client = broker.connect()
  const refused = { errorCode: ErrorCode.SECURITY_DISABLED, errorMessage: 'No Authorizer is configured.' }
  for (const version of versionsOf(createAclsApi)) {
    const creation = createAclCreation({
      resourceType: 2,
      resourceName: 't',
      principal: 'User:a',
      host: '*',
      operation: 3,
      permissionType: 3,
    })
    const created = await client.call(createAclsApi, version, createCreateAclsRequest({ creations: [creation] }))
    expect(created.results).toMatchObject([refused])
    expect(
      await client.call(describeAclsApi, version, createDescribeAclsRequest({ resourceTypeFilter: 1 })),
    ).toMatchObject(refused)
    const filters = [createDeleteAclsFilter(), createDeleteAclsFilter()]
    const deleted = await client.call(deleteAclsApi, version, createDeleteAclsRequest({ filters }))
    expect(deleted.filterResults).toMatchObject([refused, refused])
  }
})
