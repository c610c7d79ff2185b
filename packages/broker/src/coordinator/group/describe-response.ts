import {
  createDescribedGroupMember,
  createDescribeGroupsResponseDescribedGroup,
  type DescribeGroupsResponseDescribedGroup,
  ErrorCode,
} from '@millrace/protocol'
import type { DescribedGroup } from './group-machine.ts'

const GROUP_ID_NOT_FOUND_VERSION = 6
const AUTHORIZED_OPERATIONS_VERSION = 3
/** Numbers of the operations on a group, each a bit of the answer: READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS. */
const GROUP_OPERATIONS = [3, 6, 8, 10, 11]
/** Without authorization everybody may do everything. */
const ALL_GROUP_OPERATIONS = GROUP_OPERATIONS.reduce((bits, operation) => bits | (1 << operation), 0)

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
    described.errorMessage = `Group ${groupId} not found.`
  } else if (includeAuthorizedOperations && apiVersion >= AUTHORIZED_OPERATIONS_VERSION) {
    described.authorizedOperations = ALL_GROUP_OPERATIONS
  }
  return described
}

/** A group that this node cannot describe. */
export function failedGroup(groupId: string, errorCode: number): DescribeGroupsResponseDescribedGroup {
  return createDescribeGroupsResponseDescribedGroup({ groupId, errorCode })
}
