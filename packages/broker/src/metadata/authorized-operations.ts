import { AclOperation, AclResourceType } from '@millrace/consensus'

const { READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, CLUSTER_ACTION } = AclOperation
const { DESCRIBE_CONFIGS, ALTER_CONFIGS, IDEMPOTENT_WRITE } = AclOperation

/**
 * Operations that a kind of resource knows, as bit fields by Kafka's operation numbers: what answers tell as authorized where everybody
 * may do everything, and of which they tell a part where not.
 */
export const TOPIC_OPERATIONS = bitsOf(READ, WRITE, CREATE, DELETE, ALTER, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS)

export const GROUP_OPERATIONS = bitsOf(READ, DELETE, DESCRIBE, DESCRIBE_CONFIGS, ALTER_CONFIGS)

export const CLUSTER_OPERATIONS = bitsOf(
  CREATE,
  ALTER,
  DESCRIBE,
  CLUSTER_ACTION,
  DESCRIBE_CONFIGS,
  ALTER_CONFIGS,
  IDEMPOTENT_WRITE,
)

/** By type of resource; others are in no answer. */
export const OPERATIONS_OF: Readonly<Record<number, number>> = {
  [AclResourceType.TOPIC]: TOPIC_OPERATIONS,
  [AclResourceType.GROUP]: GROUP_OPERATIONS,
  [AclResourceType.CLUSTER]: CLUSTER_OPERATIONS,
}

/** The client did not ask. */
export const OPERATIONS_NOT_ASKED = -2_147_483_648

export function bitsOf(...operations: readonly number[]): number {
  return operations.reduce((bits, operation) => bits | (1 << operation), 0)
}
