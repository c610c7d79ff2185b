import { describe, expect, test } from 'vitest'
import { cluster, contextOf, idOf, imageOf, topic, topicConfig } from '../../testing/cluster.ts'
import { ConfigResourceType, configsOf } from '../image.ts'
import type { MetadataRecord } from '../records.ts'
import { applyRecords } from '../reducer.ts'
import { AlterOperation, incrementalAlterConfigs, legacyAlterConfigs } from './alter-configs.ts'
import { MetadataErrorCode } from './api-error.ts'

const { TOPIC, BROKER, GROUP, CLIENT_METRICS, BROKER_LOGGER } = ConfigResourceType
const { SET, DELETE, APPEND, SUBTRACT } = AlterOperation
const base = imageOf(...cluster(1), topic('t'))

function alter(
  resource: { resourceType: number; resourceName: string },
  configs: readonly (readonly [string, number, string | null])[],
  image = base,
) {
  const named = configs.map(([name, configOperation, value]) => ({ name, configOperation, value }))
  const { records, response } = incrementalAlterConfigs(contextOf(image), [{ ...resource, configs: named }], false)
  const after = configsOf(applyRecords(image, records).image, resource.resourceType, resource.resourceName)
  return {
    records,
    error: response[0]?.errorCode,
    message: response[0]?.errorMessage,
    after: Object.fromEntries(after),
  }
}

const topicT = { resourceType: TOPIC, resourceName: 't' }

describe('operations', () => {
  test('SET puts and DELETE removes; what does not change is not written', () => {
    const image = imageOf(...cluster(1), topic('t'), topicConfig('t', 'retention.ms', '5'))
    expect(alter(topicT, [['retention.ms', SET, '7']], image).after).toEqual({ 'retention.ms': '7' })
    expect(alter(topicT, [['retention.ms', DELETE, null]], image).after).toEqual({})
    expect(alter(topicT, [['retention.ms', SET, '5']], image).records).toEqual([])
    expect(alter(topicT, [['absent', DELETE, null]], image).records).toEqual([])
  })

  test('APPEND starts from the default and skips what is there; SUBTRACT takes away', () => {
    expect(alter(topicT, [['cleanup.policy', APPEND, 'compact,delete']]).after).toEqual({
      'cleanup.policy': 'delete,compact',
    })
    expect(alter(topicT, [['cleanup.policy', SUBTRACT, 'delete']]).after).toEqual({ 'cleanup.policy': '' })
    const image = imageOf(...cluster(1), topic('t'), topicConfig('t', 'cleanup.policy', 'compact'))
    expect(alter(topicT, [['cleanup.policy', SUBTRACT, 'delete']], image).after).toEqual({
      'cleanup.policy': 'compact',
    })
  })

  // Each item was looked for among all others: a request of two megabytes held the loop for seconds.
  test.each([APPEND, SUBTRACT])('operation %i looks once at each item of long lists', (configOperation) => {
    const value = Array.from({ length: 6_000 }, (_, n) => `i${n}`).join(',')
    const image = imageOf(...cluster(1), topic('t'), topicConfig('t', 'cleanup.policy', value.replaceAll('i', 'j')))
    const change = { ...topicT, configs: [{ name: 'cleanup.policy', configOperation, value }] }
    const before = process.cpuUsage()
    for (let n = 0; n < 60; n++) {
      const { response } = incrementalAlterConfigs(contextOf(image), [change], true)
      expect(response).toHaveLength(1)
    }
    // Not by the clock, which also tells how busy the machine is.
    expect(process.cpuUsage(before).user / 1e6).toBeLessThan(3)
  })

  test('APPEND and SUBTRACT need a list, and other numbers are no operation', () => {
    expect(alter(topicT, [['retention.ms', APPEND, '1']]).error).toBe(MetadataErrorCode.INVALID_CONFIG)
    expect(alter(topicT, [['retention.ms', SUBTRACT, '1']]).error).toBe(MetadataErrorCode.INVALID_CONFIG)
    expect(alter(topicT, [['retention.ms', 4, '1']]).error).toBe(MetadataErrorCode.INVALID_REQUEST)
  })

  test('a broker setting is written even if it stays the same', () => {
    const broker = { resourceType: BROKER, resourceName: '1' }
    const { records } = alter(broker, [['a', SET, '1']])
    const image = applyRecords(base, records).image
    expect(alter(broker, [['a', SET, '1']], image).records).toHaveLength(1)
  })
})

describe('refusals', () => {
  test('a resource changes wholly or not at all, others are not touched by that', () => {
    const { records, response } = incrementalAlterConfigs(
      contextOf(base),
      [
        {
          ...topicT,
          configs: [
            { name: 'a', configOperation: SET, value: '1' },
            { name: 'retention.ms', configOperation: SET, value: 'soon' },
          ],
        },
        { resourceType: GROUP, resourceName: 'g', configs: [{ name: 'b', configOperation: SET, value: '2' }] },
      ],
      false,
    )
    expect(response.map((result) => [result.resourceName, result.errorCode])).toEqual([
      ['t', MetadataErrorCode.INVALID_CONFIG],
      ['g', 0],
    ])
    expect(records).toMatchObject([{ resourceType: GROUP, resourceName: 'g', name: 'b' }])
  })

  test('topics and brokers must exist, groups and subscriptions need not', () => {
    const errorOf = (resourceType: number, resourceName: string) =>
      alter({ resourceType, resourceName }, [['a', SET, '1']]).error
    expect(errorOf(TOPIC, 'none')).toBe(MetadataErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
    expect(errorOf(BROKER, '9')).toBe(MetadataErrorCode.BROKER_ID_NOT_REGISTERED)
    expect(errorOf(BROKER, '1')).toBe(0)
    expect(errorOf(BROKER, '')).toBe(0)
    expect(errorOf(GROUP, 'any')).toBe(0)
    expect(errorOf(CLIENT_METRICS, 'any')).toBe(0)
    expect(errorOf(BROKER_LOGGER, '1')).toBe(MetadataErrorCode.UNSUPPORTED_VERSION)
    expect(errorOf(77, 'x')).toBe(MetadataErrorCode.UNSUPPORTED_VERSION)
  })

  test('the same resource twice, too long values', () => {
    const one = { ...topicT, configs: [] }
    const { response } = incrementalAlterConfigs(contextOf(base), [one, one], false)
    expect(response.map((result) => result.errorCode)).toEqual([42, 42])
    expect(alter(topicT, [['a', SET, 'x'.repeat(32_768)]]).error).toBe(MetadataErrorCode.INVALID_CONFIG)
    expect(alter(topicT, [['a', SET, 'x'.repeat(32_767)]]).error).toBe(0)
  })

  test('a validation writes nothing', () => {
    const configs = [{ name: 'a', configOperation: SET, value: '1' }]
    const outcome = incrementalAlterConfigs(contextOf(base), [{ ...topicT, configs }], true)
    expect(outcome).toMatchObject({ records: [], response: [{ errorCode: 0 }] })
  })
})

test('the older form deletes what it does not name', () => {
  const image = imageOf(...cluster(1), topic('t'), topicConfig('t', 'a', '1'), topicConfig('t', 'b', '2'))
  const { records } = legacyAlterConfigs(contextOf(image), [{ ...topicT, configs: [{ name: 'b', value: '3' }] }], false)
  expect(Object.fromEntries(configsOf(applyRecords(image, records).image, TOPIC, 't'))).toEqual({ b: '3' })
})

describe('min.insync.replicas while eligible leader replicas are on', () => {
  const elrOn: MetadataRecord = {
    type: 'FeatureLevelRecord',
    name: 'eligible.leader.replicas.version',
    featureLevel: 1,
  }
  const image = imageOf(...cluster(1), elrOn, topic('t', idOf(1)))
  const key = 'min.insync.replicas'

  test('is nobody’s own, and the cluster’s cannot go', () => {
    expect(alter({ resourceType: BROKER, resourceName: '1' }, [[key, SET, '2']], image).error).toBe(40)
    expect(alter({ resourceType: BROKER, resourceName: '' }, [[key, DELETE, null]], image).error).toBe(40)
  })

  test('clears eligible replicas of the topic, or of all', () => {
    expect(alter(topicT, [[key, SET, '2']], image).records[1]).toEqual({ type: 'ClearElrRecord', topicName: 't' })
    expect(alter({ resourceType: BROKER, resourceName: '' }, [[key, SET, '2']], image).records[1]).toEqual({
      type: 'ClearElrRecord',
      topicName: '',
    })
  })
})
