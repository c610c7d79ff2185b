import type { Acl, AclFilter, AclOperation, AclResourceType } from '@millrace/client'
import { usageError } from '../command/cli-error.ts'
import type { CommandOption } from '../command/command-definition.ts'
import type { Column, Row } from '../io/output-format.ts'

/** Options that name resources; each may stand several times. */
export interface ResourceOptions {
  topic: string[]
  group: string[]
  transactionalId: string[]
  user: string[]
  cluster?: boolean
  prefixed?: boolean
}

/** A kind of resource and a name. */
export interface NamedResource {
  readonly resourceType: AclResourceType
  readonly resourceName: string
}

export const RESOURCE_OPTIONS: readonly CommandOption[] = [
  { flags: '-t, --topic <name>', description: 'a topic; "*" stands for all; may be repeated', repeatable: true },
  { flags: '-g, --group <id>', description: 'a group, likewise', repeatable: true },
  { flags: '--transactional-id <id>', description: 'a transactional id, likewise', repeatable: true },
  { flags: '--user <principal>', description: 'a user whose tokens it is about, likewise', repeatable: true },
  { flags: '--cluster', description: 'the cluster itself' },
  { flags: '--prefixed', description: 'all whose names begin with the names given' },
]

/** The one name of a resource of this kind. */
const CLUSTER_NAME = 'kafka-cluster'

const OPERATIONS: readonly AclOperation[] = [
  'all',
  'read',
  'write',
  'create',
  'delete',
  'alter',
  'describe',
  'cluster-action',
  'describe-configs',
  'alter-configs',
  'idempotent-write',
  'create-tokens',
  'describe-tokens',
  'two-phase-commit',
]

/** Resources in the order in which the help tells of them. */
export function resourcesOf(options: ResourceOptions): NamedResource[] {
  const named = (resourceType: AclResourceType, names: readonly string[]): NamedResource[] =>
    names.map((resourceName) => ({ resourceType, resourceName }))
  return [
    ...named('topic', options.topic),
    ...named('group', options.group),
    ...named('transactional-id', options.transactionalId),
    ...named('user', options.user),
    ...named('cluster', options.cluster === true ? [CLUSTER_NAME] : []),
  ]
}

/** Operations from `read,write` and repetitions, as Kafka writes them too (`DescribeConfigs`, `DESCRIBE_CONFIGS`). */
export function operationsOf(texts: readonly string[]): AclOperation[] {
  const names = texts.flatMap((text) => text.split(',')).map((text) => text.trim())
  return names.map((name) => {
    const plain = (text: string): string => text.replace(/[-_]/g, '').toLowerCase()
    const operation = OPERATIONS.find((one) => plain(one) === plain(name))
    if (operation !== undefined) return operation
    throw usageError(`${name}: no operation; there are ${OPERATIONS.join(', ')}`)
  })
}

/** A principal must have a type. */
export function requirePrincipal(text: string): string {
  if (/^[^:]+:./.test(text)) return text
  throw usageError(`${text}: a principal is its type and its name`, `User:${text}, for example.`)
}

/** What stands beside a resource in a filter of `list` and `remove`. */
export interface FilterOptions extends ResourceOptions {
  match?: boolean
  principal: string[]
  host: string[]
  operation: string[]
  allow?: boolean
  deny?: boolean
}

export const FILTER_OPTIONS: readonly CommandOption[] = [
  ...RESOURCE_OPTIONS,
  { flags: '--match', description: 'also rules that bear on these names by a prefix or for all names' },
  { flags: '--principal <type:name>', description: 'User:alice; may be repeated', repeatable: true },
  { flags: '--host <address>', description: 'rules for this host; may be repeated', repeatable: true },
  { flags: '--operation <operations>', description: 'read,write; may be repeated', repeatable: true },
  { flags: '--allow', description: 'only rules that allow' },
  { flags: '--deny', description: 'only rules that deny' },
]

/** One filter for each combination of what is given; a single one for everything if nothing is. */
export function filtersOf(options: FilterOptions): AclFilter[] {
  if (options.match === true && options.prefixed === true) throw usageError('either --match or --prefixed')
  if (options.allow === true && options.deny === true) throw usageError('either --allow or --deny')
  const resources = resourcesOf(options)
  if (options.match === true && resources.length === 0) {
    throw usageError('--match needs a name', 'Give --topic NAME or the like.')
  }
  const patternType = options.match === true ? 'match' : options.prefixed === true ? 'prefixed' : null
  const parts: readonly (readonly AclFilter[])[] = [
    anyOr(resources),
    anyOr(options.principal.map((principal) => ({ principal: requirePrincipal(principal) }))),
    anyOr(options.host.map((host) => ({ host }))),
    anyOr(operationsOf(options.operation).map((operation) => ({ operation }))),
    [patternType === null ? {} : { patternType }],
    [options.allow === true ? { permission: 'allow' } : options.deny === true ? { permission: 'deny' } : {}],
  ]
  return parts.reduce<AclFilter[]>(
    (filters, choices) => filters.flatMap((filter) => choices.map((choice) => ({ ...filter, ...choice }))),
    [{}],
  )
}

function anyOr(choices: readonly AclFilter[]): readonly AclFilter[] {
  return choices.length === 0 ? [{}] : choices
}

export const ACL_COLUMNS: readonly Column[] = [
  { key: 'resourceType', title: 'RESOURCE' },
  { key: 'resourceName', title: 'NAME' },
  { key: 'patternType', title: 'PATTERN' },
  { key: 'principal' },
  { key: 'host' },
  { key: 'permission' },
  { key: 'operation' },
]

export function rowOf(acl: Acl): Row {
  const { resourceType, resourceName, patternType, principal, host, permission, operation } = acl
  return { resourceType, resourceName, patternType, principal, host, permission, operation }
}
