import {
  createDescribedGroupMember,
  createDescribeGroupsResponseDescribedGroup,
  type DescribeGroupsResponseDescribedGroup,
  ErrorCode,
} from '@millrace/protocol'
import { GROUP_OPERATIONS } from '../../metadata/authorized-operations.ts'
import type { DescribedGroup } from './group-machine.ts'
import { shortened } from './group-notes.ts'

const GROUP_ID_NOT_FOUND_VERSION = 6
const AUTHORIZED_OPERATIONS_VERSION = 3

/** A group in DescribeGroups. One that does not exist is Dead, which older clients are told without an error. */
export function describedGroup(
  group: DescribedGroup,
  apiVersion: number,
  includeAuthorizedOperations: boolean,
): DescribeGroupsResponseDescribedGroup {
  const { groupId, state, protocolType, protocolName, members } = group
  const described = createDescribeGroupsResponseDescribedGroup({
    groupId,
    groupState: state,
    protocolType,
    protocolData: protocolName,
    members: members.map((member) =>
      createDescribedGroupMember({
        memberId: member.memberId,
        groupInstanceId: member.groupInstanceId,
        clientId: member.clientId,
        clientHost: member.clientHost,
        memberMetadata: member.metadata,
        memberAssignment: member.assignment,
      }),
    ),
  })
  if (state === 'Dead' && apiVersion >= GROUP_ID_NOT_FOUND_VERSION) {
    described.errorCode = ErrorCode.GROUP_ID_NOT_FOUND
    described.errorMessage = `Group ${shortened(groupId)} not found.`
  } else if (includeAuthorizedOperations && apiVersion >= AUTHORIZED_OPERATIONS_VERSION) {
    described.authorizedOperations = GROUP_OPERATIONS
  }
  return described
}

/** A group that this node cannot describe. */
export function failedGroup(groupId: string, errorCode: number): DescribeGroupsResponseDescribedGroup {
  return createDescribeGroupsResponseDescribedGroup({ groupId, errorCode })
}
