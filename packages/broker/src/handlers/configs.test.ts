import {
  alterConfigsApi,
  createAlterConfigsRequest,
  createAlterConfigsRequestAlterableConfig,
  createAlterConfigsRequestAlterConfigsResource,
  createDescribeConfigsRequest,
  createDescribeConfigsResource,
  createIncrementalAlterConfigsRequest,
  createIncrementalAlterConfigsRequestAlterableConfig,
  createIncrementalAlterConfigsRequestAlterConfigsResource,
  createListConfigResourcesRequest,
  describeConfigsApi,
  ErrorCode,
  incrementalAlterConfigsApi,
  listConfigResourcesApi,
} from '@millrace/protocol'
import { beforeEach, describe, expect, test } from 'vitest'
import type { Configuration } from '../config/configuration.ts'
import type { LocalMetadata } from '../metadata/local-metadata.ts'
import { configurationOf, newTopic, openMetadata, thisBroker } from '../metadata/testing/fixtures.ts'
import { describeConfigsHandler } from './32-describe-configs.ts'
import { alterConfigsHandler } from './33-alter-configs.ts'
import { incrementalAlterConfigsHandler } from './44-incremental-alter-configs.ts'
import { listConfigResourcesHandler } from './74-list-config-resources.ts'
import type { LoggerLevels } from './logger-levels.ts'
import { exchange, versionsOf } from './testing/exchange.ts'
import { BROKER, BROKER_LOGGER, CLIENT_METRICS, GROUP, TOPIC } from './testing/images.ts'

let configuration: Configuration
let metadata: LocalMetadata
let levels: Map<string, string>
let loggers: LoggerLevels

beforeEach(async () => {
  configuration = configurationOf({ 'node.id': '1', 'ssl.key.password': 'hunter2' })
  metadata = openMetadata({ configuration })
  configuration.update(metadata.image)
  metadata.subscribe((image) => configuration.update(image))
  await metadata.registerBroker(thisBroker)
  await metadata.createTopics({ topics: [newTopic('t')], validateOnly: false })
  levels = new Map([['root', 'INFO']])
  loggers = {
    levels: () => levels,
    setLevel: (logger, level) => levels.set(logger, level),
    unsetLevel: (logger) => levels.delete(logger),
  }
})

const image = () => metadata.image

type Change = [name: string, operation: number, value: string | null]
type Wish = [type: number, name: string, ...changes: Change[]]

async function alter(wishes: readonly Wish[], init: { validateOnly?: boolean; version?: number } = {}) {
  const handler = incrementalAlterConfigsHandler({ metadata, image, configuration, loggers })
  const request = createIncrementalAlterConfigsRequest({
    validateOnly: init.validateOnly ?? false,
    resources: wishes.map(([resourceType, resourceName, ...changes]) =>
      createIncrementalAlterConfigsRequestAlterConfigsResource({
        resourceType,
        resourceName,
        configs: changes.map(([name, configOperation, value]) =>
          createIncrementalAlterConfigsRequestAlterableConfig({ name, configOperation, value }),
        ),
      }),
    ),
  })
  return (await exchange(handler, incrementalAlterConfigsApi, request, init.version)).responses
}

async function describeResource(
  resourceType: number,
  resourceName: string,
  keys: string[] | null = null,
  version?: number,
) {
  const handler = describeConfigsHandler({ image, configuration, loggers, nextTurn: () => Promise.resolve() })
  const request = createDescribeConfigsRequest({
    resources: [createDescribeConfigsResource({ resourceType, resourceName, configurationKeys: keys })],
    includeSynonyms: true,
    includeDocumentation: (version ?? 4) >= 3,
  })
  const { results } = await exchange(handler, describeConfigsApi, request, version)
  return results[0]!
}

describe('DescribeConfigs', () => {
  test('lists a topic in every version, with documentation from v3 on', async () => {
    await alter([[TOPIC, 't', ['retention.ms', 0, '5']]])
    for (const version of versionsOf(describeConfigsApi)) {
      const { errorCode, resourceType, resourceName, configs } = await describeResource(TOPIC, 't', null, version)
      expect([errorCode, resourceType, resourceName]).toEqual([0, TOPIC, 't'])
      const retention = configs.find(({ name }) => name === 'retention.ms')
      expect(retention).toMatchObject({
        value: '5',
        configSource: 1,
        synonyms: [{ name: 'retention.ms', value: '5', source: 1 }],
      })
      expect(retention?.documentation).toBe(version >= 3 ? 'How long records are kept; -1 for ever.' : '')
    }
  })

  test('gives only the asked keys, and nothing for unknown ones', async () => {
    const { configs } = await describeResource(TOPIC, 't', ['segment.bytes', 'nonsense'])
    expect(configs.map(({ name }) => name)).toEqual(['segment.bytes'])
    expect((await describeResource(TOPIC, 't', [])).configs.length).toBeGreaterThan(30)
  })

  test('answers a resource for each choice of keys, and the same question once', async () => {
    const handler = describeConfigsHandler({ image, configuration, loggers, nextTurn: () => Promise.resolve() })
    const choices = [['segment.bytes'], null, ['retention.ms', 'segment.bytes'], ['segment.bytes'], []]
    const resources = choices.map((configurationKeys) =>
      createDescribeConfigsResource({ resourceType: TOPIC, resourceName: 't', configurationKeys }),
    )
    const { results } = await exchange(handler, describeConfigsApi, createDescribeConfigsRequest({ resources }))
    expect(
      results.map(({ resourceName, configs }) => [resourceName, configs.length > 30 ? 'all' : configs.length]),
    ).toEqual([
      ['t', 1],
      ['t', 'all'],
      ['t', 2],
    ])
  })

  test('leaves synonyms and documentation out unless asked', async () => {
    const handler = describeConfigsHandler({ image, configuration, loggers, nextTurn: () => Promise.resolve() })
    const resources = [
      createDescribeConfigsResource({ resourceType: BROKER, resourceName: '1', configurationKeys: null }),
    ]
    const { results } = await exchange(handler, describeConfigsApi, createDescribeConfigsRequest({ resources }))
    for (const config of results[0]!.configs) expect(config).toMatchObject({ synonyms: [], documentation: null })
  })

  test('lists this broker, the defaults of all, groups, subscriptions and loggers', async () => {
    await alter([
      [BROKER, '', ['compression.type', 0, 'zstd']],
      [GROUP, 'g', ['share.isolation.level', 0, 'read_committed']],
      [CLIENT_METRICS, 's', ['metrics', 0, '*']],
    ])
    const broker = await describeResource(BROKER, '1')
    expect(broker.configs.find(({ name }) => name === 'compression.type')).toMatchObject({
      value: 'zstd',
      configSource: 3,
    })
    expect(JSON.stringify(broker)).not.toContain('hunter2')
    const defaults = await describeResource(BROKER, '')
    expect(defaults.configs.map(({ name }) => name)).toEqual(['compression.type', 'min.insync.replicas'])
    const group = await describeResource(GROUP, 'g')
    expect(group.configs.find(({ name }) => name === 'share.isolation.level')).toMatchObject({ configSource: 8 })
    const subscription = await describeResource(CLIENT_METRICS, 's')
    expect(subscription.configs.find(({ name }) => name === 'metrics')).toMatchObject({ value: '*', configSource: 7 })
    const logger = await describeResource(BROKER_LOGGER, '1')
    expect(logger.configs).toMatchObject([{ name: 'root', value: 'INFO', configSource: 6, readOnly: false }])
  })

  test.each([
    [TOPIC, 'none', ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
    [TOPIC, 'a b', ErrorCode.INVALID_TOPIC_EXCEPTION],
    [BROKER, '2', ErrorCode.INVALID_REQUEST],
    [BROKER, 'one', ErrorCode.INVALID_REQUEST],
    [BROKER_LOGGER, '', ErrorCode.INVALID_REQUEST],
    [BROKER_LOGGER, '2', ErrorCode.INVALID_REQUEST],
    [CLIENT_METRICS, '', ErrorCode.INVALID_REQUEST],
    [GROUP, '', ErrorCode.INVALID_REQUEST],
    [3, 'x', ErrorCode.INVALID_REQUEST],
  ])('of type %i and name "%s" is refused', async (type, name, errorCode) => {
    expect(await describeResource(type, name)).toMatchObject({
      errorCode,
      resourceType: type,
      resourceName: name,
      configs: [],
    })
  })

  test('an unknown type refuses the whole request', async () => {
    const handler = describeConfigsHandler({ image, configuration, loggers, nextTurn: () => Promise.resolve() })
    const resources = [
      createDescribeConfigsResource({ resourceType: TOPIC, resourceName: 't' }),
      createDescribeConfigsResource({ resourceType: 99, resourceName: 'x' }),
    ]
    const { results } = await exchange(handler, describeConfigsApi, createDescribeConfigsRequest({ resources }))
    expect(results.map((result) => [result.errorCode, result.configs.length])).toEqual([
      [ErrorCode.INVALID_REQUEST, 0],
      [ErrorCode.INVALID_REQUEST, 0],
    ])
  })
})

describe('IncrementalAlterConfigs', () => {
  test('changes topics, brokers and groups, answers in order, in every version', async () => {
    for (const version of versionsOf(incrementalAlterConfigsApi)) {
      const responses = await alter(
        [
          [GROUP, 'g', ['share.isolation.level', 0, 'read_committed']],
          [TOPIC, 'none', ['retention.ms', 0, '5']],
          [BROKER, '1', ['node.id', 0, '5']],
          [TOPIC, 't', ['cleanup.policy', 2, 'compact']],
        ],
        { version },
      )
      expect(responses.map(({ resourceName, errorCode }) => [resourceName, errorCode])).toEqual([
        ['g', 0],
        ['none', ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
        ['1', ErrorCode.INVALID_REQUEST],
        ['t', 0],
      ])
    }
    expect(configuration.topic(metadata.image, 't')).toMatchObject({ cleanupCompact: true, cleanupDelete: true })
  })

  test('of a broker takes effect at once', async () => {
    await alter([[BROKER, '1', ['message.max.bytes', 0, '5000']]])
    expect(configuration.broker.messageMaxBytes).toBe(5000)
    await alter([[BROKER, '1', ['message.max.bytes', 1, null]]])
    expect(configuration.broker.messageMaxBytes).toBe(1_048_588)
  })

  test('only checks if asked to', async () => {
    const [response] = await alter([[TOPIC, 't', ['retention.ms', 0, '5']]], { validateOnly: true })
    expect(response?.errorCode).toBe(0)
    expect(configuration.topic(metadata.image, 't').retentionMs).not.toBe(5)
  })

  test.each<[string, Wish[], number[]]>([
    [
      'the same resource twice',
      [
        [TOPIC, 't'],
        [TOPIC, 't'],
      ],
      [42, 42],
    ],
    ['the same key twice', [[TOPIC, 't', ['retention.ms', 0, '5'], ['retention.ms', 0, '6']]], [42]],
    ['no value', [[TOPIC, 't', ['retention.ms', 0, null]]], [42]],
    ['an unknown type', [[3, 'x', ['a', 0, 'b']]], [42]],
    ['an unknown operation', [[BROKER, '1', ['compression.type', 9, 'zstd']]], [42]],
    ['another broker', [[BROKER, '2', ['compression.type', 0, 'zstd']]], [42]],
    ['another spelling of the broker’s number', [[BROKER, '01', ['compression.type', 0, 'zstd']]], [42]],
    ['a broker that is no number', [[BROKER, 'x', ['compression.type', 0, 'zstd']]], [42]],
    ['a broker’s own setting for all', [[BROKER, '', ['sasl.enabled.mechanisms', 0, 'PLAIN']]], [42]],
    ['appending to what is no list', [[BROKER, '1', ['compression.type', 2, 'zstd']]], [ErrorCode.INVALID_CONFIG]],
    ['appending to an unknown setting', [[BROKER, '1', ['nonsense', 2, 'x']]], [ErrorCode.INVALID_CONFIG]],
    [
      'the own min.insync.replicas of a broker',
      [[BROKER, '1', ['min.insync.replicas', 0, '2']]],
      [ErrorCode.INVALID_CONFIG],
    ],
  ])('refuses %s', async (_, wishes, codes) => {
    const responses = await alter(wishes)
    expect(responses.map((response) => response.errorCode)).toEqual(codes)
    for (const { errorMessage } of responses) expect(errorMessage).toMatch(/./)
  })

  test('appends to and takes from lists of a broker', async () => {
    await alter([[BROKER, '', ['log.cleanup.policy', 2, 'compact']]])
    expect(configuration.broker.logCleanupPolicy).toEqual(['delete', 'compact'])
    await alter([[BROKER, '', ['log.cleanup.policy', 3, 'delete']]])
    expect(configuration.broker.logCleanupPolicy).toEqual(['compact'])
  })

  test('sets levels of loggers here, all or none', async () => {
    levels.set('network', 'INFO')
    const errorOf = async (...changes: Change[]) => (await alter([[BROKER_LOGGER, '1', ...changes]]))[0]?.errorCode
    expect(await errorOf(['root', 0, 'DEBUG'], ['nothing', 0, 'WARN'])).toBe(ErrorCode.INVALID_CONFIG)
    expect(levels.get('root')).toBe('INFO')
    expect(await errorOf(['root', 0, 'DEBUG'], ['network', 1, null])).toBe(0)
    expect(Object.fromEntries(levels)).toEqual({ root: 'DEBUG' })
    expect(await errorOf(['root', 0, 'LOUD'])).toBe(ErrorCode.INVALID_CONFIG)
    expect(await errorOf(['root', 1, null])).toBe(ErrorCode.INVALID_REQUEST)
    expect(await errorOf(['root', 2, 'DEBUG'])).toBe(ErrorCode.INVALID_REQUEST)
    expect((await alter([[BROKER_LOGGER, '2', ['root', 0, 'WARN']]]))[0]?.errorCode).toBe(ErrorCode.INVALID_REQUEST)
    await alter([[BROKER_LOGGER, '1', ['root', 0, 'WARN']]], { validateOnly: true })
    expect(levels.get('root')).toBe('DEBUG')
  })
})

describe('AlterConfigs', () => {
  async function replace(
    wishes: [type: number, name: string, configs: Record<string, string | null>][],
    version?: number,
  ) {
    const handler = alterConfigsHandler({ metadata, image, configuration })
    const request = createAlterConfigsRequest({
      resources: wishes.map(([resourceType, resourceName, configs]) =>
        createAlterConfigsRequestAlterConfigsResource({
          resourceType,
          resourceName,
          configs: Object.entries(configs).map(([name, value]) =>
            createAlterConfigsRequestAlterableConfig({ name, value }),
          ),
        }),
      ),
    })
    return (await exchange(handler, alterConfigsApi, request, version)).responses.map(({ errorCode }) => errorCode)
  }

  test('replaces all settings of a resource, in every version', async () => {
    for (const version of versionsOf(alterConfigsApi)) {
      await alter([[TOPIC, 't', ['retention.ms', 0, '5']]])
      expect(await replace([[TOPIC, 't', { 'segment.ms': '7' }]], version)).toEqual([0])
      expect(configuration.topic(metadata.image, 't')).toMatchObject({ retentionMs: 604_800_000, segmentMs: 7 })
    }
  })

  test('does not know loggers, and refuses what the newer form refuses', async () => {
    expect(await replace([[BROKER_LOGGER, '1', { root: 'DEBUG' }]])).toEqual([ErrorCode.INVALID_REQUEST])
    expect(await replace([[TOPIC, 't', { 'retention.ms': null }]])).toEqual([ErrorCode.INVALID_REQUEST])
    expect(
      await replace([
        [BROKER, '1', { 'node.id': '4' }],
        [TOPIC, 't', {}],
      ]),
    ).toEqual([ErrorCode.INVALID_REQUEST, 0])
    expect(
      await replace([
        [TOPIC, 't', {}],
        [TOPIC, 't', {}],
      ]),
    ).toEqual([42, 42])
  })
})

describe('ListConfigResources', () => {
  async function list(resourceTypes: number[], version = 1) {
    const handler = listConfigResourcesHandler({ image })
    return exchange(handler, listConfigResourcesApi, createListConfigResourcesRequest({ resourceTypes }), version)
  }

  test('names resources that have configuration', async () => {
    await alter([
      [GROUP, 'g', ['share.isolation.level', 0, 'read_committed']],
      [CLIENT_METRICS, 's', ['metrics', 0, '*']],
    ])
    const all = (await list([])).configResources.map(({ resourceType, resourceName }) => [resourceType, resourceName])
    expect(all).toEqual([
      [GROUP, 'g'],
      [CLIENT_METRICS, 's'],
      [BROKER_LOGGER, '1'],
      [BROKER, '1'],
      [TOPIC, 't'],
    ])
    expect((await list([TOPIC])).configResources).toMatchObject([{ resourceName: 't', resourceType: TOPIC }])
    expect((await list([], 0)).configResources.map(({ resourceName }) => resourceName)).toEqual(['s'])
  })

  test('refuses types that the version does not know', async () => {
    expect(await list([99])).toMatchObject({ errorCode: ErrorCode.UNSUPPORTED_VERSION, configResources: [] })
  })
})
