import { SUPPORTED_FEATURES } from '@millrace/consensus'
import { apiVersionsApi, createApiVersionsRequest, ErrorCode } from '@millrace/protocol'
import { describe, expect, test } from 'vitest'
import { apiVersionsHandler } from './18-api-versions.ts'
import { exchange, requestContext, versionsOf } from './testing/exchange.ts'
import { imageOf } from './testing/images.ts'

const served = [
  { apiKey: 18, minVersion: 0, maxVersion: 5 },
  { apiKey: 0, minVersion: 3, maxVersion: 13 },
]

const handler = apiVersionsHandler({
  servedApis: () => served,
  image: () =>
    imageOf(
      { type: 'FeatureLevelRecord', name: 'metadata.version', featureLevel: 30 },
      { type: 'FeatureLevelRecord', name: 'eligible.leader.replicas.version', featureLevel: 1 },
      { type: 'NoOpRecord' },
    ),
  nodeId: 1,
  supportedFeatures: SUPPORTED_FEATURES,
})

const request = createApiVersionsRequest({ clientSoftwareName: 'test', clientSoftwareVersion: '1.0' })

test('every version lists what is served, in order, Produce from 0', async () => {
  for (const version of versionsOf(apiVersionsApi)) {
    const { errorCode, apiKeys } = await exchange(handler, apiVersionsApi, request, version)
    expect(errorCode).toBe(0)
    expect(apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, minVersion, maxVersion])).toEqual([
      [0, 0, 13],
      [18, 0, 5],
    ])
  }
})

test('features come from v3 on, those with a least level of 0 from v4 on', async () => {
  const v3 = await exchange(handler, apiVersionsApi, request, 3)
  expect(v3.supportedFeatures.map(({ name }) => name)).toEqual(['metadata.version'])
  const v4 = await exchange(handler, apiVersionsApi, request, 4)
  expect(v4.supportedFeatures).toMatchObject([
    { name: 'metadata.version', minVersion: 7, maxVersion: 30 },
    { name: 'eligible.leader.replicas.version', minVersion: 0, maxVersion: 1 },
    { name: 'group.version', minVersion: 0, maxVersion: 1 },
    { name: 'share.version', minVersion: 0, maxVersion: 1 },
  ])
  expect(v4.finalizedFeaturesEpoch).toBe(2)
  expect(v4.finalizedFeatures).toMatchObject([
    { name: 'metadata.version', minVersionLevel: 30, maxVersionLevel: 30 },
    { name: 'eligible.leader.replicas.version', minVersionLevel: 1, maxVersionLevel: 1 },
  ])
})

describe('the client', () => {
  test('is remembered by its software', async () => {
    const context = requestContext(18, 4)
    await exchange(handler, apiVersionsApi, request, 4, context)
    expect(context.connection).toMatchObject({ clientSoftwareName: 'test', clientSoftwareVersion: '1.0' })
  })

  test('has no long text kept for as long as its connection lives', async () => {
    const context = requestContext(18, 4)
    const long = createApiVersionsRequest({ clientSoftwareName: 'a'.repeat(30_000), clientSoftwareVersion: '1.0' })
    expect(await exchange(handler, apiVersionsApi, long, 4, context)).toMatchObject({ errorCode: 0 })
    expect(context.connection).toMatchObject({ clientSoftwareName: '', clientSoftwareVersion: '1.0' })
  })

  test('must name it in letters, digits, dots and dashes', async () => {
    for (const name of ['', '-x', 'x-', 'a b', 'é']) {
      const context = requestContext(18, 4)
      const bad = createApiVersionsRequest({ clientSoftwareName: name, clientSoftwareVersion: '1' })
      const answer = await exchange(handler, apiVersionsApi, bad, 4, context)
      expect(answer, name).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST, apiKeys: [] })
      expect(context.connection.clientSoftwareName).toBe('')
    }
    expect((await exchange(handler, apiVersionsApi, createApiVersionsRequest(), 2)).errorCode).toBe(0)
  })

  test('that believes to talk to another node or cluster bootstraps anew', async () => {
    const errorOf = async (init: { clusterId?: string; nodeId?: number }) =>
      (await exchange(handler, apiVersionsApi, { ...request, ...init }, 5)).errorCode
    expect(await errorOf({ clusterId: 'cluster-1', nodeId: 1 })).toBe(0)
    expect(await errorOf({ clusterId: 'other' })).toBe(ErrorCode.REBOOTSTRAP_REQUIRED)
    expect(await errorOf({ nodeId: 2 })).toBe(ErrorCode.REBOOTSTRAP_REQUIRED)
  })
})
