import {
  type Admin,
  type ProtocolError,
  type ShareGroupDescription,
  type ShareGroupOffset,
  UnsupportedVersionError,
} from '@millrace/client'
import { type Column, type Row, renderRows } from '../io/output-format.ts'
import { printable } from '../io/printable.ts'
import { formatCount, formatNumber } from '../options/numbers.ts'

/** A share group, and how far it is where it has begun. */
export interface ShareGroupView {
  readonly group: ShareGroupDescription
  readonly offsets: readonly ShareGroupOffset[]
  /** Why nothing is told of some partitions, which have no numbers then. */
  readonly errors: readonly ProtocolError[]
}

/** What is found of share groups among others, by id. */
export interface ShareGroupSearch {
  readonly groups: ReadonlyMap<string, ShareGroupDescription>
  /** Groups that may be share groups, and why nobody tells. */
  readonly errors: ReadonlyMap<string, ProtocolError>
}

/** A group with one of these is no share group: it is of another kind, or unknown, or the cluster has share groups switched off. */
const NO_SHARE_GROUP: ReadonlySet<string> = new Set(['GROUP_ID_NOT_FOUND', 'UNSUPPORTED_VERSION'])

/** Those of the groups that are share groups (KIP-932); none where brokers do not know such groups. */
export async function findShareGroups(admin: Admin, groupIds: readonly string[]): Promise<ShareGroupSearch> {
  const groups = new Map<string, ShareGroupDescription>()
  const errors = new Map<string, ProtocolError>()
  if (groupIds.length === 0) return { groups, errors }
  try {
    for (const group of await admin.describeShareGroups(groupIds)) {
      if (group.error === null) groups.set(group.groupId, group)
      else if (!NO_SHARE_GROUP.has(group.error.code)) errors.set(group.groupId, group.error)
    }
  } catch (error) {
    if (!(error instanceof UnsupportedVersionError)) throw error
  }
  return { groups, errors }
}

/** For who treats share groups in another way: throws the error where that is not told, and must not be guessed. */
export async function isShareGroup(admin: Admin, groupId: string): Promise<boolean> {
  const { groups, errors } = await findShareGroups(admin, [groupId])
  const error = errors.get(groupId)
  if (error !== undefined) throw error
  return groups.has(groupId)
}

export async function viewShareGroup(admin: Admin, group: ShareGroupDescription): Promise<ShareGroupView> {
  const outcomes = await admin.listShareGroupOffsets(group.groupId)
  const offsets = outcomes.map((one) => (one.error === null ? one : { ...one, startOffset: null, lag: null }))
  return { group, offsets, errors: outcomes.flatMap(({ error }) => error ?? []) }
}

const OFFSET_COLUMNS: readonly Column[] = [
  { key: 'topic' },
  { key: 'partition' },
  { key: 'startOffset', title: 'START' },
  { key: 'lag' },
]

const MEMBER_COLUMNS: readonly Column[] = [
  { key: 'memberId', title: 'MEMBER' },
  { key: 'clientId', title: 'CLIENT' },
  { key: 'host' },
  { key: 'partitions' },
  { key: 'epoch' },
]

/** As JSON has it, in the shape of other groups: what differs is that records are acknowledged, not offsets committed. */
export function shareGroupData({ group, offsets }: ShareGroupView): Row {
  const { groupId, state, assignor, groupEpoch, assignmentEpoch, coordinator } = group
  return {
    group: groupId,
    state,
    type: 'share',
    protocolType: 'share',
    assignor,
    epoch: groupEpoch,
    assignmentEpoch,
    coordinator,
    totalLag: totalLag(offsets),
    members: memberRows(group),
    offsets: offsetRows(offsets),
  }
}

export function shareGroupText({ group, offsets }: ShareGroupView, members: boolean): string {
  const { groupId, state, groupEpoch, coordinator } = group
  const lag = totalLag(offsets)
  const facts = [
    state,
    'share group',
    `epoch ${groupEpoch}`,
    formatCount(group.members.length, 'member'),
    `coordinator ${coordinator}`,
    `total lag ${lag === null ? 'unknown' : formatNumber(Number(lag))}`,
  ]
  const table = members
    ? renderRows(memberRows(group), MEMBER_COLUMNS, 'table')
    : renderRows(offsetRows(offsets), OFFSET_COLUMNS, 'table')
  return `${printable(`${groupId}: ${facts.join(', ')}`)}\n${table}`
}

/** Null if that of some partition is not told. */
function totalLag(offsets: readonly ShareGroupOffset[]): bigint | null {
  let sum = 0n
  for (const { lag } of offsets) {
    if (lag === null) return null
    sum += lag
  }
  return sum
}

function offsetRows(offsets: readonly ShareGroupOffset[]): Row[] {
  return offsets.map(({ topic, partition, startOffset, lag }) => ({ topic, partition, startOffset, lag }))
}

function memberRows({ members }: ShareGroupDescription): Row[] {
  return members.map(({ memberId, memberEpoch, clientId, host, assignment }) => ({
    memberId,
    clientId,
    host: host.replace(/^\//, ''),
    partitions: assignment.map(({ topic, partition }) => `${topic}-${partition}`),
    epoch: memberEpoch,
  }))
}
