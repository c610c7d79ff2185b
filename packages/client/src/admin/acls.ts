import {
  createAclCreation,
  createAclsApi,
  createCreateAclsRequest,
  createDeleteAclsFilter,
  createDeleteAclsRequest,
  createDescribeAclsRequest,
  deleteAclsApi,
  describeAclsApi,
} from '@millrace/protocol'
import type { ClientCore } from '../client/client-core.ts'
import { type AdminCallOptions, askAnyBroker, askController, errorOf, limitOf, type Outcome } from './outcome.ts'

/** `cluster` has one resource, named `kafka-cluster`. */
export type AclResourceType = 'topic' | 'group' | 'cluster' | 'transactional-id' | 'delegation-token' | 'user'

/** `literal`: one name, or all with `*`; `prefixed`: all names that begin so. */
export type AclPatternType = 'literal' | 'prefixed'

export type AclOperation =
  | 'all'
  | 'read'
  | 'write'
  | 'create'
  | 'delete'
  | 'alter'
  | 'describe'
  | 'cluster-action'
  | 'describe-configs'
  | 'alter-configs'
  | 'idempotent-write'
  | 'create-tokens'
  | 'describe-tokens'
  | 'two-phase-commit'

/** What denies wins over what allows. */
export type AclPermission = 'allow' | 'deny'

/** A rule: a principal may, or may not, do something with resources, from a host. */
export interface Acl {
  resourceType: AclResourceType
  resourceName: string
  patternType: AclPatternType
  /** `User:alice`, or `User:*` for everybody. */
  principal: string
  /** An address, or `*` for all. */
  host: string
  operation: AclOperation
  permission: AclPermission
}

/** Which rules are meant; what is left out does not matter. `match`: all that bear on a resource of the name. */
export interface AclFilter {
  resourceType?: AclResourceType
  resourceName?: string
  patternType?: AclPatternType | 'match'
  principal?: string
  host?: string
  operation?: AclOperation
  permission?: AclPermission
}

/** Kafka's numbers; in filters 1 stands for any. */
const ANY = 1
const RESOURCE_TYPES: Readonly<Record<AclResourceType, number>> = {
  topic: 2,
  group: 3,
  cluster: 4,
  'transactional-id': 5,
  'delegation-token': 6,
  user: 7,
}
const PATTERN_TYPES: Readonly<Record<AclPatternType | 'match', number>> = { match: 2, literal: 3, prefixed: 4 }
const OPERATIONS: Readonly<Record<AclOperation, number>> = {
  all: 2,
  read: 3,
  write: 4,
  create: 5,
  delete: 6,
  alter: 7,
  describe: 8,
  'cluster-action': 9,
  'describe-configs': 10,
  'alter-configs': 11,
  'idempotent-write': 12,
  'create-tokens': 13,
  'describe-tokens': 14,
  'two-phase-commit': 15,
}
const PERMISSIONS: Readonly<Record<AclPermission, number>> = { deny: 2, allow: 3 }

/** A rule in numbers, as messages carry it. */
interface NumberedAcl {
  resourceType: number
  resourceName: string
  patternType: number
  principal: string
  host: string
  operation: number
  permissionType: number
}

/** The rules that a filter means, in order. A rule with a meaning that this client does not know is left out. */
export async function describeAcls(core: ClientCore, filter: AclFilter, options: AdminCallOptions): Promise<Acl[]> {
  const { resourceType, patternType, operation, permissionType } = numbersOf(filter)
  const { response } = await askAnyBroker(
    core,
    'describing ACLs',
    describeAclsApi,
    createDescribeAclsRequest({
      resourceTypeFilter: resourceType,
      resourceNameFilter: filter.resourceName ?? null,
      patternTypeFilter: patternType,
      principalFilter: filter.principal ?? null,
      hostFilter: filter.host ?? null,
      operation,
      permissionType,
    }),
    limitOf(core, options),
    ({ errorCode }) => errorCode,
    PATTERNS_SINCE,
  )
  const found = response.resources.flatMap(({ acls, ...resource }) => acls.map((acl) => ({ ...resource, ...acl })))
  return found.flatMap(aclOf).sort(compareAcls)
}

/** Makes rules. One that is there already is a success. */
export async function createAcls(
  core: ClientCore,
  acls: readonly Acl[],
  options: AdminCallOptions,
): Promise<Outcome<Acl>[]> {
  const creations = acls.map((acl) => {
    const { patternType: resourcePatternType, ...numbers } = numbersOf(acl)
    const { resourceName, principal, host } = acl
    return createAclCreation({ ...numbers, resourcePatternType, resourceName, principal, host })
  })
  const response = await askController(
    core,
    'creating ACLs',
    createAclsApi,
    createCreateAclsRequest({ creations }),
    limitOf(core, options),
    ({ results }) => results.map(({ errorCode }) => errorCode),
    PATTERNS_SINCE,
  )
  return acls.map((acl, slot) => {
    const result = response.results[slot]
    return { ...acl, error: errorOf(result?.errorCode ?? -1, placeOf(acl.principal, result?.errorMessage ?? null)) }
  })
}

/** Deletes the rules that filters mean, and tells which they were. */
export async function deleteAcls(
  core: ClientCore,
  filters: readonly AclFilter[],
  options: AdminCallOptions,
): Promise<Outcome<{ filter: AclFilter; deleted: Acl[] }>[]> {
  const response = await askController(
    core,
    'deleting ACLs',
    deleteAclsApi,
    createDeleteAclsRequest({ filters: filters.map(deletionOf) }),
    limitOf(core, options),
    ({ filterResults }) => filterResults.map(({ errorCode }) => errorCode),
    PATTERNS_SINCE,
  )
  return filters.map((filter, slot) => {
    const result = response.filterResults[slot]
    const deleted = (result?.matchingAcls ?? []).flatMap(aclOf).sort(compareAcls)
    const place = placeOf(filter.principal ?? null, result?.errorMessage ?? null)
    return { filter, deleted, error: errorOf(result?.errorCode ?? -1, place) }
  })
}

/** Before, all rules were literal, and a prefix would be taken for a name. */
const PATTERNS_SINCE = { minVersion: 1 }

function deletionOf(filter: AclFilter) {
  const { resourceType, patternType, operation, permissionType } = numbersOf(filter)
  return createDeleteAclsFilter({
    resourceTypeFilter: resourceType,
    resourceNameFilter: filter.resourceName ?? null,
    patternTypeFilter: patternType,
    principalFilter: filter.principal ?? null,
    hostFilter: filter.host ?? null,
    operation,
    permissionType,
  })
}

function numbersOf({ resourceType, patternType, operation, permission }: AclFilter) {
  return {
    resourceType: resourceType === undefined ? ANY : RESOURCE_TYPES[resourceType],
    patternType: patternType === undefined ? ANY : PATTERN_TYPES[patternType],
    operation: operation === undefined ? ANY : OPERATIONS[operation],
    permissionType: permission === undefined ? ANY : PERMISSIONS[permission],
  }
}

function aclOf(acl: NumberedAcl): Acl[] {
  const resourceType = nameOf(RESOURCE_TYPES, acl.resourceType)
  const patternType = nameOf(PATTERN_TYPES, acl.patternType)
  const operation = nameOf(OPERATIONS, acl.operation)
  const permission = nameOf(PERMISSIONS, acl.permissionType)
  if (resourceType === null || operation === null || permission === null) return []
  if (patternType === null || patternType === 'match') return []
  const { resourceName, principal, host } = acl
  return [{ resourceType, resourceName, patternType, principal, host, operation, permission }]
}

function nameOf<Name extends string>(numbers: Readonly<Record<Name, number>>, wanted: number): Name | null {
  const found = Object.entries<number>(numbers).find(([, number]) => number === wanted)
  return found === undefined ? null : (found[0] as Name)
}

function placeOf(principal: string | null, message: string | null) {
  return { subject: principal === null ? 'ACLs' : `ACLs of ${principal}`, message }
}

function compareAcls(a: Acl, b: Acl): number {
  return keyOf(a) < keyOf(b) ? -1 : 1
}

function keyOf({ resourceType, resourceName, patternType, principal, permission, operation, host }: Acl): string {
  return [RESOURCE_TYPES[resourceType], resourceName, patternType, principal, permission, operation, host].join('\0')
}
