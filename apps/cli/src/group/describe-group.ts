import type { Admin, GroupDescription, GroupLag, ProtocolError } from '@millrace/client'
import { usageError } from '../command/cli-error.ts'
import type { CommandDefinition } from '../command/command-definition.ts'
import { reportOutcomes } from '../command/outcomes.ts'
import { type Column, type Row, renderRows } from '../io/output-format.ts'
import { printable } from '../io/printable.ts'
import { formatCount, formatNumber } from '../options/numbers.ts'
import { findShareGroups, shareGroupData, shareGroupText, viewShareGroup } from './share-groups.ts'

interface DescribeOptions {
  members?: boolean
  all?: boolean
}

const LAG_COLUMNS: readonly Column[] = [
  { key: 'topic' },
  { key: 'partition' },
  { key: 'committedOffset', title: 'COMMITTED' },
  { key: 'logEndOffset', title: 'END' },
  { key: 'lag' },
  { key: 'clientId', title: 'CLIENT' },
  { key: 'host' },
  { key: 'memberId', title: 'MEMBER' },
]

const MEMBER_COLUMNS: readonly Column[] = [
  { key: 'memberId', title: 'MEMBER' },
  { key: 'groupInstanceId', title: 'INSTANCE' },
  { key: 'clientId', title: 'CLIENT' },
  { key: 'host' },
  { key: 'partitions' },
]

/** What members of consumer groups (KIP-848) have besides. */
const EPOCH_COLUMNS: readonly Column[] = [{ key: 'epoch' }, { key: 'protocol' }]

export const describeGroup: CommandDefinition<DescribeOptions> = {
  name: 'describe',
  arguments: [['[groups...]', 'group ids']],
  summary: 'Show state, members, offsets and lag of groups',
  options: [
    { flags: '--members', description: 'what each member reads, in place of offsets' },
    { flags: '--all', description: 'all groups' },
  ],
  examples: [
    ['group describe billing', 'offsets and lag of one group'],
    ['group describe billing --members', 'who reads what'],
    ['group describe mail-queue', 'a share group: where it begins, and what is left'],
    ["group describe --all -o json | jq '.[] | {group, totalLag}'", 'the lag of all groups'],
  ],
  async run(context, groupIds, options) {
    if (groupIds.length === 0 && !options.all) throw usageError('which groups?', 'Give their ids, or --all.')
    const groups = await context.withAdmin(async (admin) => {
      const ids = options.all ? (await admin.listGroups()).map(({ groupId }) => groupId) : groupIds
      return lookAt(admin, ids, options.members === true)
    })
    const found = groups.flatMap(({ shown }) => shown ?? [])
    await context.printValue(
      found.map(({ data }) => data),
      () => found.map(({ text }) => text).join('\n'),
    )
    const failures = groups.flatMap(({ errors }) => errors)
    return reportOutcomes(context, [...found.map(() => ({ error: null })), ...failures.map((error) => ({ error }))])
  },
}

/** A group of any kind. */
interface GroupView {
  /** Ready to be shown; null: there is nothing to show. */
  readonly shown: { readonly data: Row; readonly text: string } | null
  /** Why it, or a part of it, is not shown. */
  readonly errors: readonly ProtocolError[]
}

async function lookAt(admin: Admin, groupIds: readonly string[], members: boolean): Promise<GroupView[]> {
  const described = await admin.describeGroups(groupIds)
  const unknown = described.filter(({ error }) => error !== null).map(({ groupId }) => groupId)
  const shareGroups = await findShareGroups(admin, unknown)
  return Promise.all(
    described.map(async (group): Promise<GroupView> => {
      const shareGroup = shareGroups.groups.get(group.groupId)
      if (shareGroup !== undefined) {
        const view = await viewShareGroup(admin, shareGroup)
        return {
          shown: { data: shareGroupData(view), text: shareGroupText(view, members) },
          errors: view.errors,
        }
      }
      // To who asks for another kind of group a share group is unknown: what is in the way says more.
      const error = shareGroups.errors.get(group.groupId) ?? group.error
      if (error !== null) return { shown: null, errors: [error] }
      const lag = await admin.groupLag(group.groupId)
      return { shown: { data: toData(group, lag), text: toText(group, lag, members) }, errors: [] }
    }),
  )
}

function totalLag(lag: readonly GroupLag[]): bigint {
  return lag.reduce((sum, { lag: partitionLag }) => sum + (partitionLag ?? 0n), 0n)
}

function lagRows(lag: readonly GroupLag[]): Row[] {
  return lag.map(({ topic, partition, committedOffset, logEndOffset, lag: partitionLag, member }) => ({
    topic,
    partition,
    committedOffset,
    logEndOffset,
    lag: partitionLag,
    clientId: member?.clientId ?? null,
    host: member?.host.replace(/^\//, '') ?? null,
    memberId: member?.memberId ?? null,
  }))
}

function memberRows(group: GroupDescription): Row[] {
  return group.members.map(({ memberId, epoch, protocol, groupInstanceId, clientId, host, assignment }) => ({
    memberId,
    epoch,
    protocol,
    groupInstanceId,
    clientId,
    host: host.replace(/^\//, ''),
    partitions: assignment.map(({ topic, partition }) => `${topic}-${partition}`),
  }))
}

function toData(group: GroupDescription, lag: readonly GroupLag[]): Row {
  const { groupId, state, type, protocolType, assignor, epoch, assignmentEpoch, coordinator } = group
  return {
    group: groupId,
    state,
    type,
    protocolType,
    assignor,
    epoch,
    assignmentEpoch,
    coordinator,
    totalLag: totalLag(lag),
    members: memberRows(group),
    offsets: lagRows(lag),
  }
}

function toText(group: GroupDescription, lag: readonly GroupLag[], members: boolean): string {
  const facts = [
    group.state,
    `${group.type} group`,
    ...epochFacts(group),
    formatCount(group.members.length, 'member'),
    ...(group.assignor === '' ? [] : [group.assignor]),
    `coordinator ${group.coordinator}`,
    `total lag ${formatNumber(Number(totalLag(lag)))}`,
  ]
  const table = members
    ? renderRows(memberRows(group), memberColumns(group), 'table')
    : renderRows(lagRows(lag), LAG_COLUMNS, 'table')
  return `${printable(`${group.groupId}: ${facts.join(', ')}`)}\n${table}`
}

function memberColumns({ epoch }: GroupDescription): readonly Column[] {
  return epoch === null ? MEMBER_COLUMNS : [...MEMBER_COLUMNS, ...EPOCH_COLUMNS]
}

/** An assignment that is behind the group is about to be made. */
function epochFacts({ epoch, assignmentEpoch }: GroupDescription): string[] {
  if (epoch === null) return []
  return [assignmentEpoch === epoch ? `epoch ${epoch}` : `epoch ${epoch}, assigned for ${assignmentEpoch}`]
}
