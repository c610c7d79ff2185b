import {
  AlterOperation,
  type ApiError,
  apiError,
  ConfigResourceType,
  configsOf,
  type MetadataImage,
} from '@millrace/consensus'
import { ErrorCode } from '@millrace/protocol'
import { brokerDefinitionOf } from '../config/broker-definitions.ts'
import type { Configuration } from '../config/configuration.ts'

/** One change of one key; a replacement of the whole set consists of `SET`s. */
export interface KeyChange {
  readonly name: string
  readonly value: string | null
  readonly configOperation: number
}

export interface ChangedResource {
  readonly resourceType: number
  readonly resourceName: string
  readonly configs: readonly KeyChange[]
}

/**
 * The part of a change that the broker looks at before the controller does (`controller.md`, 5.1): repeated resources and keys, missing
 * values, and the values of broker settings, which only the broker itself can judge. A refusal per resource, null where the
 * controller decides.
 */
export function checkChanges(resources: readonly ChangedResource[]): (ApiError | null)[] {
  const counts = new Map<string, number>()
  const keyOf = ({ resourceType, resourceName }: ChangedResource) => `${resourceType}:${resourceName}`
  for (const resource of resources) counts.set(keyOf(resource), (counts.get(keyOf(resource)) ?? 0) + 1)
  return resources.map((resource) => {
    if (counts.get(keyOf(resource)) !== 1) return invalid('Each resource must appear at most once.')
    const names = resource.configs.map((config) => config.name)
    if (new Set(names).size !== names.length)
      return invalid('A configuration key must appear at most once per resource.')
    const empty = resource.configs.filter(
      (config) => config.value === null && config.configOperation !== AlterOperation.DELETE,
    )
    if (empty.length === 0) return null
    return invalid(`Null value not supported for: ${empty.map((config) => config.name).join(', ')}`)
  })
}

/** Why the broker refuses a change of its own or all brokers' settings, or null. `replaceAll`: what is not named goes. */
export function brokerChangeError(
  configuration: Configuration,
  image: MetadataImage,
  resource: ChangedResource,
  replaceAll: boolean,
): ApiError | null {
  const perBroker = resource.resourceName !== ''
  const nameError = perBroker ? nodeNameError(configuration, resource.resourceName) : null
  if (nameError !== null) return nameError
  const stored = configsOf(image, ConfigResourceType.BROKER, resource.resourceName)
  const settings = new Map(replaceAll ? [] : stored)
  for (const change of resource.configs) {
    const error = applyChange(settings, change)
    if (error !== null) return error
  }
  const complaint = configuration.dynamicChangeComplaint(settings, perBroker)
  return complaint === null ? null : invalid(complaint)
}

function nodeNameError(configuration: Configuration, name: string): ApiError | null {
  if (!/^[+-]?\d{1,10}$/.test(name)) return invalid(`Node id must be an integer, but it is: ${name}`)
  // Under any other spelling of its number the settings would be kept and never be used.
  if (name === String(configuration.nodeId)) return null
  return invalid(`Unexpected broker id, expected ${configuration.nodeId}, but received ${name}`)
}

function applyChange(settings: Map<string, string>, change: KeyChange): ApiError | null {
  const { name, configOperation } = change
  const { SET, DELETE, APPEND, SUBTRACT } = AlterOperation
  if (configOperation === DELETE) settings.delete(name)
  else if (configOperation === SET) settings.set(name, change.value!)
  else if (configOperation === APPEND || configOperation === SUBTRACT) {
    const definition = brokerDefinitionOf(name)
    if (definition === null) return apiError(ErrorCode.INVALID_CONFIG, `Unknown config name: ${name}`)
    if (definition.type !== 'list') {
      return apiError(
        ErrorCode.INVALID_CONFIG,
        `The value of ${name} is not a list that items could be added to or taken from`,
      )
    }
    const items = (settings.get(name) ?? definition.defaultText ?? '').split(',').filter((item) => item !== '')
    const named = change.value!.split(',')
    const [known, gone] = [new Set(items), new Set(named)]
    const next =
      configOperation === APPEND
        ? [...items, ...named.filter((item) => !known.has(item))]
        : items.filter((item) => !gone.has(item))
    settings.set(name, next.join(','))
  } else return invalid(`Unknown operation type ${configOperation}`)
  return null
}

function invalid(message: string): ApiError {
  return apiError(ErrorCode.INVALID_REQUEST, message)
}
