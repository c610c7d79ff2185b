import type { MetadataImage, QuotaEntity, QuotaImage } from '@millrace/consensus'
import {
  createDescribeClientQuotasResponse,
  createDescribeClientQuotasResponseEntityData,
  createDescribeClientQuotasResponseEntryData,
  createValueData,
  type DescribeClientQuotasRequest,
  type DescribeClientQuotasResponse,
  describeClientQuotasApi,
  ErrorCode,
} from '@millrace/protocol'
import { defineHandler } from './define-handler.ts'
import type { ApiHandler } from './handler.ts'

const MatchType = { EXACT: 0, DEFAULT: 1, SPECIFIED: 2 } as const
const ENTITY_TYPES: ReadonlySet<string> = new Set(['user', 'client-id', 'ip'])

/** What entities are asked for: names by type (null: the default), and types of which any name will do. */
interface QuotaFilter {
  readonly names: ReadonlyMap<string, string | null>
  readonly types: ReadonlySet<string>
}

interface Complaint {
  readonly errorCode: number
  readonly errorMessage: string
}

/** DescribeClientQuotas 0–1 (`controller.md`, 7): the limits of all entities that fit; `strict` wants no other part in them. */
export function describeClientQuotasHandler(deps: {
  image(): MetadataImage
}): ApiHandler<DescribeClientQuotasRequest, DescribeClientQuotasResponse> {
  return defineHandler(describeClientQuotasApi, (request) => {
    const filter = filterOf(request)
    if ('errorCode' in filter) return createDescribeClientQuotasResponse({ ...filter, entries: null })
    const found: QuotaImage[] = []
    for (const quota of deps.image().clientQuotas.values()) {
      if (isWanted(quota.entity, filter, request.strict)) found.push(quota)
    }
    const entries = found.map(({ entity, values }) =>
      createDescribeClientQuotasResponseEntryData({
        entity: entity.map(createDescribeClientQuotasResponseEntityData),
        values: Array.from(values, ([key, value]) => createValueData({ key, value })),
      }),
    )
    return createDescribeClientQuotasResponse({ errorMessage: null, entries })
  })
}

/** Or the first thing that is wrong with the request, in Kafka's order. */
function filterOf({ components }: DescribeClientQuotasRequest): QuotaFilter | Complaint {
  const invalid = (errorMessage: string) => ({ errorCode: ErrorCode.INVALID_REQUEST, errorMessage })
  const names = new Map<string, string | null>()
  const types = new Set<string>()
  for (const { entityType, matchType, match } of components) {
    if (entityType === '') return invalid('Invalid empty entity type.')
    if (names.has(entityType) || types.has(entityType)) {
      return invalid(`Entity type ${entityType} cannot appear more than once in the filter.`)
    }
    if (!ENTITY_TYPES.has(entityType)) {
      return { errorCode: ErrorCode.UNSUPPORTED_VERSION, errorMessage: `Unsupported entity type ${entityType}` }
    }
    const isExact = matchType === MatchType.EXACT
    if (!isExact && matchType !== MatchType.DEFAULT && matchType !== MatchType.SPECIFIED) {
      return invalid(`Unknown match type ${matchType}`)
    }
    if (isExact && match === null) return invalid('An exact match of a name needs the name.')
    if (!isExact && match !== null) return invalid('Only an exact match has a name.')
    if (matchType === MatchType.SPECIFIED) types.add(entityType)
    else names.set(entityType, match)
  }
  const asked = new Set([...names.keys(), ...types])
  if (asked.has('ip') && asked.size > 1) return invalid('ip cannot be asked for together with user or client-id.')
  return { names, types }
}

function isWanted(entity: QuotaEntity, { names, types }: QuotaFilter, isStrict: boolean): boolean {
  if (isStrict && entity.length !== names.size + types.size) return false
  const parts = new Map(entity.map(({ entityType, entityName }) => [entityType, entityName]))
  for (const [type, name] of names) if (parts.get(type) !== name) return false
  for (const type of types) if (!parts.has(type)) return false
  return true
}
