import { ConfigResourceType, configKey, configsOf, type MetadataImage } from '../image.ts'
import type { ClearElrRecord, ConfigRecord, MetadataRecord } from '../records.ts'
import { type ApiError, apiError, MetadataErrorCode } from './api-error.ts'
import { type ControllerContext, type Outcome, tooManyRecords } from './context.ts'
import { isElrEnabled } from './partition-change.ts'

/** Kafka's numbers of what an alteration does with a value. */
export const AlterOperation = { SET: 0, DELETE: 1, APPEND: 2, SUBTRACT: 3 } as const

export interface ConfigAlterations {
  readonly resourceType: number
  readonly resourceName: string
  readonly configs: readonly {
    readonly name: string
    readonly configOperation: number
    readonly value: string | null
  }[]
}

/** The older form: all that is not named is deleted. */
export interface ConfigReplacement {
  readonly resourceType: number
  readonly resourceName: string
  readonly configs: readonly { readonly name: string; readonly value: string | null }[]
}

export interface AlterConfigsResult {
  readonly resourceType: number
  readonly resourceName: string
  readonly errorCode: number
  readonly errorMessage: string | null
}

/** What legacy strings of the protocol can carry: a longer value could be stored and never told. */
const MAX_VALUE_BYTES = 32_767

const MIN_ISR = 'min.insync.replicas'

/**
 * Works out changes of configuration (`controller.md`, 5.2). Each resource changes wholly or not at all, independent of the others;
 * all changes are one batch. Results stand in the order of the request.
 */
export function incrementalAlterConfigs(
  context: ControllerContext,
  resources: readonly ConfigAlterations[],
  validateOnly: boolean,
): Outcome<readonly AlterConfigsResult[]> {
  return alterResources(context, resources, validateOnly, (resource) => {
    const current = configsOf(context.image, resource.resourceType, resource.resourceName)
    const records: ConfigRecord[] = []
    for (const { name, configOperation, value } of resource.configs) {
      const next = nextValue(context, resource, name, configOperation, value, current.get(name) ?? null)
      if (typeof next === 'object' && next !== null) return next
      addIfChanged(records, resource, name, next, current)
    }
    return { explicit: records, implicit: [] }
  })
}

/** Works out the older AlterConfigs: the named values replace all others. */
export function legacyAlterConfigs(
  context: ControllerContext,
  resources: readonly ConfigReplacement[],
  validateOnly: boolean,
): Outcome<readonly AlterConfigsResult[]> {
  return alterResources(context, resources, validateOnly, (resource) => {
    const current = configsOf(context.image, resource.resourceType, resource.resourceName)
    const explicit: ConfigRecord[] = []
    for (const { name, value } of resource.configs) addIfChanged(explicit, resource, name, value, current)
    const named = new Set(resource.configs.map((config) => config.name))
    const implicit = [...current.keys()].filter((name) => !named.has(name)).map((name) => record(resource, name, null))
    return { explicit, implicit }
  })
}

/** Why a value is too long to be kept, or null. */
export function valueSizeError(name: string, value: string): ApiError | null {
  const sizeBytes = Buffer.byteLength(value)
  if (sizeBytes <= MAX_VALUE_BYTES) return null
  return apiError(
    MetadataErrorCode.INVALID_CONFIG,
    `The value of ${name} has ${sizeBytes} bytes, but at most ${MAX_VALUE_BYTES} are allowed.`,
  )
}

/** What must go with a change of `min.insync.replicas`: eligible replicas were worked out with the old value. */
export function clearElrRecords(image: MetadataImage, records: readonly ConfigRecord[]): ClearElrRecord[] {
  if (!isElrEnabled(image)) return []
  return records
    .filter((config) => config.name === MIN_ISR)
    .map((config) => ({
      type: 'ClearElrRecord',
      topicName: config.resourceType === ConfigResourceType.TOPIC ? config.resourceName : '',
    }))
}

interface Resource {
  readonly resourceType: number
  readonly resourceName: string
}

interface ResourceChange {
  readonly explicit: readonly ConfigRecord[]
  readonly implicit: readonly ConfigRecord[]
}

const ALTERABLE_TYPES: ReadonlySet<number> = new Set([
  ConfigResourceType.TOPIC,
  ConfigResourceType.BROKER,
  ConfigResourceType.CLIENT_METRICS,
  ConfigResourceType.GROUP,
])

function alterResources<R extends Resource>(
  context: ControllerContext,
  resources: readonly R[],
  validateOnly: boolean,
  change: (resource: R) => ResourceChange | ApiError,
): Outcome<readonly AlterConfigsResult[]> {
  const counts = new Map<string, number>()
  for (const { resourceType, resourceName } of resources) {
    const key = configKey(resourceType, resourceName)
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  const configRecords: ConfigRecord[] = []
  const results = resources.map((resource) => {
    const { resourceType, resourceName } = resource
    let outcome: ResourceChange | ApiError
    if (!ALTERABLE_TYPES.has(resourceType)) {
      outcome = apiError(MetadataErrorCode.UNSUPPORTED_VERSION, `Unknown resource type ${resourceType}.`)
    } else if (counts.get(configKey(resourceType, resourceName)) !== 1) {
      outcome = apiError(MetadataErrorCode.INVALID_REQUEST, 'Duplicate resource.')
    } else {
      outcome = change(resource)
    }
    const error = 'code' in outcome ? outcome : changeError(context, resource, outcome)
    if (error === null && !('code' in outcome)) configRecords.push(...outcome.explicit, ...outcome.implicit)
    return result(resource, error)
  })
  const records: MetadataRecord[] = [...configRecords, ...clearElrRecords(context.image, configRecords)]
  const tooMany = tooManyRecords(records)
  if (tooMany !== null) return { records: [], response: resources.map((resource) => result(resource, tooMany)) }
  return { records: validateOnly ? [] : records, response: results }
}

/** The value after one alteration (null: none), or why it cannot be made. */
function nextValue(
  context: ControllerContext,
  resource: Resource,
  name: string,
  operation: number,
  value: string | null,
  current: string | null,
): string | null | ApiError {
  const { SET, DELETE, APPEND, SUBTRACT } = AlterOperation
  if (operation === SET) return value
  if (operation === DELETE) return null
  if (operation !== APPEND && operation !== SUBTRACT) {
    return apiError(MetadataErrorCode.INVALID_REQUEST, `Unknown operation type ${operation}`)
  }
  const { configRules } = context
  if (!configRules.isList(resource.resourceType, name)) {
    const verb = operation === APPEND ? 'append to' : 'subtract from'
    return apiError(MetadataErrorCode.INVALID_CONFIG, `Cannot ${verb} ${name}, because its type is not a list.`)
  }
  const text = current ?? configRules.schemaDefault(resource.resourceType, name) ?? ''
  const items = text.split(',').filter((item) => item !== '')
  const named = (value ?? '').split(',')
  return (operation === APPEND ? appended(items, named) : subtracted(items, named)).join(',')
}

/** Both take one look at each item: a request has room for thousands of lists with ten thousand items each. */
function appended(items: readonly string[], named: readonly string[]): string[] {
  const all = [...items]
  const known = new Set(items)
  for (const item of named) {
    if (known.has(item)) continue
    known.add(item)
    all.push(item)
  }
  return all
}

/** For each that is named the first of its kind goes. */
function subtracted(items: readonly string[], named: readonly string[]): string[] {
  const counts = new Map<string, number>()
  for (const item of named) counts.set(item, (counts.get(item) ?? 0) + 1)
  return items.filter((item) => {
    const left = counts.get(item) ?? 0
    if (left > 0) counts.set(item, left - 1)
    return left === 0
  })
}

/** Broker settings are written even if unchanged: brokers then look again at files that a value names. */
function addIfChanged(
  records: ConfigRecord[],
  resource: Resource,
  name: string,
  value: string | null,
  current: ReadonlyMap<string, string>,
): void {
  const isBroker = resource.resourceType === ConfigResourceType.BROKER
  if (isBroker || (current.get(name) ?? null) !== value) records.push(record(resource, name, value))
}

function changeError(context: ControllerContext, resource: Resource, change: ResourceChange): ApiError | null {
  const { image } = context
  const previous = configsOf(image, resource.resourceType, resource.resourceName)
  const next = new Map(previous)
  for (const { name, value } of [...change.explicit, ...change.implicit]) {
    const error = elrError(image, resource, name, value)
    if (error !== null) return error
    const sizeError = value === null ? null : valueSizeError(name, value)
    if (sizeError !== null) return sizeError
    if (value === null) next.delete(name)
    else next.set(name, value)
  }
  return (
    context.configRules.validate(resource.resourceType, resource.resourceName, next, previous) ??
    existenceError(image, resource)
  )
}

/** Eligible replicas need one value of `min.insync.replicas` that all brokers share. */
function elrError(image: MetadataImage, resource: Resource, name: string, value: string | null): ApiError | null {
  if (name !== MIN_ISR || resource.resourceType !== ConfigResourceType.BROKER || !isElrEnabled(image)) return null
  if (resource.resourceName !== '') {
    const message = `Broker-level ${MIN_ISR} cannot be altered while ELR is enabled.`
    return apiError(MetadataErrorCode.INVALID_CONFIG, message)
  }
  if (value !== null) return null
  const message = `Cluster-level ${MIN_ISR} cannot be removed while ELR is enabled.`
  return apiError(MetadataErrorCode.INVALID_CONFIG, message)
}

/** Groups and client metrics subscriptions come into being with their configuration. */
function existenceError(image: MetadataImage, resource: Resource): ApiError | null {
  const { resourceType, resourceName } = resource
  if (resourceType === ConfigResourceType.TOPIC && !image.topics.has(resourceName)) {
    const message = `The topic '${resourceName}' does not exist.`
    return apiError(MetadataErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message)
  }
  const isNode = resourceType === ConfigResourceType.BROKER && resourceName !== ''
  if (isNode && !image.brokers.has(Number(resourceName))) {
    return apiError(MetadataErrorCode.BROKER_ID_NOT_REGISTERED, `No node with id ${resourceName} found.`)
  }
  return null
}

function record(resource: Resource, name: string, value: string | null): ConfigRecord {
  const { resourceType, resourceName } = resource
  return { type: 'ConfigRecord', resourceType, resourceName, name, value }
}

function result(resource: Resource, error: ApiError | null): AlterConfigsResult {
  return {
    resourceType: resource.resourceType,
    resourceName: resource.resourceName,
    errorCode: error?.code ?? MetadataErrorCode.NONE,
    errorMessage: error?.message ?? null,
  }
}
