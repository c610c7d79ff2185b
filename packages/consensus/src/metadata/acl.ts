import type { AclImage } from './image.ts'

/** Kafka's numbers of what a rule can be about. `ANY` is for filters only, here and below. */
export const AclResourceType = {
  UNKNOWN: 0,
  ANY: 1,
  TOPIC: 2,
  GROUP: 3,
  CLUSTER: 4,
  TRANSACTIONAL_ID: 5,
  DELEGATION_TOKEN: 6,
  USER: 7,
} as const

/** LITERAL: one name, or all with `*`. PREFIXED: all that begin so. MATCH, in filters: all that bear on a name. */
export const AclPatternType = { UNKNOWN: 0, ANY: 1, MATCH: 2, LITERAL: 3, PREFIXED: 4 } as const

/** Below 32, so that a set of them is a bit field, which is what answers carry as authorized operations. */
export const AclOperation = {
  UNKNOWN: 0,
  ANY: 1,
  ALL: 2,
  READ: 3,
  WRITE: 4,
  CREATE: 5,
  DELETE: 6,
  ALTER: 7,
  DESCRIBE: 8,
  CLUSTER_ACTION: 9,
  DESCRIBE_CONFIGS: 10,
  ALTER_CONFIGS: 11,
  IDEMPOTENT_WRITE: 12,
  CREATE_TOKENS: 13,
  DESCRIBE_TOKENS: 14,
  TWO_PHASE_COMMIT: 15,
} as const

export const AclPermissionType = { UNKNOWN: 0, ANY: 1, DENY: 2, ALLOW: 3 } as const

/** Stands for every name of a resource in LITERAL patterns, for every host, and in `User:*` for every principal. */
export const ACL_WILDCARD = '*'

/** The one name of a resource of type CLUSTER. */
export const CLUSTER_RESOURCE_NAME = 'kafka-cluster'

/** A rule without its id: who may, or may not, do what with which resources, from where. */
export type AclBinding = Omit<AclImage, 'id'>

/** Which rules are meant. A null field, or ANY, leaves it open. */
export interface AclFilter {
  readonly resourceType: number
  readonly resourceName: string | null
  readonly patternType: number
  readonly principal: string | null
  readonly host: string | null
  readonly operation: number
  readonly permissionType: number
}

/** Why a filter cannot be understood, or null. It says nothing about names: there is none that could not be asked for. */
export function aclFilterComplaint(filter: AclFilter): string | null {
  if (!isKnown(AclResourceType, filter.resourceType)) return `Unknown resource type ${filter.resourceType}`
  if (!isKnown(AclPatternType, filter.patternType)) return `Unknown pattern type ${filter.patternType}`
  if (!isKnown(AclOperation, filter.operation)) return `Unknown operation ${filter.operation}`
  if (!isKnown(AclPermissionType, filter.permissionType)) return `Unknown permission type ${filter.permissionType}`
  return null
}

/** Whether a number has a meaning in one of the tables above, ANY included. */
export function isKnown(table: Readonly<Record<string, number>>, value: number): boolean {
  return value !== 0 && Object.values(table).includes(value)
}

/** Whether the filter means this rule (`ResourcePatternFilter`, `AccessControlEntryFilter`). */
export function matchesAclFilter(filter: AclFilter, acl: AclBinding): boolean {
  return (
    (filter.resourceType === AclResourceType.ANY || filter.resourceType === acl.resourceType) &&
    (filter.operation === AclOperation.ANY || filter.operation === acl.operation) &&
    (filter.permissionType === AclPermissionType.ANY || filter.permissionType === acl.permissionType) &&
    (filter.principal === null || filter.principal === acl.principal) &&
    (filter.host === null || filter.host === acl.host) &&
    matchesPattern(filter, acl)
  )
}

function matchesPattern({ patternType, resourceName: name }: AclFilter, acl: AclBinding): boolean {
  if (patternType !== AclPatternType.MATCH) {
    const isOfType = patternType === AclPatternType.ANY || patternType === acl.patternType
    return isOfType && (name === null || name === acl.resourceName)
  }
  if (name === null) return true
  if (acl.patternType === AclPatternType.PREFIXED) return name.startsWith(acl.resourceName)
  return name === acl.resourceName || acl.resourceName === ACL_WILDCARD
}
