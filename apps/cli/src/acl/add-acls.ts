import type { Acl, AclOperation } from '@millrace/client'
import { usageError } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { reportOutcomes } from '../command/outcomes.ts'
import {
  ACL_COLUMNS,
  type NamedResource,
  operationsOf,
  RESOURCE_OPTIONS,
  type ResourceOptions,
  requirePrincipal,
  resourcesOf,
  rowOf,
} from './acl-options.ts'
import { hasNoClusterRules, isAboutCluster, lockOutWarning } from './lock-out.ts'

interface AddOptions extends ResourceOptions {
  operation: string[]
  host: string[]
  deny?: boolean
  producer?: boolean
  consumer?: boolean
}

/** What programs of a kind need, by resource. */
const PRODUCER: Readonly<Record<string, readonly AclOperation[]>> = {
  topic: ['write', 'describe', 'create'],
  'transactional-id': ['write', 'describe'],
}
const CONSUMER: Readonly<Record<string, readonly AclOperation[]>> = { topic: ['read', 'describe'], group: ['read'] }

export const addAcls: CommandDefinition<AddOptions> = {
  name: 'add',
  arguments: [['<principals...>', 'who: User:alice; User:* for everybody']],
  summary: 'Allow or deny something',
  description: `Whoever may read, write, delete or alter something may describe it too. What is denied stays denied whatever else is allowed.
A rule that is there already is fine.`,
  options: [
    ...RESOURCE_OPTIONS,
    {
      flags: '--operation <operations>',
      description: 'read,write,create,delete,alter,describe,…,all; may be repeated',
      repeatable: true,
    },
    { flags: '--producer', description: 'what a producer needs for the topics and transactional ids' },
    { flags: '--consumer', description: 'what a consumer needs for the topics and groups' },
    {
      flags: '--host <address>',
      description: 'only from there (default: from everywhere); may be repeated',
      repeatable: true,
    },
    { flags: '--deny', description: 'deny it instead' },
  ],
  examples: [
    ['acl add User:alice --topic orders --operation read', 'alice may read a topic'],
    ['acl add User:app --topic app- --prefixed --producer', 'app may write all topics that begin with app-'],
    ['acl add User:app --topic orders --group billing --consumer', 'app may read orders as the group billing'],
    ["acl add 'User:*' --topic secret --operation all --deny", 'nobody may do anything with a topic'],
  ],
  async run(context, principals, options) {
    const acls = aclsOf(principals.map(requirePrincipal), options)
    const { outcomes, warning } = await context.withAdmin(async (admin) => {
      const isFirst = acls.some(isAboutCluster) && (await hasNoClusterRules(admin))
      const made = await admin.createAcls(acls)
      return { outcomes: made, warning: await lockOutWarning(admin, made.filter(isMade), isFirst) }
    })
    await context.printRows(
      outcomes.map((outcome) => ({ ...rowOf(outcome), result: outcome.error === null ? 'added' : 'failed' })),
      [...ACL_COLUMNS, { key: 'result' }],
    )
    if (warning !== null) await context.note(`millrace: warning: ${warning}`)
    return reportOutcomes(context, outcomes)
  },
}

function isMade({ error }: { error: unknown }): boolean {
  return error === null
}

function aclsOf(principals: readonly string[], options: AddOptions): Acl[] {
  const resources = resourcesOf(options)
  if (resources.length === 0) throw usageError('with what?', 'Give --topic NAME, --group ID, --cluster or the like.')
  const hosts = options.host.length === 0 ? ['*'] : options.host
  const acls: Acl[] = []
  for (const resource of resources) {
    // There is one cluster, which no prefix names.
    const isPrefixed = options.prefixed === true && resource.resourceType !== 'cluster'
    for (const operation of operationsFor(resource, options)) {
      for (const principal of principals) {
        for (const host of hosts) {
          acls.push({
            ...resource,
            patternType: isPrefixed ? 'prefixed' : 'literal',
            principal,
            host,
            operation,
            permission: options.deny === true ? 'deny' : 'allow',
          })
        }
      }
    }
  }
  return acls
}

function operationsFor({ resourceType, resourceName }: NamedResource, options: AddOptions): readonly AclOperation[] {
  const given = operationsOf(options.operation)
  const kinds = [options.producer === true ? PRODUCER : {}, options.consumer === true ? CONSUMER : {}]
  const needed = kinds.flatMap((kind: Readonly<Record<string, readonly AclOperation[]>>) => kind[resourceType] ?? [])
  const all = [...new Set([...given, ...needed])]
  if (all.length > 0) return all
  throw usageError(
    `which operations on ${resourceType} ${resourceName}?`,
    'Give --operation read,write, or --producer or --consumer where they fit.',
  )
}
