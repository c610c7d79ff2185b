import {
  createDescribeConfigsRequest,
  createDescribeConfigsResource,
  createIncrementalAlterConfigsRequest,
  createIncrementalAlterConfigsRequestAlterableConfig,
  createIncrementalAlterConfigsRequestAlterConfigsResource,
  type DescribeConfigsResult,
  describeConfigsApi,
  incrementalAlterConfigsApi,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import { ArgumentError } from '../errors/client-errors.ts'
import type { RequestOptions } from '../network/connection.ts'
import { type AdminCallOptions, askController, errorOf, limitOf, type Outcome } from './outcome.ts'

export type ConfigResourceType = 'topic' | 'broker' | 'broker-logger' | 'client-metrics' | 'group'

/** What has configuration: a topic, a broker by node id, all brokers (broker with an empty name), a group. */
export interface ConfigResource {
  type: ConfigResourceType
  name: string
}

/** Where a value comes from, nearest first. */
export type ConfigSource =
  | 'topic'
  | 'dynamic-broker'
  | 'dynamic-default-broker'
  | 'static-broker'
  | 'default'
  | 'dynamic-broker-logger'
  | 'client-metrics'
  | 'group'
  | 'unknown'

export interface ConfigEntry {
  name: string
  /** Null for sensitive values, which brokers never tell, and for those that are not set. */
  value: string | null
  source: ConfigSource
  readOnly: boolean
  isSensitive: boolean
  /** `boolean`, `string`, `int`, …, `unknown`. */
  type: string
  documentation: string | null
  /** Values of the same setting at all levels, the one in force first. */
  synonyms: { name: string; value: string | null; source: ConfigSource }[]
}

/** A change of one setting. `append` and `subtract` are for lists. */
export type ConfigOperation =
  | { op: 'set' | 'append' | 'subtract'; name: string; value: string }
  | { op: 'delete'; name: string }

const RESOURCE_NUMBERS: Readonly<Record<ConfigResourceType, number>> = {
  topic: 2,
  broker: 4,
  'broker-logger': 8,
  'client-metrics': 16,
  group: 32,
}
const SOURCES: readonly ConfigSource[] = [
  'unknown',
  'topic',
  'dynamic-broker',
  'dynamic-default-broker',
  'static-broker',
  'default',
  'dynamic-broker-logger',
  'client-metrics',
  'group',
]
const TYPES = ['unknown', 'boolean', 'string', 'int', 'short', 'long', 'double', 'list', 'class', 'password']
const OPERATIONS = { set: 0, delete: 1, append: 2, subtract: 3 } as const

/** Configuration of resources, sorted by name; `keys` limits which settings are told. */
export async function describeConfigs(
  core: ClientCore,
  resources: readonly (ConfigResource & { keys?: readonly string[] })[],
  options: AdminCallOptions & { includeSynonyms?: boolean; includeDocumentation?: boolean },
): Promise<Outcome<ConfigResource & { entries: ConfigEntry[] }>[]> {
  const { includeSynonyms = false, includeDocumentation = false } = options
  const results = await byBroker(core, resources, options, async (group, nodeId, limits) => {
    const message = createDescribeConfigsRequest({
      includeSynonyms,
      includeDocumentation,
      resources: group.map(({ type, name, keys }) =>
        createDescribeConfigsResource({
          resourceType: RESOURCE_NUMBERS[type],
          resourceName: name,
          configurationKeys: keys === undefined ? null : [...keys],
        }),
      ),
    })
    const { response } =
      nodeId === null
        ? await core.requestAny(describeConfigsApi, message, limits)
        : await core.requestNode(nodeId, 'main', describeConfigsApi, message, limits)
    return response.results
  })
  return results.map((result) => {
    const resource = resourceOf(result)
    const error = errorOf(result.errorCode, { subject: subjectOf(resource), message: result.errorMessage })
    return { ...resource, error, entries: entriesOf(result) }
  })
}

/** Changes single settings of resources, leaving the others alone (KIP-339). */
export async function alterConfigs(
  core: ClientCore,
  changes: readonly (ConfigResource & { operations: readonly ConfigOperation[] })[],
  options: AdminCallOptions & { validateOnly?: boolean },
): Promise<Outcome<ConfigResource>[]> {
  const validateOnly = options.validateOnly ?? false
  const results = await byBroker(core, changes, options, async (group, nodeId, limits) => {
    const message = createIncrementalAlterConfigsRequest({
      validateOnly,
      resources: group.map(({ type, name, operations }) =>
        createIncrementalAlterConfigsRequestAlterConfigsResource({
          resourceType: RESOURCE_NUMBERS[type],
          resourceName: name,
          configs: operations.map((operation) =>
            createIncrementalAlterConfigsRequestAlterableConfig({
              name: operation.name,
              configOperation: OPERATIONS[operation.op],
              value: operation.op === 'delete' ? null : operation.value,
            }),
          ),
        }),
      ),
    })
    if (nodeId !== null) {
      return (await core.requestNode(nodeId, 'main', incrementalAlterConfigsApi, message, limits)).response.responses
    }
    const errorCodes = (answer: { responses: { errorCode: number }[] }) =>
      answer.responses.map(({ errorCode }) => errorCode)
    const { timeoutMs } = limits
    return (
      await askController(core, 'changing configuration', incrementalAlterConfigsApi, message, timeoutMs, errorCodes)
    ).responses
  })
  return results.map((result) => {
    const resource = resourceOf(result)
    return {
      ...resource,
      error: errorOf(result.errorCode, { subject: subjectOf(resource), message: result.errorMessage }),
    }
  })
}

/** A broker answers for its own configuration only; everything else any broker can answer. */
async function byBroker<Resource extends ConfigResource, Result>(
  core: ClientCore,
  resources: readonly Resource[],
  options: AdminCallOptions,
  ask: (group: Resource[], nodeId: number | null, limits: RequestOptions) => Promise<Result[]>,
): Promise<Result[]> {
  const groups = Map.groupBy(resources, nodeOf)
  const limitMs = limitOf(core, options)
  const answers = await Promise.all(
    [...groups].map(([nodeId, group]) =>
      core.retrying('asking for configuration', limitMs, async (leftMs) => {
        await core.ensureMetadata(leftMs)
        if (nodeId !== null && !core.metadata.view.brokers.has(nodeId)) await core.metadata.update()
        if (nodeId !== null && !core.metadata.view.brokers.has(nodeId)) {
          throw new ArgumentError('name', `there is no broker ${nodeId}`)
        }
        return ask(group, nodeId, { timeoutMs: Math.min(leftMs, core.options.requestTimeoutMs) })
      }),
    ),
  )
  return answers.flat()
}

function nodeOf({ type, name }: ConfigResource): number | null {
  const isBroker = type === 'broker' || type === 'broker-logger'
  if (!isBroker || name === '') return null
  const nodeId = Number(name)
  if (!Number.isInteger(nodeId) || nodeId < 0)
    throw new ArgumentError('name', `a broker's name is its node id, not "${name}"`)
  return nodeId
}

function subjectOf({ type, name }: ConfigResource): string {
  return name === '' ? `default of every ${type}` : `${type} ${name}`
}

function resourceOf(result: { resourceType: number; resourceName: string }): ConfigResource {
  const entry = Object.entries(RESOURCE_NUMBERS).find(([, number]) => number === result.resourceType)
  return { type: (entry?.[0] ?? 'topic') as ConfigResourceType, name: result.resourceName }
}

function entriesOf(result: DescribeConfigsResult): ConfigEntry[] {
  return result.configs
    .map(({ name, value, configSource, readOnly, isSensitive, configType, documentation, synonyms }) => ({
      name,
      value,
      source: SOURCES[configSource] ?? 'unknown',
      readOnly,
      isSensitive,
      type: TYPES[configType] ?? 'unknown',
      documentation,
      synonyms: synonyms.map((synonym) => ({
        name: synonym.name,
        value: synonym.value,
        source: SOURCES[synonym.source] ?? 'unknown',
      })),
    }))
    .sort((a, b) => (a.name < b.name ? -1 : 1))
}
