import type { ClassicGroup } from './classic-group.ts'
import type { GroupStep } from './group-protocol.ts'

/** Members that one line names: a group may have thousands. */
const MAX_NAMED_MEMBERS = 10
/** As much as Kafka's own clients send (KIP-800). */
const MAX_REASON_LENGTH = 255
/** Of each text that an answer quotes. */
const MAX_QUOTE_LENGTH = 200

/**
 * A line in the broker's log about a group. There is one for each step of a rebalance and each member that comes or goes, none for
 * heartbeats and commits, so their rate stays low.
 */
export function noteGroup(
  group: ClassicGroup,
  message: string,
  fields: Record<string, unknown>,
  step: GroupStep,
): void {
  const { groupId, generationId, members } = group
  step.note(message, { group: groupId, generation: generationId, members: members.size, ...fields })
}

/** As {@link noteGroup}, of a group whose partitions the coordinator assigns. */
export function noteModernGroup(
  group: {
    readonly groupId: string
    readonly epoch: { readonly epoch: number }
    readonly members: { readonly size: number }
  },
  message: string,
  fields: Record<string, unknown>,
  step: GroupStep,
): void {
  const { groupId, epoch, members } = group
  step.note(message, { group: groupId, epoch: epoch.epoch, members: members.size, ...fields })
}

/** Why a client says that it joins or leaves (JoinGroup v8, LeaveGroup v5). */
export function clientReason(reason: string | null | undefined): string {
  return reason === null || reason === undefined || reason === '' ? 'not provided' : reason.slice(0, MAX_REASON_LENGTH)
}

/** What a client sent, to be named in an answer: with a text as long as a string can be the answer would be none. */
export function shortened(text: string): string {
  return text.length <= MAX_QUOTE_LENGTH ? text : `${text.slice(0, MAX_QUOTE_LENGTH)}...`
}

/** How many members, and the names of the first of them. */
export function namedMembers(memberIds: readonly string[]): string {
  const names = memberIds.slice(0, MAX_NAMED_MEMBERS).join(', ')
  const moreCount = memberIds.length - MAX_NAMED_MEMBERS
  return moreCount > 0 ? `${names} and ${moreCount} more` : names
}
