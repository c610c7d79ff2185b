import { type QuotaEntity, quotaKey } from '../image.ts'
import type { ClientQuotaRecord } from '../records.ts'
import { type ApiError, MetadataErrorCode } from './api-error.ts'
import { type ControllerContext, type Outcome, tooManyRecords } from './context.ts'

/** New limits of one entity; `remove` takes a key away, and its value counts for nothing. */
export interface QuotaAlteration {
  readonly entity: QuotaEntity
  readonly ops: readonly { readonly key: string; readonly value: number; readonly remove: boolean }[]
}

export interface AlterQuotaResult {
  readonly entity: QuotaEntity
  readonly errorCode: number
  readonly errorMessage: string | null
}

/** Beyond Kafka, so that the metadata stays in bounds whoever may change it. */
const MAX_ENTITIES = 10_000
const MAX_NAME_LENGTH = 1_000

const LONG_MAX = 2 ** 63
const INT_MAX = 2 ** 31 - 1

/** Keys by type of entity, each with the largest integer that it takes; null: any number (`QuotaConfig`). */
const RATES_OF_CLIENTS: ReadonlyMap<string, number | null> = new Map([
  ['producer_byte_rate', LONG_MAX],
  ['consumer_byte_rate', LONG_MAX],
  ['request_percentage', null],
  ['controller_mutation_rate', null],
])
const RATES_OF_ADDRESSES: ReadonlyMap<string, number | null> = new Map([['connection_creation_rate', INT_MAX]])

/**
 * Works out new client quotas (`controller.md`, 7): each entity all or nothing. One that is named twice is refused and left as it is.
 * Whether a host name of an `ip` entity can be resolved is not asked for: only its form is looked at.
 */
export function alterClientQuotas(
  context: ControllerContext,
  alterations: readonly QuotaAlteration[],
  validateOnly: boolean,
): Outcome<readonly AlterQuotaResult[]> {
  const counts = new Map<string, number>()
  for (const { entity } of alterations) {
    const key = quotaKey(entity)
    counts.set(key, (counts.get(key) ?? 0) + 1)
  }
  const records: ClientQuotaRecord[] = []
  const results = new Map<string, AlterQuotaResult>()
  let room = MAX_ENTITIES - context.image.clientQuotas.size
  for (const alteration of alterations) {
    const { entity } = alteration
    const key = quotaKey(entity)
    const current = context.image.clientQuotas.get(key)
    let complaint = entityComplaint(entity) ?? opsComplaint(alteration)
    if (counts.get(key)! > 1) complaint = `Ignoring duplicate entity ${key}`
    const changes = complaint === null ? changesOf(alteration, current?.values) : []
    const isNew = current === undefined && changes.length > 0
    if (isNew && --room < 0) {
      const message = `There are limits for ${MAX_ENTITIES} entities already`
      results.set(key, { entity, errorCode: MetadataErrorCode.POLICY_VIOLATION, errorMessage: message })
      continue
    }
    records.push(...changes)
    const errorCode = complaint === null ? MetadataErrorCode.NONE : MetadataErrorCode.INVALID_REQUEST
    results.set(key, { entity, errorCode, errorMessage: complaint })
  }
  const refusal = tooManyRecords(records)
  if (refusal !== null)
    return { records: [], response: [...results.values()].map(({ entity }) => quotaRefusal(entity, refusal)) }
  return { records: validateOnly ? [] : records, response: [...results.values()] }
}

/** What an entity is told of a request that was refused as a whole. */
export function quotaRefusal(entity: QuotaEntity, { code, message }: ApiError): AlterQuotaResult {
  return { entity, errorCode: code, errorMessage: message }
}

function entityComplaint(entity: QuotaEntity): string | null {
  if (entity.length === 0) return 'Invalid empty client quota entity'
  const types = new Set<string>()
  for (const { entityType, entityName } of entity) {
    if (types.has(entityType)) return `Invalid client quota entity, duplicate entity entry ${entityType}`
    types.add(entityType)
    if (entityType !== 'user' && entityType !== 'client-id' && entityType !== 'ip') {
      return `Unhandled client quota entity type: ${entityType}`
    }
    if (entityName === '') return `Empty ${entityType} not supported`
    if (entityName !== null && entityName.length > MAX_NAME_LENGTH) {
      return `The name of a ${entityType} may have at most ${MAX_NAME_LENGTH} characters`
    }
  }
  const [address] = entity.filter(({ entityType }) => entityType === 'ip')
  if (address === undefined) return null
  if (entity.length > 1) return 'Invalid quota entity combination: ip goes with neither user nor client-id'
  const { entityName } = address
  return entityName === null || isAddress(entityName) ? null : `${entityName} is not a valid IP or resolvable host.`
}

/** An IPv4 address, something like an IPv6 address, or a host name. */
function isAddress(text: string): boolean {
  if (/^[\d.]+$/.test(text))
    return /^(\d{1,3})(\.\d{1,3}){3}$/.test(text) && text.split('.').every((part) => Number(part) <= 255)
  if (text.includes(':')) return /^[\da-f:]+(:\d{1,3}(\.\d{1,3}){3})?(%\w+)?$/i.test(text)
  return text.length <= 253 && /^[\da-z]([\da-z_-]*[\da-z])?(\.[\da-z]([\da-z_-]*[\da-z])?)*\.?$/i.test(text)
}

function opsComplaint({ entity, ops }: QuotaAlteration): string | null {
  const known = entity.some(({ entityType }) => entityType === 'ip') ? RATES_OF_ADDRESSES : RATES_OF_CLIENTS
  const keys = new Set<string>()
  for (const { key, value, remove } of ops) {
    if (keys.has(key)) return `Duplicate quota key ${key}`
    keys.add(key)
    if (remove) continue
    const max = known.get(key)
    if (max === undefined) return `Invalid configuration key ${key}`
    if (!(value > 0)) return `Quota ${key} must be greater than 0`
    if (max === null) continue
    if (value > max) return `Proposed value for ${key} is too large for ${max === INT_MAX ? 'an INT' : 'a LONG'}.`
    if (value % 1 > 1e-6) return `${key} cannot be a fractional value.`
  }
  return null
}

/** Only what differs from what is. */
function changesOf(
  { entity, ops }: QuotaAlteration,
  current: ReadonlyMap<string, number> | undefined,
): ClientQuotaRecord[] {
  const changed = ops.filter(({ key, value, remove }) =>
    remove ? current?.has(key) === true : current?.get(key) !== value,
  )
  return changed.map(({ key, value, remove }) => ({
    type: 'ClientQuotaRecord',
    entity: entity.map(({ entityType, entityName }) => ({ entityType, entityName })),
    key,
    value: remove ? null : value,
  }))
}
