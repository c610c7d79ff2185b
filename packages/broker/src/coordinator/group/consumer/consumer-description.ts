import type { GroupContext } from '../group-context.ts'
import type { ModernGroupState } from '../group-protocol.ts'
import { type Assignment, EMPTY_ASSIGNMENT } from '../modern/assignment.ts'
import type { ConsumerGroup } from './consumer-group.ts'
import type { ConsumerMember } from './consumer-member.ts'
import { assignorNameOf } from './group-epochs.ts'

/** A consumer group as ConsumerGroupDescribe shows it: as of the last commit. */
export interface DescribedConsumerGroup {
  readonly groupId: string
  readonly state: ModernGroupState
  readonly epoch: number
  readonly targetEpoch: number
  readonly assignor: string
  readonly members: readonly { readonly member: ConsumerMember; readonly target: Assignment }[]
}

export function describeConsumerGroup(group: ConsumerGroup, { config }: GroupContext): DescribedConsumerGroup {
  const members = group.members.committedValues()
  return {
    groupId: group.groupId,
    state: group.committedState,
    epoch: group.committedEpoch.epoch,
    targetEpoch: group.committedTarget.epoch,
    assignor: assignorNameOf(group.preferredAssignor, config.groupConsumerAssignors),
    members: members.map((member) => ({
      member,
      target: group.targets.getCommitted(member.memberId) ?? EMPTY_ASSIGNMENT,
    })),
  }
}
